"""R3: the k-th write, fsync, rename, open, close, send … of the daemon fails, for one k after another; see faults.py."""
import errno
import json
import subprocess
import threading
import time

import pytest

from faults import CLOSE, FILES, MAKE, OPEN, SEND, SYNC, TRUNCATE, WRITE, Faulty, sweep
from harness import BUILD, ROOT, Platform, wait_until
from test_notify import channel, deliveries, receiver  # noqa: F401

SWEEPS = {  # name: (calls, errno; 0: half of the bytes, rounds in a short sweep)
    "eio": (FILES, errno.EIO, 7),
    "enospc": (WRITE | SYNC | OPEN | TRUNCATE | MAKE, errno.ENOSPC, 4),
    "short": (WRITE | SEND, 0, 3),
    "eintr": (WRITE | SEND, errno.EINTR, 3),
    "emfile": (OPEN, errno.EMFILE, 3),
    "close": (CLOSE, errno.EIO, 3),
    "send": (SEND, errno.EPIPE, 3),
}


@pytest.fixture(scope="module")
def faulty():
    p = Faulty()
    try:
        p.start()
        yield p
    finally:
        p.fault.disarm()
        p.close()


@pytest.mark.parametrize("name", SWEEPS)
def test_every_kth_call_may_fail(faulty, git, name):
    sweep(faulty, git, name, *SWEEPS[name])


class Small(Platform):
    """Its state on a tmpfs of 48 MB, really: which can be filled, and emptied again."""

    def __init__(self):
        super().__init__(build=BUILD, extra=["--outbound-allow", "127.0.0.0/8"])
        self.state.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m,mode=755", "tmpfs", self.state], check=True)
        self.filler = self.state / "filler"

    def fill(self, spare=False):
        """To the last page; without `spare` what the platform keeps for this is used up, too."""
        if not spare:
            wait_until(lambda: (self.state / "reserve").exists(), 20)  # it is made soon after a start
            (self.state / "reserve").unlink()
        with open(self.filler, "wb", buffering=0) as f:
            for size in (1 << 16, 1 << 12):
                try:
                    while f.write(bytes(size)):
                        pass
                except OSError as why:
                    assert why.errno == errno.ENOSPC

    def close(self):
        subprocess.run(["umount", "-l", self.state], check=False)
        super().close()


@pytest.fixture
def small():
    if not ROOT:
        pytest.skip("a file system of its own needs root")
    p = Small()
    try:
        yield p.start()
    finally:
        p.stop()
        p.close()


def test_a_full_disk_is_said_and_got_over(small, git):
    p = small
    repo = git.repository("full", {"index.html": "static v1"})
    p.create("full", repo.url, kind="static")
    secret = p.hook("full", "full-push")
    p.deploy("full")
    p.fill()
    refused = accepted = 0
    for i in range(40):
        answer = p.push("full-push", secret, "1" * 40, delivery=f"full-{i}", raw=json.dumps({"ref": "refs/heads/other", "pad": "x" * 200000}).encode())
        assert answer.status == 202 or (answer.status == 503 and int(answer.headers["Retry-After"]) >= 1), answer
        refused += answer.status != 202
        accepted += answer.status == 202
    # The journal's segment was there before the disk was full: what fits into it is durable and may be accepted.
    assert p.refusals()["disk_full"] == refused
    assert refused >= 10 and len(json.loads(answer.body)["detail"]) > 10, (accepted, answer)
    create = p.call("POST", "/api/v1/projects", {"name": "more", "kind": "static", "source": {"type": "git", "url": repo.url, "ref": "main"}})
    assert create.status in (201, 503, 507), create
    assert p.process.poll() is None and p.get("full.localhost").body == b"static v1"
    p.filler.unlink()
    wait_until(lambda: len(p.api("GET", "/projects/full/events?limit=100")["items"]) == accepted, 30, 0.05)
    p.deploy("full", force=True)
    assert p.push("full-push", secret, "1" * 40, delivery="full-39", branch="other").status == 202
    assert p.get("full.localhost").body == b"static v1"


def test_on_a_full_disk_it_starts_and_room_can_be_made(small, git):
    p = small
    repo = git.repository("kept", {"index.html": "static v1"})
    p.create("kept", repo.url, kind="static")
    p.deploy("kept")
    p.cli("backup", "kept")
    archive, = p.api("GET", "/projects/kept/backups")["items"]
    wait_until(lambda: (p.state / "reserve").exists(), 20)
    assert (p.state / "reserve").stat().st_blocks * 512 >= 8 << 20
    p.fill(spare=True)
    # The first that finds no room is told so; what comes after it has some.
    statuses = [p.call("DELETE", f"/api/v1/projects/kept/backups/{archive['id']}").status for _ in range(2)]
    assert statuses in ([200, 404], [507, 200], [503, 200]), (statuses, p.log_text()[-2000:])
    assert p.stop() == 0
    p.fill(spare=True)
    p.start()
    assert p.get("kept.localhost").body == b"static v1"
    p.cli("destroy", "kept", "--yes", "--purge")
    assert not p.api("GET", "/projects")["items"]
    p.filler.unlink()
    assert p.stop() == 0
    p.start()
    wait_until(lambda: (p.state / "reserve").exists(), 20)
    # With nothing kept for it, it says what is missing and where.
    assert p.stop() == 0
    p.fill()
    at = len(p.log_text())
    p.start(wait=False)
    assert p.process.wait(30) == 75
    said = p.log_text()[at:]
    assert f"the file system of '{p.state}' has 0 B left of 48" in said and f"archives in {p.state}/backups" in said, said
    p.filler.unlink()
    p.start()


def test_what_was_told_is_not_told_again_while_the_disk_is_full(small, receiver):
    """The receiver answers when the disk is full: the store cannot take that, and is told it again once there is room."""
    p, full = small, threading.Event()
    told = receiver(lambda request, body: 200 if full.wait(60) else 500)
    channel(p, None, "out", "webhook", target=told.url)
    test = threading.Thread(target=lambda: p.cli("notify", "test", "--platform", "out", expect=None))
    test.start()
    wait_until(lambda: [d for d in deliveries(p, None, "out") if d["state"] == "waiting"], 30)
    p.fill()
    names = (f"more-{i}" for i in range(10000))  # until the store itself needs room
    wait_until(lambda: p.call("POST", "/api/v1/projects", {"name": next(names), "kind": "static", "source": {"type": "git", "url": "https://git.example.org/x.git"}}).status in (503, 507), 60, 0)
    full.set()
    wait_until(lambda: " notify not_recorded " in p.log_text(), 30)
    time.sleep(2)
    assert len(told.seen) == 1
    p.filler.unlink()
    sent = wait_until(lambda: [d for d in deliveries(p, None, "out") if d["state"] == "delivered"], 30)
    assert len(sent) == len(told.seen) == 1
    test.join()
