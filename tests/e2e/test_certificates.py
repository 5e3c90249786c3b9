"""Certificates of an authority (pebble, by way of the real certbot) and of a person: issued, renewed under load, revoked, kept
when anything fails."""
import http.client
import http.server
import json
import os
import re
import socket
import sqlite3
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest

from authority import Authority, own_pair
from harness import Platform, free_port, wait_until

NAME, OTHER = "shop.example.org", "www.shop.example.org"


class World:
    def __init__(self):
        self.http = free_port()
        self.platform = Platform()
        self.platform.edge_port = self.http
        self.authority = Authority(self.platform.dir / "authority", self.http)
        self.platform.extra = [
            "--acme", self.authority.url, "--acme-staging", self.authority.url, "--acme-mail", "ops@example.org", "--acme-ca", self.authority.ca,
            "--acme-http-port", str(self.http), "--outbound-allow", "127.0.0.0/8",
        ]

    def start(self):
        self.authority.start()
        self.platform.start()
        wait_until(self.platform.edge_listens)
        site = self.platform.dir / "site"
        site.mkdir()
        (site / "index.html").write_text("hello")
        self.platform.cli("create", "shop", "--kind", "static")
        self.platform.cli("deploy", "shop", "--dir", site)
        for name in (NAME, OTHER):
            self.platform.cli("domains", "add", "shop", name)
        return self

    def close(self):
        self.authority.stop()
        self.platform.close()

    def shown(self):
        return json.loads(self.platform.cli("certs", "show", "shop", "--json").stdout)

    def served(self, name=NAME, root=None):
        """Serial of what is served, after verifying it against the root when there is one."""
        context = ssl.create_default_context(cadata=root) if root else ssl._create_unverified_context()
        with socket.create_connection(("127.0.0.1", self.platform.https_port), 10) as raw, context.wrap_socket(raw, server_hostname=name) as tls:
            der = tls.getpeercert(binary_form=True)
        said = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-serial"], input=der, capture_output=True, check=True).stdout.decode()
        return said.strip().split("=")[1]

    def https(self, name, root):
        connection = http.client.HTTPSConnection(name, timeout=10, context=ssl.create_default_context(cadata=root))
        raw = socket.create_connection(("127.0.0.1", self.platform.https_port), 10)
        connection.sock = connection._context.wrap_socket(raw, server_hostname=name)
        connection.request("GET", "/")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


@pytest.fixture(scope="module")
def world():
    if os.environ.get("SLIPWAY_NAMESPACE") != "inside":
        pytest.skip("names for the authority need an /etc/hosts of their own")
    with open("/etc/hosts", "a") as hosts:
        hosts.write(f"127.0.0.1 {NAME} {OTHER} gone.example.org\n127.0.0.9 elsewhere.example.org\n")
    w = World()
    try:
        yield w.start()
    finally:
        w.close()


def test_before_asking(world):
    """What would fail there is found here, and said with what to change."""
    p = world.platform
    p.cli("create", "bare", "--kind", "static")
    assert "slipway deploy bare" in p.cli("certs", "issue", "bare", expect=None).stderr
    p.cli("deploy", "bare", "--dir", p.dir / "site")
    said = p.cli("certs", "issue", "bare", expect=1)
    assert "domains add" in said.stdout + said.stderr
    p.cli("domains", "add", "bare", "nowhere.example.org")
    said = p.cli("certs", "issue", "bare", expect=1)
    text = said.stdout + said.stderr
    assert "nowhere.example.org" in text and "A record" in text and "domains remove" in text, text
    shown = json.loads(p.cli("certs", "show", "bare", "--json").stdout)
    assert shown["origin"] == "self-signed" and shown["failures"] == 1 and "nowhere.example.org" in shown["error"] and shown["next_try_at"] is None
    assert list((p.run / ".acme/.well-known/acme-challenge").iterdir()) == []
    # a name at which another server answers
    p.cli("domains", "remove", "bare", "nowhere.example.org")
    p.cli("domains", "add", "bare", "elsewhere.example.org")
    with http.server.HTTPServer(("127.0.0.9", world.http), http.server.BaseHTTPRequestHandler) as another:
        threading.Thread(target=another.serve_forever, daemon=True).start()
        said = p.cli("certs", "issue", "bare", expect=1)
        another.shutdown()
    text = said.stdout + said.stderr
    assert "answered by another server, 127.0.0.9 (501, not our file)" in text and "acme-challenge" in text, text


def test_staging_first(world):
    world.platform.cli("certs", "issue", "shop", "--staging")
    shown = world.shown()
    assert shown["origin"] == "staging" and not shown["trusted"] and set(shown["names"]) == {NAME, OTHER}
    # not trusted by anybody: http goes on
    assert world.platform.get(NAME, "/").status == 200


def test_issue(world):
    p = world.platform
    world.root = world.authority.root()
    said = p.cli("certs", "issue", "shop").stdout
    assert re.search(r"prove.*2 names lead here", said) and "order" in said and "install" in said, said
    shown = world.shown()
    assert shown["origin"] == "acme" and shown["trusted"] and "Pebble" in shown["issuer"] and shown["failures"] == 0, shown
    for name in (NAME, OTHER):
        assert world.https(name, world.root) == (200, "hello")
        moved = p.get(name, "/a?b=c")
        assert moved.status == 308 and moved.headers["Location"] == f"https://{name}:{p.https_port}/a?b=c"
    urls = p.api("GET", "/projects/shop")["urls"]
    assert f"https://{NAME}:{p.https_port}/" in urls and not any(u.startswith(f"http://{NAME}") for u in urls), urls
    # the project's own name has no certificate of an authority's, and needs none
    assert p.get("shop.localhost", "/").status == 200
    begin, end, again = (time.mktime(time.strptime(shown[k][:19], "%Y-%m-%dT%H:%M:%S")) for k in ("not_before", "not_after", "next_try_at"))
    assert abs((again - begin) / (end - begin) - 2 / 3) < 0.001
    listed = json.loads(p.cli("certs", "list", "--json").stdout)["items"]
    assert [c["project"] for c in listed if c["trusted"]] == ["shop"]
    actions = [a["action"] for a in p.api("GET", "/audit?project=shop")["items"]]
    assert "certificate.issue" in actions


def test_the_key_is_nobody_elses(world):
    installed = world.platform.state / "edge/certs/shop.pem"
    assert installed.stat().st_mode & 0o777 == 0o600 and installed.owner() == "root"
    acme = world.platform.state / "acme"
    assert acme.stat().st_mode & 0o777 == 0o700 and acme.owner() == "slipway"
    for user in ("sw-shop", "www-data"):
        for f in (installed, acme / "config/live/shop/privkey.pem"):
            assert subprocess.run(["setpriv", f"--reuid={user}", "--clear-groups", "cat", f], capture_output=True).returncode != 0
    assert "PRIVATE KEY" not in world.platform.log_text()
    with sqlite3.connect(f"file:{world.platform.state}/slipway.db?mode=ro", uri=True) as db:
        assert all("PRIVATE KEY" not in str(row) for row in db.execute("SELECT * FROM certificate"))


class Load:
    """New connections all the time, each verified; what went wrong."""

    def __init__(self, world, roots):
        self.world, self.roots, self.failed, self.count, self.stop = world, roots, [], 0, threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(2)]
        for t in self.threads:
            t.start()

    def run(self):
        while not self.stop.is_set():
            try:
                answer = self.world.https(NAME, self.roots)
                if answer != (200, "hello"):
                    self.failed.append(answer)
            except OSError as why:
                self.failed.append(repr(why))
            self.count += 1

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join()
        return self.failed


def test_renew_under_load(world):
    before, load = world.served(root=world.root), Load(world, world.root)
    try:
        world.platform.cli("certs", "renew", "shop")
        wait_until(lambda: load.count >= 100)
    finally:
        failed = load.end()
    assert failed == [] and load.count >= 100
    after = world.served(root=world.root)
    assert after != before and int(after, 16) == int(world.shown()["serial"], 16)


def set_due(world, when_ms):
    """The clock moved on: what the schedule goes by is set while nobody else writes."""
    p = world.platform
    assert p.stop() == 0
    with sqlite3.connect(p.state / "slipway.db") as db:
        db.execute("UPDATE certificate SET renew_ms = ? WHERE renew_ms > 0", (when_ms,))
    db.close()
    p.start()
    wait_until(p.edge_listens)


def last_task(world):
    return next(t for t in world.platform.api("GET", "/projects/shop/tasks")["items"] if t["kind"] == "certificate")


def ended(world, after):
    t = last_task(world)
    return t["id"] > after and t["state"] not in ("waiting", "running") and t


def test_renewed_by_the_clock(world):
    before, task = world.served(root=world.root), last_task(world)["id"]
    set_due(world, 1)
    done = wait_until(lambda: ended(world, task), 60)
    assert done["state"] == "done" and done["requested_by"] == "schedule", done
    assert world.served(root=world.root) != before


def test_revoke(world):
    serial = world.served(root=world.root)
    assert world.authority.status_of(serial.lower()) == "Valid"
    world.platform.cli("certs", "revoke", "shop", "--yes")
    assert world.authority.status_of(serial.lower()) == "Revoked"
    assert world.shown()["origin"] == "self-signed" and not (world.platform.state / "edge/certs/shop.pem").exists()
    assert world.platform.get(NAME, "/").status == 200 and world.served() != serial
    assert not (world.platform.state / "acme/config/live/shop").exists()


def test_import(world):
    p = world.platform
    chain, key = own_pair(p.dir / "own", NAME)
    other_chain, other_key = own_pair(p.dir / "own", "another.example.net")
    for args, words in (((chain, other_key), "does not belong"), ((other_chain, other_key), "none of the domains"), ((key, key), "not of certificates"), ((chain, chain), "not a private key")):
        said = p.cli("certs", "import", "shop", "--chain", args[0], "--key", args[1], expect=None)
        assert said.returncode != 0 and words in said.stdout + said.stderr, said
        assert world.shown()["origin"] == "self-signed" and p.get(NAME, "/").status == 200
    p.cli("certs", "import", "shop", "--chain", chain, "--key", key)
    shown = world.shown()
    assert shown["origin"] == "import" and shown["names"] == [NAME] and shown["next_try_at"] is None
    root = (p.dir / "own/own-ca.pem").read_text()
    assert world.https(NAME, root) == (200, "hello") and p.get(NAME, "/").status == 308
    assert p.get(OTHER, "/").status == 200, "it is not for that name"
    with sqlite3.connect(f"file:{p.state}/slipway.db?mode=ro", uri=True) as db:
        assert list(db.execute("SELECT given_chain, given_key FROM certificate WHERE installed_ms > 0")) == [("", None)]
    assert "issue" in p.cli("certs", "renew", "shop", expect=1).stdout
    # a daemon that starts again finds it where it was
    assert p.stop() == 0
    p.start()
    wait_until(p.edge_listens)
    assert world.https(NAME, root) == (200, "hello")
    p.cli("certs", "delete", "shop", "--yes")
    assert world.shown()["origin"] == "self-signed" and p.get(NAME, "/").status == 200


HOSTILE = ["", "-", "..", "a b", "a;b", "a\nb", "*.example.org", "--config-dir", "$(id).org", "a.org/../b", "a" * 300 + ".org", "ex ample.org", "xn--\u202e.org", "\u00e4.org", "{}.org", "'.org"]


def test_hostile_names(world):
    """No name that is none reaches the store, the authority or a configuration."""
    p = world.platform
    for name in HOSTILE:
        assert p.call("POST", "/api/v1/projects/shop/domains", {"domain": name}).status in (400, 403, 422), name
    for name in HOSTILE:
        where = "".join(f"%{b:02x}" for b in name.encode()) or "%00"
        assert p.call("POST", f"/api/v1/projects/{where}/certificate", {}).status in (400, 404), name
    for body in ({"staging": "yes"}, {"server": "https://evil.example"}, [], {"names": ["x.org"]}):
        assert p.call("POST", "/api/v1/projects/shop/certificate", body).status in (400, 422), body
    for pem in ("", "x", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", "a" * 60000, "ssl_certificate /etc/shadow;\n}"):
        assert p.call("PUT", "/api/v1/projects/shop/certificate", {"chain": pem, "key": pem}).status in (400, 422), pem


def test_authority_down(world):
    """The old one stays, people are told, and the next try waits. The authority stays down."""
    p = world.platform
    p.cli("certs", "issue", "shop")
    before, task = world.served(root=world.root), last_task(world)["id"]
    p.cli("notify", "add", "shop", "ops", "webhook", "--target", "https://127.0.0.1:1/in", "--events", "certificate.*")
    world.authority.stop()
    set_due(world, 1)
    failed = wait_until(lambda: ended(world, task), 120)
    assert failed["state"] == "failed", failed
    now = time.time()
    shown = world.shown()
    assert shown["failures"] == 1 and "certbot" in shown["error"] and shown["origin"] == "acme"
    wait = time.mktime(time.strptime(shown["next_try_at"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone - now
    assert 300 < wait <= 600, wait
    assert world.served(root=world.root) == before and world.https(NAME, world.root)[0] == 200
    told = json.loads(p.cli("notify", "deliveries", "shop", "ops", "--json").stdout)["items"]
    assert [d["event"] for d in told] == ["certificate.failed"], told
    said = p.cli("certs", "renew", "shop", expect=1)
    assert "certbot" in said.stdout + said.stderr
    assert world.shown()["failures"] == 2


def test_destroy(world):
    p = world.platform
    assert (p.state / "edge/certs/shop.pem").exists() and (p.state / "acme/config/live/shop").exists()
    assert re.search("removed +virtual host and certificates", p.cli("destroy", "shop", "--yes").stdout)
    left = [f for f in (*p.state.glob("edge/**/*shop*"), *p.state.glob("acme/config/*/shop*"))]
    assert left == [], left
    assert p.api("GET", "/certificates")["items"] == [] or all(c["project"] != "shop" for c in p.api("GET", "/certificates")["items"])
