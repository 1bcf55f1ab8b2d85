"""Draws from a block's hash, on vectors that were drawn word after word with plain integers."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pole.errors import BadInput
from pole.gradient.requirements import (
    coordinates,
    directions,
    paper_requirements,
    step_batches,
    step_requirements,
)
from tests.paths import VECTORS as VECTORS_DIR
from tests.unit.gradient_task import MINER, OTHER_MINER, PREVIOUS_HASH

VECTORS: dict[str, Any] = json.loads((VECTORS_DIR / "gradient.json").read_text())


@pytest.mark.parametrize("length", [0, 31, 33])
def test_paper_requirements__hash_of_wrong_length__is_refused(length: int) -> None:
    with pytest.raises(BadInput, match=f"previous hash has {length} bytes"):
        paper_requirements(bytes(length), 8, 100)


def test_paper_requirements__more_than_there_are_weights__is_refused() -> None:
    with pytest.raises(BadInput, match="cannot draw 11 distinct weights out of 10"):
        paper_requirements(PREVIOUS_HASH, 11, 10)


@pytest.mark.parametrize("miner", ["", "0x11", "miner", "0x" + "zz" * 20])
def test_step_requirements__no_address__is_refused(miner: str) -> None:
    with pytest.raises(BadInput, match="is no address"):
        step_requirements(PREVIOUS_HASH, miner, 1, 1, 24, 100)


@pytest.mark.parametrize(("first", "steps"), [(0, 1), (-1, 1), (1, 0)])
def test_step_requirements__steps_before_the_first__are_refused(first: int, steps: int) -> None:
    with pytest.raises(BadInput, match="steps count from 1"):
        step_requirements(PREVIOUS_HASH, MINER, first, steps, 24, 100)


@pytest.mark.parametrize("case", VECTORS["paper"])
def test_paper_requirements__are_those_drawn_by_hand(case: dict[str, Any]) -> None:
    drawn = paper_requirements(bytes.fromhex(case["previous_hash"][2:]), case["count"], case["weight_count"])
    assert drawn.tolist() == case["requirements"]


@pytest.mark.parametrize("case", VECTORS["steps"])
def test_steps__are_those_drawn_by_hand(case: dict[str, Any]) -> None:
    start = (bytes.fromhex(case["previous_hash"][2:]), case["miner"], case["step"], 1)
    assert step_requirements(*start, 24, case["weight_count"])[0].tolist() == case["requirements"]
    assert step_batches(*start, case["batch_size"], case["rows"])[0].tolist() == case["batch"]


@settings(deadline=None)
@given(st.integers(1, 1 << 40), st.integers(24, 60), st.integers(1, 20), st.data())
def test_steps__drawn_together_or_alone__are_the_same(
    first: int, weights: int, steps: int, data: st.DataObject
) -> None:
    """Few weights, so that many draws collide and leave the fast path."""
    together = step_requirements(PREVIOUS_HASH, MINER, first, steps, 24, weights)
    chosen = data.draw(st.integers(0, steps - 1))
    alone = step_requirements(PREVIOUS_HASH, MINER, first + chosen, 1, 24, weights)
    assert np.array_equal(together[chosen], alone[0])
    for row in together:
        assert len(set(coordinates(row).tolist())) == 24
        assert 0 <= row.min() <= row.max() < 2 * weights


@settings(deadline=None)
@given(st.integers(1, 64), st.integers(0, 100))
def test_batches__are_distinct_rows_in_order(size: int, spare: int) -> None:
    for batch in step_batches(PREVIOUS_HASH, MINER, 1, 5, size, size + spare).tolist():
        assert batch == sorted(set(batch))
        assert 0 <= batch[0] <= batch[-1] < size + spare


def test_requirements__even_increase_and_odd_decrease() -> None:
    drawn = np.array([0, 1, 6, 7])
    assert coordinates(drawn).tolist() == [0, 0, 3, 3]
    assert directions(drawn).tolist() == [1, -1, 1, -1]


def test_requirements__differ_by_hash_miner_and_step() -> None:
    """What binds a proof to its height, its chain and its miner."""
    start = step_requirements(PREVIOUS_HASH, MINER, 1, 2, 24, 10_000)
    others = [
        start[1],
        step_requirements(bytes(32), MINER, 1, 1, 24, 10_000)[0],
        step_requirements(PREVIOUS_HASH, OTHER_MINER, 1, 1, 24, 10_000)[0],
    ]
    for other in others:
        assert not np.array_equal(start[0], other)


def test_requirements__each_direction_and_weight_about_as_often() -> None:
    """24,000 draws over 50 weights: each of 100 values 240 times, standard deviation 11 (without collisions: 15)."""
    drawn = step_requirements(PREVIOUS_HASH, MINER, 1, 1000, 24, 50)
    counts = np.bincount(drawn.reshape(-1), minlength=100)
    assert counts.sum() == 24_000
    assert 180 < counts.min() <= counts.max() < 300
