"""What a review found: each of these was broken once."""
import contextlib
import json
import os
import signal
import socket
import sqlite3
import threading
import time
from pathlib import Path

import apps
import pytest
from harness import Platform, wait_until


def web(extra="", prelude=""):
    files = apps.with_version(apps.socket_app(prelude), "v1")
    files["slipway.yaml"] = (
        "kind: command\nprocesses:\n  web: {run: [python3, serve.py], listen: socket" + extra + "}\nhealth: {path: /version, interval: 100ms}\n"
    )
    return files


def pid_of(platform, project):
    """Of the program itself, as it says it."""
    return platform.get(f"{project}.localhost", "/version").body


def test_slow_start_survives_a_restart(platform, git):
    """What has just been started again is not killed for not having ended in time."""
    files = web(", stop_timeout: 1s", "time.sleep(2.5)")
    files["serve.py"] = files["serve.py"].replace('version = open("VERSION").read()', 'version = str(os.getpid())')
    repo = git.repository("slow-start", files)
    platform.create("slow-start", repo.url)
    platform.deploy("slow-start")
    first = pid_of(platform, "slow-start")
    platform.cli("restart", "slow-start")
    assert pid_of(platform, "slow-start") != first
    ends = [line for line in platform.log_text().splitlines() if "keeper ended project=slow-start process=web" in line]
    assert len(ends) == 1, ends


def read_stream(platform, path, into, stop):
    """What a stream of events says, until it ends or nobody wants more; as raw bytes."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(0.2)
        s.connect(str(platform.run / "api.sock"))
        s.sendall(f"GET /api/v1{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        while not stop.is_set():
            try:
                piece = s.recv(65536)
            except TimeoutError:
                continue
            if not piece:
                return
            into += piece


class Stream:
    def __init__(self, platform, path):
        self.text, self.stop = bytearray(), threading.Event()
        self.thread = threading.Thread(target=read_stream, args=(platform, path, self.text, self.stop))
        self.thread.start()

    def ended(self, seconds):
        self.thread.join(seconds)
        return not self.thread.is_alive()

    def close(self):
        self.stop.set()
        self.thread.join()


def test_a_name_taken_again_shows_nothing_of_before(platform, git):
    """Its stream of output, for whoever may read it, begins with its own; who read the old one is cut off."""
    files = web(prelude='print("the old secret", flush=True)')
    repo = git.repository("again", files)
    platform.create("again", repo.url)
    secret = platform.hook("again", "again-push")
    platform.deploy("again")
    old = Stream(platform, "/projects/again/logs/stream")
    try:
        wait_until(lambda: b"the old secret" in old.text, 10)
        platform.wait_task(platform.api("DELETE", "/projects/again")["task"])
        ended = old.ended(2)
    finally:
        old.close()
    assert ended, "the stream of a project that is gone goes on"
    answer = platform.push("again-push", secret, "1" * 40)
    assert answer.status == 404, answer
    platform.create("again", repo.url)
    new = Stream(platform, "/projects/again/logs/stream")
    time.sleep(1)
    new.close()
    assert b"200 OK" in new.text and b"the old secret" not in new.text, new.text
    platform.wait_task(platform.api("DELETE", "/projects/again")["task"])


def test_a_daemon_that_ends_fails_no_deploy(git):
    """SIGTERM in the middle of a build: the next life goes on with the task."""
    p = Platform()
    try:
        p.start()
        files = web()
        files["slipway.yaml"] += 'build: [[python3, -c, "import time; time.sleep(4)"]]\n'
        repo = git.repository("ending", files)
        p.create("ending", repo.url)
        task = p.api("POST", "/projects/ending/deploys", {})["task"]
        watching = Stream(p, f"/tasks/{task}/stream")
        wait_until(lambda: "build" in json.dumps(p.api("GET", f"/tasks/{task}")["steps"]), 30)
        time.sleep(0.5)
        p.stop()
        watching.close()
        p.start()
        ended = p.wait_task(task)
        assert ended["state"] == "done", ended
        assert p.get("ending.localhost", "/version").body == b"v1"
    finally:
        p.close()


def test_a_keeper_that_is_lost_fails_no_deploy(git):
    """kill -9 of the keeper in the middle of a build: the daemon ends for its supervisor to start both again."""
    p = Platform()
    try:
        p.start()
        files = web()
        files["slipway.yaml"] += 'build: [[python3, -c, "import time; time.sleep(4)"]]\n'
        repo = git.repository("lost", files)
        p.create("lost", repo.url)
        task = p.api("POST", "/projects/lost/deploys", {})["task"]
        wait_until(lambda: "build" in json.dumps(p.api("GET", f"/tasks/{task}")["steps"]), 30)
        watching = Stream(p, f"/tasks/{task}/stream")  # who is connected does not hold it
        time.sleep(0.5)
        for pid in os.listdir("/proc"):
            try:
                line = Path(f"/proc/{pid}/cmdline").read_bytes() if pid.isdigit() else b""
            except OSError:
                continue
            if b"--keeper" in line and str(p.run).encode() in line:
                os.kill(int(pid), signal.SIGKILL)
        try:
            assert p.process.wait(15) == 75
        finally:
            watching.close()
        p.start()
        ended = p.wait_task(task)
        assert ended["state"] == "done", ended
    finally:
        p.close()


def test_an_end_while_it_reconciles(git):
    """SIGTERM while what runs is still compared with what shall run: it ends well, and the next life serves."""
    p = Platform()
    try:
        p.start()
        for name in ("early1", "early2", "early3"):
            p.create(name, git.repository(name, web()).url)
            p.deploy(name)
        for _ in range(5):
            assert p.stop() == 0, p.log_text()[-3000:]
            p.start()  # it answers before everything has been compared

        def serves():
            try:
                return p.get("early3.localhost", "/version").body == b"v1"
            except OSError:
                return False

        wait_until(serves, 30)
    finally:
        p.close()


def test_a_tree_that_was_sealed_before_the_crash(git):
    """The daemon dies between the seal and its record: the tree is made anew."""
    p = Platform()
    try:
        p.start()
        files = web()
        files["slipway.yaml"] += 'build: [[python3, -c, "import time; time.sleep(2)"]]\n'
        repo = git.repository("sealed", files)
        p.create("sealed", repo.url)
        task = p.api("POST", "/projects/sealed/deploys", {})["task"]
        wait_until(lambda: "build" in json.dumps(p.api("GET", f"/tasks/{task}")["steps"]), 30)
        p.kill()
        (p.state / "projects/sealed/releases/1").chmod(0o550)
        p.start()
        assert p.wait_task(task)["state"] == "done"
    finally:
        p.close()


WORKER = """import os, time
path = os.environ["SLIPWAY_DATA_DIR"] + "/workers/"
os.makedirs(path, exist_ok=True)
mine = path + os.environ["SLIPWAY_RELEASE"] + "." + str(os.getpid())
while True:
    with open(mine, "a") as f:
        f.write("%f\\n" % time.monotonic())
    time.sleep(0.02)
"""


def test_no_two_generations_of_a_worker(git):
    """The daemon dies while workers are handed over: its next life starts no new one beside an old one."""
    p = Platform()
    try:
        p.start()
        files = web()
        files["worker.py"] = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WORKER
        files["slipway.yaml"] = files["slipway.yaml"].replace(
            "health:", "  worker: {run: [python3, worker.py], stop_timeout: 3s}\nhealth:")
        repo = git.repository("twice", files)
        p.create("twice", repo.url)
        p.deploy("twice")
        folder = p.state / "projects/twice/data/workers"
        wait_until(lambda: folder.exists() and list(folder.iterdir()), 10)
        repo.commit({"VERSION": "v2"})
        task = p.api("POST", "/projects/twice/deploys", {})["task"]
        wait_until(lambda: p.get("twice.localhost", "/version").body == b"v2", 60)
        time.sleep(0.3)
        p.kill()
        p.start()
        assert p.wait_task(task)["state"] == "done"
        spans = {}
        for f in folder.iterdir():
            times = [float(t) for t in f.read_text().split()]
            release = f.name.split(".")[0]
            low, high = spans.get(release, (times[0], times[-1]))
            spans[release] = (min(low, times[0]), max(high, times[-1]))
        assert spans["2"][0] > spans["1"][1], spans
    finally:
        p.close()


def set_task(p, task, **columns):
    """While no daemon runs: what a life that was cut there left behind."""
    with contextlib.closing(sqlite3.connect(p.state / "slipway.db", timeout=20)) as db, db:
        db.execute("UPDATE task SET " + ", ".join(f"{c} = ?" for c in columns) + " WHERE id = ?", (*columns.values(), task))


def progress_of(p, task):
    with contextlib.closing(sqlite3.connect(p.state / "slipway.db", timeout=20)) as db:
        return json.loads(db.execute("SELECT progress FROM task WHERE id = ?", (task,)).fetchone()[0])


@pytest.mark.parametrize("phase", ["erase", "finish"])
def test_killed_when_all_is_gone(git, phase):
    """Between the last row of a project and the end of its destroy: done, with the whole receipt."""
    p = Platform()
    try:
        p.start()
        p.create("gone", git.repository("gone-" + phase, {"index.html": "page"}).url)
        p.deploy("gone")
        ended = p.wait_task(p.api("DELETE", "/projects/gone?purge=true")["task"])
        task, receipt = ended["id"], ended["result"]["receipt"]
        assert ended["state"] == "done" and len(receipt) >= 7, ended
        p.kill()
        progress = progress_of(p, task)
        assert progress["phase"] == "finish" and json.loads("[" + progress["receipt"] + "]") == receipt
        if phase == "erase":
            progress.update(phase="erase", outcome="none", attempt=progress["attempt"] - 1, receipt=",".join(map(json.dumps, receipt[:-2])))
        set_task(p, task, state="running", result="", finished_ms=0, progress=json.dumps(progress))
        p.start()
        again = p.wait_task(task)
        assert again["state"] == "done" and again["result"]["receipt"] == receipt, again
    finally:
        p.close()


@pytest.mark.parametrize("command", [False, True])
def test_killed_in_the_step_of_a_release_command(git, command):
    """It has failed where there is one, since it never runs twice; where there is none nothing was running."""
    p = Platform()
    try:
        p.start()
        files = apps.with_version(apps.socket_app("time.sleep(2)", "release: [sleep, '2']\n" if command else ""), "v1")
        p.create("shop", git.repository(f"cut-{command}", files).url)
        task = p.api("POST", "/projects/shop/deploys", {})["task"]
        wait_until(lambda: any(s["name"] in (("release",) if command else ("start", "verify")) and s["state"] == "running" for s in p.api("GET", f"/tasks/{task}")["steps"]), every=0.05)
        p.kill()
        set_task(p, task, current_step="release", progress=json.dumps({**progress_of(p, task), "phase": "release"}))
        p.start()
        ended = p.wait_task(task)
        if command:
            assert ended["state"] == "failed" and "was running when the daemon ended" in ended["error"]["message"], ended
        else:
            assert ended["state"] == "done" and p.get("shop.localhost", "/version").body == b"v1", ended
            assert next(s for s in p.api("GET", f"/tasks/{task}")["steps"] if s["name"] == "release")["state"] == "skipped"
    finally:
        p.close()


def test_an_end_that_the_store_cannot_take_is_told_later(platform, git):
    """The task runs until its end is durable; then the head counts as deployed, as if nothing had been."""

    def store(sql):
        with contextlib.closing(sqlite3.connect(platform.state / "slipway.db", timeout=20)) as db, db:
            db.execute(sql)

    platform.create("told", git.repository("told", {"index.html": "page"}).url)
    store("CREATE TRIGGER no_end BEFORE UPDATE ON branch_head WHEN new.ok = 1 BEGIN SELECT RAISE(ABORT, 'no room'); END")
    try:
        task = platform.api("POST", "/projects/told/deploys", {})["task"]
        wait_until(lambda: platform.log_text().count(" deploy end_failed ") >= 2)
        assert platform.api("GET", f"/tasks/{task}")["state"] == "running"
    finally:
        store("DROP TRIGGER no_end")
    assert platform.wait_task(task)["state"] == "done"
    assert platform.wait_task(platform.api("POST", "/projects/told/deploys", {})["task"])["result"]["up_to_date"] is True
