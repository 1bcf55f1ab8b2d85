"""CheckRequirements to the letter, and the sign digest, on cases worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pole.gradient.rules import check_requirements, is_accepted, least_digest, sign_digest

BEFORE = np.array([0.0, 1.0, -1.0, 2.0], dtype=np.float32)
AFTER = np.array([0.5, 0.5, -1.0, 2.5], dtype=np.float32)  # up, down, still, up


@pytest.mark.parametrize(
    ("requirements", "holds"),
    [
        ([], True),
        ([0], True),  # weight 0 must increase, does
        ([1], False),  # weight 0 must decrease, increases
        ([2], False),
        ([3], True),
        ([4], True),  # weight 2 stands still: as published, that satisfies any requirement
        ([5], True),
        ([0, 3, 4, 6], True),
        ([0, 3, 5, 7], False),
        ([6, 1], False),
    ],
)
def test_check_requirements__is_algorithm_1(requirements: list[int], holds: bool) -> None:
    assert check_requirements(BEFORE, AFTER, requirements) is holds


def test_check_requirements__nothing_moved__satisfies_everything_as_published() -> None:
    assert check_requirements(BEFORE, BEFORE.copy(), range(8))


@pytest.mark.parametrize(
    ("changes", "directions", "borders", "digest"),
    [
        ([1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0], 0b0000),
        ([1, 1, 1, 1], [-1, 1, 1, 1], [0, 0, 0, 0], 0b1000),
        ([1, -1, 1, -1], [1, 1, 1, 1], [0, 0, 0, 0], 0b0101),
        ([0, 1, 1, 0], [1, 1, 1, -1], [0, 0, 0, 0], 0b1001),  # no change is a violation
        ([3, 2, 2.5, -3], [1, 1, 1, -1], [2, 2, 2, 2], 0b0100),  # at the border is not beyond it
        ([float("nan"), 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0], 0b1000),
        ([1, 1, 1, 1], [1, 1, 1, 1], [0, 0, float("nan"), 0], 0b0010),
    ],
)
def test_sign_digest__counts_violations_from_the_highest_bit(
    changes: list[float], directions: list[float], borders: list[float], digest: int
) -> None:
    assert sign_digest(np.array(changes), np.array(directions), np.array(borders)) == digest


def test_sign_digest__of_24_violations__is_the_largest() -> None:
    assert sign_digest(-np.ones(24), np.ones(24), np.zeros(24)) == (1 << 24) - 1


@given(st.lists(st.floats(-1, 1), min_size=24, max_size=24), st.floats(0, 0.5), st.floats(0, 0.5))
def test_sign_digest__with_a_smaller_border__has_no_other_violations(
    changes: list[float], one: float, other: float
) -> None:
    """Why a verifier, who looks with half of the miner's margin, sees no violation that the miner did not claim."""
    values, up = np.array(changes), np.ones(24)
    narrow, wide = (sign_digest(values, up, np.full(24, border)) for border in sorted((one, other)))
    assert narrow & ~wide == 0
    assert narrow <= wide


@given(
    st.lists(st.floats(-1, 1, width=32), min_size=24, max_size=24),
    st.lists(st.floats(-1, 1), min_size=24, max_size=24),
)
def test_least_digest__of_rounded_movements__never_exceeds_the_sign_digest(
    weights: list[float], changes: list[float]
) -> None:
    before, change, up = np.array(weights, dtype=np.float32), np.array(changes), np.ones(24, dtype=np.float32)
    movements = (before + change).astype(np.float32) - before
    assert least_digest(movements, up) <= sign_digest(change, up, np.zeros(24))


@pytest.mark.parametrize(
    ("recomputed", "claimed", "threshold", "holds"),
    [(5, 5, 6, True), (4, 5, 6, True), (6, 5, 7, False), (5, 6, 6, False), (0, 0, 1, True), (0, 0, 0, False)],
)
def test_is_accepted__recomputed_up_to_claimed_below_threshold(
    recomputed: int, claimed: int, threshold: int, holds: bool
) -> None:
    assert is_accepted(recomputed, claimed, threshold) is holds
