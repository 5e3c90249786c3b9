"""R8 over TLS: deploys, rollbacks, changes of environment and of scale, and renewals of the certificate under load lose nothing, with the edge
that SLIPWAY_EDGE_SERVER names. SLIPWAY_LONG=1: twenty rounds and at least 50,000 connections."""
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import apps
import rounds
from authority import Authority
from harness import BUILD, EDGE_SERVER, Platform, free_port, wait_until
from test_switch import check_each_once

LONG = bool(os.environ.get("SLIPWAY_LONG"))
ROUNDS = 20 if LONG else 1
RATE = 150 if LONG else 40
NAME = "tls.example.org"


class World:
    """A platform with a project that has a certificate of an authority's."""

    def __init__(self, edge_server):
        self.p = Platform(build=BUILD, edge_server=edge_server)
        self.p.edge_port = free_port()
        self.authority = Authority(self.p.dir / "authority", self.p.edge_port)
        self.p.extra = ["--acme", self.authority.url, "--acme-ca", self.authority.ca, "--acme-http-port", str(self.p.edge_port), "--outbound-allow", "127.0.0.0/8"]
        self.loads = []

    def start(self, git):
        self.files = rounds.files()
        self.authority.start()
        self.roots = self.p.dir / "roots.pem"
        self.roots.write_text(self.authority.root())
        self.p.start()
        wait_until(self.p.edge_listens)
        self.repo = git.repository("tls" + self.p.edge_server, apps.with_version(self.files, "v1"))
        self.p.create("tls", self.repo.url)
        self.p.deploy("tls")
        self.p.cli("domains", "add", "tls", NAME)
        self.p.cli("certs", "issue", "tls")
        return self

    def load(self, rate=RATE):
        load = Load(self, rate)
        self.loads.append(load)
        return load

    def close(self):
        for load in self.loads:
            load.process.kill()
        self.authority.stop()
        self.p.close()


class Load:
    """tls_load.py against the project."""

    def __init__(self, world, rate, seconds=3000):
        self.ids, self.values = world.p.dir / "acked", world.p.dir / "values"
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("tls_load.py"), str(world.p.https_port), NAME, world.roots, str(rate), str(seconds), self.ids, self.values, "/version", "/append"],
            stdout=subprocess.PIPE, text=True)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        return self.result()

    def result(self):
        result = json.loads(self.process.communicate(timeout=90)[0])
        result["values"] = {line.split(" ", 1)[1]: int(line.split(" ", 1)[0]) for line in self.values.read_text().splitlines()}
        return result

    def acknowledged(self):
        return self.ids.read_text().split() if self.ids.exists() else []

    def goes_on(self):
        """Until it has seen what serves now, however quickly that came."""
        seen = len(self.acknowledged())
        wait_until(lambda: len(self.acknowledged()) >= seen + 10, 30)


@pytest.fixture(scope="module", params=["nginx", "apache"] if EDGE_SERVER == "nginx" and not LONG else [EDGE_SERVER])
def world(git, request):
    if os.environ.get("SLIPWAY_NAMESPACE") != "inside":
        pytest.skip("names for the authority need an /etc/hosts of their own")
    with open("/etc/hosts", "a") as hosts:
        hosts.write(f"127.0.0.1 {NAME}\n")
    w = World(request.param)
    try:
        yield w.start(git)
    finally:
        w.close()


def trouble(p):
    print(*[line for line in (p.state / "edge/log/error.log").read_text().splitlines() if "upstream" in line or "roxy" in line][-5:], sep="\n")


def test_nothing_is_lost(world):
    load = world.load()
    load.goes_on()
    for n in range(ROUNDS):
        world.repo.commit(apps.with_version(world.files, rounds.version(n)))
        rounds.one_round(world.p.cli, "tls", n)
        load.goes_on()
    if LONG:
        wait_until(lambda: len(load.acknowledged()) > 25500, 1500, 2)
    result = load.stop()
    print(world.p.edge_server, json.dumps(result))
    if result["failed"]:
        trouble(world.p)
    rounds.nothing_is_lost(result, 0, ROUNDS, 50000 if LONG else 150)
    check_each_once(world.p, "tls", load)
    assert {"v1", "v2"} <= set(result["values"]), result["values"]


def test_what_is_lost_is_seen(world):
    """The control: a program that ends without a word while it is asked, and a certificate of another name."""
    load = world.load(20)
    load.goes_on()
    world.p.cli("stop", "tls")
    time.sleep(0.5)  # ten requests meet that, however quick the machine
    world.p.cli("start", "tls")
    result = load.stop()
    assert result["failed"] > 0 and any(why.startswith("status 503") for why in result["why"]), result
    world.p.cli("certs", "delete", "tls", "--yes")
    result = Load(world, 20, seconds=2).result()
    assert result["failed"] == result["requests"] > 0 and any("CERTIFICATE_VERIFY_FAILED" in why for why in result["why"]), result
