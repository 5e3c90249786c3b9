"""DESIGN, section 3: the daemon or the keeper dies exactly in the switch of releases.

tests/tools/fault.c kills it in place of its k-th call that changes something. Where `live` moves is found by halving, and each k
around it is tried; SLIPWAY_LONG=1 tries every k of the whole deploy or rollback. After the next start there is one live release: the
link, the store, what runs and what answers name the same one; a switch that had happened has happened; no release command ran
twice. While only the daemon dies, nobody outside notices."""
import http.client
import os
import signal
import threading
import time

import pytest

import apps
from faults import LONG, MAKE, REMOVE, RENAME, SEND, SPAWN, SYNC, Faulty, Refused, ask, at_rest
from harness import wait_until
from test_faults_helper import FaultyHelper

NAME, HOST = "crash", "crash.localhost"
MIGRATE = """import os
with open(os.environ["SLIPWAY_DATA_DIR"] + "/effects", "a") as f:
    f.write(os.environ["SLIPWAY_RELEASE"] + "\\n")
"""
KINDS = {  # who dies: (platform, which of its calls)
    "daemon": (Faulty, SYNC | RENAME | MAKE),
    "keeper": (FaultyHelper, SEND | RENAME | SPAWN | MAKE | REMOVE),
}


class Visitor(threading.Thread):
    """Posts one id after another, each on a new connection, and never again."""

    def __init__(self, platform):
        super().__init__(daemon=True)
        self.platform, self.sent, self.failed, self.over = platform, [], [], False
        self.start()

    def run(self):
        while not self.over:
            key = f"id{len(self.sent)}"
            self.sent.append(key)
            try:
                answer = self.platform.get(HOST, "/append", "POST", key.encode())
                if answer.status != 200:
                    self.failed.append((key, answer))
            except (OSError, http.client.HTTPException) as why:
                self.failed.append((key, why))
            time.sleep(0.01)

    def stop(self):
        self.over = True
        self.join()


class Crash:
    def __init__(self, platform, repo, calls, order):
        self.p, self.repo, self.calls, self.order = platform, repo, calls, order
        self.version, self.seen = 1, set()

    def link(self):
        return int(os.readlink(self.p.state / "projects" / NAME / "live").rsplit("/", 1)[1])

    def over(self, task):
        if self.p.process.poll() is not None:
            return True
        try:
            return task and ask(self.p, "GET", f"/tasks/{task}")["state"] not in ("waiting", "running")
        except Refused:
            return False

    def once(self, k):
        """True: the link had moved when it died."""
        p = self.p
        if self.order == "deploys":
            self.version += 1
            self.repo.commit({"VERSION": f"v{self.version}"})
        before, task = self.link(), None
        body = {} if self.order == "deploys" else {"release": 3 - before}
        p.fault.arm(self.calls, k, -signal.SIGKILL)
        try:
            task = ask(p, "POST", f"/projects/{NAME}/{self.order}", body)["task"]
        except Refused as why:
            assert why.args[0] == "no answer", why
        wait_until(lambda: self.over(task) or p.fault.fired, 60)
        if p.fault.fired:
            code = p.process.wait(30)
            assert code == (75 if p.comm == "slipway-helper" else -signal.SIGKILL), (code, p.log_text()[-2000:])
        self.count, what = p.fault.count, p.fault.what
        p.fault.disarm()
        after = self.link()
        if p.process.poll() is not None:
            self.seen.add(what.split(" ")[0])
            p.start()
        try:
            self.check(task, before, after)
        except AssertionError as problem:
            raise AssertionError(f"killed at k = {k}, {what}; live was {before}, then {after}: {problem}") from problem
        return after != before

    def check(self, task, before, after):
        p = self.p
        wait_until(lambda: at_rest(p, NAME), 90)
        live = p.api("GET", f"/projects/{NAME}")["live"]
        assert live == self.link(), ("store and link differ", live, self.link())
        state = p.api("GET", f"/tasks/{task}")["state"] if task else None
        assert state in (None, "done", "failed"), state
        if self.order == "rollback":  # there is no release command, which a crash fails
            assert state in (None, "done"), ("a crash failed a rollback", state)
        if after != before:
            assert (state or "done") == "done" and live == after, ("a switch that had happened was lost", state, live)
        assert live == before or state in (None, "done"), ("a failed task left its release live", state)
        version = (p.state / "projects" / NAME / "releases" / str(live) / "VERSION").read_bytes()
        # who connected to the release before may still be answered by it; nobody new is
        for _ in range(5):
            assert p.get(HOST, "/version").body == version
        wait_until(lambda: self.running() == {str(live)}, 20)
        effects = (p.state / "projects" / NAME / "data" / "effects").read_text().split()
        assert len(set(effects)) == len(effects), "a release command ran twice"

    def running(self):
        found = set()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as f:
                    values = dict(v.split(b"=", 1) for v in f.read().split(b"\0") if b"=" in v)
            except OSError:
                continue
            if values.get(b"SLIPWAY_PROJECT", b"").decode() == NAME and str(self.p.state).encode() in b" ".join(values.values()):
                found.add(values.get(b"SLIPWAY_RELEASE", b"?").decode())
        return found

    def all(self):
        assert self.once(1 << 60), "nothing was switched"
        low, high = 0, self.count
        if LONG:
            tries = range(1, high + 5)
        else:
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if self.once(middle) else (middle, high)
            tries = range(max(1, low - 3), high + 5)
        moved = [self.once(k) for k in tries]
        assert True in moved and False in moved, "no try came before the switch, or none after it"
        print(f"{self.p.comm} {self.order}: killed at k = {tries[0]} to {tries[-1]}, {', '.join(sorted(self.seen))}")


@pytest.mark.parametrize("who,order", [("daemon", "deploys"), ("daemon", "rollback"), ("keeper", "deploys"), ("keeper", "rollback")])
def test_whoever_dies_in_the_switch(git, who, order):
    kind, calls = KINDS[who]
    p = kind()
    visitor = None
    try:
        p.start()
        files = apps.socket_app(manifest="release: [python3, migrate.py]\ndrain: 1s\nkeep_releases: 3\n")
        files["migrate.py"] = MIGRATE
        repo = git.repository(f"crash-{who}-{order}", apps.with_version(files, "v0"))
        p.create(NAME, repo.url)
        p.deploy(NAME)
        repo.commit({"VERSION": "v1"})
        p.deploy(NAME)
        visitor = Visitor(p)
        Crash(p, repo, calls, order).all()
        visitor.stop()
        kept = (p.state / "projects" / NAME / "data" / "ids").read_text().split()
        failed = {key for key, _ in visitor.failed}
        assert len(set(kept)) == len(kept), "an id was served twice"
        assert set(visitor.sent) - failed <= set(kept), "what was answered is gone"
        assert len(visitor.sent) - len(failed) > 100
        if who == "daemon":
            assert not visitor.failed, visitor.failed[:5]
    finally:
        if visitor:
            visitor.stop()
        p.fault.disarm()
        p.close()
