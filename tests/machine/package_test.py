"""The Debian package on a bare machine: it brings what it needs, starts nothing by itself, serves after `slipway setup`, is replaced under
load, is there after a reboot, and purging leaves nothing. Long tier: it installs from the archive. tools/check-long package"""
import shutil
import subprocess
import tempfile
from pathlib import Path

import keep_checks
import pytest
from server import TOP, NoMachine, Server
from test_server import DOMAIN, deploy_the_sample, load_begin, load_end, look


@pytest.fixture(scope="module")
def server():
    try:
        s = Server("bare")
    except NoMachine as why:
        pytest.skip(str(why))
    try:
        yield s
    finally:
        s.close()


@pytest.fixture(scope="module")
def package():
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
    server.script("apt", "install", "-y", "--no-install-recommends", "python3-django", "gunicorn", "python3-venv", "git", "nginx-light", "nftables", "openssh-client")
    server.put(package, "/srv/package")
    server.bare = look(server)
    server.script("apt", "install", "-y", "--no-install-recommends", "/srv/package/" + next(package.glob("*.deb")).name)
    assert server.run("systemctl list-units --no-legend --all 'slipway*'") == ""
    assert server.run("getent passwd slipway", expect=None).stdout == ""


def test_setup_and_a_signed_push(server):
    server.slipway("setup", "--yes", "--domain", DOMAIN)
    deploy_the_sample(server)


def test_upgrade_under_load(server):
    pid = server.run("systemctl show -P MainPID slipwayd")
    edge = server.run("systemctl show -P MainPID slipway-edge")
    helper, programs = keep_checks.helper_pid(server), keep_checks.pids(server, "guestbook")
    load = load_begin(server)
    server.run("dpkg -i /srv/package/slipway_*.deb", timeout=120)
    load_end(server, load)
    assert server.run("systemctl show -P MainPID slipwayd") != pid, "the daemon was not replaced"
    assert keep_checks.helper_pid(server) != helper, "the helper was not replaced"
    assert keep_checks.pids(server, "guestbook") == programs, "the project's processes were replaced"
    assert server.run("systemctl show -P MainPID slipway-edge") == edge != "0\n", "the web server was replaced"
    assert server.run("systemctl", "is-system-running").strip() == "running"


def test_serves_after_a_reboot(server):
    server.reboot()
    assert "Guestbook" in server.wait_get("guestbook.localhost")


def test_purge_leaves_nothing(server):
    server.run("systemctl stop git-server; rm -rf /srv/git /srv/tools /srv/load /srv/secret", expect=None)
    server.run("dpkg --purge slipway", timeout=120)
    assert look(server) == server.bare
    assert server.run("ps -ef | grep -i '[s]lipway'", expect=None).stdout == ""
    assert server.run("systemctl is-active nginx").strip() == "active"
