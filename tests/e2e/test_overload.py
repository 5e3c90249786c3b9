"""More than there is room for. S15 again: a flood of forged requests, small and as large as they may be, costs nobody else an answer, and the log
stays short. R15: at ten and a hundred times 200 signed events a second an answer is an acknowledgement or says when to come again,
what was acknowledged is there once, and memory has a bound. S15: beside strangers who are slow on purpose everybody else is served, and
they are sent away. What it takes in time is tests/bench/overload.py's. SLIPWAY_LONG=1: longer, and more of them."""
import collections
import os
import re
import sqlite3
import threading

import pytest

from faults import LONG
from harness import BUILD, Platform, wait_until
from loads import Strangers, load, pss_mb, pushes

SECONDS, STRANGERS = (10, 1500) if LONG else (3, 450)
MEMORY_MB = 128
LARGEST = 25 << 20
DEADLINE = 10  # seconds for a head, and before a body must be at its pace (http/http.h)
VISITS = (("/", "paced.localhost"), ("/health", "slipway.localhost"))


@pytest.fixture(scope="module")
def platform(git):
    p = Platform(build=BUILD, extra=["--log", "warn"]).start()
    try:
        p.create("paced", git.repository("paced", {"index.html": "<p>x</p>"}).url)
        p.deploy("paced")
        yield p
    finally:
        p.close()


@pytest.fixture(scope="module")
def push(platform, tmp_path_factory):
    return pushes(tmp_path_factory.mktemp("push"), "paced", platform.hook("paced", "paced"))


def answered(platform):
    """Requests to hooks so far, by status."""
    seen = collections.Counter()
    for status, n in re.findall(r'^webhook_requests_total\{.*status_code="(\d+)"\} (\d+)', platform.call("GET", "/metrics").body.decode(), re.M):
        seen[int(status)] += int(n)
    return seen


def stored(platform):
    """(deliveries, of different ids)"""
    with sqlite3.connect(f"file:{platform.state}/slipway.db?mode=ro", uri=True) as db:
        return db.execute("SELECT COUNT(*), COUNT(DISTINCT delivery_key) FROM event").fetchone()


@pytest.mark.parametrize(("rate", "connections"), [(2000, 64), (20000, 256)])
def test_ten_and_a_hundred_times(platform, push, rate, connections):
    before, had = answered(platform), stored(platform)[0]
    row = load(platform.http_port, *push, "--rate", rate, connections=connections, seconds=SECONDS)
    held = pss_mb(platform.process.pid)
    new = answered(platform) - before
    assert set(new) <= {202, 429, 503} and not any(row.get(k) for k in ("connect", "closed", "cut", "timeout")), (new, row)
    wait_until(lambda: stored(platform)[0] >= had + new[202], 60, 0.1)
    count, different = stored(platform)
    print(f"{rate}/s: {dict(new)}, {count - had} stored, {held:.0f} MB")
    assert count == different == had + new[202] and row["ok"] <= new[202] <= row["requests"] + connections, (count, different, had, new, row)
    assert row["ok"] > 0 and held < MEMORY_MB, (row, held)


def visit(platform, path, host, rows):
    rows.append(load(platform.edge_port, "--get", path, "--host", host, "--close", "--rate", "20", connections=4, seconds=DEADLINE + 5))


def beside(platform, push, flood, seconds):
    """The rows of good pushes and of visitors while `flood` runs until its event is set."""
    over, rows = threading.Event(), []
    flooding = threading.Thread(target=flood, args=(over,))
    visitors = [
        threading.Thread(target=lambda path=path, host=host: rows.append(load(platform.edge_port, "--get", path, "--host", host, "--close", "--rate", "20", connections=4, seconds=seconds)))
        for path, host in VISITS
    ]
    flooding.start()
    try:
        for v in visitors:
            v.start()
        rows.append(load(platform.http_port, *push, "--rate", "50", connections=8, seconds=seconds))
        for v in visitors:
            v.join()
    finally:
        over.set()
        flooding.join()
    return rows


@pytest.mark.parametrize("size", ["small", "largest"])
def test_a_flood_of_forged_requests(platform, push, size):
    """From the same address as the good ones: those prove themselves and are not asked how many others failed."""
    forged = ["X-Hub-Signature-256: sha256=" + "0" * 64 if a.startswith("X-Hub-Signature-256") else a for a in push]
    before, mark = answered(platform), len(platform.log_text())

    def small(over):
        while not over.is_set():
            load(platform.http_port, *forged, "--rate", 5000, connections=32, seconds=1)

    def largest(over):
        body = b'{"ref": "' + b"x" * (LARGEST - 20) + b'"}'
        while not over.is_set():
            platform.call("POST", "/hooks/paced", body, token="", headers={"Content-Type": "application/json", "X-GitHub-Event": "push", "X-GitHub-Delivery": "f", "X-Hub-Signature-256": "sha256=" + "0" * 64})

    rows = beside(platform, push, small if size == "small" else largest, SECONDS + 2)
    new, lines = answered(platform) - before, platform.log_text()[mark:].count("\n")
    print(f"beside {new[401] + new[429]} forged requests ({size}): {[(row['requests'], row['p99_us'] / 1000) for row in rows]} good ones and their p99 in ms, {lines} lines logged")
    assert len(rows) == 1 + len(VISITS) and all(row["ok"] == row["requests"] > 50 for row in rows), rows
    assert new[401] + new[429] > (1000 if size == "small" else 2) and not set(new) - {202, 401, 429}, new
    assert lines < 1000 and pss_mb(platform.process.pid) < MEMORY_MB


def descriptors(platform):
    return len(os.listdir(f"/proc/{platform.process.pid}/fd"))


def test_strangers_who_are_slow(platform, push):
    had, rows = descriptors(platform), []
    strangers = Strangers([platform.http_port, platform.edge_port], STRANGERS, "paced")
    try:
        wait_until(lambda: len(strangers.open) == STRANGERS, 60)
        assert sum(s is not None for s in strangers.open.values()) == STRANGERS
        visitors = [threading.Thread(target=visit, args=(platform, path, host, rows)) for path, host in VISITS]
        for v in visitors:
            v.start()
        rows.append(load(platform.http_port, *push, "--rate", "50", connections=8, seconds=DEADLINE + 5))
        for v in visitors:
            v.join()
    finally:
        strangers.over.set()
        strangers.thread.join()
    print(f"{STRANGERS} strangers: {[row['requests'] for row in rows]} good requests; sent away {dict(strangers.closed)}")
    assert len(rows) == 1 + len(VISITS) and all(row["ok"] == row["requests"] > 50 for row in rows), rows
    assert all(strangers.closed[platform.http_port, kind] > 0 for kind in ("head", "body")), strangers.closed
    wait_until(lambda: descriptors(platform) <= had + 8, 60, 0.2)
