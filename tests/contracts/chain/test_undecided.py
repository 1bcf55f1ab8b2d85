"""LearningChain: rounds whose ballots leave something undecided."""

import pytest

from tests.contracts.chain.halves import split, stakes_lost_wei
from tests.contracts.rounds import (
    CLIENT_BOND_WEI,
    ESCROW,
    FEE_WEI,
    GONE,
    INVALID,
    JUDGING_WEI,
    MIN_STAKE_WEI,
    MINER_BOND_WEI,
    REWARD_WEI,
    AbortReason,
    Kind,
    Phase,
    Play,
    TaskState,
    Vote,
    account_of,
    valid,
)

GOOD = valid(950_000, 900_000)
BETTER = valid(950_000, 910_000)
NO_DATA = (Kind.WITHHELD, 0, Kind.WITHHELD, 0)
ABSENCE_WEI, NOISE_WEI = MIN_STAKE_WEI // 20, MIN_STAKE_WEI // 5


def lose_quorum(play: Play) -> None:
    for _ in range(3):
        play.network.mine(timestamp=play.committee.ballot(play.ballot_id).deadline)
        play.committee.advance(play.ballot_id, sender=play.stranger)


# --- repeated ballots ---


def test_advance__entry_undecided__is_voted_on_again_and_alone(four: Play) -> None:
    four.to_voting(*four.miners[:3])
    split(four, [GOOD, BETTER, INVALID], [GOOD, GONE, INVALID])
    assert (four.phase, four.ballot_id, four.round.firstBallotId) == (Phase.VOTING, 2, 1)
    assert (four.committee.ballot(2).entryCount, four.committee.ballot(2).refundAccount) == (1, account_of(1))
    assert not four.chain.isDue(1)
    four.finish([BETTER])
    assert (four.phase, four.ledger.header(1).winner) == (Phase.FINALISED, four.miners[1])
    assert four.credits_wei(four.miners[:3]) == [MINER_BOND_WEI, REWARD_WEI + MINER_BOND_WEI, 0]
    # The first ballot decided two of three entries and paid the fee.
    assert sum(four.credits_wei(four.verifiers)) // 4 == (FEE_WEI + 3 * JUDGING_WEI) // 4
    assert four.body_of(1)[3] == four.transcript_of(1, 1, 2)
    four.check_settled(1)


def test_advance__nothing_decided__the_second_ballot_has_the_fee(four: Play) -> None:
    four.to_voting(*four.miners[:2])
    split(four, [GOOD, BETTER], [GONE, GONE])
    assert four.credits_wei(four.verifiers) == [0] * 4
    assert four.reservoir.balanceOf(four.committee, ESCROW, account_of(2)) == FEE_WEI + 2 * JUDGING_WEI
    assert four.committee.ballot(2).entryCount == 2
    four.finish([GOOD, BETTER])
    assert four.ledger.header(1).winner == four.miners[1]
    assert four.credits_wei(four.verifiers) == [(FEE_WEI + 2 * JUDGING_WEI) // 4] * 4
    assert stakes_lost_wei(four) == [0] * 4
    four.check_settled(1)


def test_advance__silent_miners_bond__is_in_the_second_ballot_too(four: Play) -> None:
    four.to_reveal(*four.miners[:2])
    four.reveal(four.miners[1])
    four.wait_for_deadline()
    four.advance()
    split(four, [GOOD], [GONE])
    four.finish([GOOD])
    assert sum(four.credits_wei(four.verifiers)) == FEE_WEI + MINER_BOND_WEI + 2 * JUDGING_WEI
    assert four.credits_wei(four.miners[:2]) == [0, REWARD_WEI + MINER_BOND_WEI]
    four.check_settled(1)


def test_advance__undecided_twice_beside_a_valid_one__loses_nothing_and_wins_nothing(four: Play) -> None:
    """Else a miner would serve its model to half of the committee and take the others' reward."""
    four.to_voting(*four.miners[:2])
    split(four, [GOOD, BETTER], [GOOD, GONE])
    split(four, [BETTER], [GONE])
    assert (four.phase, four.ledger.header(1).winner) == (Phase.FINALISED, four.miners[0])
    assert four.credits_wei(four.miners[:2]) == [REWARD_WEI + MINER_BOND_WEI, MINER_BOND_WEI]
    assert four.ledger.ommerCount(1) == 0
    assert four.credit_wei(four.client) == CLIENT_BOND_WEI
    four.check_settled(1)


@pytest.mark.parametrize("is_void", [False, True])
def test_advance__undecided_twice_and_none_valid__their_miners_have_the_escrow(four: Play, is_void: bool) -> None:
    """A client that serves its data as the verifiers give up gets models, but not for nothing."""
    four.to_voting(*four.miners[:3])
    split(four, [GOOD, INVALID, BETTER], [GONE, INVALID, GONE])
    paid_wei = sum(four.credits_wei(four.verifiers))
    assert paid_wei == FEE_WEI + 3 * JUDGING_WEI
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
    assert four.ledger.height() == 0
    four.check_settled(1)


def test_advance__nothing_decided_twice__the_miners_have_the_fee_as_well(four: Play) -> None:
    four.to_voting(*four.miners[:3])
    split(four, [GOOD] * 3, [GONE] * 3)
    split(four, [GOOD] * 3, [GONE] * 3)
    four.check_aborted(AbortReason.UNDECIDED)
    assert sum(four.credits_wei(four.miners[:3])) == REWARD_WEI + FEE_WEI + 3 * (MINER_BOND_WEI + JUDGING_WEI)
    assert max(four.credits_wei(four.miners[:3])) - min(four.credits_wei(four.miners[:3])) <= 2
    assert (four.credit_wei(four.client), four.credits_wei(four.verifiers)) == (CLIENT_BOND_WEI, [0] * 4)
    four.check_settled(1)


def test_advance__undecided_and_all_have_left__the_same_members_vote_again(four: Play) -> None:
    four.to_voting(*four.miners[:1])
    halves: list[Vote] = [[GOOD], [GOOD], [GONE], [GONE]]
    four.vote_each(dict(zip(four.verifiers, halves, strict=True)))
    for verifier in four.verifiers:
        four.committee.requestUnstake(sender=verifier)
    four.advance()
    assert four.committee.members(four.ballot_id) == four.committee.members(four.round.firstBallotId)
    four.vote_each({verifier: [GOOD] for verifier in four.verifiers})
    four.advance()
    assert four.phase == Phase.FINALISED
    four.check_settled(1)
