"""The Debian package on a bare machine: it brings what it needs, starts nothing by itself, serves after `slipway setup`, is replaced under
load, is there after a reboot, and purging leaves nothing; lynis finds the server no worse than before. All of it with nginx, then on a
second machine with Apache, each beside the distribution's own service of that server and without the other. Long tier: it installs from
the archive. tools/check-long package"""
import shutil
import subprocess
import tempfile
from pathlib import Path

import edge_checks
import gone_checks
import inspect_checks
import keep_checks
import lynis_checks
import pytest
import switch_checks
from server import TOP, NoMachine, Server
from test_server import DOMAIN, deploy_the_sample, load_begin, load_end, look

# what is installed, its service, ours
EDGES = {"nginx": (["nginx-light", "nginx"], "nginx", "slipway-edge"), "apache": (["apache2", "apache2-bin"], "apache2", "slipway-edge-apache")}


@pytest.fixture(scope="module", params=EDGES)
def server(request):
    try:
        s = Server("bare")
    except NoMachine as why:
        pytest.skip(str(why))
    s.edge = request.param
    s.edge_packages, s.others_edge, s.own_edge = EDGES[s.edge]
    try:
        yield s
    finally:
        s.close()


@pytest.fixture(scope="module")
def package():
    assert shutil.which("lintian"), "without it tools/deb does not say what lintian would: apt install lintian"
    folder = Path(tempfile.mkdtemp(prefix="slipway-deb-"))
    try:
        done = subprocess.run([TOP / "tools/deb", folder], capture_output=True, text=True)
        assert done.returncode == 0, (done.stdout, done.stderr)
        assert "E: " not in done.stdout + done.stderr and "W: " not in done.stdout + done.stderr, done.stdout
        yield folder
    finally:
        shutil.rmtree(folder)


def test_package_goes_in_and_starts_nothing(server, package):
    server.script("apt", "update")
    # what is not Slipway's own comes first, so that purging Slipway can be compared with that
    server.script("apt", "install", "-y", "--no-install-recommends", "python3-django", "gunicorn", "python3-venv", "git", "nftables", "openssh-client", "lynis", *server.edge_packages)
    lynis_checks.before(server)
    server.put(package, "/srv/package")
    server.bare = look(server)
    server.script("apt", "install", "-y", "--no-install-recommends", "/srv/package/" + next(package.glob("*.deb")).name)
    assert server.run("systemctl list-units --no-legend --all 'slipway*'") == ""
    assert server.run("getent passwd slipway", expect=None).stdout == ""
    there = server.run("ls /usr/sbin | grep -xE 'nginx|apache2'").split()
    assert there == [server.others_edge], "the package brought the other web server"


def over_tls(server):
    return server.run("curl", "-sSkf", "--resolve", "guestbook.localhost:443:127.0.0.1", "https://guestbook.localhost/")


def test_setup_and_a_signed_push(server):
    if server.edge == "apache":  # nginx is what comes unasked
        refused = server.slipway("setup", "--yes", "--domain", DOMAIN, expect=None)
        assert refused.returncode != 0 and "slipway setup --edge apache" in refused.stderr, refused
    server.slipway("setup", "--yes", "--domain", DOMAIN, *([] if server.edge == "nginx" else ["--edge", server.edge]))
    deploy_the_sample(server)
    assert "Guestbook" in over_tls(server)


def test_it_is_as_it_should_be(server):
    inspect_checks.is_clean(server, "validate")
    inspect_checks.is_clean(server, "audit")


def test_lynis_finds_it_no_worse(server):
    lynis_checks.is_no_worse(server)
    if server.edge == "nginx":
        lynis_checks.the_edge_is_no_worse(server)
        lynis_checks.what_is_worse_is_noticed(server)
        inspect_checks.is_clean(server, "audit")


def tls_load(server):
    """Against the project's own certificate, which signs itself; the file holds the key, too."""
    server.run("openssl x509 -in /var/lib/slipway/edge/certs/self/guestbook.localhost -out /srv/self.pem")
    return switch_checks.TlsLoad(server, "guestbook.localhost", "/srv/self.pem", "/healthz")


def test_upgrade_under_load(server):
    """By new connections all the time, plain and over TLS."""
    pid = server.run("systemctl show -P MainPID slipwayd")
    edge = edge_checks.main_pid(server, server.own_edge)
    helper, programs = keep_checks.helper_pid(server), keep_checks.pids(server, "guestbook")
    load, tls = load_begin(server), tls_load(server)
    server.run("dpkg -i /srv/package/slipway_*.deb", timeout=120)
    server.slipway("edge", "reload")  # the new helper has the web server that the old one began
    load_end(server, load)
    seen = tls.stop()
    print(server.edge, "over TLS", seen)
    assert seen["failed"] == 0 and seen["requests"] >= 100, seen
    assert server.run("systemctl show -P MainPID slipwayd") != pid, "the daemon was not replaced"
    assert keep_checks.helper_pid(server) != helper, "the helper was not replaced"
    assert keep_checks.pids(server, "guestbook") == programs, "the project's processes were replaced"
    assert edge_checks.main_pid(server, server.own_edge) == edge != "0", "the web server was replaced"
    assert server.run("systemctl", "is-system-running").strip() == "running"


def test_update_of_the_web_server(server):
    """The distribution's, by itself: ours serves on with the program of before, and validate says so until it is restarted."""
    edge = edge_checks.main_pid(server, server.own_edge)
    load = load_begin(server)
    server.script("apt", "install", "-y", "--reinstall", "--no-install-recommends", *server.edge_packages)
    load_end(server, load)
    assert edge_checks.main_pid(server, server.own_edge) == edge
    levels, code, _ = inspect_checks.look(server, "validate")
    assert {n: l for n, l in levels.items() if l != "pass"} == {8: "warn"} and code == 0, levels
    server.run("systemctl", "restart", server.own_edge)
    inspect_checks.is_clean(server, "validate")
    server.wait_get("guestbook.localhost")


def test_serves_after_a_reboot(server):
    server.reboot()
    assert "Guestbook" in server.wait_get("guestbook.localhost") and "Guestbook" in over_tls(server)


def test_purge_leaves_nothing(server):
    server.run("systemctl stop git-server; rm -rf /srv/git /srv/tools /srv/load /srv/secret /srv/tls /srv/self.pem", expect=None)
    gone_checks.one_listens_on_a_port(server)
    server.run("dpkg --purge slipway", timeout=120)
    assert look(server) == server.bare
    gone_checks.nothing_is_left(server)
    assert server.run("systemctl", "is-active", server.others_edge).strip() == "active"
