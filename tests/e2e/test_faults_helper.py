"""R3, R4: the k-th call of the helper fails, in it and in what it forks before that becomes another program; see faults.py.

The helper is never restarted: whatever fails, it answers and goes on. It allocates nothing once it serves, and a start that
gets no memory, no file or no descriptor ends with a reason, or comes up and serves."""
import concurrent.futures
import errno
import http.client
import os
import shutil

import pytest

import apps
from faults import ALLOC, CLOSE, FILES, LIST, MAKE, OPEN, OWN, SEND, SPAWN, SYNC, TRUNCATE, WRITE, LONG, Faulty, one_k, sweep
from harness import BUILD, wait_until

SWEEPS = {  # name: (calls, errno; 0: half of the bytes, rounds in a short sweep)
    "h-eio": (FILES | OWN | LIST, errno.EIO, 5),
    "h-enospc": (WRITE | SYNC | OPEN | TRUNCATE | MAKE, errno.ENOSPC, 3),
    "h-short": (WRITE | SEND, 0, 3),
    "h-eintr": (WRITE | SEND, errno.EINTR, 3),
    "h-emfile": (OPEN, errno.EMFILE, 3),
    "h-eperm": (OWN, errno.EPERM, 3),
    "h-close": (CLOSE, errno.EIO, 3),
    "h-send": (SEND, errno.EPIPE, 3),
    "h-spawn": (SPAWN, errno.EAGAIN, 3),
}
WRAPPER = """#!/bin/sh
LD_PRELOAD={shim} SLIPWAY_FAULT={fault} SLIPWAY_FAULT_COMM=slipway-helper exec {real} "$@"
"""


class FaultyHelper(Faulty):
    """The daemon starts its helper with an empty environment, so what it starts here puts the shim in front first."""

    comm, forks = "slipway-helper", True

    def __init__(self):
        super().__init__()
        helper, real = self.libexec / "slipway-helper", self.libexec / "real" / "slipway-helper"
        real.parent.mkdir()
        shutil.move(helper, real)
        helper.write_text(WRAPPER.format(shim=BUILD / "tests" / "fault.so", fault=self.dir / "fault", real=real))
        helper.chmod(0o755)

    def revive(self):
        super().revive()
        os.kill(self.fault.pid, 0)  # it lives
        assert self.fault.pid == self.helper, "the helper was started anew"


@pytest.fixture(scope="module")
def faulty():
    p = FaultyHelper()
    try:
        p.start()
        p.helper = wait_until(lambda: p.fault.pid, 10)
        yield p
    finally:
        p.fault.disarm()
        p.close()


@pytest.mark.parametrize("name", SWEEPS)
def test_every_kth_call_may_fail(faulty, git, name):
    sweep(faulty, git, name, *SWEEPS[name])


def test_it_allocates_nothing(faulty, git):
    """Not in a whole round, nor do its forks."""
    url = git.repository("faults-h-alloc", {"index.html": "static v1"}).url
    fired, count, what = one_k(faulty, url, "h-alloc", ALLOC, 1, errno.ENOMEM)
    assert fired == 0 and count == 0, what
    files = apps.with_version(apps.socket_app(), "v1")
    files["slipway.yaml"] = files["slipway.yaml"].replace("health:", "  worker: {run: [sleep, '1000']}\nhealth:")
    repo, port = git.repository("faults-h-procs", files), git.repository("faults-h-port", apps.with_version(apps.NODE, "v1"))

    def ends(name):
        assert faulty.get(name + ".localhost", "/version").body == b"v1"
        assert faulty.wait_task(faulty.api("DELETE", "/projects/" + name)["task"])["state"] == "done"

    def is_handed_over():
        faulty.create("h-over", repo.url)
        faulty.deploy("h-over")
        faulty.deploy("h-over", force=True)
        faulty.cli("scale", "h-over", "web=3")
        assert faulty.wait_task(faulty.api("POST", "/projects/h-over/rollback", {})["task"])["state"] == "done"
        ends("h-over")

    def is_told():
        faulty.create("h-procs", repo.url)
        faulty.deploy("h-procs")
        for words in (["scale", "h-procs", "web=3"], ["restart", "h-procs"], ["run", "h-procs", "--", "true"], ["stop", "h-procs"], ["start", "h-procs"]):
            faulty.cli(*words)
        ends("h-procs")

    def has_a_relay():
        faulty.create("h-port", port.url)
        faulty.deploy("h-port")
        ends("h-port")

    faulty.fault.arm(ALLOC, 1, errno.ENOMEM, forks=True)
    with concurrent.futures.ThreadPoolExecutor() as pool:  # beside each other: each new worker is watched for ten seconds
        for life in [pool.submit(f) for f in (is_handed_over, is_told, has_a_relay)]:
            life.result()
    assert faulty.fault.count == 0, faulty.fault.what


STARTS = {"alloc": (ALLOC, errno.ENOMEM), "open": (OPEN, errno.EMFILE), "files": (FILES | OWN | LIST, errno.EIO)}


@pytest.mark.parametrize("name", STARTS)
def test_every_kth_call_of_its_start(name):
    """It comes up and serves, or says why not and so does the daemon; without the fault the next start serves."""
    calls, error = STARTS[name]
    p = FaultyHelper()

    def over():
        try:
            return p.process.poll() is not None or p.call("GET", "/health").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def once(k):
        p.fault.arm(calls, k, error)
        p.start(wait=False)
        wait_until(over, 60)
        count, fired, what = p.fault.count, p.fault.fired, p.fault.what
        p.fault.disarm()
        code = p.stop()
        assert count > 0 and code in (0, *range(64, 79)), (k, what, code, p.log_text()[-2000:])
        return fired, count, what

    try:
        fired, highest, _ = once(1 << 60)
        assert not fired
        k = step = 1 if LONG else max(1, highest // 5)
        failed, fired = set(), True
        while fired:
            fired, _, what = once(k)
            k += step
            failed.add(what.split(" ")[0])
        p.start()
        assert "AddressSanitizer" not in p.log_text()
        print(f"the helper's start, {name}: highest k {highest}, stride {step}, failed: {', '.join(sorted(filter(None, failed)))}")
    finally:
        p.fault.disarm()
        p.close()
