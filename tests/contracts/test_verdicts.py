"""The pure functions that judge votes: medians, tolerance, packing and ranking."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contracts.rounds import INVALID, Verdict, plain, valid

few = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

ppms = st.integers(0, 1_000_000)
weights = st.integers(1, 10**24)
verdicts = st.one_of(st.just(INVALID), st.tuples(st.just(True), ppms, ppms))


@pytest.fixture(scope="module")
def judging(project: Any, deployer: Any) -> Any:
    return deployer.deploy(project.VerdictHarness)


def slow_lower_median(values: list[int], weighed: list[int]) -> int:
    """By definition: the smallest value such that at least half of the weight is not above it."""
    half = Fraction(sum(weighed), 2)
    return min(v for v in values if sum(w for u, w in zip(values, weighed, strict=True) if u <= v) >= half)


# --- lower median ---


def test_lower_median__nothing__reverts(judging: Any, reverts: Any) -> None:
    with reverts(judging.Empty):
        judging.lowerMedian([], [])


def test_lower_median__no_weight__reverts(judging: Any, reverts: Any) -> None:
    with reverts(judging.Empty):
        judging.lowerMedian([1, 2], [0, 0])


@pytest.mark.parametrize(
    ("values", "weighed", "expected"),
    [
        ([7], [1], 7),
        ([3, 1, 2], [1, 1, 1], 2),
        ([4, 1, 3, 2], [1, 1, 1, 1], 2),  # even: the lower of the two in the middle
        ([1, 2, 3], [1, 1, 5], 3),  # most of the weight on one
        ([1, 2], [5, 5], 1),  # exactly half is enough
        ([0, 9], [0, 1], 9),  # a value without weight is no candidate
        ([2**128 - 1, 0], [2**127, 1], 2**128 - 1),
    ],
)
def test_lower_median__known_values(judging: Any, values: list[int], weighed: list[int], expected: int) -> None:
    assert judging.lowerMedian(values, weighed) == expected


@few
@given(st.lists(st.tuples(ppms, weights), min_size=1, max_size=21))
def test_lower_median__any__agrees_with_the_definition(judging: Any, pairs: list[tuple[int, int]]) -> None:
    values, weighed = [value for value, _ in pairs], [weight for _, weight in pairs]
    assert judging.lowerMedian(values, weighed) == slow_lower_median(values, weighed)


# --- check ---


@pytest.mark.parametrize("verdict", [valid(1_000_001, 0), valid(0, 1_000_001), (False, 1, 0), (False, 0, 1)])
def test_check__impossible_verdict__reverts(judging: Any, reverts: Any, verdict: Verdict) -> None:
    with reverts(judging.InvalidVerdict, entry=1):
        judging.check([valid(1_000_000, 0), verdict])


# --- pack, unpack ---


@few
@given(st.lists(verdicts, min_size=1, max_size=64))
def test_unpack__of_pack__is_the_vote(judging: Any, vote: list[Verdict]) -> None:
    words = judging.pack(vote)
    assert len(words) == -(-len(vote) // 6)
    assert plain(judging.unpack(words, len(vote))) == vote


# --- medians ---


def medians(judging: Any, votes: list[list[Verdict]], weighed: list[int]) -> list[Verdict]:
    return plain(judging.medians([verdict for vote in votes for verdict in vote], weighed))


def test_medians__half_the_weight_says_valid__invalid(judging: Any) -> None:
    assert medians(judging, [[valid(5, 5)], [INVALID]], [10, 10]) == [INVALID]


def test_medians__more_than_half_says_valid__medians_of_those(judging: Any) -> None:
    votes = [[valid(5, 50)], [INVALID], [valid(7, 30)]]
    assert medians(judging, votes, [10, 15, 6]) == [valid(5, 50)]


def test_medians__train_and_test__are_independent(judging: Any) -> None:
    votes = [[valid(1, 9)], [valid(2, 8)], [valid(3, 7)]]
    assert medians(judging, votes, [1, 1, 1]) == [valid(2, 8)]


def test_medians__entries_after_an_invalid_one__are_not_touched_by_it(judging: Any) -> None:
    votes = [[INVALID, valid(10, 20)], [INVALID, valid(30, 40)], [valid(1, 1), valid(50, 60)]]
    assert medians(judging, votes, [1, 1, 1]) == [INVALID, valid(30, 40)]


# --- isWithin ---


@pytest.mark.parametrize(
    ("vote", "is_within"),
    [
        ([valid(100, 200), INVALID], True),
        ([valid(105, 195), INVALID], True),
        ([valid(106, 200), INVALID], False),
        ([valid(100, 194), INVALID], False),
        ([INVALID, INVALID], False),
        ([valid(100, 200), valid(0, 0)], False),
    ],
)
def test_is_within__tolerance_of_five(judging: Any, vote: list[Verdict], is_within: bool) -> None:
    assert judging.isWithin(vote, [valid(100, 200), INVALID], 5) is is_within


# --- best ---


def test_best__ties__earlier_first(judging: Any) -> None:
    assert judging.best([3, 5, 0, 5, 4], 3) == [1, 3, 4]


def test_best__fewer_than_places__only_those(judging: Any) -> None:
    assert judging.best([0, 0, 2, 0], 7) == [2]
    assert judging.best([0, 0], 7) == []


@few
@given(st.lists(st.integers(0, 30), max_size=64), st.integers(1, 7))
def test_best__any__agrees_with_sorting(judging: Any, scores: list[int], places: int) -> None:
    running = [position for position, score in enumerate(scores) if score]
    expected = sorted(running, key=lambda position: (-scores[position], position))[:places]
    assert judging.best(scores, places) == expected
