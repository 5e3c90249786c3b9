"""A certificate per site of an nginx-site project, from an authority (pebble, by way of the real certbot): ordered by the push, for the names
of its first server_name line, answered beside the site's own blocks, renewed, gone with its site."""
import os
import socket
import sqlite3
import ssl
import subprocess

import pytest

from authority import Authority
from harness import ROOT, Platform, free_port, wait_until
from test_nginx_site import API, https, path, push, site


def served_name(p, name):
    """The names of the certificate that is served."""
    context = ssl._create_unverified_context()
    with socket.create_connection(("127.0.0.1", p.https_port), timeout=20) as raw, context.wrap_socket(raw, server_hostname=name) as s:
        der = s.getpeercert(binary_form=True)
    return der


class World:
    """The platform beside an authority of the test's own; `web` is pushed to it by hook."""

    def __init__(self, git):
        self.p = Platform()
        self.p.edge_port = free_port()
        self.authority = Authority(self.p.dir / "authority", self.p.edge_port)
        self.p.extra = ["--acme", self.authority.url, "--acme-staging", self.authority.url, "--acme-ca", self.authority.ca, "--acme-http-port", str(self.p.edge_port), "--outbound-allow", "127.0.0.0/8"]
        self.authority.start()
        self.p.start()
        wait_until(self.p.edge_listens)
        self.root = self.authority.root()
        self.repo = git.repository("cert", {"snippets/api.conf": API, path("one.example.net"): site(self.p, "one.example.net", "1", names="one.example.net www.one.example.net"), path("two.example.net"): site(self.p, "two.example.net", "2")})
        self.p.create("web", self.repo.url, kind="nginx-site")
        self.repo.secret = self.p.hook("web", "web")

    def close(self):
        self.authority.stop()
        self.p.close()

    def sites(self):
        return {s["name"]: s for s in self.p.api("GET", "/projects/web/sites")["items"]}

    def settled(self):
        """Every order has ended."""
        tasks = self.p.api("GET", "/projects/web/tasks")["items"]
        return tasks if all(t["state"] not in ("waiting", "running") for t in tasks) else None

    def orders(self):
        return [t for t in wait_until(self.settled, 120) if t["kind"] == "certificate"]

    def verified(self, name):
        return https(self.p, name, roots=self.root)


@pytest.fixture(scope="module")
def world(git):
    if os.environ.get("SLIPWAY_NAMESPACE") != "inside":
        pytest.skip("names for the authority need an /etc/hosts of their own")
    with open("/etc/hosts", "a") as hosts:
        for name in ("one.example.net", "www.one.example.net", "new.one.example.net", "two.example.net", "three.example.net"):
            hosts.write(f"127.0.0.1 {name}\n")
    w = World(git)
    yield w
    w.close()


def test_a_certificate_per_site(world):
    p = world.p
    task = push(p, world.repo, {})
    assert task["state"] == "done"
    assert https(p, "one.example.net") == (200, "1"), "from the first second, by one that signs itself"
    orders = world.orders()
    assert [(t["state"], t["requested_by"], t["error"]) for t in orders] == [("done", "deploy", None)] * 2
    # each block of port 80 does nothing but redirect, and the authority was answered all the same
    for name, says in (("one.example.net", "1"), ("www.one.example.net", "1"), ("two.example.net", "2")):
        assert world.verified(name) == (200, says)
    assert p.get("one.example.net").status == 301
    shown = world.sites()
    assert {s["certificate"] for s in shown.values()} == {"acme"} and shown["one.example.net"]["next_try_at"] and not shown["one.example.net"]["error"], shown
    assert "acme" in p.cli("sites", "web").stdout
    key = p.state / "edge/certs/sites/web/one.example.net/pair.pem"
    assert key.stat().st_mode & 0o777 == 0o600 and (p.state / "acme/config/live/web--one.example.net").exists()
    if ROOT:
        assert key.owner() == "root" and subprocess.run(["setpriv", "--reuid=www-data", "--clear-groups", "cat", key], capture_output=True).returncode != 0
    # nobody asks for what is not a challenge
    assert p.get("one.example.net", "/.slipway-acme/x").status in (301, 404)
    assert p.get("one.example.net", "/.well-known/acme-challenge/none").status == 404


def test_a_push_that_changes_nothing_orders_nothing(world):
    before = len(world.orders())
    push(world.p, world.repo, {"README.md": "words"})
    push(world.p, world.repo, {path("two.example.net"): site(world.p, "two.example.net", "2b")})
    assert len(world.orders()) == before and world.verified("two.example.net") == (200, "2b")


def test_another_name(world):
    before = len(world.orders())
    push(world.p, world.repo, {path("one.example.net"): site(world.p, "one.example.net", "1", names="one.example.net new.one.example.net")})
    assert len(world.orders()) == before + 1
    assert world.verified("new.one.example.net") == (200, "1") and world.verified("one.example.net") == (200, "1")


def test_renewed_by_the_clock(world):
    p, before = world.p, served_name(world.p, "two.example.net")
    assert p.stop() == 0
    with sqlite3.connect(p.state / "slipway.db") as db:
        db.execute("UPDATE site_certificate SET renew_ms = 1 WHERE site = 'two.example.net'")
    db.close()
    p.start()
    wait_until(p.edge_listens)
    wait_until(lambda: served_name(p, "two.example.net") != before, 60)
    assert world.orders()[0]["requested_by"] == "schedule" and world.verified("two.example.net") == (200, "2b")


def test_orders_that_cannot_be(world):
    for args, words in (((), "--site"), (("--site", "nobody.example.net"), "serves no site"), (("--site", "../x"), "site name")):
        said = world.p.cli("certs", "issue", "web", *args, expect=None)
        assert said.returncode != 0 and words in said.stdout + said.stderr, said


def test_a_deleted_site_goes_with_its_certificate(world):
    push(world.p, world.repo, {path("two.example.net"): None})
    assert not (world.p.state / "edge/certs/sites/web/two.example.net").exists()
    assert [f.name for f in (world.p.state / "acme/config/live").iterdir() if f.is_dir()] == ["web--one.example.net"]
    with sqlite3.connect(f"file:{world.p.state}/slipway.db?mode=ro", uri=True) as db:
        assert list(db.execute("SELECT site FROM site_certificate")) == [("one.example.net",)]


def test_authority_down(world):
    """The site is served all the same, why it has none is told, and it is tried again."""
    world.authority.stop()
    push(world.p, world.repo, {path("three.example.net"): site(world.p, "three.example.net", "3")})
    assert world.orders()[0]["state"] == "failed"
    shown = world.sites()["three.example.net"]
    assert shown["certificate"] == "self-signed" and "certbot" in shown["error"] and shown["next_try_at"], shown
    assert https(world.p, "three.example.net") == (200, "3") and world.verified("one.example.net") == (200, "1")


def test_destroy_with_certificates(world):
    world.p.cli("destroy", "web", "--yes")
    left = [f for f in (*world.p.state.glob("edge/**/*one.example.net*"), *world.p.state.glob("acme/config/*/web*"))]
    assert left == [], left
