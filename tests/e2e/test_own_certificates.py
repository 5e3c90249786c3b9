"""The platform's own certificates (pebble, by way of the real certbot): of its host by HTTP-01, ordered by itself once the name leads here, and one
for all names right below it by DNS-01, with a hook program that talks to pebble's DNS server."""
import http.client
import json
import os
import re
import socket
import sqlite3
import ssl
import subprocess
import time

import pytest

from authority import Authority, own_pair
from harness import Platform, free_port, wait_until

HOST = "paas.example.org"
BELOW = "site." + HOST

HOOK = """#!/usr/bin/python3
import json, os, sys, urllib.request
what, name, value = sys.argv[1:]
with open({notes!r}, "a") as notes:
    print(json.dumps([sys.argv[1:], sorted(os.environ), os.getuid(), open("/proc/%d/cmdline" % os.getppid()).read().split(chr(0))[0]]), file=notes)
trouble = open({trouble!r}).read()
if trouble == "idle":
    sys.exit(0)
if trouble:
    print("the provider says:", trouble)
    sys.exit(3)
path, body = ("set-txt", {{"host": name + ".", "value": value}}) if what == "add" else ("clear-txt", {{"host": name + "."}})
urllib.request.urlopen("http://127.0.0.1:{port}/" + path, json.dumps(body).encode()).read()
print(what, "done")
"""


class World:
    def __init__(self):
        self.p = Platform()
        self.p.edge_port = free_port()
        self.authority = Authority(self.p.dir / "authority", self.p.edge_port)
        self.notes, self.trouble, self.hook = (self.p.dir / n for n in ("notes", "trouble", "hook"))
        for f in (self.notes, self.trouble):
            f.write_text("")
            f.chmod(0o666)
        self.hook.write_text(HOOK.format(notes=str(self.notes), trouble=str(self.trouble), port=self.authority.dns_management))
        self.hook.chmod(0o755)
        self.p.extra = [
            "--acme", self.authority.url, "--acme-staging", self.authority.url, "--acme-ca", self.authority.ca, "--acme-http-port", str(self.p.edge_port),
            "--outbound-allow", "127.0.0.0/8", "--host", HOST, "--dns-hook", self.hook,
        ]

    def start(self):
        self.authority.start()
        self.root = self.authority.root()
        self.p.start()
        wait_until(self.p.edge_listens)
        site = self.p.dir / "site"
        site.mkdir()
        (site / "index.html").write_text("hello")
        return self

    def close(self):
        self.authority.stop()
        self.p.close()

    def shown(self, which):
        return self.p.api("GET", f"/platform/certificates/{which}")

    def ended(self, which, issued=True):
        """Nothing is under way, and the last try was (not) a success."""
        def look():
            s = self.shown(which)
            return s if s["under_way"] is None and (s["installed_at"] and not s["failures"] if issued else s["failures"]) else None

        return wait_until(look, 90, 0.2)

    def answer(self, name, path="/", root=None, method="GET", body=None):
        """Over HTTPS, verified when there is a root: status, headers, body, serial."""
        context = ssl.create_default_context(cadata=root) if root else ssl._create_unverified_context()
        raw = socket.create_connection(("127.0.0.1", self.p.https_port), 10)
        connection = http.client.HTTPSConnection(name, timeout=10, context=context)
        connection.sock = context.wrap_socket(raw, server_hostname=name)
        der = connection.sock.getpeercert(binary_form=True)
        connection.request(method, path, body)
        got = connection.getresponse()
        said = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-serial"], input=der, capture_output=True, check=True).stdout.decode()
        try:
            return got.status, dict(got.headers), got.read().decode(), said.strip().split("=")[1]
        finally:
            connection.close()

    def set_row(self, which, **columns):
        """The clock moved on: what the schedule goes by is set while nobody else writes."""
        assert self.p.stop() == 0
        with sqlite3.connect(self.p.state / "slipway.db") as db:
            db.execute("UPDATE own_certificate SET " + ", ".join(f"{c} = ?" for c in columns) + " WHERE which = ?", (*columns.values(), which))
        db.close()
        self.p.start()
        wait_until(self.p.edge_listens)

    def calls(self):
        return [json.loads(line) for line in self.notes.read_text().splitlines()]


@pytest.fixture(scope="module")
def world():
    if os.environ.get("SLIPWAY_NAMESPACE") != "inside":
        pytest.skip("names for the authority need an /etc/hosts of their own")
    w = World()
    try:
        yield w.start()
    finally:
        w.close()


def test_before_the_name_leads_here(world):
    """It is tried by itself, says what to change, and is tried again; what serves signs itself."""
    failed = world.ended("host", issued=False)
    assert HOST in failed["error"] and "cannot be reached" in failed["error"], failed
    wait = time.mktime(time.strptime(failed["next_try_at"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone - time.time()
    assert 500 < wait <= 600, failed
    status, headers, body, _ = world.answer(HOST, "/health")
    assert status == 200 and json.loads(body)["status"] == "ok" and "Strict-Transport-Security" not in headers
    assert world.p.get(HOST, "/health").status == 200
    shown = world.p.cli("certs", "show", "--platform").stdout
    assert "self-signed" in shown and "1 tries failed" in shown and "cannot be reached" in shown, shown
    assert list((world.p.run / ".acme/.well-known/acme-challenge").iterdir()) == []


def test_staging_first(world):
    with open("/etc/hosts", "a") as hosts:
        hosts.write(f"127.0.0.1 {HOST}\n")
    world.p.cli("certs", "issue", "--platform", "--staging")
    shown = world.shown("host")
    assert shown["origin"] == "staging" and not shown["trusted"] and shown["names"] == [HOST], shown
    assert world.p.get(HOST, "/health").status == 200 and "Strict-Transport-Security" not in world.answer(HOST, "/health", world.root)[1]


def test_issued_by_itself(world):
    """As right after setup: nothing is known of it yet, the name leads here, port 80 answers."""
    p = world.p
    p.cli("certs", "delete", "--platform", "--yes")
    assert world.shown("host")["origin"] == "self-signed" and not (p.state / "edge/certs/_host.pem").exists()
    assert not (p.state / "acme/config/live/_host").exists()
    assert p.stop() == 0
    with sqlite3.connect(p.state / "slipway.db") as db:
        db.execute("DELETE FROM own_certificate WHERE which = 'host'")
    db.close()
    p.start()
    shown = world.ended("host")
    assert shown["origin"] == "acme" and shown["trusted"] and "Pebble" in shown["issuer"] and shown["names"] == [HOST], shown
    begin, end, again = (time.mktime(time.strptime(shown[k][:19], "%Y-%m-%dT%H:%M:%S")) for k in ("not_before", "not_after", "next_try_at"))
    assert abs((again - begin) / (end - begin) - 2 / 3) < 0.001
    listed = p.cli("certs", "list").stdout
    assert re.search(rf"\(platform\) +acme +{HOST}", listed), listed


def test_http_leads_to_https_but_for_senders(world):
    p = world.p
    for path in ("/health", "/api/v1/version"):
        assert world.answer(HOST, path, world.root)[0] == 200
        moved = p.get(HOST, path + "?a=b")
        assert moved.status == 308 and moved.headers["Location"] == f"https://{HOST}:{p.https_port}{path}?a=b", moved
    assert world.answer(HOST, "/metrics", world.root)[0] == 404
    # a sender follows nobody: its event would be lost
    p.cli("create", "site", "--kind", "static")
    secret = p.hook("site", "site")
    answer = p.get(HOST, "/hooks/site", "POST", b"{}", {"Content-Type": "application/json"})
    assert answer.status == 401 and secret, answer
    assert p.get(HOST, "/.well-known/acme-challenge/none").status == 404
    # only where browsers would be sent to port 443 are they told to stay
    assert "Strict-Transport-Security" not in world.answer(HOST, "/health", world.root)[1]


def test_the_key_is_nobody_elses(world):
    installed, acme = world.p.state / "edge/certs/_host.pem", world.p.state / "acme/config/live/_host/privkey.pem"
    assert installed.stat().st_mode & 0o777 == 0o600 and installed.owner() == "root"
    for f in (installed, acme):
        assert subprocess.run(["setpriv", "--reuid=www-data", "--clear-groups", "cat", f], capture_output=True).returncode != 0
    assert "PRIVATE KEY" not in world.p.log_text()


def test_renewed_by_the_clock(world):
    before = world.answer(HOST, "/health", world.root)[3]
    world.set_row("host", renew_ms=1)
    wait_until(lambda: world.answer(HOST, "/health", world.root)[3] != before, 60, 0.2)
    assert world.ended("host")["origin"] == "acme"


def test_an_end_that_cannot_be_stored(world):
    """As on a full disk, for a while: what was ordered is kept and stored later. Nothing is ordered again before, and the store is asked less and less."""
    p = world.p
    assert p.stop() == 0
    until = int(time.time()) + 15
    with sqlite3.connect(p.state / "slipway.db") as db:
        db.execute("UPDATE own_certificate SET renew_ms = 1 WHERE which = 'host'")
        db.execute(f"CREATE TRIGGER full BEFORE UPDATE ON own_certificate WHEN strftime('%s', 'now') < '{until}' BEGIN SELECT RAISE(FAIL, 'no room'); END")
    db.close()
    before = len(p.log_text())
    p.start()

    def told(event):
        return re.findall(rf"\b{event}\b.*", p.log_text()[before:])

    wait_until(lambda: told("own_certificate_not_noted"), 30, 0.1)
    renewed = wait_until(lambda: (s := world.shown("host"))["next_try_at"] > "2000" and s, 60, 0.2)
    serial = world.answer(HOST, "/health", world.root)[3]
    assert time.time() >= until and renewed["serial"].lower() == serial.lower() and not renewed["failures"], (renewed, serial)
    assert len(told("own_certificate")) == 1 and 2 <= len(told("own_certificate_not_noted")) <= 6, p.log_text()[before:]
    assert p.stop() == 0
    with sqlite3.connect(p.state / "slipway.db") as db:
        db.execute("DROP TRIGGER full")
    db.close()
    p.start()
    wait_until(p.edge_listens)


def test_wildcard(world):
    """By the hook, for all names below: what is there already and what comes are served with it at once."""
    p = world.p
    p.cli("deploy", "site", "--dir", p.dir / "site")
    first = world.ended("wildcard")
    assert first["origin"] == "acme" and first["names"] == ["*." + HOST], first
    calls = world.calls()
    added, removed = calls[-2:]
    assert added[0][:2] == ["add", "_acme-challenge." + HOST] and re.fullmatch("[A-Za-z0-9_-]{43}", added[0][2])
    assert removed[0] == ["remove", *added[0][1:]]
    assert added[1] == ["LANG", "LC_CTYPE", "PATH"] or added[1] == ["LANG", "PATH"], added
    assert added[2] not in (0, os.getuid()) and "sh" not in os.path.basename(added[3]), added
    assert world.answer(BELOW, "/", world.root)[::2] == (200, "hello")
    assert p.get(BELOW).status == 308
    assert f"https://{BELOW}:{p.https_port}/" in p.api("GET", "/projects/site")["urls"]
    # one that comes now
    p.cli("create", "late", "--kind", "static")
    p.cli("deploy", "late", "--dir", p.dir / "site")
    assert world.answer("late." + HOST, "/", world.root)[::2] == (200, "hello")
    assert world.answer("late." + HOST, "/", world.root)[3] == world.answer(BELOW, "/", world.root)[3]
    # and nobody else's
    p.cli("create", "thief", "--kind", "static")
    said = p.cli("domains", "add", "thief", BELOW, expect=None)
    assert said.returncode != 0 and "belongs to the project of that name" in said.stderr
    assert p.cli("domains", "add", "thief", HOST, expect=None).returncode != 0
    for name in ("thief." + HOST, "nobody." + HOST):
        with pytest.raises(ssl.SSLError):
            world.answer(name, "/", world.root)


def test_a_projects_own_wins(world):
    chain, key = own_pair(world.p.dir / "own", BELOW)
    world.p.cli("domains", "add", "late", "late.example.net")
    world.p.cli("certs", "import", "site", "--chain", chain, "--key", key)
    own = (world.p.dir / "own/own-ca.pem").read_text()
    assert world.answer(BELOW, "/", own)[2] == "hello"
    world.p.cli("certs", "delete", "site", "--yes")
    assert world.answer(BELOW, "/", world.root)[2] == "hello"


def test_wildcard_is_renewed_under_load(world):
    before, seen, failed = world.answer(BELOW, "/", world.root)[3], set(), []
    child = subprocess.Popen(
        [world.p.build / "src/slipway", "certs", "renew", "--wildcard"],
        env={"PATH": os.environ["PATH"], "HOME": str(world.p.dir), "SLIPWAY_SOCKET": str(world.p.run / "api.sock")}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    after = 0
    while after < 50:
        after += child.poll() is not None
        try:
            answer = world.answer(("late." if len(seen) % 2 else "site.") + HOST, "/", world.root)
            seen.add(answer[3])
            if answer[0] != 200:
                failed.append(answer)
        except OSError as why:
            failed.append(repr(why))
    assert child.wait() == 0, child.stdout.read()
    assert failed == [] and len(seen) == 2 and before in seen, (failed, seen)


def not_renewed(world):
    """A renewal that fails, and the serial before it. Pebble takes an authorization of before for one order in a hundred, also when told never to
    (it compares its dice with `>`): such an order asks no hook and is not what is looked at."""
    count = len(world.calls())
    for _ in range(4):
        before = world.answer(BELOW, "/", world.root)[3]
        said = world.p.cli("certs", "renew", "--wildcard", expect=None)
        if said.returncode or len(world.calls()) > count:
            break
    assert said.returncode == 1 and world.answer(BELOW, "/", world.root)[3] == before, said
    return said, len(world.calls()) - count


def test_a_hook_that_fails(world):
    """What it says is shown, the old certificate stays."""
    world.trouble.write_text("no such zone")
    said, asked = not_renewed(world)
    assert "dns hook: the provider says: no such zone" in said.stdout and "exit status 3" in said.stderr and asked, said
    shown = world.shown("wildcard")
    assert shown["origin"] == "acme" and shown["failures"] == 1 and "the provider says" in shown["output"], shown
    world.trouble.write_text("")
    # one that others may write to is not run
    world.hook.chmod(0o777)
    said, asked = not_renewed(world)
    world.hook.chmod(0o755)
    assert "can be written by others" in said.stderr and not asked, said
    # one that says that it did, and did not: the authority says no
    world.trouble.write_text("idle")
    said, asked = not_renewed(world)
    world.trouble.write_text("")
    assert asked, said


def test_limits_are_shown(world):
    """Nothing is asked before the time that the authority named; its rehearsal has limits of its own."""
    later = int(time.time() * 1000) + 3 * 3600 * 1000
    world.set_row("host", limited_ms=later, renew_ms=later)
    said = world.p.cli("certs", "renew", "--platform", expect=None)
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(later / 1000))
    assert said.returncode != 0 and when in said.stderr and "--staging" in said.stderr, said
    assert "limited until" in world.p.cli("certs", "show", "--platform").stdout
    world.set_row("host", limited_ms=0)


def test_alarm_before_the_end(world):
    p = world.p
    p.cli("notify", "add", "--platform", "ops", "webhook", "--target", "https://127.0.0.1:1/in", "--events", "certificate.*")
    soon = int(time.time() * 1000) + 3 * 86400 * 1000
    world.set_row("host", not_before_ms=soon - 90 * 86400 * 1000, not_after_ms=soon, renew_ms=soon - 60 * 3600 * 1000)

    def told():
        return json.loads(p.cli("notify", "deliveries", "--platform", "ops", "--json").stdout)["items"]

    wait_until(told, 30, 0.3)
    assert [d["event"] for d in told()] == ["certificate.expiring"]
    listed = p.cli("certs", "list").stdout
    assert time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(soon / 1000)) in listed, listed


def test_import_revoke_delete(world):
    p = world.p
    serial = world.answer(HOST, "/health", world.root)[3]
    p.cli("certs", "revoke", "--platform", "--yes")
    assert world.authority.status_of(serial.lower()) == "Revoked" and world.shown("host")["origin"] == "self-signed"
    assert p.get(HOST, "/health").status == 200 and world.answer(HOST, "/health")[3] != serial
    chain, key = own_pair(p.dir / "own", HOST)
    other = own_pair(p.dir / "own", "another.example.net")
    said = p.cli("certs", "import", "--platform", "--chain", other[0], "--key", other[1], expect=1)
    assert HOST in said.stderr and p.get(HOST, "/health").status == 200, said
    assert p.cli("certs", "import", "--platform", "--chain", chain, "--key", other[1], expect=None).returncode != 0
    p.cli("certs", "import", "--platform", "--chain", chain, "--key", key)
    own = (p.dir / "own/own-ca.pem").read_text()
    assert world.answer(HOST, "/health", own)[0] == 200 and p.get(HOST, "/health").status == 308
    shown = world.shown("host")
    assert shown["origin"] == "import" and shown["next_try_at"] is None
    with sqlite3.connect(f"file:{p.state}/slipway.db?mode=ro", uri=True) as db:
        assert list(db.execute("SELECT given_chain, given_key FROM own_certificate WHERE which = 'host'")) == [("", None)]
    p.cli("certs", "delete", "--platform", "--yes")
    p.cli("certs", "delete", "--wildcard", "--yes")
    assert p.get(HOST, "/health").status == 200
    wait_until(lambda: p.get(BELOW).status == 200, 30)
    actions = {a["action"] for a in p.api("GET", "/audit")["items"]}
    assert {f"platform-certificate.{a}" for a in ("issue", "renew", "revoke", "delete", "import")} <= actions, actions


HOSTILE = ["", "..", "host/../wildcard", "%2e%2e", "HOST", "host%00", "a b", "$(id)", "_host"]


def test_hostile(world):
    for name in HOSTILE:
        where = "".join(f"%{b:02x}" for b in name.encode()) or "%00"
        assert world.p.call("POST", f"/api/v1/platform/certificates/{where}", {}).status in (400, 404), name
    for body in ({"staging": "yes"}, {"hook": "/bin/sh"}, {"dns_hook": "/bin/sh"}, {"program": "x"}, []):
        assert world.p.call("POST", "/api/v1/platform/certificates/wildcard", body).status in (400, 422), body
