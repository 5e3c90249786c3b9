"""minitwit-load judges MiniTwit, and is judged itself: with a fault planted between it and the program it must say so, and which.
SLIPWAY_LONG=1: one message in 100,000."""
import importlib.util
import itertools
import os

import pytest

from harness import SANITIZED, TOP
from minitwit_project import Load

spec = importlib.util.spec_from_file_location("contract", TOP / "apps/minitwit/tests/contract.py")
contract = importlib.util.module_from_spec(spec)
spec.loader.exec_module(contract)

LONG = bool(os.environ.get("SLIPWAY_LONG"))
COUNT = 2000
DROP = 50000 if LONG else 300
UNHURRIED = ("--late", 60000)  # a busy machine is no fault of what is judged here


@pytest.fixture(scope="module")
def program():
    site = contract.Site(SANITIZED / "apps/minitwit/minitwit")
    yield site.processes[0][1]
    site.close()


SEEDS = itertools.count(1)  # the same choices at every run; other names in each, for they share a program


def judge(port, *args):
    load = Load(port, "--persons", 12, "--connections", 16, "--seed", next(SEEDS), *UNHURRIED, *args, host="localhost")
    seen = load.end()
    assert seen["failed"] == 0, load.text
    return load.code, seen


def wrong(seen):
    return {k.removeprefix("wrong_") for k, v in seen.items() if k.startswith("wrong_") and v}


@pytest.mark.parametrize("how", [(), ("--keep",), ("--rate", 800, "--registrations", 20)], ids=["closed", "kept", "open"])
def test_every_answer_is_right(program, how):
    code, seen = judge(program, "--count", COUNT, *how)
    assert (code, seen["wrong"], seen["requests"], seen["right"]) == (0, 0, COUNT, COUNT), seen["examples"]
    assert seen["audited"] == 2 * seen["persons"] and seen["messages"] > COUNT // 10
    assert all(kind["answers"] for name, kind in seen["kinds"].items() if name not in ("register", "refused"))
    assert [v["version"] for v in seen["versions"]] == ["1.0"]


@pytest.mark.parametrize("fault", ["stale:100", "order:100"])
def test_a_planted_fault_is_found(program, fault):
    code, seen = judge(program, "--count", COUNT, "--plant", fault)
    assert code == 1 and wrong(seen) == {fault.split(":")[0]}, (fault, seen["examples"])


def test_one_dropped_message_is_found(program):
    code, seen = judge(program, "--count", DROP * 20 // 3, "--plant", f"drop:{DROP}")
    assert code == 1 and seen["messages"] >= DROP
    assert wrong(seen) and wrong(seen) <= {"missing", "stale"}, seen["examples"]
