"""R3, R4: the k-th write, fsync, rename, open, close, send … fails, for one k after another; what is the same for the daemon
(test_faults.py) and the helper (test_faults_helper.py).

A round is create, a hook, a signed push and its repeat, deploy, deploy, rollback, destroy. While one call fails, whoever was asked either answers with a clear error
or, the daemon, dies and is started again; afterwards the round is done once more and succeeds, and whatever was acknowledged is
there. A sweep ends with the first k that no round reaches, and prints it. Short sweeps take strides; SLIPWAY_LONG=1 takes every
k, from SLIPWAY_FAULTS_FROM on."""
import errno
import http.client
import json
import mmap
import os
import struct
import time

from harness import BUILD, Platform, wait_until

LONG = os.environ.get("SLIPWAY_LONG") == "1"
WRITE, SYNC, RENAME, OPEN, CLOSE, SEND, TRUNCATE, MAKE, REMOVE, OWN, SPAWN, ALLOC, LIST = (1 << i for i in range(13))
FILES = WRITE | SYNC | RENAME | OPEN | TRUNCATE | MAKE | REMOVE


class Fault:
    """The file through which tests/tools/fault.c is steered; its layout stands there."""

    def __init__(self, path):
        path.write_bytes(bytes(256))
        path.chmod(0o666)
        self.map = mmap.mmap(os.open(path, os.O_RDWR), 256)

    def arm(self, calls, k, error, forks=False):
        """forks: also what the process forks, until it becomes another program."""
        self.map[:] = struct.pack("<IIQiIQQ216s", 0, calls, k, error, self.pid, 0, 0, b"")
        self.map[0:4] = struct.pack("<I", 3 if forks else 1)

    def disarm(self):
        self.map[0:4] = struct.pack("<I", 0)

    @property
    def pid(self):
        """Of the process, which writes it at its start."""
        return struct.unpack_from("<I", self.map, 20)[0]

    @property
    def count(self):
        return struct.unpack_from("<Q", self.map, 24)[0]

    @property
    def fired(self):
        return struct.unpack_from("<Q", self.map, 32)[0]

    @property
    def what(self):
        return self.map[40:].split(b"\0")[0].decode(errors="replace")


class Faulty(Platform):
    """Its daemon has the shim in front of the C library: not the sanitized build, whose runtime wants to be first."""

    comm, forks = "slipwayd", False

    def __init__(self):
        super().__init__(build=BUILD)
        self.fault = Fault(self.dir / "fault")
        self.starts = 0

    def start(self, wait=True):
        kept = {name: os.environ.get(name) for name in ("LD_PRELOAD", "SLIPWAY_FAULT", "SLIPWAY_FAULT_COMM")}
        os.environ.update(LD_PRELOAD=str(BUILD / "tests" / "fault.so"), SLIPWAY_FAULT=str(self.dir / "fault"), SLIPWAY_FAULT_COMM=self.comm)
        try:
            super().start(wait=False)
        finally:
            for name, value in kept.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value
        self.starts += 1
        if wait:
            wait_until(self.answers, 30)
        return self

    def revive(self):
        """After the fault: a daemon that died, or that lives on, serves."""
        self.fault.disarm()
        end = time.monotonic() + 40
        while time.monotonic() < end:
            if self.process.poll() is not None:
                assert self.process.returncode in (0, *range(64, 79)) or -self.process.returncode in (6, 9, 15), (self.process.returncode, self.log_text()[-2000:])
                self.start(wait=False)
            try:
                if self.call("GET", "/health").status == 200:
                    return
            except OSError:
                pass
            except http.client.HTTPException:
                pass
            time.sleep(0.05)
        raise AssertionError(("no answer after the fault", self.fault.what, self.log_text()[-3000:]))


class Refused(Exception):
    pass


def ask(p, method, path, body=None):
    """An answer, or Refused: with a reason that a person can read, or because the daemon or the connection went."""
    try:
        answer = p.call(method, "/api/v1" + path, body)
    except (OSError, http.client.HTTPException):
        raise Refused("no answer") from None
    if answer.status < 300:
        return answer.json if answer.body else {}
    problem = json.loads(answer.body)
    assert problem["status"] == answer.status and len(problem.get("detail") or problem["title"]) > 5, answer
    raise Refused(problem)


def ended(p, task, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            t = ask(p, "GET", f"/tasks/{task}")
        except Refused as why:
            if p.process.poll() is not None:
                raise
            assert not (isinstance(why.args[0], dict) and why.args[0]["status"] == 404), ("an acknowledged task is gone", task)
            time.sleep(0.02)
            continue
        if t["state"] not in ("waiting", "running"):
            return t
        time.sleep(0.01)
    raise AssertionError(("a task does not end", task, p.fault.what, p.log_text()[-3000:]))


def faulty_push(p, name, acknowledged):
    """A signed push of a branch that nobody deploys, and the same once more: refused with a reason, or it is one event."""
    hook, secret = acknowledged["hook"]
    for _ in range(2):
        try:
            answer = p.push(hook, secret, "1" * 40, branch="other", delivery=name)
        except (OSError, http.client.HTTPException):
            raise Refused("no answer") from None
        if answer.status >= 300:
            assert answer.status in (500, 503) and len(json.loads(answer.body)["detail"]) > 5, answer
        elif "event" in acknowledged:
            assert (answer.status, answer.json["event"]) == (200, acknowledged["event"]), (answer, acknowledged)
        else:
            acknowledged["event"] = answer.json["event"]


def pushed(p, name, acknowledged):
    """It is in the list a moment after it was acknowledged, once, with its body; or not at all when it was not."""

    def listed():
        return [e["id"] for e in ask(p, "GET", f"/projects/{name}/events")["items"] if e["delivery"] == name]

    if "event" in acknowledged:
        wait_until(listed, 30, 0.005)
        assert listed() == [acknowledged["event"]]
        assert '"refs/heads/other"' in ask(p, "GET", f"/projects/{name}/events/{acknowledged['event']}")["body"]


def faulty_round(p, name, url, acknowledged):
    """As far as it comes. What was acknowledged is noted at once."""
    try:
        ask(p, "POST", "/projects", {"name": name, "kind": "static", "source": {"type": "git", "url": url, "ref": "main"}})
        acknowledged["project"] = True
        made = ask(p, "POST", f"/projects/{name}/hooks", {"name": name + "-push", "sender": "github"})
        acknowledged["hook"] = made["name"], made["secret"]
        faulty_push(p, name, acknowledged)
        for path, body in (("deploys", {}), ("deploys", {"force": True}), ("rollback", {})):
            acknowledged["task"] = ask(p, "POST", f"/projects/{name}/{path}", body)["task"]
            task = ended(p, acknowledged["task"])
            if task["state"] == "failed":
                assert len(task["error"]["message"]) > 10, task
            acknowledged["live"] = acknowledged.get("live") or task["state"] == "done"
        pushed(p, name, acknowledged)
        acknowledged["asked to end"] = True
        acknowledged["task"] = ask(p, "DELETE", f"/projects/{name}")["task"]
        ended(p, acknowledged["task"])
    except Refused:
        pass


def at_rest(p, name):
    """No task of the project is open any more: what the fault left half-done has been picked up and ended."""
    answer = p.call("GET", f"/api/v1/projects/{name}/tasks")
    return answer.status == 404 or (answer.status == 200 and all(t["state"] not in ("waiting", "running") for t in answer.json["items"]))


def whole_round(p, name, url):
    """The same, which now succeeds from whatever state the fault left."""
    wait_until(lambda: at_rest(p, name), 60)
    answer = p.call("POST", "/api/v1/projects", {"name": name, "kind": "static", "source": {"type": "git", "url": url, "ref": "main"}})
    assert answer.status in (201, 409), answer
    p.deploy(name, force=True)
    assert p.get(name + ".localhost").body == b"static v1"
    p.deploy(name, force=True)
    assert p.wait_task(p.api("POST", f"/projects/{name}/rollback", {})["task"])["state"] == "done"
    assert p.get(name + ".localhost").body == b"static v1"
    assert p.wait_task(p.api("DELETE", f"/projects/{name}")["task"])["state"] == "done"
    p.api("GET", f"/projects/{name}", expect=404)
    assert not (p.state / "projects" / name).exists()


def check_acknowledged(p, name, acknowledged):
    if "task" in acknowledged:
        ended(p, acknowledged["task"])
    if acknowledged.get("project") and not acknowledged.get("asked to end"):
        p.api("GET", f"/projects/{name}")
        if acknowledged.get("live"):
            assert p.get(name + ".localhost").body == b"static v1"
        pushed(p, name, acknowledged)
        if "event" in acknowledged:
            faulty_push(p, name, acknowledged)
    if acknowledged.get("asked to end"):
        # answered or not: it has ended well, or can be asked for again
        answer = p.call("GET", f"/api/v1/projects/{name}")
        assert answer.status in (200, 404), answer


def one_k(p, url, name, calls, k, error):
    acknowledged = {}
    p.fault.arm(calls, k, error, p.forks)
    faulty_round(p, name, url, acknowledged)
    fired, count, what = p.fault.fired, p.fault.count, p.fault.what
    try:
        p.revive()
        if fired:
            check_acknowledged(p, name, acknowledged)
            whole_round(p, name, url)
    except (AssertionError, OSError, http.client.HTTPException) as problem:
        raise AssertionError(f"k = {k}: {what} failed with {os.strerror(error)}; acknowledged {acknowledged}: {problem}") from problem
    return fired, count, what


def sweep(p, git, name, calls, error, rounds):
    """Every k, or `rounds` of them; returns the highest."""
    url = git.repository("faults-" + name, {"index.html": "static v1"}).url
    fired, highest, _ = one_k(p, url, f"{name}-none", calls, 1 << 60, error)
    assert not fired and highest > 0
    step = 1 if LONG else max(1, highest // rounds)
    starts, k, fired = p.starts, int(os.environ.get("SLIPWAY_FAULTS_FROM", "1")) if LONG else 1 + highest % step, True
    seen = set()
    while fired:
        fired, count, what = one_k(p, url, f"{name}-{k}", calls, k, error)
        if fired:
            seen.add(what.split(" ")[0])
            k += step
    print(f"{p.comm} {name}: highest k {count}, stride {step}, {p.starts - starts} restarts, failed: {', '.join(sorted(seen))}")
    return count
