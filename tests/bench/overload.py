#!/usr/bin/env python3
"""R15: 200 signed 8 KB events a second, each durable before it is acknowledged, at what p99; ten times that, and a hundred times, which
answers and how much memory. S15: STRANGERS (1,500) connections that send heads byte by byte, or bodies, or do not read what they asked
for, from another address: how a good sender and a good visitor are served meanwhile."""
import hashlib
import hmac
import json
import os
import socket
import tempfile
import threading
import time

from _measure import BUILD, GitServer, Platform, cpu_seconds, load, machine, processes, pss_mb, wait_until

SECONDS = float(os.environ.get("SECONDS_EACH", "10"))
STRANGERS = int(os.environ.get("STRANGERS", "1500"))
BODY = json.dumps({"ref": "refs/heads/other", "before": "0" * 40, "after": "1" * 40, "text": "x" * 8000}).encode()


def arguments(folder, secret):
    path = os.path.join(folder, "body")
    with open(path, "wb") as f:
        f.write(BODY)
    signature = "sha256=" + hmac.new(secret.encode(), BODY, hashlib.sha256).hexdigest()
    return ["--post", "/hooks/paced", "--body", path, "--header", "Content-Type: application/json", "--header", "X-GitHub-Event: push",
            "--header", "X-Hub-Signature-256: " + signature, "--unique", "X-GitHub-Delivery"]


def paced(platform, what, rate, connections):
    before = cpu_seconds([platform.process.pid])
    row = load(platform.http_port, *what, "--rate", str(rate), connections=connections, seconds=SECONDS)
    failed = {k: row[k] for k in ("status_5xx", "status_other", "connect", "closed", "cut", "timeout") if row.get(k)}
    print(f"{rate:6}/s asked: {row['ok'] / row['seconds']:7.0f}/s acknowledged, p50 {row['p50_us'] / 1000:.2f} ms, p99 {row['p99_us'] / 1000:.2f} ms, "
          f"otherwise {failed or 'nothing'}, daemon {pss_mb(platform.process.pid):.1f} MB, {(cpu_seconds([platform.process.pid]) - before) / row['seconds'] * 100:.0f} % of a processor", flush=True)


class Strangers:
    """So many connections from 127.0.0.2 that hold on to what they get, made again when they are closed."""

    def __init__(self, ports, count):
        self.ports, self.count, self.open, self.closed = ports, count, {}, 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def make(self, i):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        s.bind(("127.0.0.2", 0))
        s.settimeout(5)
        try:
            s.connect(("127.0.0.1", self.ports[i % len(self.ports)]))
            kind = i % 3
            if kind == 1:
                s.sendall(b"POST /hooks/paced HTTP/1.1\r\nHost: slipway.localhost\r\nContent-Length: 20000000\r\n\r\n")
            elif kind == 2:
                s.sendall(b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: slipway.localhost\r\n\r\n" * 40)
            s.setblocking(False)
            return s
        except OSError:
            s.close()
            return None

    def run(self):
        while not self.over.is_set():
            for i in range(self.count):
                s = self.open.get(i) or self.make(i)
                self.open[i] = s
                try:
                    if s and i % 3 != 2:
                        s.send(b"G" if i % 3 == 0 else b"x")
                except BlockingIOError:
                    pass
                except OSError:
                    s.close()
                    self.open[i] = None
                    self.closed += 1
                if self.over.is_set():
                    break
            self.over.wait(0.5)
        for s in self.open.values():
            if s:
                s.close()


VISITS = (("page", "/", "paced.localhost"), ("health", "/health", "slipway.localhost"))


def visit(platform, path, host, found):
    """A new connection each, through the edge; by a process of its own, since the strangers' threads would hold up one in here."""
    found.update(load(platform.edge_port, "--get", path, "--host", host, "--close", "--rate", "50", connections=4, seconds=SECONDS))


def crowded(platform, what):
    rows = {name: {} for name, _, _ in VISITS}
    visitors = [threading.Thread(target=visit, args=(platform, path, host, rows[name])) for name, path, host in VISITS]
    strangers = Strangers([platform.http_port, platform.edge_port], STRANGERS)
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
    print(f"  strangers sent away: {strangers.closed}; daemon {pss_mb(platform.process.pid):.1f} MB, nginx {sum(pss_mb(p) for p in processes(platform)['nginx']):.1f} MB")
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
            what = arguments(folder, platform.hook("paced", "paced"))
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
