#!/usr/bin/env python3
"""Durable hook intake beside its peers, in one run: GitHub-signed 8 KB push bodies, unique delivery ids, 64 connections.

Peers: nginx answering the same POST with an empty 200; a receiver in Node and one in Go that are durable, each once with SQLite and group
commit, once with a log; the documents' own, Flask under gunicorn with PostgreSQL (fsync=on), Celery and RabbitMQ; Debian's `webhook` package
running /bin/true for each. Slipway twice: while one build is under way, so that
every push folds into the task that waits (`held`), and while it deploys what was pushed, one fetch after another (`deploying`); `held` by way of
the edge, too, whose own processor time is not counted (`edge`).
Every answer must be 202, a new event each, and all of them must be in the store afterwards.

WITH says who asks: wrk, or the generator of our own. wrk stops in the middle: what it has not read by then may be an event all the same.

In rounds, one of each in each, with the generator's own limit first, on a responder that looks at nothing but lengths: where it does
not reach twice nginx's rate with an empty request, the generator holds nginx up and the ratio flatters us. Processor time is the server's, in
seconds per 10,000: to the acknowledgement it is that of all threads but the store's writer, which puts into the store what
was acknowledged; with the drain it is all, until nothing waits any more."""
import hashlib
import hmac
import json
import math
import mmap
import os
import shutil
import struct
import subprocess
import tempfile
import time
from pathlib import Path

from _measure import BUILD, TICKS, GitServer, Platform, cpu_seconds, machine, median, pss_mb, wait_until
from _peers import documents, go, nginx, node, prefer, responder, webhook

SECONDS = float(os.environ.get("SECONDS_EACH", "3"))
ROUNDS = int(os.environ.get("ROUNDS", "5"))
WITH = os.environ.get("WITH", "wrk")
LONG_BUILD = {"index.html": "x", "slipway.yaml": "kind: static\nbuild: [[sleep, '3000']]\n"}
BODY_BYTES, BODIES = 8192, 64
NO_ID = "0" * 36
GENERATOR = BUILD / "tests" / "generator"


def request(head, body=b""):
    """As the generator reads it."""
    whole = head.encode() + body
    return struct.pack("=II", len(whole), head.index(NO_ID)) + whole


def push_file(path, where, secret, host="localhost"):
    """Pushes of different commits, each signed; every connection has one of them, and each delivery its own id."""
    with open(path, "wb") as f:
        for n in range(BODIES):
            body = json.dumps({"ref": "refs/heads/main", "before": "1" * 40, "after": f"{n + 1:040x}", "deleted": False, "commits": [{"message": "x" * 100}] * 65})
            body = body.encode().ljust(BODY_BYTES)[:BODY_BYTES]
            signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
            f.write(
                request(
                    f"POST {where} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nX-GitHub-Event: push\r\nX-Hub-Signature-256: sha256={signature}\r\n"
                    f"X-GitHub-Delivery: {NO_ID}\r\nContent-Length: {len(body)}\r\n\r\n",
                    body,
                )
            )
    return path


def fire_wrk(port, requests, connections=64, seconds=SECONDS):
    threads = min(os.cpu_count(), connections)
    argv = ["wrk", "-t", str(threads), "-c", str(connections), "-d", f"{math.ceil(seconds)}s", "-s", Path(__file__).parent / "push.lua", f"http://127.0.0.1:{port}/"]
    out = subprocess.run(argv, env={**os.environ, "REQUESTS": str(requests)}, check=True, capture_output=True, text=True)
    row = json.loads(out.stdout.splitlines()[-1])
    return {**row, "rate": row["ok"] / row["seconds"], "statuses": {"202": row["ok"]}, "unread": connections}


def fire_own(port, requests, connections=64, seconds=SECONDS):
    out = subprocess.run([GENERATOR, "--port", str(port), "--requests", requests, "--connections", str(connections), "--seconds", str(seconds)], check=True, capture_output=True, text=True)
    return json.loads(out.stdout)


fire = {"wrk": fire_wrk, "own": fire_own}[WITH]


def disk(folder, seconds=0.5):
    """What the disk itself gives at this moment, written as the journal does (O_DIRECT and fdatasync over blocks that are there):
    the median of a sync in us, of one 8 KB record and of a group of sixteen. A busy disk slows what is durable and nothing else here."""
    path, found = Path(folder) / "slipway-bench-disk", {}
    block = mmap.mmap(-1, 1 << 20)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o600)
    for at in range(32):
        os.pwrite(fd, block, at << 20)
    os.fsync(fd)
    for name, n in (("one", 12288), ("group", 17 * BODY_BYTES)):
        took, begun = [], time.monotonic()
        while time.monotonic() - begun < seconds:
            one = time.monotonic()
            os.pwrite(fd, memoryview(block)[:n], (len(took) % 31) << 20)
            os.fdatasync(fd)
            took.append(time.monotonic() - one)
        found[name] = median(took) * 1e6
    os.close(fd)
    path.unlink()
    return found


def writer_seconds(pid):
    """Of the thread that drains."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        name, _, rest = (task / "stat").read_text().rpartition(")")
        if name.endswith("(store-writer"):
            total += sum(map(int, rest.split()[11:13]))
    return total / TICKS


class Slipway:
    """One of our hooks as a peer."""

    def __init__(self, platform, requests, port):
        self.platform, self.requests, self.port, self.pid = platform, requests, port, platform.process.pid

    def counters(self):
        lines = self.platform.call("GET", "/metrics").body.decode().splitlines()
        return {p[0]: int(p[1]) for p in (line.split() for line in lines) if len(p) == 2 and p[1].isdigit()}

    def fire(self):
        before, cpu, writer = self.counters(), cpu_seconds([self.pid]), writer_seconds(self.pid)
        row = fire(self.port, self.requests)
        row["cpu_ack"] = (cpu_seconds([self.pid]) - cpu - writer_seconds(self.pid) + writer) / row["ok"] * 10000
        row["mb"] = pss_mb(self.pid)
        came = self.counters()["slipway_hook_accepted_total"] - before["slipway_hook_accepted_total"]
        drained = before["slipway_journal_drained_total"] + came
        wait_until(lambda: self.counters()["slipway_journal_drained_total"] >= drained, 120, every=0.1)
        after = self.counters()
        row["cpu"] = (cpu_seconds([self.pid]) - cpu) / row["ok"] * 10000
        row["group"] = row["ok"] / max(after["slipway_journal_syncs_total"] - before["slipway_journal_syncs_total"], 1)
        assert list(row["statuses"]) == ["202"] and row["failed"] == 0, row
        came = after["slipway_hook_accepted_total"] - before["slipway_hook_accepted_total"]
        assert 0 <= came - row["ok"] <= row.get("unread", 0), "answers and events differ"
        return row


def fire_at(peer, requests):
    pids = peer.pids()
    cpu = cpu_seconds(pids)
    row = fire(peer.port, requests)
    peer.settle()
    row["cpu"] = (cpu_seconds(pids) - cpu) / max(row["ok"], 1) * 10000
    row["mb"] = sum(map(pss_mb, peer.pids()))
    return row


def hooks(platform, git, folder):
    """`held` and `deploying`, each with its requests; `edge` is `held` by way of the platform's web server."""
    found = {}
    for name, files in (("held", LONG_BUILD), ("deploying", {"index.html": "x"})):
        platform.create(name, git.repository(name, files).url)
        secret = platform.hook(name, name + "-push")
        found[name] = Slipway(platform, push_file(Path(folder) / (name + ".requests"), f"/hooks/{name}-push", secret), platform.http_port)
        if name == "held":
            by_edge = push_file(Path(folder) / "edge.requests", f"/hooks/{name}-push", secret, host="slipway.localhost")
    found["edge"] = Slipway(platform, by_edge, platform.edge_port)
    task = platform.api("POST", "/projects/held/deploys", {})["task"]
    wait_until(lambda: platform.api("GET", f"/tasks/{task}")["current_step"] == "build", 60)
    return found


def empty_file(path):
    path.write_bytes(request(f"GET / HTTP/1.1\r\nHost: localhost\r\nX-Id: {NO_ID}\r\n\r\n"))
    return path


def measure(ours, peers, post, folder):
    rows, alone, disks = {}, {}, []
    limit, empty = responder(), empty_file(Path(folder) / "empty.requests")
    fire(ours["held"].port, ours["held"].requests, seconds=0.5)
    for peer in peers.values():  # the first requests open connections to databases and fill what is kept
        fire(peer.port, post, seconds=1)
        peer.settle()
    for _ in range(ROUNDS):
        disks.append(disk(folder))
        rows.setdefault("same", []).append(fire(limit.port, post, seconds=1))
        rows.setdefault("empty", []).append(fire(limit.port, empty, seconds=1))
        for name, peer in peers.items():
            rows.setdefault(name, []).append(fire_at(peer, post))
            alone.setdefault(name, []).append(fire(peer.port, post, connections=1, seconds=0.5))
        for name, hook in ours.items():
            rows.setdefault(name, []).append(hook.fire())
            alone.setdefault(name, []).append(fire(hook.port, hook.requests, connections=1, seconds=0.5))
    limit.stop()
    return rows, alone, disks


def report_rows(rows, alone, disks):
    for name, what in (("one", "record"), ("group", "group of 16")):
        of = [d[name] for d in disks]
        print(f"disk       a synced {what:11} {min(of):5.0f} us in the best round, {median(of):5.0f} in the middle one")
    for name, of in rows.items():
        best = max(of, key=lambda r: r["rate"])
        print(f"{name:10} {best['rate']:8.0f}/s best, {median(r['rate'] for r in of):8.0f} median  p50 {best['p50_us'] / 1000:6.2f} ms  p99 {best['p99_us'] / 1000:6.2f} ms", end="")
        print(f"  failed {sum(r['failed'] for r in of)}  {min(r['cpu'] for r in of):.2f} CPU-s per 10,000, {median(r['cpu'] for r in of):.2f} median, {max(r['mb'] for r in of):.0f} MB")
        if name in alone:
            of = [r["p50_us"] for r in alone[name]]
            print(f"{'':10} one client alone {min(of):.0f} us at the median in the best round, {median(of):.0f} in the middle one", flush=True)


def ratio(a, b):
    return max(r["rate"] for r in a) / max(r["rate"] for r in b), median(x["rate"] / y["rate"] for x, y in zip(a, b))


def report_generator(same, empty, post):
    for name, of, bar in (("the same POST", same, ""), ("an empty GET", empty, " (bar 2)")):
        best, middle = ratio(of, post)
        print(f"generator  {max(r['rate'] for r in of):8.0f}/s of {name} on the responder: {best:.2f} of nginx on the POST of the bests, {middle:.2f} median of pairs{bar}")


def report_ratios(rows):
    bars = {"nginx": 0.5, "node-sqlite": 4, "node-log": 2.5, "go-sqlite": 4, "go-log": 2.5, "documents": 35, "webhook": 5}
    for name in ("nginx", "held"):
        print(f"{'edge':10} / {name:11} {ratio(rows['edge'], rows[name])[0]:6.3f} of the bests, {ratio(rows['edge'], rows[name])[1]:6.3f} median of pairs (no bar)")
    for name in ("held", "deploying"):
        ours = rows[name]
        for peer, bar in bars.items():
            if peer in rows:
                best, middle = ratio(ours, rows[peer])
                print(f"{name:10} / {peer:11} {best:6.3f} of the bests, {middle:6.3f} median of pairs (bar {bar})")
        beyond = [a["p99_us"] - b["p99_us"] for a, b in zip(ours, rows["nginx"])]
        print(f"{name:10} p99 beyond nginx's: {min(beyond) / 1000:.1f} ms best, {median(beyond) / 1000:.1f} median (bar 10); {median(r['group'] for r in ours):.0f} events a sync")
        acks = [r["cpu_ack"] for r in ours]
        print(f"{name:10} CPU-s per 10,000 to the acknowledgement: {min(acks):.2f} best, {median(acks):.2f} median (bar 0.30); with the drain {min(r['cpu'] for r in ours):.2f}, {median(r['cpu'] for r in ours):.2f} (bar 0.50)")


def main():
    folder = tempfile.mkdtemp(prefix="slipway-bench-", dir="/var/lib" if os.geteuid() == 0 else None)
    os.chmod(folder, 0o755)
    prefer(os.getpid())
    print(machine())
    secret = "a secret for the peers only"
    post = push_file(Path(folder) / "post.requests", "/", secret)
    git = GitServer()
    platform = Platform(build=BUILD, extra=["--log", "warn"]).start()
    prefer(platform.process.pid)
    peers = {"nginx": nginx(folder), **{f"{name}-{kind}": make(kind, folder, secret) for name, make in (("node", node), ("go", go)) for kind in ("sqlite", "log")}, "documents": documents(folder, secret)}
    try:
        for name in [n for n, peer in peers.items() if not peer]:
            print(f"{name}: not there: a package is missing (tools/install-deps work; for Node tools/bench fetches it)")
            del peers[name]
        rows, alone, disks = measure(hooks(platform, git, folder), peers, post, folder)
        last = webhook(folder, secret)  # what it starts goes on after its answers
        if last:
            hook = push_file(Path(folder) / "webhook.requests", "/hooks/x", secret)
            rows["webhook"] = [fire_at(last, hook) for _ in range(min(ROUNDS, 2))]
            last.stop()
        report_generator(rows.pop("same"), rows.pop("empty"), rows["nginx"])
        report_rows(rows, alone, disks)
        report_ratios(rows)
    finally:
        for peer in peers.values():
            if peer:
                peer.stop()
        platform.close()
        git.close()
        shutil.rmtree(folder, ignore_errors=True)


main()
