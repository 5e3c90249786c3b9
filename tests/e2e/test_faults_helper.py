"""R3, R4: the k-th call of the helper fails, in it and in what it forks before that becomes another program; see faults.py.

The helper is never restarted: whatever fails, it answers and goes on. It allocates nothing once it serves."""
import errno
import os
import shutil

import pytest

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
