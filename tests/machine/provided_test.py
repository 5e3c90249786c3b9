"""What a server gives its projects, on a machine with systemd and Debian's own PostgreSQL, RabbitMQ and certbot: `slipway setup` with --postgres, --rabbitmq
and --dns-hook, programs that use all of it, what changes under load over TLS, and everything away again. One machine; the tests follow each other."""
import gone_checks
import names_checks
import pytest
import services_checks
import switch_checks
import unit_checks
from server import NoMachine, Server
from test_server import look


@pytest.fixture(scope="module")
def server():
    try:
        s = Server("services")
    except NoMachine as why:
        pytest.skip(str(why))
    try:
        yield s
    finally:
        s.close()


def test_setup(server):
    server.install()
    server.run("mkdir /srv/page && echo page >/srv/page/index.html")
    names_checks.authority(server)
    server.installed = look(server)
    server.slipway("setup", "--yes", "--domain", names_checks.HOST)
    assert server.run("systemctl", "is-system-running").strip() == "running"


@pytest.mark.parametrize("check", services_checks.ALL, ids=lambda c: c.__name__)
def test_services(server, check):
    check(server)


@pytest.mark.parametrize("check", names_checks.ALL, ids=lambda c: c.__name__)
def test_names(server, check):
    check(server)


@pytest.mark.parametrize("check", switch_checks.ALL, ids=lambda c: c.__name__)
def test_switch(server, check):
    check(server)


def test_daemon_is_as_closed_as_before(server):
    assert unit_checks.exposure(server, "slipwayd.service") <= 1.3
    assert server.run("systemctl", "is-system-running").strip() == "running"


def test_undo_leaves_nothing(server):
    services_checks.left_for_undo(server)
    receipt = server.slipway("setup", "--undo", "--yes")
    services_checks.undone_nothing_is_left(server, receipt)
    server.run(f"rm -rf /srv/words {names_checks.HOOK} {names_checks.KEY}")
    assert look(server) == server.installed
    gone_checks.nothing_is_left(server, units_stay=True)
    assert "nothing to take away" in server.slipway("setup", "--undo", "--yes")
