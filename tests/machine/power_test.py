"""R2, and a deploy whose power is cut: a server on a disk that keeps only what was synced (power.py). Whoever sends is outside of it and keeps its own record.
SLIPWAY_CUTS: how many of each kind (20). What this machine cannot do is said and ends it."""
import json
import os
import random
import subprocess
import time
from pathlib import Path

import pytest
from power import KEEP_SOME, LOSE_ALL, PoweredServer, until
from server import BUILD, TOP

import apps
from harness import GitServer

CUTS = int(os.environ.get("SLIPWAY_CUTS", "20"))
DOMAIN, GIT_PORT = "paas.example.org", 9418
LIB = "/usr/local/lib/nosync.so"

CONTROL = """import os
for name in ("synced", "unsynced"):
    fd = os.open("/root/" + name, os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"here" * 10000)
    if name == "synced":
        os.fsync(fd)

"""

# Every event of the project: delivery id and number; then what SQLite says of the file.
STORED = """import json, sqlite3, subprocess, urllib.request
token = open("/var/lib/slipway/owner.token").read().strip()
after = ""
while True:
    page = urllib.request.Request(f"http://127.0.0.1:8000/api/v1/projects/app/events?limit=200{after}", headers={"Authorization": "Bearer " + token})
    page = json.load(urllib.request.urlopen(page))
    for e in page["items"]:
        print(e.get("delivery") or e["delivery_key"], e["id"])
    if not page.get("next"):
        break
    after = f"&after={page['next']}"
"""
INTACT = """import glob, sqlite3
for path in glob.glob("/var/lib/slipway/*.db"):
    print(sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone()[0])
"""

MIGRATE = """import os
with open(os.environ["SLIPWAY_DATA_DIR"] + "/effects", "a") as f:
    f.write(os.environ["SLIPWAY_RELEASE"] + "\\n")
    f.flush()
    os.fsync(f.fileno())
"""
MANIFEST = "build: [[python3, -c, 'import time; time.sleep(0.3)']]\nrelease: [python3, migrate.py]\n"


class World:
    """The server, its project, and the repository beside it, which keeps its power."""

    def __init__(self):
        self.git, self.web = GitServer(), None
        self.server = PoweredServer()
        try:
            self.begin()
        except BaseException:
            self.close()
            raise

    def begin(self):
        s = self.server
        s.install()
        s.slipway("setup", "--yes", "--domain", DOMAIN)
        self.serve_git()
        self.repo = self.git.repository("app", {**apps.with_version(apps.socket_app(manifest=MANIFEST), "v0"), "migrate.py": MIGRATE})
        s.slipway("create", "app", "--git", self.repo.url.replace(str(self.git.port), str(GIT_PORT)), "--branch", "main")
        made = s.api("hooks", "create", "app", "app-push", "--sender", "github")
        self.secret = self.git.dir / "secret"
        self.secret.write_text(made["secret"])
        s.slipway("deploy", "app")
        assert s.wait_get("app.localhost", "/version") == "v0"
        s.run("sync")

    def serve_git(self):
        self.web = self.server.near(
            "python3", "-m", "http.server", "--bind", "127.0.0.1", "--directory", self.git.dir / "www", str(GIT_PORT), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def end_git(self):
        if self.web:
            self.web.terminate()
            self.web.wait()

    def pushes(self):
        """Signed pushes until the power is cut, at some moment once fifty were acknowledged; then what was: delivery id -> event."""
        with open(self.git.dir / "acknowledged", "w+") as out:
            pusher = self.server.near("python3", TOP / "tests/machine/pusher.py", "8000", DOMAIN, "/hooks/app-push", self.secret, stdout=out, stderr=subprocess.PIPE, text=True)
            assert until(lambda: Path(out.name).read_bytes().count(b"\n") >= 50, 120), "nobody acknowledges"
            time.sleep(random.uniform(0, 1.5))
            yield
            _, wrong = pusher.communicate(timeout=60)
            assert not wrong, wrong[-500:]
            out.seek(0)
            self.acknowledged = dict(line.split() for line in out if line.endswith("\n"))

    def cut(self, how):
        """Without power and with it again; seconds until the machine is up, and until a page is served."""
        lost = self.server.cut(how)
        self.end_git()
        begun = time.monotonic()
        up = self.server.power()
        self.server.wait_get("app.localhost", "/version", seconds=60)
        print(f"{lost}; up after {up:.1f} s, a page after {time.monotonic() - begun:.1f}")
        self.serve_git()
        return lost

    def close(self):
        self.end_git()
        self.server.close()
        self.git.close()


@pytest.fixture(scope="module")
def world():
    w = World()
    yield w
    w.close()


def missing(world):
    """Of what was acknowledged, once what the journal holds is in the store."""
    end = time.monotonic() + 20
    while True:
        stored = dict(line.split() for line in world.server.run("python3", "-", stdin=STORED).splitlines())
        lost = [d for d, event in world.acknowledged.items() if stored.get(d) != event]
        if not lost or time.monotonic() > end:
            return lost
        time.sleep(0.2)


def acknowledged_and_lost(world, how):
    sender = world.pushes()
    next(sender)
    world.cut(how)
    next(sender, None)
    assert world.server.run("python3", "-", stdin=INTACT).split() == ["ok"]
    return len(world.acknowledged), missing(world)


def test_what_was_not_synced_is_gone(world):
    """The disk itself: a file that was synced is there, one that was not is not."""
    world.server.run("python3", "-", stdin=CONTROL)
    world.cut(LOSE_ALL)
    assert world.server.run("cat", "/root/synced") == "here" * 10000
    assert "here" not in world.server.run("cat", "/root/unsynced", expect=None).stdout


def test_acknowledged_events_outlive_the_power(world):
    told = 0
    for i in range(CUTS):
        count, lost = acknowledged_and_lost(world, (LOSE_ALL, KEEP_SOME)[i % 2])
        told += count
        assert not lost, f"{len(lost)} of {count} acknowledged events are gone"
    print(f"{CUTS} power cuts, {told} events acknowledged, 0 lost")


def test_a_sync_that_is_none_is_found(world):
    """The planted fault: the daemon's syncs do nothing. What it acknowledged then is missed."""
    s = world.server
    s.run("mkdir", "-p", "/etc/systemd/system/slipwayd.service.d")
    s.put_file(BUILD / "tests/nosync.so", LIB)
    s.run("cat >/etc/systemd/system/slipwayd.service.d/nosync.conf", stdin=f"[Service]\nEnvironment=LD_PRELOAD={LIB}\n")
    s.run("systemctl daemon-reload && systemctl restart slipwayd && sync")
    lost = []
    for _ in range(5):  # what a sync of another program of the machine's has covered is not lost
        sender = world.pushes()
        next(sender)
        world.cut(LOSE_ALL)
        next(sender, None)
        lost = missing(world)
        print(f"{len(lost)} of {len(world.acknowledged)} lost")
        if lost:
            break
    s.run("rm -r /etc/systemd/system/slipwayd.service.d && systemctl daemon-reload && systemctl restart slipwayd && sync")
    assert lost


def settled(world, task):
    """That task, once none of the project runs or waits: after a boot one looks at the branch, too."""
    end = time.monotonic() + 90
    while True:
        tasks = world.server.api("tasks", "app")["items"]
        if not [t for t in tasks if t["state"] in ("waiting", "running")]:
            return next(t for t in tasks if t["id"] == task)
        assert time.monotonic() < end, tasks
        time.sleep(0.2)


def test_a_deploy_outlives_the_power(world):
    s, states, live = world.server, {}, "v0"
    for i in range(CUTS):
        version = f"v{i + 1}"
        world.repo.commit({"VERSION": version})
        begun = s.api("deploy", "app", "--no-wait")
        time.sleep(random.uniform(0, 3))
        world.cut((LOSE_ALL, KEEP_SOME)[i % 2])
        # after a time away the branch is looked at: what the cut before kept from being deployed may have been meanwhile
        allowed = (live, f"v{i}", version)
        now = s.get("app.localhost", "/version")[1]
        assert now in allowed, (now, allowed)
        task = settled(world, begun["task"])
        now = s.wait_get("app.localhost", "/version")
        assert now == (version if task["state"] == "done" else now) and now in allowed, (json.dumps(task, indent=1), now)
        states[task["state"]] = states.get(task["state"], 0) + 1
        live = now
        s.slipway("validate")
    effects = s.run("cat", "/var/lib/slipway/projects/app/data/effects").split()
    assert len(effects) == len(set(effects)), "a release command ran twice"
    print(f"{CUTS} power cuts in a deploy: the task ended as {states}")
    world.repo.commit({"VERSION": "last"})
    s.slipway("deploy", "app")
    assert s.wait_get("app.localhost", "/version") == "last"
