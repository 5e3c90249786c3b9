"""R8 over TLS on a server: new connections all the time, each verified by the root of who signed what is served, over every way in which what serves
changes and a restart of the daemon, some always under way, with nginx and then with Apache. Part of provided_test.py; package_test.py has the load, too."""
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

import unit_checks
from names_checks import AUTHORITY, OWN, served
from server import TOP

import apps  # noqa: E402 I001 (found by server's path)
import rounds  # noqa: E402

ROUNDS = 5 if os.environ.get("SLIPWAY_LONG") else 1
RATE, CONNECTIONS = 40, 300 * ROUNDS
NAME, PATH, FOLDER, ROOT = "switched", "/srv/switched", "/srv/tls", "/srv/ca/root.pem"


class TlsLoad:
    """tls_load.py on the machine, against its port 443."""

    def __init__(self, server, host, roots, get, post=""):
        self.server = server
        folder = Path(tempfile.mkdtemp())
        shutil.copy(TOP / "tests/e2e/tls_load.py", folder)
        server.run("rm", "-rf", FOLDER)
        server.put(folder, FOLDER)
        shutil.rmtree(folder)
        self.process = server.background(
            "sh", "-c", 'echo $$ >"$0/pid" && exec python3 "$0/tls_load.py" "$@"', FOLDER, 443, host, roots, RATE, 900, f"{FOLDER}/ids", f"{FOLDER}/values", get, post)

    def acknowledged(self):
        return self.server.run(f"cat {FOLDER}/ids 2>/dev/null", expect=None).stdout.split()

    def goes_on(self):
        """Until it has seen what serves now, however quickly that came."""
        seen = len(self.acknowledged())
        unit_checks.until(lambda: len(self.acknowledged()) >= seen + 10, 30)

    def stop(self):
        assert self.process.poll() is None, ("it ended before what it was to see", self.process.communicate())
        self.server.run(f"kill -INT $(cat {FOLDER}/pid)")
        result = json.loads(self.process.communicate(timeout=120)[0])
        lines = self.server.run("cat", f"{FOLDER}/values").splitlines()
        return {**result, "values": {line.split(" ", 1)[1]: int(line.split(" ", 1)[0]) for line in lines}}


def write(server, version):
    server.run("mkdir", "-p", PATH)
    for name, text in apps.with_version(rounds.files(), version).items():
        server.run(f"cat >{PATH}/{name}", stdin=text)


def made(server):
    """With a certificate of the authority's."""
    server.slipway("setup", "--yes", "--acme", AUTHORITY)
    write(server, "v1")
    server.slipway("create", NAME, "--path", PATH)
    server.slipway("deploy", NAME)
    server.slipway("domains", "add", NAME, OWN)
    server.slipway("certs", "issue", NAME)


def switched_under_load(server, edge, first):
    began = time.monotonic()
    load = TlsLoad(server, OWN, ROOT, "/slow", "/append")
    load.goes_on()
    for n in range(first, first + ROUNDS):
        write(server, rounds.version(n))
        rounds.one_round(server.slipway, NAME, n)
        pid = server.run("systemctl show -P MainPID slipwayd")
        server.run("systemctl", "restart", "slipwayd")
        assert server.slipway("info", NAME) and server.run("systemctl show -P MainPID slipwayd") != pid
        load.goes_on()
    unit_checks.until(lambda: len(load.acknowledged()) >= CONNECTIONS / 2)
    result = load.stop()
    seconds = round(time.monotonic() - began)
    print(f"\n{edge} over TLS, {ROUNDS} rounds and restarts of the daemon, {seconds} s: {result['requests']} connections, {result['failed']} failed", json.dumps(result))
    rounds.nothing_is_lost(result, first, ROUNDS, CONNECTIONS)
    rounds.each_once(load.acknowledged(), server.run(f"cat /var/lib/slipway/projects/{NAME}/data/ids").split())


def by_nginx(server):
    made(server)
    switched_under_load(server, "nginx", 0)


def by_apache(server):
    """Which takes over what nginx served, its certificate included."""
    before = served(server, OWN, "/version")
    server.slipway("setup", "--yes", "--edge", "apache")
    unit_checks.until(lambda: served(server, OWN, "/version") == before)
    switched_under_load(server, "apache", ROUNDS)


def what_is_lost_is_seen(server):
    """The control: a project that is stopped, and another one's root."""
    load = TlsLoad(server, OWN, ROOT, "/version", "/append")
    load.goes_on()
    server.slipway("stop", NAME)
    time.sleep(0.5)  # some meet that, however quick the machine
    server.slipway("start", NAME)
    result = load.stop()
    assert result["failed"] > 0 and any(why.startswith("status 503") for why in result["why"]), result
    load = TlsLoad(server, OWN, "/srv/ca/ca.pem", "/version")
    unit_checks.until(lambda: server.run(f"test -e {FOLDER}/ids", expect=None).returncode == 0)
    time.sleep(0.5)
    result = load.stop()
    assert result["failed"] == result["requests"] > 0 and any("CERTIFICATE_VERIFY_FAILED" in why for why in result["why"]), result
    server.slipway("destroy", NAME, "--yes", "--purge")
    server.run("rm", "-r", PATH, FOLDER)


ALL = (by_nginx, by_apache, what_is_lost_is_seen)
