#!/usr/bin/env python3
"""simulate.py URL [--seconds S] [--rate N] [--threads T]: the course's simulator in small: people register, write, follow, unfollow and read,
each request with the exact headers, its number as `latest` and 0.3 s to answer. Every answer is checked against what was said before.
Prints a line a second and ends with 1 when an answer was wrong, missing or late."""
import argparse
import http.client
import json
import os
import random
import threading
import time
import urllib.parse

HEADERS = {"Authorization": "Basic c2ltdWxhdG9yOnN1cGVyX3NhZmUh", "Connection": "close", "Content-Type": "application/json"}


class Simulator:
    def __init__(self, url, rate, threads):
        self.to, self.rate, self.threads = urllib.parse.urlsplit(url), rate, threads
        self.lock, self.number = threading.Lock(), 0
        self.sent = self.wrong = self.late = 0
        self.slowest, self.examples = 0.0, []
        self.stop = threading.Event()

    def send(self, method, path, body=None):
        with self.lock:
            self.number += 1
            number = self.number
        path += ("&" if "?" in path else "?") + f"latest={number}"
        begun = time.monotonic()
        try:
            connection = http.client.HTTPConnection(self.to.hostname if not self.to.hostname.endswith(".localhost") else "127.0.0.1", self.to.port or 80, timeout=10)
            connection.request(method, path, None if body is None else json.dumps(body), {**HEADERS, "Host": self.to.netloc})
            answer = connection.getresponse()
            status, data = answer.status, answer.read()
            connection.close()
        except (OSError, http.client.HTTPException) as error:
            status, data = 0, str(error).encode()
        took = time.monotonic() - begun
        with self.lock:
            self.sent += 1
            self.late += took > 0.3
            self.slowest = max(self.slowest, took)
        return status, data

    def expect(self, what, got, want):
        if got == want:
            return
        with self.lock:
            self.wrong += 1
            if len(self.examples) < 5:
                self.examples.append(f"{what}: {got!r} instead of {want!r}")

    def life(self, n):
        """One person after the other; what each did is known, because nobody else does it."""
        others = []
        while not self.stop.is_set():
            name = f"Person {n} {os.urandom(4).hex()}"
            path = urllib.parse.quote(name)
            said, follows = [], []
            self.expect("register", self.send("POST", "/register", {"username": name, "email": "p@x.y", "pwd": "p"})[0], 204)
            for i in range(40):
                if self.stop.is_set():
                    return
                self.act(path, said, follows, others, i)
                time.sleep(self.threads / self.rate * random.uniform(0.5, 1.5))
            others.append(name)

    def act(self, path, said, follows, others, i):
        what = random.choices(("post", "follow", "unfollow", "messages", "follows", "public"), (30, 10, 5, 25, 10, 20))[0]
        if what == "post":
            text = f"message {i} – {random.randint(0, 1 << 30)}"
            self.expect(what, self.send("POST", "/msgs/" + path, {"content": text})[0], 204)
            said.insert(0, text)
        elif what == "follow" and others:
            whom = random.choice(others)
            self.expect(what, self.send("POST", "/fllws/" + path, {"follow": whom})[0], 204)
            follows += [] if whom in follows else [whom]
        elif what == "unfollow" and follows:
            whom = follows.pop(random.randrange(len(follows)))
            self.expect(what, self.send("POST", "/fllws/" + path, {"unfollow": whom})[0], 204)
        elif what == "public":
            self.expect(what, self.send("GET", "/msgs?no=30")[0], 200)
        elif what == "follows":
            status, data = self.send("GET", "/fllws/" + path + "?no=100")
            self.expect(what, status == 200 and json.loads(data)["follows"], follows)
        else:
            status, data = self.send("GET", "/msgs/" + path + "?no=100")
            self.expect(what, status == 200 and [m["content"] for m in json.loads(data)], said)

    def run(self, seconds):
        people = [threading.Thread(target=self.life, args=(n,), daemon=True) for n in range(self.threads)]
        [p.start() for p in people]
        begun, before = time.monotonic(), 0
        try:
            while time.monotonic() - begun < seconds:
                time.sleep(1)
                print(f"{self.sent:8} requests, {self.sent - before:5}/s, {self.wrong} wrong, {self.late} above 0.3 s, slowest {self.slowest * 1000:.0f} ms", flush=True)
                before = self.sent
        except KeyboardInterrupt:
            pass
        self.stop.set()
        [p.join(15) for p in people]
        for line in self.examples:
            print(line)
        return 1 if self.wrong or self.late else 0


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("url")
    p.add_argument("--seconds", type=float, default=float("inf"))
    p.add_argument("--rate", type=float, default=200, help="requests a second, about")
    p.add_argument("--threads", type=int, default=16)
    o = p.parse_args()
    raise SystemExit(Simulator(o.url, o.rate, o.threads).run(o.seconds))


if __name__ == "__main__":
    main()
