"""VerifierCommittee, advance and tally: quorum, what is decided, penalties and what they pay."""

from typing import Any

import pytest

from tests.contracts.ballots.conftest import FEE_WEI, REFUND_ACCOUNT, VOTE, Count
from tests.contracts.rounds import (
    ESCROW,
    GONE,
    INVALID,
    MIN_STAKE_WEI,
    SALT,
    STAKE,
    UNDECIDED,
    BallotPhase,
    Fault,
    Kind,
    Vote,
    commit_vote,
    outcome_digest,
    outcome_of,
    pack,
    packed,
    reveal_vote,
    trained,
    valid,
    vote_on,
)

WINDOW_S = 120
ABSENCE_WEI = MIN_STAKE_WEI // 20
NOISE_WEI = MIN_STAKE_WEI // 5
OTHER = [valid(950_000, 900_001), INVALID]
HALF_SCORED: tuple[Kind, int, Kind, int] = (Kind.SCORED, 950_000, Kind.UNDECIDED, 0)


def reveal_all(committee: Any, commitments: Any, ballot_id: int, votes: dict[Any, Vote]) -> None:
    for verifier, vote in votes.items():
        reveal_vote(committee, commitments, ballot_id, verifier, vote)


def refunded_wei(reservoir: Any, chain_account: Any) -> int:
    """What came back to the chain."""
    return int(reservoir.balanceOf(reservoir.keeperOf(chain_account), ESCROW, REFUND_ACCOUNT))


def phase(committee: Any, ballot_id: int) -> BallotPhase:
    return BallotPhase(committee.ballot(ballot_id).phase)


def stakes_wei(committee: Any, verifiers: list[Any]) -> list[int]:
    return [committee.verifier(verifier).stakeWei for verifier in verifiers]


def test_advance__unknown_ballot__reverts(seated: Any, stranger: Any, reverts: Any) -> None:
    with reverts(seated.NotDue, ballotId=5, phase=BallotPhase.NONE, deadline=0):
        seated.advance(5, sender=stranger)


def test_advance__before_anybody_voted__reverts(seated: Any, ballot_id: int, stranger: Any, reverts: Any) -> None:
    deadline = seated.ballot(ballot_id).deadline
    with reverts(seated.NotDue, ballotId=ballot_id, phase=BallotPhase.COMMIT, deadline=deadline):
        seated.advance(ballot_id, sender=stranger)


def test_advance__closed_ballot__reverts(
    seated: Any, ballot_id: int, verifiers: list[Any], commitments: Any, stranger: Any, reverts: Any
) -> None:
    vote_on(seated, commitments, ballot_id, dict.fromkeys(verifiers, VOTE))
    with reverts(seated.NotDue, ballotId=ballot_id, phase=BallotPhase.CLOSED, deadline=0):
        seated.advance(ballot_id, sender=stranger)


def test_advance__all_committed__reveal_starts_at_once(
    seated: Any, ballot_id: int, verifiers: list[Any], cast: Any, stranger: Any
) -> None:
    cast(dict.fromkeys(verifiers, VOTE))
    assert seated.isDue(ballot_id)
    receipt = seated.advance(ballot_id, sender=stranger)
    assert phase(seated, ballot_id) == BallotPhase.REVEAL
    deadline = receipt.timestamp + WINDOW_S
    assert seated.BallotPhaseChanged(ballot_id, BallotPhase.REVEAL, deadline) in receipt.events
    assert stakes_wei(seated, verifiers) == [MIN_STAKE_WEI] * 4


def test_advance__all_agree__closes_and_shares_the_fee(
    seated: Any, ballot_id: int, verifiers: list[Any], commitments: Any, reservoir: Any, money: Any
) -> None:
    vote_on(seated, commitments, ballot_id, dict.fromkeys(verifiers, VOTE))
    assert phase(seated, ballot_id) == BallotPhase.CLOSED
    assert outcome_of(seated, ballot_id) == VOTE
    assert [reservoir.creditOf(verifier) for verifier in verifiers] == [FEE_WEI // 4] * 4
    assert [seated.verifier(verifier).openBallots for verifier in verifiers] == [0] * 4
    assert not seated.isDue(ballot_id)
    money(reservoir)


def test_advance__one_noisy_vote__pays_those_inside(
    seated: Any, count: Count, verifiers: list[Any], reservoir: Any, money: Any
) -> None:
    count.reveal(dict.fromkeys(verifiers, VOTE) | {verifiers[1]: OTHER})
    count.tally(*verifiers)
    assert count.outcome == VOTE
    assert count.stakes_lost_wei() == [0, NOISE_WEI, 0, 0]
    shares_wei = [reservoir.creditOf(verifier) for verifier in verifiers]
    assert shares_wei[1] == 0
    assert sum(shares_wei) == FEE_WEI + NOISE_WEI
    assert max(shares_wei) - min(shares_wei[:1] + shares_wei[2:]) <= 2
    # Its stake is under the minimum now, but over the floor: it keeps its seat, and may add to it.
    assert seated.verifier(verifiers[1]).isSeated
    seated.stake(sender=verifiers[1], value=1)
    assert seated.verifier(verifiers[1]).stakeWei == MIN_STAKE_WEI - NOISE_WEI + 1
    money(reservoir)


@pytest.mark.parametrize(
    "noise",
    [
        [valid(949_999, 900_000), INVALID],  # one row
        [VOTE[0], valid(1, 1)],
        [VOTE[0], (Kind.UNAVAILABLE, 0, Kind.NONE, 0)],  # lacks a model that others found bad
        [pack(VOTE[0], root=SALT), INVALID],  # the same scores, other predictions
    ],
)
def test_tally__any_difference__is_noise_or_blank(count: Count, verifiers: list[Any], noise: Vote) -> None:
    is_blank = noise[1] == (Kind.UNAVAILABLE, 0, Kind.NONE, 0)
    count.reveal(dict.fromkeys(verifiers, VOTE) | {verifiers[0]: noise})
    count.tally(*verifiers)
    assert count.outcome == VOTE
    assert count.stakes_lost_wei() == [ABSENCE_WEI if is_blank else NOISE_WEI, 0, 0, 0]


# --- tally: when, and with which lists ---


def test_tally__commit_phase__reverts(seated: Any, ballot_id: int, stranger: Any, reverts: Any) -> None:
    expected = {"ballotId": ballot_id, "phase": BallotPhase.COMMIT, "needed": BallotPhase.OPENING}
    with reverts(seated.WrongBallotPhase, **expected):
        seated.tally(ballot_id, [packed(VOTE)], sender=stranger)


def test_tally__reveal_not_due__reverts(
    seated: Any, revealing: int, commitments: Any, verifiers: list[Any], stranger: Any, reverts: Any
) -> None:
    reveal_all(seated, commitments, revealing, dict.fromkeys(verifiers[:2], VOTE))
    deadline = seated.ballot(revealing).deadline
    with reverts(seated.NotDue, ballotId=revealing, phase=BallotPhase.REVEAL, deadline=deadline):
        seated.tally(revealing, [packed(VOTE)], sender=stranger)


def test_tally__quorum_of_reveals_missed__extends(
    seated: Any, revealing: int, commitments: Any, verifiers: list[Any], chain: Any, stranger: Any
) -> None:
    reveal_all(seated, commitments, revealing, dict.fromkeys(verifiers[:1], VOTE))
    chain.mine(timestamp=seated.ballot(revealing).deadline)
    seated.tally(revealing, [packed(VOTE)], sender=stranger)
    assert (phase(seated, revealing), seated.ballot(revealing).extensions) == (BallotPhase.REVEAL, 1)


def test_tally__all_agree__one_list_closes_at_once(count: Count, verifiers: list[Any], stranger: Any) -> None:
    count.reveal(dict.fromkeys(verifiers, VOTE))
    assert count.phase == BallotPhase.OPENING
    receipt = count.tally(verifiers[2], sender=stranger)
    assert (count.phase, count.outcome) == (BallotPhase.CLOSED, VOTE)
    assert outcome_digest(count.committee, count.ballot_id) == count.digest(VOTE)
    assert count.committee.BallotTallied(count.ballot_id, count.digest(VOTE), packed(VOTE)) in receipt.events


def test_tally__closed__reverts(seated: Any, count: Count, verifiers: list[Any], reverts: Any) -> None:
    count.reveal(dict.fromkeys(verifiers, VOTE))
    count.tally(*verifiers)
    expected = {"ballotId": count.ballot_id, "phase": BallotPhase.CLOSED, "needed": BallotPhase.OPENING}
    with reverts(seated.WrongBallotPhase, **expected):
        count.tally(*verifiers)


def test_tally__tallier_omits_a_revealed_list_in_the_window__reverts(
    seated: Any, count: Count, verifiers: list[Any], reverts: Any
) -> None:
    """Not even with a majority of the weight: the others may have something to say for themselves."""
    count.reveal(dict.fromkeys(verifiers, VOTE) | {verifiers[3]: OTHER})
    with reverts(seated.MissingList, ballotId=count.ballot_id, digest=count.digest(OTHER)):
        count.tally(*verifiers[:3])


def test_tally__tallier_omits_an_opened_list_after_the_window__reverts(
    seated: Any, count: Count, verifiers: list[Any], reverts: Any
) -> None:
    count.reveal(dict.fromkeys(verifiers, VOTE) | {verifiers[3]: OTHER})
    count.open(verifiers[0], verifiers[3])
    count.pass_deadline()
    for omitted, given in ((OTHER, verifiers[0]), (VOTE, verifiers[3])):
        with reverts(seated.MissingList, ballotId=count.ballot_id, digest=count.digest(omitted)):
            count.tally(given)
    with reverts(seated.MissingList, ballotId=count.ballot_id, digest=count.digest(VOTE)):
        seated.advance(count.ballot_id, sender=verifiers[0])


def test_tally__list_not_opened_in_time__reverts(seated: Any, count: Count, verifiers: list[Any], reverts: Any) -> None:
    count.reveal(dict.fromkeys(verifiers, VOTE) | {verifiers[3]: OTHER})
    count.open(verifiers[0])
    count.pass_deadline()
    with reverts(seated.UncountedList, ballotId=count.ballot_id, digest=count.digest(OTHER)):
        count.tally(verifiers[0], verifiers[3])


def test_tally__list_that_nobody_revealed__reverts(
    seated: Any, count: Count, verifiers: list[Any], reverts: Any
) -> None:
    count.reveal(dict.fromkeys(verifiers, VOTE))
    with reverts(seated.UncountedList, ballotId=count.ballot_id, digest=count.digest(OTHER)):
        seated.tally(count.ballot_id, [packed(VOTE), packed(OTHER)], sender=verifiers[0])


def test_tally__same_list_twice__reverts(seated: Any, count: Count, verifiers: list[Any], reverts: Any) -> None:
    count.reveal(dict.fromkeys(verifiers, VOTE))
    with reverts(seated.UncountedList, ballotId=count.ballot_id, digest=count.digest(VOTE)):
        seated.tally(count.ballot_id, [packed(VOTE), packed(VOTE)], sender=verifiers[0])


def test_tally__impossible_verdict__reverts(seated: Any, count: Count, verifiers: list[Any], reverts: Any) -> None:
    count.reveal(dict.fromkeys(verifiers, VOTE) | {verifiers[0]: [VOTE[0], valid(1_000_001, 0)]})
    with reverts(seated.InvalidVerdict, entry=1):
        count.tally(*verifiers)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_tally__whoever_and_in_whatever_order__the_outcome_is_one(
    seated: Any, count: Count, verifiers: list[Any], accounts: Any, order: tuple[int, ...]
) -> None:
    votes: list[Vote] = [VOTE, OTHER, [GONE, INVALID], [GONE, INVALID]]
    count.reveal(dict(zip(verifiers, votes, strict=True)))
    count.open(*verifiers[:3])
    count.pass_deadline()
    lists = [packed(votes[place]) for place in order]
    seated.tally(count.ballot_id, lists, sender=accounts[20 + order[0]])
    assert count.outcome == [UNDECIDED, INVALID]
    # Whoever differs on the decided entry: nobody. Who had no model is right about what was decided.
    assert count.stakes_lost_wei() == [0] * 4


# --- tally: what nobody opened ---


def test_tally__vote_that_nobody_opened__is_noise(
    seated: Any, count: Count, verifiers: list[Any], reservoir: Any, money: Any
) -> None:
    count.reveal(dict.fromkeys(verifiers, VOTE) | {verifiers[3]: OTHER})
    count.open(verifiers[0])
    count.pass_deadline()
    assert seated.isDue(count.ballot_id)
    count.tally(verifiers[0])
    assert (count.outcome, count.stakes_lost_wei()) == (VOTE, [0, 0, 0, NOISE_WEI])
    assert sum(reservoir.creditOf(verifier) for verifier in verifiers[:3]) == FEE_WEI + NOISE_WEI
    money(reservoir)


def test_tally__half_the_weight_is_not_opened__nothing_is_decided(
    count: Count, verifiers: list[Any], reservoir: Any, chain_account: Any, money: Any
) -> None:
    count.reveal(dict.fromkeys(verifiers[:2], VOTE) | dict.fromkeys(verifiers[2:], OTHER))
    count.open(verifiers[0])
    count.pass_deadline()
    count.tally(verifiers[0])
    assert count.outcome == [UNDECIDED, UNDECIDED]
    assert count.stakes_lost_wei() == [0] * 4
    assert [reservoir.creditOf(verifier) for verifier in verifiers] == [0] * 4
    assert refunded_wei(reservoir, chain_account) == FEE_WEI
    money(reservoir)


def test_advance__nobody_opened_anything__closes_with_nothing_decided(
    seated: Any, count: Count, verifiers: list[Any], reservoir: Any, chain_account: Any, reverts: Any
) -> None:
    count.reveal(dict.fromkeys(verifiers, VOTE))
    deadline = seated.ballot(count.ballot_id).deadline
    with reverts(seated.NotDue, ballotId=count.ballot_id, phase=BallotPhase.OPENING, deadline=deadline):
        seated.advance(count.ballot_id, sender=verifiers[0])
    count.pass_deadline()
    seated.advance(count.ballot_id, sender=verifiers[0])
    assert (count.phase, count.outcome) == (BallotPhase.CLOSED, [UNDECIDED, UNDECIDED])
    assert count.stakes_lost_wei() == [0] * 4
    assert refunded_wei(reservoir, chain_account) == FEE_WEI


# --- tally: split votes ---


def test_tally__four_classes__each_part_by_its_own_majority(
    seated: Any, count: Count, verifiers: list[Any], reservoir: Any, chain_account: Any, money: Any
) -> None:
    """D4: everybody misses one part or another. Nobody was shown to be noise, and nobody profits."""
    votes: list[Vote] = [
        [valid(1, 1), valid(3, 4)],
        [valid(2, 1), valid(3, 3)],
        [valid(1, 2), valid(3, 3)],
        [valid(1, 1), valid(2, 3)],
    ]
    count.reveal(dict(zip(verifiers, votes, strict=True)))
    count.tally(*verifiers)
    assert count.outcome == [valid(1, 1), valid(3, 3)]
    assert count.stakes_lost_wei() == [0] * 4
    assert [reservoir.creditOf(verifier) for verifier in verifiers] == [0] * 4
    assert refunded_wei(reservoir, chain_account) == FEE_WEI
    assert len(seated.seated()) == 4
    money(reservoir)


def test_tally__nobody_inside_and_one_absent__the_penalty_returns(
    seated: Any, count: Count, verifiers: list[Any], reservoir: Any, chain_account: Any, money: Any
) -> None:
    votes: list[Vote] = [[valid(1, 1), valid(3, 4)], [valid(2, 1), valid(3, 3)], [valid(1, 2), valid(3, 3)]]
    count.reveal(dict(zip(verifiers[:3], votes, strict=True)))
    count.tally(*verifiers[:3])
    assert count.outcome == [valid(1, 1), valid(3, 3)]
    assert stakes_wei(seated, verifiers) == [MIN_STAKE_WEI] * 4
    assert [reservoir.creditOf(verifier) for verifier in verifiers] == [0] * 4
    assert refunded_wei(reservoir, chain_account) == FEE_WEI
    money(reservoir)


def test_tally__three_classes_of_the_test_part__the_train_part_stands(
    count: Count, verifiers: list[Any], reservoir: Any, money: Any
) -> None:
    votes: list[Vote] = [[valid(950_000, ppm), INVALID] for ppm in (900_000, 800_000, 700_000, 900_000)]
    count.reveal(dict(zip(verifiers, votes, strict=True)))
    count.tally(*verifiers)
    assert count.outcome == [HALF_SCORED, INVALID]
    assert count.stakes_lost_wei() == [0] * 4
    assert [reservoir.creditOf(verifier) for verifier in verifiers] == [FEE_WEI // 4] * 4
    money(reservoir)


def test_tally__21_votes_of_21_classes__nobody_loses_anything(
    seated: Any,
    commitments: Any,
    chain: Any,
    accounts: Any,
    verifiers: list[Any],
    open_ballot: Any,
    money: Any,
    reservoir: Any,
) -> None:
    voters = [*verifiers, *accounts[3:7], *accounts[14:27]]
    for voter in voters[4:]:
        seated.stake(sender=voter, value=MIN_STAKE_WEI)
    count = Count(seated, commitments, chain, open_ballot(seated, 1))
    count.reveal({voter: [valid(900_000 + place, 900_000)] for place, voter in enumerate(voters)})
    count.tally(*voters)
    assert count.outcome == [(Kind.UNDECIDED, 0, Kind.SCORED, 900_000)]
    assert count.stakes_lost_wei() == [0] * 21
    assert sum(reservoir.creditOf(voter) for voter in voters) == FEE_WEI
    money(reservoir)


def test_tally__a_quarter_cannot_set_an_accuracy(seated: Any, count: Count, verifiers: list[Any]) -> None:
    """D12: just over a quarter of the stake set 100 %, where a little over a half of the rest called a model bad."""
    votes: list[Vote] = [
        [valid(1_000_000, 1_000_000), INVALID],
        [valid(950_000, 900_000), INVALID],
        [valid(950_000, 900_000), INVALID],
        [INVALID, INVALID],
    ]
    seated.stake(sender=verifiers[0], value=1)
    count.reveal(dict(zip(verifiers, votes, strict=True)))
    count.tally(*verifiers)
    assert count.outcome == [UNDECIDED, INVALID]


# --- tally: what some could not get ---


@pytest.mark.parametrize(
    ("lacking", "expected", "lost_wei"),
    [
        (1, valid(950_000, 900_000), [0, 0, 0, ABSENCE_WEI]),
        (2, UNDECIDED, [0] * 4),
        (3, GONE, [0] * 4),
    ],
)
def test_tally__model_that_some_could_not_fetch(
    count: Count, verifiers: list[Any], reservoir: Any, lacking: int, expected: Any, lost_wei: list[int]
) -> None:
    lack: Vote = [GONE, INVALID]
    votes = dict.fromkeys(verifiers, VOTE) | dict.fromkeys(verifiers[4 - lacking :], lack)
    count.reveal(votes)
    count.tally(*verifiers)
    assert count.outcome == [expected, INVALID]
    assert count.stakes_lost_wei() == lost_wei
    earned_wei = [reservoir.creditOf(verifier) for verifier in verifiers]
    assert [wei == 0 for wei in earned_wei] == [wei != 0 for wei in lost_wei]
    assert sum(earned_wei) == FEE_WEI + sum(lost_wei)


@pytest.mark.parametrize(
    ("lacking", "expected", "lost_wei"),
    [
        (1, valid(950_000, 900_000), [0, 0, 0, ABSENCE_WEI]),
        (2, HALF_SCORED, [0] * 4),
        (3, trained(950_000, Kind.WITHHELD), [0] * 4),
    ],
)
def test_tally__test_set_that_some_could_not_fetch(
    count: Count, verifiers: list[Any], lacking: int, expected: Any, lost_wei: list[int]
) -> None:
    lack: Vote = [trained(950_000, Kind.WITHHELD), INVALID]
    count.reveal(dict.fromkeys(verifiers, VOTE) | dict.fromkeys(verifiers[4 - lacking :], lack))
    count.tally(*verifiers)
    assert count.outcome == [expected, INVALID]
    assert count.stakes_lost_wei() == lost_wei


def test_tally__strategic_blank__earns_nothing_and_costs_an_absence(
    count: Count, verifiers: list[Any], reservoir: Any
) -> None:
    """Who judges nothing and says that nothing could be had is no better off than who stays away."""
    count.reveal(dict.fromkeys(verifiers, VOTE) | {verifiers[2]: [GONE, GONE]})
    count.tally(*verifiers)
    assert count.outcome == VOTE
    assert count.stakes_lost_wei() == [0, 0, ABSENCE_WEI, 0]
    assert reservoir.creditOf(verifiers[2]) == 0


def test_tally__nothing_could_be_had__earns_nobody_the_fee(
    count: Count, verifiers: list[Any], reservoir: Any, chain_account: Any
) -> None:
    """A lazy majority gains nothing by saying so, and the one who looked loses nothing."""
    nothing: Vote = [GONE, GONE]
    count.reveal(dict.fromkeys(verifiers, nothing) | {verifiers[0]: VOTE})
    count.tally(*verifiers)
    assert count.outcome == [GONE, GONE]
    assert count.stakes_lost_wei() == [0] * 4
    assert refunded_wei(reservoir, chain_account) == FEE_WEI


def test_tally__blank_vote_that_nobody_opened__is_noise(count: Count, verifiers: list[Any]) -> None:
    count.reveal(dict.fromkeys(verifiers, VOTE) | {verifiers[2]: [GONE, INVALID]})
    count.open(verifiers[0])
    count.pass_deadline()
    count.tally(verifiers[0])
    assert count.stakes_lost_wei() == [0, 0, NOISE_WEI, 0]


# --- silence ---


def test_advance__silent_after_a_commit__costs_no_less_than_noise(
    seated: Any, ballot_id: int, verifiers: list[Any], cast: Any, commitments: Any, chain: Any, reservoir: Any
) -> None:
    """D3: a guesser sees the others' votes, and would hide its own."""
    cast(dict.fromkeys(verifiers, VOTE) | {verifiers[3]: OTHER})
    seated.advance(ballot_id, sender=verifiers[0])
    reveal_all(seated, commitments, ballot_id, dict.fromkeys(verifiers[:3], VOTE))
    chain.mine(timestamp=seated.ballot(ballot_id).deadline)
    receipt = seated.tally(ballot_id, [packed(VOTE)], sender=verifiers[0])
    assert phase(seated, ballot_id) == BallotPhase.CLOSED
    assert stakes_wei(seated, verifiers) == [MIN_STAKE_WEI] * 3 + [MIN_STAKE_WEI - NOISE_WEI]
    assert seated.Slashed(ballot_id, verifiers[3], NOISE_WEI, Fault.NO_REVEAL) in receipt.events
    assert sum(reservoir.creditOf(verifier) for verifier in verifiers[:3]) == FEE_WEI + NOISE_WEI


def test_advance__strategic_silence__lets_no_minority_decide(count: Count, verifiers: list[Any]) -> None:
    """While one is silent, half of those who vote is no majority."""
    count.reveal({verifiers[0]: [valid(1, 1), INVALID], verifiers[1]: VOTE, verifiers[2]: [GONE, INVALID]})
    count.tally(*verifiers[:3])
    assert count.outcome == [UNDECIDED, INVALID]


# --- repeated outcomes ---


def test_repeated_outcome__takes_only_what_was_undecided(
    seated: Any, commitments: Any, chain: Any, verifiers: list[Any], open_ballot: Any
) -> None:
    first = Count(seated, commitments, chain, open_ballot(seated, 3))
    split: Vote = [valid(9, 9), INVALID, valid(5, 7)]
    other: Vote = [GONE, INVALID, valid(5, 6)]
    first.reveal(dict.fromkeys(verifiers[:2], split) | dict.fromkeys(verifiers[2:], other))
    first.tally(*verifiers)
    half = (Kind.SCORED, 5, Kind.UNDECIDED, 0)
    assert first.outcome == [UNDECIDED, INVALID, half]
    second = Count(seated, commitments, chain, open_ballot(seated, 1))
    second.reveal(dict.fromkeys(verifiers, split[:1]))
    second.tally(*verifiers)
    assert second.outcome == [valid(9, 9)]


# --- quorum ---


def test_advance__a_third_is_absent__slashes_and_ejects_it(
    seated: Any, revealing: int, commitments: Any, verifiers: list[Any], reservoir: Any
) -> None:
    assert phase(seated, revealing) == BallotPhase.REVEAL
    assert stakes_wei(seated, verifiers) == [MIN_STAKE_WEI] * 3 + [MIN_STAKE_WEI - ABSENCE_WEI]
    reveal_all(seated, commitments, revealing, dict.fromkeys(verifiers[:3], VOTE))
    assert seated.isDue(revealing)
    seated.tally(revealing, [packed(VOTE)], sender=verifiers[0])
    assert phase(seated, revealing) == BallotPhase.CLOSED
    assert sum(reservoir.creditOf(verifier) for verifier in verifiers[:3]) == FEE_WEI + ABSENCE_WEI
    assert reservoir.creditOf(verifiers[3]) == 0


def test_advance__commit_quorum_missed__extends_and_late_votes_count(
    seated: Any, ballot_id: int, verifiers: list[Any], cast: Any, chain: Any
) -> None:
    cast(dict.fromkeys(verifiers[:2], VOTE))
    chain.mine(timestamp=seated.ballot(ballot_id).deadline)
    receipt = seated.advance(ballot_id, sender=verifiers[0])
    extended = seated.ballot(ballot_id)
    assert (extended.phase, extended.extensions) == (BallotPhase.COMMIT, 1)
    assert extended.deadline == receipt.timestamp + WINDOW_S
    assert seated.BallotExtended(ballot_id, 1, extended.deadline) in receipt.events
    assert seated.Slashed(ballot_id, verifiers[2], ABSENCE_WEI, Fault.NO_COMMIT) in receipt.events
    cast(dict.fromkeys(verifiers[2:], VOTE))
    seated.advance(ballot_id, sender=verifiers[0])
    assert phase(seated, ballot_id) == BallotPhase.REVEAL
    assert stakes_wei(seated, verifiers) == [MIN_STAKE_WEI] * 2 + [MIN_STAKE_WEI - ABSENCE_WEI] * 2


def test_advance__commit_quorum_never_met__void_and_refunded(
    seated: Any,
    ballot_id: int,
    verifiers: list[Any],
    cast: Any,
    chain: Any,
    reservoir: Any,
    chain_account: Any,
    money: Any,
) -> None:
    cast(dict.fromkeys(verifiers[:2], VOTE))
    for _ in range(3):
        chain.mine(timestamp=seated.ballot(ballot_id).deadline)
        seated.advance(ballot_id, sender=verifiers[0])
    assert phase(seated, ballot_id) == BallotPhase.VOID
    # The penalties are back: nobody has an interest in a ballot that others cannot take part in.
    assert stakes_wei(seated, verifiers) == [MIN_STAKE_WEI] * 4
    assert refunded_wei(reservoir, chain_account) == FEE_WEI
    assert [reservoir.creditOf(verifier) for verifier in verifiers] == [0] * 4
    assert [seated.verifier(verifier).openBallots for verifier in verifiers] == [0] * 4
    assert seated.outcome(ballot_id) == []
    money(reservoir)


def test_advance__reveal_quorum_missed__extends_then_void(
    seated: Any,
    revealing: int,
    commitments: Any,
    verifiers: list[Any],
    chain: Any,
    reservoir: Any,
    chain_account: Any,
    money: Any,
) -> None:
    reveal_all(seated, commitments, revealing, dict.fromkeys(verifiers[:1], VOTE))
    for extensions in (1, 2):
        chain.mine(timestamp=seated.ballot(revealing).deadline)
        seated.advance(revealing, sender=verifiers[0])
        extended = seated.ballot(revealing)
        assert (extended.phase, extended.extensions) == (BallotPhase.REVEAL, extensions)
    chain.mine(timestamp=seated.ballot(revealing).deadline)
    receipt = seated.advance(revealing, sender=verifiers[0])
    assert phase(seated, revealing) == BallotPhase.VOID
    # The fourth missed the commit deadline, the second and the third three reveal deadlines each; all of it returns.
    slashed = [(log.verifier, log.amountWei, log.fault) for log in receipt.decode_logs(seated.Slashed)]
    assert slashed == [(verifier, NOISE_WEI, Fault.NO_REVEAL) for verifier in verifiers[1:3]]
    returned = [(log.verifier, log.amountWei) for log in receipt.decode_logs(seated.PenaltyReturned)]
    assert returned == [
        (verifiers[1], 3 * NOISE_WEI),
        (verifiers[2], 3 * NOISE_WEI),
        (verifiers[3], ABSENCE_WEI),
    ]
    assert stakes_wei(seated, verifiers) == [MIN_STAKE_WEI] * 4
    assert refunded_wei(reservoir, chain_account) == FEE_WEI
    assert [reservoir.creditOf(verifier) for verifier in verifiers] == [0] * 4
    money(reservoir)


def test_advance__nobody_could_judge__costs_nobody_anything(
    seated: Any, ballot_id: int, verifiers: list[Any], chain: Any, reservoir: Any, chain_account: Any, money: Any
) -> None:
    for _ in range(3):
        chain.mine(timestamp=seated.ballot(ballot_id).deadline)
        seated.advance(ballot_id, sender=verifiers[0])
    assert phase(seated, ballot_id) == BallotPhase.VOID
    assert refunded_wei(reservoir, chain_account) == FEE_WEI
    assert stakes_wei(seated, verifiers) == [MIN_STAKE_WEI] * 4
    money(reservoir)


def test_advance__large_stake_alone__is_a_quorum(
    seated: Any, verifiers: list[Any], chain: Any, chain_account: Any, commitments: Any
) -> None:
    seated.stake(sender=verifiers[0], value=5 * MIN_STAKE_WEI)  # 6 of 9
    seated.openBallot(2, REFUND_ACCOUNT, chain.blocks.head.timestamp, sender=chain_account)
    commit_vote(seated, commitments, 1, verifiers[0], VOTE)
    chain.mine(timestamp=seated.ballot(1).deadline)
    seated.advance(1, sender=verifiers[0])
    assert phase(seated, 1) == BallotPhase.REVEAL
    reveal_vote(seated, commitments, 1, verifiers[0], VOTE)
    seated.tally(1, [packed(VOTE)], sender=verifiers[0])
    assert outcome_of(seated, 1) == VOTE


def test_advance__slashed_in_two_ballots__never_below_zero(
    project: Any, deploy: Any, deployer: Any, verifiers: list[Any], create_address: Any, chain: Any, money: Any
) -> None:
    committee_address = create_address(deployer.address, deployer.nonce + 1)
    reservoir = deployer.deploy(project.RewardReservoir, *[[committee_address, deployer]] * 2)
    parameters = {
        "minStakeWei": 100,
        "floorStakeWei": 100,
        "minSeated": 1,
        "seatWaitS": 0,
        "displacementPpm": 1,
        "unbondingPeriodS": 0,
        "voteCommitWindowS": 10,
        "voteEntryS": 0,
        "voteRevealWindowS": 10,
        "voteOpeningWindowS": 10,
        "maxExtensions": 1,
        "absencePenaltyPpm": 600_000,
        "noisePenaltyPpm": 0,
    }
    committee = deployer.deploy(project.VerifierCommittee, reservoir, [deployer], parameters)
    verifier = verifiers[0]
    committee.stake(sender=verifier, value=101)
    for _ in range(2):
        committee.openBallot(1, REFUND_ACCOUNT, chain.blocks.head.timestamp, sender=deployer)
    chain.mine(deltatime=10)
    committee.advance(1, sender=deployer)
    assert committee.verifier(verifier).stakeWei == 101 - 61  # 60 % of 101, rounded up
    receipt = committee.advance(2, sender=deployer)
    lost = [log.amountWei for log in receipt.decode_logs(committee.Slashed)]
    assert lost == [40]  # all that was left
    assert (committee.verifier(verifier).stakeWei, reservoir.total(STAKE)) == (0, 0)
    chain.mine(deltatime=10)
    for ballot_id in (1, 2):
        committee.advance(ballot_id, sender=deployer)
    assert committee.verifier(verifier).stakeWei == reservoir.total(STAKE) == 101
    committee.completeUnstake(sender=verifier)
    assert reservoir.creditOf(verifier) == 101
    money(reservoir)
