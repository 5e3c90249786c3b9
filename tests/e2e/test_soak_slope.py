"""How soak.py judges, on rows of numbers: a slow leak is found in noise, noise and one step are none. SLIPWAY_LONG=1: leaks planted beside a real
platform, found; `tools/check-long soak` is the half hour itself."""
import os
import random

import pytest

import soak
from harness import BUILD, GitServer, Platform

LONG = bool(os.environ.get("SLIPWAY_LONG"))


def samples(**rows):
    rows = {"store, KB": [400] * 190, **rows}
    return [dict(zip(rows, values)) for values in zip(*rows.values())]


def grown(seen):
    return [name for name, *_, fine in soak.judge(seen) if not fine]


def test_a_slow_leak_is_found_in_noise():
    noise = random.Random(1)
    for every in (5, 20, 50):  # one more after so many deploys
        assert grown(samples(descriptors=[40 + n // every + noise.choice((0, 0, 1)) for n in range(190)])) == ["descriptors"], every
    assert grown(samples(**{"memory of the keeper, KB": [464 + n + noise.randrange(8) for n in range(190)]})) == ["memory of the keeper, KB"]
    assert grown(samples(**{"memory of the daemon, KB": [5000 + 2 * n for n in range(190)]})) == ["memory of the daemon, KB"]


def test_noise_a_step_and_what_a_store_keeps_are_none():
    noise = random.Random(2)
    assert grown(samples(descriptors=[40 + noise.choice((0, 0, 1, 3)) for _ in range(190)], threads=[8] * 20 + [9] * 170)) == []
    assert grown(samples(**{"store, KB": [400 + 4 * n for n in range(190)], "memory of the daemon, KB": [5000 + 10 * n for n in range(190)]})) == []


@pytest.mark.skipif(not LONG, reason="two platforms for two minutes each: SLIPWAY_LONG=1")
@pytest.mark.parametrize("plant,found", [("files", "files"), ("streams", "descriptors of the daemon")])
def test_a_planted_leak_is_found(plant, found):
    platform, git = Platform(build=BUILD), GitServer()
    try:
        seen, visitor, _ = soak.soak(platform.start(), git, 0.2, soak.WARM + 12, plant)
        assert found in grown(seen) and not visitor.bad, (grown(seen), visitor.bad)
    finally:
        platform.close()
        git.close()
