"""A build that eats memory, processes, time, disk or the log ends as a clean failed deploy that names the limit; neighbours serve on."""
import json
import os
import re
import subprocess
import threading

import pytest

import apps
from harness import wait_until

MEMORY = "x = [bytearray(1 << 20) for _ in range(4000)]\nprint('no limit met')\n"
TASKS = """import os, time
for i in range(400):
    if os.fork() == 0:
        time.sleep(30)
        os._exit(0)
print('no limit met')
"""
TIME = "import time\nprint('working', flush=True)\ntime.sleep(600)\n"
DISK = "f = open('large', 'wb')\nfor _ in range(400):\n    f.write(bytes(1 << 20))\nprint('no limit met')\n"
TREE = "for i in range(400):\n    open(f'file{i}', 'wb').write(bytes(1 << 16))\nprint('written')\n"
FILES = "files = [open('/dev/null') for _ in range(400)]\nprint('no limit met')\n"
GREEDY = {
    "memory": (MEMORY, "{memory: 512M, build: {memory: 64M}}", ["memory"]),
    "tasks": (TASKS, "{tasks: 40}", ["process", "limits.tasks"]),
    "files": (FILES, "{files: 64}", ["limits.files"]),
    "time": (TIME, "{build: {time: 1500ms}}", ["took longer than 1.5 s", "limits.build.time"]),
    "disk": (DISK, "{disk: 16M}", ["disk", "limits.disk"]),
    "tree": (TREE, "{disk: 16M}", ["disk limit allows (16 MB for the release", "limits.disk"]),
}


class Neighbour:
    """Asks a project over and over; keeps what was not its page."""

    def __init__(self, platform, host, body):
        self.platform, self.host, self.body, self.ended, self.asked, self.wrong = platform, host, body, False, 0, []
        self.thread = threading.Thread(target=self.ask, daemon=True)

    def ask(self):
        while not self.ended:
            try:
                answer = self.platform.get(self.host, timeout=10)
                if answer.body != self.body:
                    self.wrong.append(answer)
            except OSError as error:
                self.wrong.append(error)
            self.asked += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended = True
        self.thread.join()


@pytest.fixture(scope="module")
def neighbour(platform, git):
    platform.create("neighbour", git.repository("neighbour", {"index.html": "still here"}).url)
    platform.deploy("neighbour")
    return "neighbour.localhost", b"still here"


@pytest.mark.parametrize("what", GREEDY)
def test_a_greedy_build_ends_cleanly(platform, git, neighbour, what):
    program, limits, words = GREEDY[what]
    name = "greedy" + what
    good = apps.with_version(apps.socket_app(), "v1")
    repo = git.repository(name, good)
    platform.create(name, repo.url)
    platform.deploy(name)
    manifest = good["slipway.yaml"] + f"limits: {limits}\nbuild: [[python3, -u, greedy.py]]\n"
    repo.commit({"greedy.py": program, "slipway.yaml": manifest, "VERSION": "v2"})
    with Neighbour(platform, *neighbour) as other:
        task = platform.deploy(name, expect="failed")
        if platform.edge_server == "apache":  # whose reload for the new project, right before, may hold a request for longer than the build takes
            wait_until(lambda: other.asked > 5, 5)
    error = task["error"]
    assert error["step"] == "build" and "no limit met" not in json.dumps(error), error
    for word in words:
        assert word in error["message"] + " " + error.get("hint", ""), (word, error)
    assert not other.wrong and other.asked > 5, other.wrong[:3]
    assert platform.get(name + ".localhost", "/version").body == b"v1"
    left = subprocess.run(["pgrep", "-f", "greedy.py"], capture_output=True, text=True).stdout
    assert left == "", left
    assert not (platform.state / "projects" / name / "releases" / "2").exists()


FETCHED = {
    "memory": ({"large": bytes(300 << 20)}, {"build_memory_bytes": 96 << 20}, ["out of memory", "large files", "build_memory_bytes"]),
    "disk": ({f"part{i}": os.urandom(3 << 20) for i in range(5)}, {"disk_bytes": 20 << 20}, ["the fetch wrote more than its disk limit allows (20 MB", "disk_bytes"]),
}


@pytest.mark.parametrize("what", FETCHED)
def test_a_repository_is_held_to_the_operators_limits(platform, git, neighbour, what):
    files, limits, words = FETCHED[what]
    name = "large" + what
    repo = git.repository(name, {"index.html": "small"})
    platform.create(name, repo.url, limits=limits)
    platform.deploy(name)
    for file, content in files.items():
        (repo.work / file).write_bytes(content)
    repo.commit({})
    subprocess.run(["git", "--git-dir", repo.bare, "repack", "-adq"], check=True)  # one pack, which git takes apart in memory
    subprocess.run(["git", "--git-dir", repo.bare, "update-server-info"], check=True)
    with Neighbour(platform, *neighbour) as other:
        error = platform.deploy(name, expect="failed")["error"]
    assert error["step"] == "fetch" and all(word in error["message"] + " " + error["hint"] for word in words), error
    assert not other.wrong
    assert platform.get(name + ".localhost").body == b"small"
    assert not (platform.state / "projects" / name / "releases/2").exists()


def test_which_disk_limit_holds_is_said(platform, git):
    """Where the file system keeps no quotas: once, and projects say so; see tests/machine/kernel_test.py for where it does."""
    told = re.search(r"keeper started .*root=(\d) .*quota=(\d)", platform.log_text())
    root, quota = told.group(1) == "1", told.group(2) == "1"
    assert platform.log_text().count(" no_quota ") == (1 if root and not quota else 0)
    platform.create("bounded", git.repository("bounded", {"index.html": "x"}).url, limits={"disk_bytes": 64 << 20})
    assert platform.api("GET", "/projects/bounded")["disk_quota"] is quota
    assert ("disk_bytes 67108864 " + ("(quota)" if quota else "(measured while building)")) in platform.cli("info", "bounded").stdout


def test_a_talkative_build_is_capped(platform, git, neighbour):
    program = "import sys\nline = b'x' * 1000 + b'\\n'\nfor i in range(40000):\n    sys.stdout.buffer.write(line)\nsys.stdout.buffer.write(b'y' * 3000000 + b'\\nthe end\\n')\n"
    repo = git.repository("talkative", {"index.html": "x", "talk.py": program, "slipway.yaml": "kind: static\nbuild: [[python3, talk.py]]\n"})
    platform.create("talkative", repo.url)
    with Neighbour(platform, *neighbour) as other:
        platform.deploy("talkative")
    assert not other.wrong
    kept = sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(platform.state / "logs/talkative") for f in files)
    assert 1000 < kept < 40 << 20, kept
    lines = platform.api("GET", "/projects/talkative/logs?tail=5")["items"]
    assert lines[-1]["text"] == "the end" and all(len(l["text"]) <= 17000 for l in lines)


def test_a_manifest_cannot_raise_what_the_operator_set(platform, git):
    repo = git.repository("raising", {"index.html": "x", "slipway.yaml": "kind: static\nlimits: {memory: 2G, build: {time: 20m}}\n"})
    platform.create("raising", repo.url, limits={"memory_bytes": 1 << 28, "build_time_ms": 60000})
    error = platform.deploy("raising", expect="failed")["error"]
    assert "limits" in error["message"] or "memory" in error["message"], error
    repo.commit({"slipway.yaml": "kind: static\nlimits: {memory: 128M, build: {time: 30s}}\n"})
    platform.deploy("raising")


def test_limits_by_the_cli(platform, git):
    """Shown, set, taken away; they bound what a manifest may ask for. An admin of the project may look and not set."""
    repo = git.repository("bound", {"index.html": "x", "slipway.yaml": "kind: static\nlimits: {memory: 300M}\n"})
    platform.create("bound", repo.url)
    shown = platform.cli("limits", "bound").stdout
    assert [line.split()[:2] for line in shown.splitlines()] == [[n, "-"] for n in ("memory", "cpu", "tasks", "files", "disk", "build-memory", "build-time")], shown
    said = platform.cli("limits", "bound", "memory=256M", "cpu=1.5", "tasks=50", "files=512", "disk=1G", "build-memory=128M", "build-time=90s").stdout
    assert re.search(r"^memory +256 MB +of all", said, re.M) and re.search(r"^cpu +1.5 ", said, re.M) and re.search(r"^build-time +1 m 30 s ", said, re.M) and "slipway deploy bound --force" in said, said
    kept = {"memory_bytes": 256 << 20, "cpu_milli": 1500, "tasks": 50, "files": 512, "disk_bytes": 1 << 30, "build_memory_bytes": 128 << 20, "build_time_ms": 90000}
    assert platform.api("GET", "/projects/bound")["limits"] == kept == json.loads(platform.cli("limits", "bound", "--json").stdout)
    assert platform.deploy("bound", expect="failed")["error"]["message"]
    assert re.search(r"^memory +- ", platform.cli("limits", "memory=none", "--project", "bound").stdout, re.M)
    platform.deploy("bound")
    for cpu in ("1000", "0.125", "1.234"):
        assert re.search(rf"^cpu +{re.escape(cpu)} ", platform.cli("limits", "bound", "cpu=" + cpu).stdout, re.M)
    platform.cli("limits", "bound", "cpu=1.5")
    for word, why in (("memory=much", "512M"), ("memory=0", "512M"), ("cpu=-1", "1.5"), ("tasks=1.5", "128"), ("build-time=90", "10m"), ("ram=1G", "known: memory"), ("memory", "LIMIT=VALUE"), ("=1G", "known: memory")):
        refused = platform.cli("limits", "bound", word, expect=None)
        assert refused.returncode != 0 and why in refused.stderr, (word, refused)
    kept.pop("memory_bytes")
    assert platform.api("GET", "/projects/bound")["limits"] == kept
    platform.api("POST", "/operators", {"name": "anna"})
    platform.api("POST", "/grants", {"operator": "anna", "project": "bound", "role": "admin"})
    token = platform.api("POST", "/tokens", {"operator": "anna", "label": "test"})["token"]
    assert platform.call("PATCH", "/api/v1/projects/bound", {"limits": {}}, token=token).status == 403
    assert platform.call("GET", "/api/v1/projects/bound", token=token).json["limits"] == kept
