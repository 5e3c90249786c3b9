"""R3: the k-th write, fsync, rename, open, close, send … of the daemon fails, for one k after another; see faults.py."""
import errno
import json
import subprocess

import pytest

from faults import CLOSE, FILES, MAKE, OPEN, SEND, SYNC, TRUNCATE, WRITE, Faulty, sweep
from harness import BUILD, ROOT, Platform, wait_until

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


@pytest.mark.skipif(not ROOT, reason="a file system of its own needs root")
def test_a_full_disk_is_said_and_got_over(git):
    """A real one: the state on a tmpfs of 48 MB that somebody fills."""
    p = Platform(build=BUILD)
    p.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m,mode=755", "tmpfs", p.state], check=True)
    filler = p.state / "filler"
    try:
        p.start()
        repo = git.repository("full", {"index.html": "static v1"})
        p.create("full", repo.url, kind="static")
        secret = p.hook("full", "full-push")
        p.deploy("full")
        with open(filler, "wb", buffering=0) as f:
            try:
                while f.write(bytes(1 << 16)):
                    pass
            except OSError as why:
                assert why.errno == errno.ENOSPC
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
        filler.unlink()
        wait_until(lambda: len(p.api("GET", "/projects/full/events?limit=100")["items"]) == accepted, 30, 0.05)
        p.deploy("full", force=True)
        assert p.push("full-push", secret, "1" * 40, delivery="full-39", branch="other").status == 202
        assert p.get("full.localhost").body == b"static v1"
    finally:
        try:
            p.stop()
        finally:
            subprocess.run(["umount", "-l", p.state], check=False)
            p.close()
