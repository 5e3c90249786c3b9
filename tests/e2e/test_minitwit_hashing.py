"""Hashing passwords delays no timeline: in one run, what a registration takes when nobody else asks, what timelines take then, and what they take
while others register as fast as they can. Where the loop hashes, every timeline waits for whoever registers before it.
SLIPWAY_LONG=1: ten times as many."""
import importlib.util
import os
import statistics
import subprocess
import sys
import time

import pytest

from harness import SANITIZED, TOP

spec = importlib.util.spec_from_file_location("contract", TOP / "apps/minitwit/tests/contract.py")
contract = importlib.util.module_from_spec(spec)
spec.loader.exec_module(contract)

HASHES = 1000 if os.environ.get("SLIPWAY_LONG") else 100  # the time of so many, one after the other
FLOOD = 8  # who register at once
# A process of its own: what it costs Python to ask shall not be what is measured.
REGISTER = """
import http.client, json, os, sys, threading
port, done = int(sys.argv[1]), [0]
def register():
    while True:
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        c.request("POST", "/register", json.dumps({"username": "f" + os.urandom(8).hex(), "email": "f@x", "pwd": "secret"}), {"Authorization": sys.argv[2]})
        assert c.getresponse().status in (204, 503)
        done[0] += 1
        if done[0] == int(sys.argv[3]):
            print(flush=True)
[threading.Thread(target=register, daemon=True).start() for _ in range(int(sys.argv[3]))]
sys.stdin.read()
print(done[0])
"""


@pytest.fixture
def site():
    site = contract.Site(SANITIZED / "apps/minitwit/minitwit")
    yield site
    site.close()


def took(site, *request):
    begun = time.monotonic()
    answer = site.send(*request, contract.AUTH)
    assert answer.status in (200, 204), answer
    return (time.monotonic() - begun) * 1000


def timelines(site, name, seconds):
    """For so long: milliseconds of each, of the API and of a page, sorted."""
    end, found = time.monotonic() + seconds, []
    while time.monotonic() < end or len(found) < 100:
        found += [took(site, "GET", path, None) for path in ("/msgs/" + name, "/msgs", "/public")]
    return sorted(found)


def p99(values):
    return values[len(values) * 99 // 100]


def test_hashing_delays_no_timeline(site):
    name = site.user()
    for i in range(30):
        site.api("POST", "/msgs/" + name, {"content": f"number {i}"}, expect=204)
    alone = statistics.median(took(site, "POST", "/register", contract.json.dumps({"username": site.name(), "email": "a@b", "pwd": "secret"})) for _ in range(10))
    seconds = HASHES * alone / 1000
    quiet = timelines(site, name, seconds / 4)
    flood = subprocess.Popen([sys.executable, "-c", REGISTER, str(site.processes[0][1]), contract.AUTH["Authorization"], str(FLOOD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        flood.stdout.readline()
        busy = timelines(site, name, seconds)
    finally:
        done = int(flood.communicate("")[0])
    print(
        f"a registration alone {alone:.1f} ms; timelines p50 {statistics.median(quiet):.2f} p99 {p99(quiet):.2f} ms; while {done} registered ({done / seconds:.0f} a second) p50 {statistics.median(busy):.2f} p99 {p99(busy):.2f} ms:"
        f" {p99(busy) / p99(quiet):.1f} times the quiet p99, {p99(busy) / alone:.2f} of one registration"
    )
    assert done >= 2 * FLOOD, "nobody registered meanwhile"
    assert statistics.median(busy) < alone / 4 and p99(busy) < alone, (alone, quiet[-5:], busy[-5:])
