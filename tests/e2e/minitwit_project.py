"""MiniTwit as a project that the platform builds from this tree and deploys, the simulator's load on it over the edge, and its memory."""
import json
import os
import re
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from harness import BUILD, TOP, wait_until

NAME = "minitwit"
HOST = NAME + ".localhost"
NEEDED = ("apps/", "src/", "tools/make-view", "tools/embed", "meson.build", "meson_options.txt")
VERSION = "apps/minitwit/version.h"
# 32 of kept answers, 16 of the writer's pages, 2 of each of eight readers', and what all else and malloc's slack take. Within that it
# need not be the same from release to release, unless each has served so long that all of it is full.
MEMORY_MAX_MB = 80
LOAD = BUILD / "tests/bench/minitwit/minitwit-load"


def library():
    """The Slipway tree as a project's source: what `git push` of this repository would send."""
    names = subprocess.run(["git", "-C", TOP, "ls-files", "-z"], capture_output=True, text=True, check=True).stdout.split("\0")
    return {n: (TOP / n).read_bytes() for n in names if n.startswith(NEEDED)}


def with_version(files, version):
    """The same sources, but every answer's X-MiniTwit-Version says `version`."""
    text, count = re.subn(r'(#define MINITWIT_VERSION) "[^"]*"', rf'\1 "{version}"', files[VERSION].decode())
    assert count == 1, text
    return {VERSION: text}


class Project:
    """MiniTwit on a platform, deployed by signed pushes."""

    def __init__(self, platform, git, version="1.0"):
        self.platform, self.files, self.live = platform, library(), []
        self.repo = git.repository(NAME, self.files)
        for name in ("make-view", "embed"):
            (self.repo.work / "tools" / name).chmod(0o755)
        self.repo.commit(with_version(self.files, version), "executable")
        self.made = platform.create(NAME, self.repo.url, root="apps/minitwit")
        self.secret = platform.hook(NAME, NAME + "-push")

    def push(self, files, expect="done"):
        """Commits, pushes, waits; the ended task."""
        head = self.repo.commit(files)
        task = self.platform.wait_task(self.platform.task_of(self.platform.push(NAME + "-push", self.secret, head)), 900)
        assert task["state"] == expect, (json.dumps(task, indent=1)[-4000:], self.platform.log_text()[-3000:])
        return task

    def deploy(self, version):
        self.push(with_version(self.files, version))
        self.live.append(version)

    def rollback(self):
        task = self.platform.wait_task(self.platform.api("POST", f"/projects/{NAME}/rollback", {})["task"], 300)
        assert task["state"] == "done", (json.dumps(task, indent=1), self.platform.log_text()[-3000:])
        self.live.append(self.live[-2])


class Load:
    """minitwit-load in the background; what it says while it runs is parsed, `result` is its JSON."""

    def __init__(self, port, *args, host=HOST):
        self.json = tempfile.NamedTemporaryFile(suffix=".json")
        self.sent, self.line, self.result = 0, "", None
        self.process = subprocess.Popen(
            [LOAD, "--port", str(port), "--host", host, "--progress", "--json", self.json.name, *map(str, args)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stderr:
            found = re.match(r"(\d+) requests, ", line)
            self.line = line.strip()
            if found:
                self.sent = int(found.group(1))

    @property
    def over(self):
        return self.process.poll() is not None

    def wait_for(self, count, seconds=14400):
        """Until so many requests were sent, or it has ended."""
        wait_until(lambda: self.over or self.sent >= count, seconds, 0.2)

    def end(self, stop=False):
        if stop:
            self.process.terminate()
        self.text = self.process.stdout.read()
        self.code = self.process.wait()
        self.reader.join()
        text = Path(self.json.name).read_text()
        assert text, (self.code, self.text, self.line)
        self.result = json.loads(text)
        return self.result


def serving():
    """Processes of MiniTwit that were passed a socket: not those of the gate's checks."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "exe").endswith("apps/minitwit/minitwit") and b"LISTEN_FDS=" in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def memory_mb(pid):
    """Private memory, without the pages of files it maps; None when it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return None
    found = re.search(r"^Anonymous:\s+(\d+) kB", text, re.M)
    return int(found.group(1)) / 1024 if found else None


class Memory:
    """Looks at every process that serves, again and again: the most each ever had, in the order they came."""

    def __init__(self, every=2.0):
        self.most, self.every, self.over = {}, every, threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()

    def look(self):
        while not self.over.is_set():
            for pid in serving():
                now = memory_mb(pid)
                if now is not None:
                    self.most[pid] = max(self.most.get(pid, 0), now)
            self.over.wait(self.every)

    def end(self):
        self.over.set()
        self.thread.join()
        return [round(mb, 1) for mb in self.most.values()]


def run(platform, project, requests, steps, *args, say=print):
    """At least `requests` over the edge; meanwhile the steps, evenly spread: a version to deploy, or None for a rollback. On a machine on
    which the steps take longer the requests go on until they are done. What was seen."""
    memory, begun = Memory(), time.monotonic()
    load = Load(platform.edge_port, "--seconds", 86400, *args)

    def tell(what):
        say(f"{time.monotonic() - begun:7.0f} s  {what}; {load.line}", flush=True)

    for i, version in enumerate(steps):
        load.wait_for(requests * (i + 1) // (len(steps) + 1))
        at, since = load.sent, time.monotonic()
        if version is None:
            project.rollback()
        else:
            project.deploy(version)
        tell(f"from request {at} on {time.monotonic() - since:.0f} s: {'rolled back to ' + project.live[-1] if version is None else 'deployed ' + version}")
    load.wait_for(max(requests, load.sent + 1000))
    tell("reading everything once more")
    seen = load.end(stop=True)
    seen["memory_mb"] = memory.end()
    seen["reigns"] = [v["version"] for v in seen["versions"]]
    return seen, load


def faults(seen, project, requests):
    """What is wrong with a run; nothing when all is well."""
    found = []
    for what in ("wrong", "failed", "late"):
        if seen[what]:
            found.append(f"{seen[what]} {what}")
    if seen["requests"] < requests:
        found.append(f"{seen['requests']} requests instead of {requests}")
    if seen["reigns"] != project.live:
        found.append(f"the answers came from versions {seen['reigns']} instead of {project.live}")
    most = seen["memory_mb"]
    if len(most) != len(project.live):
        found.append(f"{len(most)} processes were seen instead of {len(project.live)}")
    elif max(most) > MEMORY_MAX_MB or (requests > 1000000 * len(most) and max(most) > most[0] * 1.25 + 8):
        found.append(f"memory: {most} MB, release after release")
    return found + seen["examples"][:3]
