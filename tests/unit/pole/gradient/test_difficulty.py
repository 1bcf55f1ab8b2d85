"""The threshold of sign digests: shared vectors with Solidity, its properties, and what the retarget achieves."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.simulate_retarget import MAX_VARIATION, MEAN_TOLERANCE, Outcome, Setup, simulate, thresholds
from pole.gradient.difficulty import HALF_LIFE_INTERVALS, MAX_THRESHOLD, threshold
from tests.paths import VECTORS as VECTORS_DIR

VECTORS: list[dict[str, int]] = json.loads((VECTORS_DIR / "difficulty.json").read_text())

initials = st.integers(1, MAX_THRESHOLD)
times_s = st.integers(0, 2**32)
targets_s = st.integers(1, 2**32 - 1)


@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_threshold__shared_vector__is_soliditys(vector: dict[str, int]) -> None:
    arguments = [vector[name] for name in ("initial", "searchedS", "scheduledS", "targetIntervalS")]
    assert threshold(*arguments) == vector["threshold"]


@pytest.mark.parametrize(
    ("behind_intervals", "expected"),
    [
        (0, 1_000),
        (1, 2_000),
        (2, 4_000),
        (-1, 500),
        (-2, 250),
        (13, 8_192_000),
        (15, MAX_THRESHOLD),
        (-10, 1),
        (-30, 1),
    ],
)
def test_threshold__whole_half_lives__are_powers_of_two(behind_intervals: int, expected: int) -> None:
    target_s, scheduled_s = 60, 60 * 1_000
    behind_s = behind_intervals * HALF_LIFE_INTERVALS * target_s
    found = threshold(1_000, scheduled_s + behind_s, scheduled_s, target_s)
    assert found == (expected if expected > 1 else max(1, 1_000 >> -behind_intervals))


@given(initials, times_s, times_s, targets_s)
def test_threshold__any_arguments__is_in_range_and_as_the_real_number(
    initial: int, searched_s: int, scheduled_s: int, target_s: int
) -> None:
    found = threshold(initial, searched_s, scheduled_s, target_s)
    doublings = (searched_s - scheduled_s) / (HALF_LIFE_INTERVALS * target_s)
    exact = min(max(initial * 2.0 ** min(max(doublings, -60), 60), 1), MAX_THRESHOLD)
    assert 1 <= found <= MAX_THRESHOLD
    assert abs(found - exact) <= 1 + 2e-5 * exact


@given(initials, times_s, times_s, targets_s, st.integers(0, 10_000))
def test_threshold__later__is_never_lower(
    initial: int, searched_s: int, scheduled_s: int, target_s: int, more_s: int
) -> None:
    sooner = threshold(initial, searched_s, scheduled_s, target_s)
    assert threshold(initial, searched_s + more_s, scheduled_s, target_s) >= sooner


# --- the simulation that chose the half-life ------------------------------------------------------------------------


def outcome(**changes: Any) -> Outcome:
    return simulate(dataclasses.replace(Setup(chains=400, seed=20261121), **changes))


def test_simulation__its_thresholds__are_the_chains() -> None:
    setup = Setup(target_interval_s=12)
    searched_s, done = np.arange(0, 3_000, 7), np.full(429, 100)
    expected = [threshold(setup.initial_threshold, int(each), 1_200, 12) for each in searched_s]
    assert np.abs(thresholds(setup, searched_s, done) - expected).max() <= 1 + 2e-5 * MAX_THRESHOLD


@pytest.mark.parametrize("target_s", [3, 12])
@pytest.mark.parametrize("initial_error", [0.25, 4.0])
def test_intervals__threshold_four_times_wrong_at_the_start__keep_to_the_target_in_every_chain(
    target_s: int, initial_error: float
) -> None:
    found = outcome(target_interval_s=target_s, initial_error=initial_error)
    assert np.abs(found.means() - 1).max() < MEAN_TOLERANCE
    assert found.variations().max() < MAX_VARIATION


@pytest.mark.parametrize("power_factor", [4.0, 0.25])
def test_intervals__power_changes_fourfold__are_back_within_twenty_blocks(power_factor: float) -> None:
    found = outcome(power_factor=power_factor, chains=1_000)
    before, after = found.relative(81, 100).mean(), found.relative(101, 103).mean()
    assert before == pytest.approx(1, abs=0.05)
    assert (after < 0.6) if power_factor > 1 else (after > 1.5)
    assert 0 < found.recovery_blocks() <= 20


def test_intervals__no_step_is_lucky__end_all_the_same() -> None:
    """A hundredth of the power that the threshold was set for: the decay alone brings every chain back."""
    found = outcome(initial_error=0.01, chains=100)
    assert found.relative(1, 3).mean() > 2
    assert found.relative(60, 200).mean() == pytest.approx(1, abs=MEAN_TOLERANCE)


def test_recovery__half_life_of_eight_intervals__takes_more_than_twenty_blocks() -> None:
    assert outcome(half_life_intervals=8, power_factor=4.0, chains=1_000).recovery_blocks() > 20


def test_rivals__longer_intervals__are_fewer() -> None:
    assert outcome(target_interval_s=3).rivals.mean() > 2 * outcome(target_interval_s=24).rivals.mean()
