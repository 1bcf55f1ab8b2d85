"""LearningChain: rounds whose ballots leave something open, and models and data that could not be had."""

from typing import Any

import pytest

from tests.contracts.rounds import (
    CLIENT_BOND_WEI,
    ESCROW,
    FEE_WEI,
    GONE,
    INVALID,
    MIN_STAKE_WEI,
    MINER_BOND_WEI,
    REWARD_WEI,
    ZERO_HASH,
    AbortReason,
    Kind,
    Phase,
    Play,
    TaskState,
    Vote,
    account_of,
    trained,
    valid,
)

GOOD = valid(950_000, 900_000)
BETTER = valid(950_000, 910_000)
NO_DATA = (Kind.WITHHELD, 0, Kind.WITHHELD, 0)
ABSENCE_WEI, NOISE_WEI = MIN_STAKE_WEI // 20, MIN_STAKE_WEI // 5


@pytest.fixture
def four(in_training: Play) -> Play:
    """Four verifiers of equal stakes, so that half of them can disagree with the other half."""
    in_training.committee.stake(sender=in_training.verifiers[3], value=MIN_STAKE_WEI)
    return in_training


def split(play: Play, left: Vote, right: Vote) -> None:
    """Half of the verifiers vote one way and half the other; the round is advanced."""
    votes: dict[Any, Vote] = dict.fromkeys(play.verifiers[:2], left)
    play.vote_each(votes | dict.fromkeys(play.verifiers[2:], right))
    play.advance()


def lose_quorum(play: Play) -> None:
    for _ in range(3):
        play.network.mine(timestamp=play.committee.ballot(play.ballot_id).deadline)
        play.committee.advance(play.ballot_id, sender=play.stranger)


def stakes_lost_wei(play: Play) -> list[int]:
    return [MIN_STAKE_WEI - play.committee.verifier(each).stakeWei for each in play.verifiers]


# --- repeated ballots ---


def test_advance__entry_undecided__is_voted_on_again_and_alone(four: Play) -> None:
    four.to_voting(*four.miners[:3])
    split(four, [GOOD, BETTER, INVALID], [GOOD, GONE, INVALID])
    assert (four.phase, four.ballot_id, four.round.firstBallotId) == (Phase.VOTING, 2, 1)
    assert (four.committee.ballot(2).entryCount, four.committee.ballot(2).refundAccount) == (1, account_of(1))
    assert not four.chain.isDue(1)
    four.finish([BETTER])
    assert (four.phase, four.chain.header(1).winner) == (Phase.FINALISED, four.miners[1])
    assert four.credits_wei(four.miners[:3]) == [MINER_BOND_WEI, REWARD_WEI + MINER_BOND_WEI, 0]
    # The first ballot decided two of three entries and paid the fee.
    assert sum(four.credits_wei(four.verifiers)) == FEE_WEI
    assert four.body_of(1)[3] == four.round.transcript
    four.check_settled(1)


def test_advance__nothing_decided__the_second_ballot_has_the_fee(four: Play) -> None:
    four.to_voting(*four.miners[:2])
    split(four, [GOOD, BETTER], [GONE, GONE])
    assert four.credits_wei(four.verifiers) == [0] * 4
    assert four.reservoir.balanceOf(four.committee, ESCROW, account_of(2)) == FEE_WEI
    assert four.committee.ballot(2).entryCount == 2
    four.finish([GOOD, BETTER])
    assert four.chain.header(1).winner == four.miners[1]
    assert four.credits_wei(four.verifiers) == [FEE_WEI // 4] * 4
    assert stakes_lost_wei(four) == [0] * 4
    four.check_settled(1)


def test_advance__silent_miners_bond__is_in_the_second_ballot_too(four: Play) -> None:
    four.to_reveal(*four.miners[:2])
    four.reveal(four.miners[1])
    four.wait_for_deadline()
    four.advance()
    split(four, [GOOD], [GONE])
    four.finish([GOOD])
    assert sum(four.credits_wei(four.verifiers)) == FEE_WEI + MINER_BOND_WEI
    assert four.credits_wei(four.miners[:2]) == [0, REWARD_WEI + MINER_BOND_WEI]
    four.check_settled(1)


def test_advance__undecided_twice_beside_a_valid_one__loses_nothing_and_wins_nothing(four: Play) -> None:
    """Else a miner would serve its model to half of the committee and take the others' reward."""
    four.to_voting(*four.miners[:2])
    split(four, [GOOD, BETTER], [GOOD, GONE])
    split(four, [BETTER], [GONE])
    assert (four.phase, four.chain.header(1).winner) == (Phase.FINALISED, four.miners[0])
    assert four.credits_wei(four.miners[:2]) == [REWARD_WEI + MINER_BOND_WEI, MINER_BOND_WEI]
    assert four.chain.ommerCount(1) == 0
    assert four.credit_wei(four.client) == CLIENT_BOND_WEI
    four.check_settled(1)


@pytest.mark.parametrize("is_void", [False, True])
def test_advance__undecided_twice_and_none_valid__their_miners_have_the_escrow(four: Play, is_void: bool) -> None:
    """A client that serves its data as the verifiers give up gets models, but not for nothing."""
    four.to_voting(*four.miners[:3])
    split(four, [GOOD, INVALID, BETTER], [GONE, INVALID, GONE])
    paid_wei = sum(four.credits_wei(four.verifiers))
    assert paid_wei == FEE_WEI
    if is_void:
        lose_quorum(four)
        four.advance()
    else:
        split(four, [GOOD, BETTER], [GONE, GONE])
    four.check_aborted(AbortReason.UNDECIDED)
    share_wei = REWARD_WEI // 2
    assert four.credits_wei(four.miners[:3]) == [share_wei + MINER_BOND_WEI, 0, share_wei + MINER_BOND_WEI]
    assert four.credit_wei(four.client) == CLIENT_BOND_WEI + MINER_BOND_WEI  # the invalid one's
    assert four.market.task(1).state == TaskState.REFUNDED
    assert four.chain.height() == 0
    four.check_settled(1)


def test_advance__nothing_decided_twice__the_miners_have_the_fee_as_well(four: Play) -> None:
    four.to_voting(*four.miners[:3])
    split(four, [GOOD] * 3, [GONE] * 3)
    split(four, [GOOD] * 3, [GONE] * 3)
    four.check_aborted(AbortReason.UNDECIDED)
    assert sum(four.credits_wei(four.miners[:3])) == REWARD_WEI + FEE_WEI + 3 * MINER_BOND_WEI
    assert max(four.credits_wei(four.miners[:3])) - min(four.credits_wei(four.miners[:3])) <= 2
    assert (four.credit_wei(four.client), four.credits_wei(four.verifiers)) == (CLIENT_BOND_WEI, [0] * 4)
    four.check_settled(1)


def test_advance__undecided_and_nobody_seated_any_more__is_not_repeated(four: Play) -> None:
    four.to_voting(*four.miners[:1])
    halves: list[Vote] = [[GOOD], [GOOD], [GONE], [GONE]]
    four.vote_each(dict(zip(four.verifiers, halves, strict=True)))
    for verifier in four.verifiers:
        four.committee.requestUnstake(sender=verifier)
    four.advance()
    four.check_aborted(AbortReason.UNDECIDED)
    assert four.credit_wei(four.miners[0]) == REWARD_WEI + FEE_WEI + MINER_BOND_WEI
    four.check_settled(1)


# --- models and data that could not be had ---


def test_advance__model_that_most_could_not_fetch__counts_as_not_revealed(in_training: Play) -> None:
    gone, winner = in_training.miners[:2]
    in_training.to_voting(gone, winner)
    in_training.finish([GONE, GOOD])
    assert in_training.chain.header(1).winner == winner
    assert in_training.credits_wei([gone, winner]) == [0, REWARD_WEI + MINER_BOND_WEI]
    assert in_training.chain.ommerCount(1) == 0
    in_training.check_settled(1)


def test_advance__test_set_that_most_could_not_fetch__counts_as_withheld(in_training: Play) -> None:
    in_training.to_voting(*in_training.miners[:2])
    assert in_training.round.isTestSetReleased
    in_training.finish([trained(910_000, Kind.WITHHELD), trained(930_000, Kind.WITHHELD)])
    header = in_training.chain.header(1)
    assert (header.winner, header.trainPpm, header.testPpm) == (in_training.miners[1], 930_000, 0)
    share_wei = CLIENT_BOND_WEI // 2
    paid_wei = [MINER_BOND_WEI + share_wei, REWARD_WEI + MINER_BOND_WEI + share_wei]
    assert in_training.credits_wei(in_training.miners[:2]) == paid_wei
    assert in_training.credit_wei(in_training.client) == 0
    assert not in_training.round.isTestSetReleased
    assert in_training.body_of(1)[4] == ZERO_HASH
    in_training.check_settled(1)


@pytest.mark.parametrize(("lacking", "is_by_test"), [(1, True), (2, False)])
def test_advance__test_set_late_for_some__makes_no_model_invalid(four: Play, lacking: int, is_by_test: bool) -> None:
    """With half of the votes open the round ranks by train accuracy; nobody was shown to be at fault."""
    had: Vote = [valid(960_000, 900_000), valid(950_000, 910_000)]
    lacked: Vote = [trained(960_000, Kind.WITHHELD), trained(950_000, Kind.WITHHELD)]
    four.to_voting(*four.miners[:2])
    four.vote_each(dict.fromkeys(four.verifiers, had) | dict.fromkeys(four.verifiers[:lacking], lacked))
    four.advance()
    assert (four.phase, four.round.firstBallotId) == (Phase.FINALISED, 0)
    assert four.chain.header(1).winner == four.miners[1 if is_by_test else 0]
    assert four.chain.ommerCount(1) == 1
    assert four.credit_wei(four.client) == CLIENT_BOND_WEI
    assert stakes_lost_wei(four) == [ABSENCE_WEI if lacking == 1 and each == 0 else 0 for each in range(4)]
    four.check_settled(1)


def test_advance__test_set_late_for_half_in_overtime__floor_does_not_apply(four: Play) -> None:
    four.to_overtime()
    four.to_voting(four.miners[0])
    split(four, [valid(600_000, 499_999)], [trained(600_000, Kind.WITHHELD)])
    assert (four.phase, four.chain.header(1).winner) == (Phase.FINALISED, four.miners[0])
    assert four.credit_wei(four.miners[0]) == REWARD_WEI + MINER_BOND_WEI
    four.check_settled(1)


def test_advance__below_the_floor_beside_an_undecided_one__the_client_gets_no_reward_back(four: Play) -> None:
    four.to_overtime()
    four.to_voting(*four.miners[:2])
    below = valid(600_000, 499_999)
    split(four, [below, GOOD], [below, GONE])
    split(four, [GOOD], [GONE])
    four.check_aborted(AbortReason.UNDECIDED)
    assert four.credits_wei(four.miners[:2]) == [MINER_BOND_WEI, REWARD_WEI + MINER_BOND_WEI]
    assert four.credit_wei(four.client) == CLIENT_BOND_WEI
    four.check_settled(1)


def test_advance__training_data_that_most_could_not_fetch__costs_the_client_everything(in_training: Play) -> None:
    """Else a client would stop to serve them once models are revealed, and pay nothing for these."""
    in_training.to_voting(*in_training.miners[:2])
    in_training.finish([NO_DATA, NO_DATA])
    assert in_training.round.firstBallotId == 0
    in_training.check_aborted(AbortReason.UNDECIDED)
    total_wei = REWARD_WEI + FEE_WEI + CLIENT_BOND_WEI + 2 * MINER_BOND_WEI
    assert in_training.credits_wei(in_training.miners[:2]) == [total_wei // 2] * 2
    assert in_training.credit_wei(in_training.client) == 0
    assert stakes_lost_wei(in_training)[:3] == [0] * 3
    in_training.check_settled(1)


# --- what the audit found ---


def test_advance__half_the_stake_sees_one_row_less__no_bond_is_lost(four: Play) -> None:
    """D7: all votes lay within the tolerance, and the lower median cost the miner its bond."""
    four.to_voting(four.miners[0])
    split(four, [valid(900_000, 900_000)], [valid(899_999, 900_000)])
    four.finish([valid(900_000, 900_000)])
    assert (four.phase, four.chain.header(1).winner) == (Phase.FINALISED, four.miners[0])
    assert four.credit_wei(four.miners[0]) == REWARD_WEI + MINER_BOND_WEI
    four.check_settled(1)
