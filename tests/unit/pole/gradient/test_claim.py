"""Samples of segments: how large they have to be, and that they are drawn evenly and by each member for itself."""

import math
from collections import Counter

import pytest

from pole.gradient.claim import LEAST_SAMPLE, LONG_BLOCK_SEGMENTS, ballot_seed, cheap_bond_wei, sample, sample_size
from tests.unit.gradient_task import MINER, OTHER_MINER

ETHER = 10**18


@pytest.mark.parametrize(
    ("segments", "members", "bond", "reward", "expected"),
    [
        (1, 3, 1, 1, 0),  # the last is everybody's anyway
        (2, 3, 1, 1, 1),
        (64, 3, 1000, 1, 2),  # never fewer than two
        (64, 3, 35, 1, 2),  # two awake members: p = 1 - (61/63)^2 = 0.0625; 0.0625 * 0.9 * 35 = 1.97 >= 2 * 0.9375
        (64, 3, 32, 1, 3),  # 1.80 < 1.875
        (64, 1, 10, 1, 12),  # p = 12/63 = 0.19; 0.19 * 9 = 1.71 >= 2 * 0.81, and 11/63 gives 1.57 < 1.65
        (64, 21, 10, 1, 2),
        (64, 3, 0, 1, 63),  # a bond of nothing deters nobody: everything is replayed
        (256, 3, 100, 1, 3),
    ],
)
def test_sample_size__is_the_least_that_makes_a_forgery_lose(
    segments: int, members: int, bond: int, reward: int, expected: int
) -> None:
    assert sample_size(segments, members, bond * ETHER, reward * ETHER) == expected


def test_sample__always_holds_the_last_and_as_many_others_as_asked() -> None:
    for segments, count in ((1, 0), (1, 2), (2, 1), (64, 2), (64, 63), (256, 5)):
        drawn = sample(bytes(32), 0, MINER, segments, count)
        assert segments - 1 in drawn
        assert len(drawn) == 1 + min(count, segments - 1)
        assert drawn <= set(range(segments))


def test_sample__depends_on_ballot_entry_and_member() -> None:
    seed = ballot_seed(bytes(32), 1)
    drawn = sample(seed, 0, MINER, 256, 8)
    others = [
        sample(ballot_seed(bytes(32), 2), 0, MINER, 256, 8),
        sample(ballot_seed(bytes(31) + b"\1", 1), 0, MINER, 256, 8),
        sample(seed, 1, MINER, 256, 8),
        sample(seed, 0, OTHER_MINER, 256, 8),
    ]
    assert drawn not in others
    assert drawn == sample(seed, 0, MINER.upper().replace("X", "x"), 256, 8)


def test_sample__every_segment_as_often() -> None:
    """4,000 samples of 2 out of 16: each 500 times, standard deviation 21."""
    counts = Counter(
        segment for ballot in range(4000) for segment in sample(ballot_seed(bytes(32), ballot), 0, MINER, 17, 2)
    )
    assert counts.pop(16) == 4000
    assert len(counts) == 16
    assert all(400 < count < 600 for count in counts.values())


@pytest.mark.parametrize(("members", "rewards"), [(1, 68), (3, 34), (7, 13), (21, 4)])
def test_cheap_bond__is_the_least_with_the_least_sample(members: int, rewards: int) -> None:
    bond_wei = cheap_bond_wei(LONG_BLOCK_SEGMENTS, members, ETHER)
    assert math.ceil(bond_wei / ETHER) == rewards
    assert sample_size(LONG_BLOCK_SEGMENTS, members, bond_wei, ETHER) == LEAST_SAMPLE
    assert sample_size(LONG_BLOCK_SEGMENTS, members, bond_wei - 2, ETHER) == LEAST_SAMPLE + 1
