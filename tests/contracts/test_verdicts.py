"""The pure functions that judge votes: majorities, packing, standing to an outcome, and ranking."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contracts.rounds import GONE, INVALID, UNDECIDED, Kind, Vote, pack, packed, plain, trained, valid

few = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

ppms = st.integers(0, 1_000_000)
weights = st.integers(1, 10**24)
verdicts = st.one_of(
    st.sampled_from([INVALID, GONE, trained(7, Kind.WITHHELD), trained(7), (Kind.WITHHELD, 0, Kind.SCORED, 5)]),
    st.builds(valid, ppms, ppms),
)
NEUTRAL, INSIDE, BLANK, NOISE = range(4)


@pytest.fixture(scope="module")
def judging(project: Any, deployer: Any) -> Any:
    return deployer.deploy(project.VerdictHarness)


def slow_majority(values: list[int], weighed: list[int], total: int) -> list[int]:
    """By definition: the values with more than half of the total."""
    sums: dict[int, int] = defaultdict(int)
    for value, weight in zip(values, weighed, strict=True):
        sums[value] += weight
    return [value for value, weight in sums.items() if 2 * weight > total]


# --- majority ---


@pytest.mark.parametrize(
    ("values", "weighed", "total", "expected"),
    [
        ([7], [1], 1, 7),
        ([], [], 0, None),
        ([], [], 5, None),
        ([3, 1, 3], [1, 1, 1], 3, 3),
        ([3, 1], [5, 5], 10, None),  # exactly half is not enough
        ([3, 1], [6, 5], 11, 3),
        ([3, 1], [6, 5], 12, None),  # what nobody opened counts against
        ([3, 1, 2], [4, 3, 3], 10, None),
        ([0, 9], [5, 4], 9, 0),
        ([9, 0], [4, 5], 9, 0),
        ([1, 2, 3, 4, 5, 6], [1, 1, 1, 1, 1, 6], 11, 6),  # the last one, after all others led
        ([6, 1, 2, 3, 4, 5], [6, 1, 1, 1, 1, 1], 11, 6),
    ],
)
def test_majority__known_values(
    judging: Any, values: list[int], weighed: list[int], total: int, expected: int | None
) -> None:
    is_decided, value = judging.majority(values, weighed, total)
    assert (value if is_decided else None) == expected


@few
@given(st.lists(st.tuples(st.integers(0, 3), weights), max_size=21), st.integers(0, 10**24))
def test_majority__any__agrees_with_the_definition(judging: Any, pairs: list[tuple[int, int]], unknown: int) -> None:
    values, weighed = [value for value, _ in pairs], [weight for _, weight in pairs]
    total = sum(weighed) + unknown
    is_decided, value = judging.majority(values, weighed, total)
    assert ([value] if is_decided else []) == slow_majority(values, weighed, total)


# --- check ---


@pytest.mark.parametrize(
    "word",
    [
        pack(valid(1_000_001, 0)),
        pack(valid(0, 1_000_001)),
        pack(valid(0, 2**24 - 1)),
        pack((Kind.NONE, 0, Kind.SCORED, 1)),  # no verdict on the model at all
        pack((Kind.UNDECIDED, 0, Kind.SCORED, 1)),
        pack((Kind.SCORED, 1, Kind.UNDECIDED, 0)),
        pack((Kind.SCORED, 1, Kind.INVALID, 0)),  # a model is valid or not, whatever it is tested on
        pack((Kind.INVALID, 0, Kind.SCORED, 1)),
        pack((Kind.INVALID, 0, Kind.UNAVAILABLE, 0)),
        pack((Kind.INVALID, 1, Kind.NONE, 0)),
        pack((Kind.UNAVAILABLE, 1, Kind.UNAVAILABLE, 0)),
        pack((Kind.SCORED, 1, Kind.WITHHELD, 1)),
        pack((Kind.SCORED, 1, Kind.NONE, 1)),
        pack(INVALID) + 1,  # a fingerprint of nothing
        pack(INVALID) + (1 << 96),
        pack(valid(1, 1)) + (1 << 192),  # a bit above the parts
        (6 << 184) + pack(trained(1)) % (1 << 96),
        (255 << 184) + pack(trained(1)) % (1 << 96),
    ],
)
def test_check__not_the_one_way_to_write_a_vote__reverts(judging: Any, reverts: Any, word: int) -> None:
    with reverts(judging.InvalidVerdict, entry=1):
        judging.check([pack(valid(1_000_000, 0)), word], 2)


@pytest.mark.parametrize("length", [0, 1, 3])
def test_check__other_than_one_verdict_per_entry__reverts(judging: Any, reverts: Any, length: int) -> None:
    with reverts(judging.WrongVerdictCount, given=length, needed=2):
        judging.check([pack(INVALID)] * length, 2)


@few
@given(st.lists(verdicts, min_size=1, max_size=64))
def test_check__any_possible_vote__passes(judging: Any, vote: Vote) -> None:
    judging.check(packed(vote), len(vote))


# --- compress, expand ---


@few
@given(st.lists(st.one_of(verdicts, st.just(UNDECIDED)), min_size=1, max_size=64))
def test_expand__of_compress__is_the_outcome(judging: Any, outcome: Vote) -> None:
    words = judging.compress(packed(outcome))
    assert len(words) == -(-len(outcome) // 6)
    assert plain(judging.expand(words, len(outcome))) == outcome


# --- decide ---


def decide(judging: Any, votes: Sequence[Vote], weighed: list[int], unknown: int = 0) -> list[int]:
    lists = [packed(vote) for vote in votes]
    return list(judging.decide(lists, weighed, sum(weighed) + unknown, len(votes[0])))


def test_decide__half_the_weight_says_valid__undecided(judging: Any) -> None:
    train, test = UNDECIDED[0] << 88 + 96, UNDECIDED[0] << 88
    assert decide(judging, [[valid(5, 5)], [INVALID]], [10, 10]) == [train + test]


def test_decide__weight_of_votes_that_nobody_opened__counts_against(judging: Any) -> None:
    votes: list[Vote] = [[valid(5, 5)], [valid(5, 5)]]
    assert decide(judging, votes, [6, 5], 10) == [pack(valid(5, 5))]
    assert decide(judging, votes, [6, 5], 11) == [pack(UNDECIDED)]


def test_decide__parts__are_independent(judging: Any) -> None:
    votes: list[Vote] = [[valid(5, 50)], [valid(5, 60)], [valid(5, 70)]]
    assert decide(judging, votes, [1, 1, 1]) == [pack((Kind.SCORED, 5, Kind.UNDECIDED, 0))]
    votes = [[valid(5, 50)], [valid(6, 50)], [valid(7, 50)]]
    assert decide(judging, votes, [1, 1, 1]) == [pack((Kind.UNDECIDED, 0, Kind.SCORED, 50))]


def test_decide__parts_and_entries__can_come_from_different_votes(judging: Any) -> None:
    votes: list[Vote] = [[valid(1, 9), INVALID], [valid(1, 8), GONE], [valid(2, 8), INVALID]]
    assert decide(judging, votes, [1, 1, 1]) == packed([valid(1, 8), INVALID])


def test_decide__same_score_of_other_predictions__is_another_value(judging: Any) -> None:
    votes: list[Vote] = [[pack(valid(5, 5))], [pack(valid(5, 5), root=bytes(32))]]
    assert decide(judging, votes, [3, 3]) == [pack(UNDECIDED)]
    assert decide(judging, votes, [3, 4]) == [pack(valid(5, 5), root=bytes(32))]


@pytest.mark.parametrize("classes", [3, 4, 21])
def test_decide__21_votes_of_several_classes__only_what_more_than_half_share(judging: Any, classes: int) -> None:
    """Each class has its own view of the first entry; of the second, all but one class agree."""
    votes: list[Vote] = [[valid(i % classes, 5), valid(8, 8) if i % classes else INVALID] for i in range(21)]
    first, second = decide(judging, votes, [1] * 21)
    assert first == pack((Kind.UNDECIDED, 0, Kind.SCORED, 5))
    assert second == pack(valid(8, 8))


@few
@given(st.data())
def test_decide__any__agrees_with_the_definition_and_not_with_the_order(judging: Any, data: st.DataObject) -> None:
    few_verdicts = st.sampled_from([INVALID, GONE, valid(1, 1), valid(1, 2), trained(1, Kind.WITHHELD)])
    votes = data.draw(st.lists(st.lists(few_verdicts, min_size=3, max_size=3), min_size=1, max_size=7))
    weighed = data.draw(st.lists(weights, min_size=len(votes), max_size=len(votes)))
    unknown = data.draw(st.integers(0, 10**24))
    decided = decide(judging, votes, weighed, unknown)
    total = sum(weighed) + unknown
    for entry, word in enumerate(decided):
        for shift in (0, 96):
            parts = [(pack(vote[entry]) >> shift) % (1 << 96) for vote in votes]
            expected = slow_majority(parts, weighed, total) or [Kind.UNDECIDED << 88]
            assert [(word >> shift) % (1 << 96)] == expected
    assert decide(judging, votes[::-1], weighed[::-1], unknown) == decided


# --- stance ---


@pytest.mark.parametrize(
    ("vote", "outcome", "expected"),
    [
        ([valid(1, 2), INVALID], [valid(1, 2), INVALID], INSIDE),
        ([valid(1, 2), INVALID], [valid(1, 2), UNDECIDED], INSIDE),
        ([valid(1, 2), INVALID], [UNDECIDED, UNDECIDED], NEUTRAL),
        ([valid(1, 2), INVALID], [GONE, GONE], NEUTRAL),  # it had what most had not: no fault, no merit
        ([GONE, INVALID], [GONE, INVALID], INSIDE),
        ([GONE, INVALID], [valid(1, 2), INVALID], BLANK),
        ([GONE, GONE], [valid(1, 2), GONE], BLANK),
        ([GONE, GONE], [UNDECIDED, GONE], NEUTRAL),
        ([GONE, valid(1, 3)], [valid(1, 2), valid(1, 2)], NOISE),
        ([valid(1, 3), GONE], [valid(1, 2), valid(1, 2)], NOISE),
        ([trained(1, Kind.WITHHELD)], [valid(1, 2)], BLANK),
        ([valid(1, 2)], [trained(1, Kind.WITHHELD)], INSIDE),
        ([valid(2, 2)], [trained(1, Kind.WITHHELD)], NOISE),
        ([valid(1, 2)], [(Kind.SCORED, 1, Kind.UNDECIDED, 0)], INSIDE),
        ([valid(2, 2)], [(Kind.UNDECIDED, 0, Kind.SCORED, 2)], INSIDE),
        ([trained(1)], [(Kind.UNDECIDED, 0, Kind.NONE, 0)], NEUTRAL),  # that there is no test set, everybody knows
        ([valid(1, 2)], [trained(1)], NOISE),
        ([(Kind.WITHHELD, 0, Kind.NONE, 0)], [GONE], NEUTRAL),
        ([INVALID], [valid(0, 0)], NOISE),
        ([valid(0, 0)], [INVALID], NOISE),
    ],
)
def test_stance__known_votes(judging: Any, vote: Vote, outcome: Vote, expected: int) -> None:
    assert judging.stance(packed(vote), packed(outcome)) == expected


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
