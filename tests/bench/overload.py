#!/usr/bin/env python3
"""R15: 200 signed 8 KB events a second, each durable before it is acknowledged, at what p99; ten times that, and a hundred times, which
answers and how much memory. S15: STRANGERS (1,500) connections that send heads byte by byte, or bodies, or do not read what they asked
for, from another address: how a good sender and a good visitor are served meanwhile."""
import os
import tempfile
import threading

from _measure import BUILD, GitServer, Platform, cpu_seconds, load, machine, processes, pss_mb, wait_until
from loads import Strangers, pushes  # of the e2e tests

SECONDS = float(os.environ.get("SECONDS_EACH", "10"))
STRANGERS = int(os.environ.get("STRANGERS", "1500"))


def paced(platform, what, rate, connections):
    before = cpu_seconds([platform.process.pid])
    row = load(platform.http_port, *what, "--rate", str(rate), connections=connections, seconds=SECONDS)
    failed = {k: row[k] for k in ("status_5xx", "status_other", "connect", "closed", "cut", "timeout") if row.get(k)}
    print(f"{rate:6}/s asked: {row['ok'] / row['seconds']:7.0f}/s acknowledged, p50 {row['p50_us'] / 1000:.2f} ms, p99 {row['p99_us'] / 1000:.2f} ms, "
          f"otherwise {failed or 'nothing'}, daemon {pss_mb(platform.process.pid):.1f} MB, {(cpu_seconds([platform.process.pid]) - before) / row['seconds'] * 100:.0f} % of a processor", flush=True)


VISITS = (("page", "/", "paced.localhost"), ("health", "/health", "slipway.localhost"))


def visit(platform, path, host, found):
    """A new connection each, through the edge; by a process of its own, since the strangers' threads would hold up one in here."""
    found.update(load(platform.edge_port, "--get", path, "--host", host, "--close", "--rate", "50", connections=4, seconds=SECONDS))


def crowded(platform, what):
    rows = {name: {} for name, _, _ in VISITS}
    visitors = [threading.Thread(target=visit, args=(platform, path, host, rows[name])) for name, path, host in VISITS]
    strangers = Strangers([platform.http_port, platform.edge_port], STRANGERS, "paced")
    wait_until(lambda: len(strangers.open) == STRANGERS, 120)
    print(f"with {sum(1 for s in strangers.open.values() if s)} connections of strangers:", flush=True)
    for v in visitors:
        v.start()
    paced(platform, what, 200, 16)
    for v in visitors:
        v.join()
    for name, row in rows.items():
        failed = {k: row[k] for k in ("status_5xx", "status_other", "connect", "closed", "cut", "timeout") if row.get(k)}
        print(f"  {name}: {row['ok']} through the edge, otherwise {failed or 'nothing'}, p50 {row['p50_us'] / 1000:.1f} ms, p99 {row['p99_us'] / 1000:.1f} ms (bar 200)")
    print(f"  strangers sent away: {sum(strangers.closed.values())}; daemon {pss_mb(platform.process.pid):.1f} MB, nginx {sum(pss_mb(p) for p in processes(platform)['nginx']):.1f} MB")
    strangers.over.set()
    strangers.thread.join()


def main():
    git = GitServer()
    platform = Platform(build=BUILD, extra=["--log", "warn"]).start()
    print(machine())
    try:
        with tempfile.TemporaryDirectory() as folder:
            platform.create("paced", git.repository("paced", {"index.html": "<p>x</p>"}).url)
            platform.deploy("paced")
            what = pushes(folder, "paced", platform.hook("paced", "paced"))
            print("R15: p99 ≤ 50 ms at 200/s; at ten times that 429 or 503 only, memory bounded")
            paced(platform, what, 200, 16)
            paced(platform, what, 2000, 64)
            paced(platform, what, 20000, 256)
            print("S15: a good client on another address is served, p99 ≤ 200 ms")
            crowded(platform, what)
    finally:
        platform.close()
        git.close()


if __name__ == "__main__":
    main()
