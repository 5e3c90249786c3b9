#!/usr/bin/env python3
"""soak [--minutes 30] [--deploys 200] [--plant files|streams]: R16. So many deploys, evenly spread over so long: every fifth fails, every tenth
is followed by a rollback. All the while somebody visits the project, pushes arrive, and the API is read. After each deploy, when nothing moves any
more, what there is is counted and the memory that is the daemon's and the keeper's own is read. Judged is the slope of each (the median of
the slopes of all pairs, so that neither a moment's noise nor one step counts, and what grows steadily does), from the end of the warm-up on.
Nobody who visits may get anything but a 200. --plant leaves something behind at each deploy: that must be found.

Prints a row per figure; ends with 1 when something grows or a visitor was let down."""
import argparse
import itertools
import socket
import statistics
import sys
import threading
import time

import apps
from harness import BUILD, GitServer, Platform
from test_soak import KEEP, MANIFEST, database_kb, memory, settled

WARM = 10  # deploys: until there is one of everything, and every release that is kept
READERS, READER_KB, WRITER_KB = 5, 512, 2000  # connections to the store and the pages that each may keep
NOISE_KB = 64
RECORDS = ("store, KB", "objects of the history")  # what was done and what was committed: kept on purpose, shown and not judged


def slope(points):
    return statistics.median((b[1] - a[1]) / (b[0] - a[0]) for a, b in itertools.combinations(points, 2))


def growth(values):
    """From the first to the last of a row of values, as their slope has it."""
    return slope(list(enumerate(values))) * (len(values) - 1)


def judge(samples):
    """Rows: name, first, last, growth, how much it may, so or not. samples: one dict per deploy."""
    rows = []
    stored = growth([s["store, KB"] for s in samples])
    # Connections keep pages of a store that grows, up to their cache's size: the records of what was done are no leak.
    pages = READERS * min(stored, READER_KB) + min(stored, WRITER_KB)
    for name in samples[0]:
        values = [s[name] for s in samples]
        grows = growth(values)
        may = float("inf") if name in RECORDS else values[0] * 0.03 + NOISE_KB + (pages if "daemon" in name else 0) if name.endswith(", KB") else 1
        rows.append((name, values[0], values[-1], grows, may, grows < may))
    return rows


class Visitor(threading.Thread):
    """Asks the edge for the project, a connection each, until it is told to stop."""

    def __init__(self, platform, project):
        super().__init__(daemon=True)
        self.platform, self.project, self.answers, self.bad, self.over = platform, project, 0, [], threading.Event()

    def run(self):
        while not self.over.wait(0.05):
            try:
                answer = self.platform.get(self.project + ".localhost", "/version")
                self.answers += 1
                if answer.status != 200 or not answer.body.startswith(b"v"):
                    self.bad.append(repr(answer))
            except OSError as error:
                self.bad.append(repr(error))


class Soak:
    def __init__(self, platform, git, plant):
        self.platform, self.plant, self.held = platform, plant, []
        self.repo = git.repository("soak", apps.with_version(apps.socket_app(manifest=MANIFEST), "v0"))
        platform.create("soak", self.repo.url)
        self.secret = platform.hook("soak", "soak")

    def deploy(self, n):
        fails = n % 5 == 4
        manifest = MANIFEST.replace("print(1)", "raise SystemExit(3)") if fails else MANIFEST
        commit = self.repo.commit({"VERSION": f"v{n}", "slipway.yaml": manifest})
        task = self.platform.wait_task(self.platform.task_of(self.platform.push("soak", self.secret, commit)))
        assert task["state"] == ("failed" if fails else "done"), task
        if n % 10 == 9:
            task = self.platform.wait_task(self.platform.api("POST", "/projects/soak/rollback", {})["task"])
            assert task["state"] == "done", task

    def read(self):
        """What people look at: lists, figures, a stream that is left again, a refusal."""
        p = self.platform
        for path in ("/projects", "/projects/soak", "/projects/soak/tasks", "/projects/soak/events", "/projects/soak/releases", "/projects/soak/logs?tail=50", "/audit"):
            p.api("GET", path)
        p.call("GET", "/metrics")
        self.stream().close()
        assert p.push("soak", "wrong" * 8, "1" * 40).status in (401, 429)

    def stream(self):
        s = socket.socket(socket.AF_UNIX)
        s.connect(str(self.platform.run / "api.sock"))
        s.sendall(b"GET /api/v1/projects/soak/logs/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in s.recv(4096)
        return s

    def leave(self, n):
        if self.plant == "files":
            (self.platform.state / "spool" / f"left-{n}").touch()
        elif self.plant == "streams":
            self.held.append(self.stream())

    def sample(self):
        p = self.platform
        seen = settled(p, "soak")
        files = [q.relative_to(p.state).parts for q in p.state.rglob("*") if q.is_file()]
        seen["files"] = sum(f[0] not in ("journal", "logs") and "mirror" not in f for f in files)
        seen["objects of the history"] = sum("mirror" in f for f in files)
        own = memory(p)
        return {**seen, **{f"memory of the {who}, KB": kb for who, kb in own.items()}, "store, KB": database_kb(p)}


def soak(platform, git, minutes, deploys, plant=None):
    """What was counted after each deploy behind the warm-up, and what visitors got."""
    s, samples = Soak(platform, git, plant), []
    s.deploy(0)
    visitor = Visitor(platform, "soak")
    visitor.start()
    begun = time.monotonic()
    for n in range(1, deploys + 1):
        s.deploy(n)
        s.read()
        s.leave(n)
        if n > WARM:
            samples.append(s.sample())
        visitor.over.wait(max(0, begun + minutes * 60 * n / deploys - time.monotonic()))
    visitor.over.set()
    visitor.join()
    return samples, visitor, time.monotonic() - begun


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--minutes", type=float, default=30)
    arguments.add_argument("--deploys", type=int, default=200)
    arguments.add_argument("--plant", choices=("files", "streams"))
    a = arguments.parse_args()
    platform, git = Platform(build=BUILD), GitServer()
    try:
        samples, visitor, seconds = soak(platform.start(), git, a.minutes, a.deploys, a.plant)
        print(f"{a.deploys} deploys in {seconds / 60:.1f} minutes, {len(samples)} of them looked at; {visitor.answers} answers to visitors, {len(visitor.bad)} bad {visitor.bad[:3]}")
        rows = judge(samples)
        for name, first, last, grows, may, fine in rows:
            print(f"{'ok  ' if fine else 'GROWS'} {name:36} {first:8} at first, {last:8} at last, growth {grows:9.2f} (may be {may:.2f})")
        return int(bool(visitor.bad) or not all(fine for *_, fine in rows))
    finally:
        platform.close()
        git.close()


if __name__ == "__main__":
    sys.exit(main())
