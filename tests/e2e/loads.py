"""Loads for the tests and the benches: the generator (tests/tools/load.c), the pushes that it sends, and strangers who are slow on purpose."""
import collections
import hashlib
import hmac
import json
import os
import socket
import subprocess
import threading

from harness import BUILD

KINDS = ("head", "body", "reader")
BODY = json.dumps({"ref": "refs/heads/other", "before": "0" * 40, "after": "1" * 40, "text": "x" * 8000}).encode()


def load(port, *args, connections=64, seconds=5.0):
    """Runs the generator; its JSON."""
    command = [BUILD / "tests/load", "--port", str(port), "--connections", str(connections), "--seconds", str(seconds), *map(str, args)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def pss_mb(pid):
    """What a process holds of memory; 0 for one that has ended, as nginx's workers do after a reload."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
            return next((int(line.split()[1]) / 1024 for line in f if line.startswith("Pss:")), 0.0)
    except OSError:
        return 0.0


def pushes(folder, hook, secret):
    """The generator's arguments: signed pushes of 8 KB to a branch that nobody deploys, each with an id of its own."""
    path = os.path.join(folder, "body")
    with open(path, "wb") as f:
        f.write(BODY)
    signature = "sha256=" + hmac.new(secret.encode(), BODY, hashlib.sha256).hexdigest()
    return ["--post", "/hooks/" + hook, "--body", path, "--header", "Content-Type: application/json", "--header", "X-GitHub-Event: push",
            "--header", "X-Hub-Signature-256: " + signature, "--unique", "X-GitHub-Delivery"]


class Strangers:
    """So many connections from 127.0.0.2 that hold on to what they get: a third each sends a head byte by byte, or a body, or does not read
    what it asked for. Made again when they are closed, which is counted by port and kind."""

    def __init__(self, ports, count, hook):
        self.ports, self.count, self.hook, self.open, self.closed = ports, count, hook, {}, collections.Counter()
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
            kind = KINDS[i % 3]
            if kind == "body":
                s.sendall(f"POST /hooks/{self.hook} HTTP/1.1\r\nHost: slipway.localhost\r\nContent-Length: 20000000\r\n\r\n".encode())
            elif kind == "reader":
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
                    self.closed[self.ports[i % len(self.ports)], KINDS[i % 3]] += 1
                if self.over.is_set():
                    break
            self.over.wait(0.5)
        for s in self.open.values():
            if s:
                s.close()
