#!/usr/bin/env python3
"""Engine time from "the new release is well" (the step before the switch is done) to its first answer, as a client sees it
that asks all the time over one connection to the edge. With one project and with MANY (1,000) in the same platform."""
import os
import socket
import threading
import time
from datetime import datetime

from _measure import BUILD, GitServer, Platform, machine, median, populate

ROUNDS = int(os.environ.get("ROUNDS", "10"))
MANY = int(os.environ.get("MANY", "1000"))


class Watcher(threading.Thread):
    """Asks for the page without a pause; remembers when each new answer was first seen."""

    def __init__(self, port, host):
        super().__init__(daemon=True)
        self.port, self.request = port, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self.seen, self.asked, self.slowest, self.ending = {}, 0, 0.0, False

    def run(self):
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while not self.ending:
            begun = time.time()
            connection.sendall(self.request)
            answer = b""
            while b"</p>" not in answer:
                more = connection.recv(4096)
                if not more:  # nginx ends a connection after 1,000 requests, or at a reload
                    connection = socket.create_connection(("127.0.0.1", self.port))
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    connection.sendall(self.request)
                answer += more
            page = answer[answer.index(b"<p>") + 3 : answer.index(b"</p>")].decode()
            now = time.time()
            self.asked += 1
            self.slowest = max(self.slowest, now - begun)
            self.seen.setdefault(page, now)
            time.sleep(0.0002)


def at(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def measure(platform, repo, name="watched"):
    """Milliseconds from the end of `verify` to the first new answer (the record's clock counts whole milliseconds), and the
    engine's own figure for the rename in µs; one pair a round."""
    watcher = Watcher(platform.edge_port, name + ".localhost")
    watcher.start()
    gaps, renames = [], []
    for _ in range(ROUNDS):
        page = f"{time.time_ns()}"
        repo.commit({"index.html": f"<p>{page}</p>"})
        task = platform.deploy(name)
        while page not in watcher.seen:
            time.sleep(0.001)
        well = next(s for s in task["steps"] if s["name"] == "verify")["finished_at"]
        gaps.append((watcher.seen[page] - at(well)) * 1000)
        renames.append(task["result"]["switch_us"])
    watcher.ending = True
    watcher.join()
    return gaps, renames


def report(count, gaps, renames):
    print(
        f"{count:6} projects: healthy to first answer {min(gaps):5.1f} ms best {median(gaps):5.1f} ms median {max(gaps):5.1f} ms worst (bar 5)"
        f"   the rename with its sync {min(renames) / 1000:.2f} ms best {median(renames) / 1000:.2f} ms median",
        flush=True,
    )


def main():
    git = GitServer()
    platform = Platform(build=BUILD, extra=["--log", "warn"]).start()
    print(machine())
    try:
        repo = git.repository("watched", {"index.html": "<p>0</p>"})
        platform.create("watched", repo.url)
        platform.deploy("watched")
        report(1, *measure(platform, repo))
        other = git.repository("other", {"index.html": "<p>x</p>"})
        populate(platform, other, 1, MANY)
        report(MANY, *measure(platform, repo))
    finally:
        platform.close()
        git.close()


if __name__ == "__main__":
    main()
