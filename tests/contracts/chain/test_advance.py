"""LearningChain.advance: what is due when, every way a round can fail, and where its money goes then."""

from typing import Any

import pytest

from tests.contracts.rounds import (
    CLIENT_BOND_WEI,
    FEE_WEI,
    INVALID,
    JUDGING_WEI,
    MIN_STAKE_WEI,
    MINER_BOND_WEI,
    REWARD_WEI,
    TIME_LIMIT_S,
    WINDOW_S,
    AbortReason,
    Phase,
    Play,
    TaskState,
    account_of,
    valid,
)

ESCROW_WEI = REWARD_WEI + FEE_WEI
ABSENCE_WEI = MIN_STAKE_WEI // 20


# --- what is not due ---


def test_advance__unknown_round__reverts(opened: Play, reverts: Any) -> None:
    with reverts(opened.chain.NotDue, roundId=2, phase=Phase.NONE, deadline=0):
        opened.chain.advance(2, sender=opened.stranger)


def test_advance__keys_not_yet_missed__reverts(opened: Play, reverts: Any) -> None:
    deadline = opened.round.deadline
    opened.network.mine(timestamp=deadline - 2)
    with reverts(opened.chain.NotDue, roundId=1, phase=Phase.KEYS, deadline=deadline):
        opened.advance()


def test_advance__one_solution_of_two__reverts(in_training: Play, reverts: Any) -> None:
    in_training.commit(in_training.miners[0])
    deadline = in_training.round.deadline
    with reverts(in_training.chain.NotDue, roundId=1, phase=Phase.TRAINING, deadline=deadline):
        in_training.advance()


def test_advance__overtime_running__reverts(in_training: Play, reverts: Any) -> None:
    in_training.to_overtime()
    in_training.commit(*in_training.miners[:3], claim_ppm=10)
    deadline = in_training.round.deadline
    with reverts(in_training.chain.NotDue, roundId=1, phase=Phase.OVERTIME, deadline=deadline):
        in_training.advance()


def test_advance__release_not_yet_missed__reverts(in_training: Play, reverts: Any) -> None:
    in_training.commit(*in_training.miners[:2])
    in_training.advance()
    deadline = in_training.round.deadline
    with reverts(in_training.chain.NotDue, roundId=1, phase=Phase.RELEASE, deadline=deadline):
        in_training.advance()


def test_advance__ballot_running_then_over__reverts(in_training: Play, reverts: Any) -> None:
    in_training.to_voting(*in_training.miners[:2])
    with reverts(in_training.chain.NotDue, roundId=1, phase=Phase.VOTING, deadline=0):
        in_training.advance()
    in_training.finish([valid(950_000, 900_000)] * 2)
    with reverts(in_training.chain.NotDue, roundId=1, phase=Phase.FINALISED, deadline=0):
        in_training.advance()


# --- what is due ---


def test_advance__enough_solutions__closes_commits_at_once(in_training: Play) -> None:
    in_training.commit(*in_training.miners[:2])
    receipt = in_training.chain.advance(1, sender=in_training.stranger)
    closed = in_training.round
    assert (closed.phase, closed.commitsClosedAt) == (Phase.RELEASE, receipt.timestamp)
    assert closed.deadline == receipt.timestamp + WINDOW_S
    assert not closed.isOvertime


def test_advance__time_is_up_with_one_solution__closes_commits(in_training: Play) -> None:
    in_training.commit(in_training.miners[0])
    in_training.wait(TIME_LIMIT_S)
    in_training.advance()
    assert in_training.phase == Phase.RELEASE


def test_advance__all_revealed__opens_the_ballot(in_training: Play) -> None:
    in_training.to_reveal(*in_training.miners[:2])
    in_training.reveal(*in_training.miners[:2])
    before = in_training.round.transcript
    in_training.advance()
    ballot = in_training.committee.ballot(1)
    assert (in_training.phase, in_training.round.ballotId) == (Phase.VOTING, 1)
    assert (ballot.entryCount, ballot.refundAccount) == (2, account_of(1))
    assert in_training.reservoir.balanceOf(in_training.committee, 0, bytes(31) + b"\1") == FEE_WEI + 2 * JUDGING_WEI
    assert in_training.round.transcript != before


def test_advance__miner_did_not_reveal__pays_the_verifiers_and_is_no_entry(in_training: Play) -> None:
    silent, winner = in_training.miners[:2]
    in_training.to_reveal(silent, winner)
    in_training.reveal(winner)
    in_training.wait_for_deadline()
    receipt = in_training.chain.advance(1, sender=in_training.stranger)
    assert in_training.chain.BondForfeited(1, silent, MINER_BOND_WEI + JUDGING_WEI) in receipt.events
    in_training.finish([valid(950_000, 900_000)])
    assert in_training.ledger.header(1).winner == winner
    assert in_training.credits_wei([silent, winner]) == [0, REWARD_WEI + MINER_BOND_WEI]
    assert sum(in_training.credits_wei(in_training.verifiers[:3])) == FEE_WEI + MINER_BOND_WEI + 2 * JUDGING_WEI
    in_training.check_settled(1)


# --- KeysMissing ---


def test_advance__keys_missing__verifiers_share_the_bond(opened: Play) -> None:
    opened.wait_for_deadline()
    receipt = opened.chain.advance(1, sender=opened.stranger)
    opened.check_aborted(AbortReason.KEYS_MISSING)
    assert opened.chain.RoundAborted(1, AbortReason.KEYS_MISSING) in receipt.events
    assert opened.chain.BondForfeited(1, opened.client, CLIENT_BOND_WEI) in receipt.events
    occupancy_wei = opened.occupancy_wei(receipt.timestamp)
    assert opened.chain.OccupancyPaid(1, opened.client, occupancy_wei) in receipt.events
    assert opened.credit_wei(opened.client) == ESCROW_WEI - occupancy_wei
    assert sum(opened.credits_wei(opened.verifiers[:3])) == CLIENT_BOND_WEI + occupancy_wei
    assert opened.market.task(1).state == TaskState.REFUNDED
    opened.check_settled(1)


def test_advance__keys_missing_and_nobody_was_seated__nobody_waited_so_the_bond_returns(
    play: Play, deploy: Any, create_task: Any
) -> None:
    play = play.on(deploy())
    play.submit(create_task)
    play.open(has_keys=False)
    play.wait_for_deadline()
    play.stake(MIN_STAKE_WEI)
    play.chain.advance(1, sender=play.miners[0])
    assert play.credit_wei(play.client) == ESCROW_WEI + CLIENT_BOND_WEI  # nothing to who sat down later
    play.check_settled(1)


def test_advance__keys_missing__shares_follow_the_stakes_at_the_opening(opened: Play) -> None:
    """D9: a stake just before the bond is shared took 97.7 % of it."""
    opened.wait_for_deadline()
    late, first = opened.verifiers[3], opened.verifiers[0]
    opened.committee.stake(sender=late, value=125 * MIN_STAKE_WEI)
    opened.committee.stake(sender=first, value=125 * MIN_STAKE_WEI)
    opened.committee.requestUnstake(sender=opened.verifiers[1])
    opened.advance()
    assert opened.credit_wei(late) == 0
    shares_wei = opened.credits_wei(opened.verifiers[:3])
    assert sum(shares_wei) == CLIENT_BOND_WEI + ESCROW_WEI - opened.credit_wei(opened.client)
    assert max(shares_wei) - min(shares_wei) <= 3
    opened.check_settled(1)


# --- NoSolution ---


def test_advance__no_solution__refunds_and_opens_no_second_round(in_training: Play, reverts: Any) -> None:
    in_training.to_overtime()
    in_training.wait_for_deadline()
    in_training.advance()
    in_training.check_aborted(AbortReason.NO_SOLUTION)
    assert in_training.market.task(1).state == TaskState.REFUNDED
    occupancy_wei = in_training.occupancy_wei(in_training.now_s)
    assert in_training.credit_wei(in_training.client) == ESCROW_WEI + CLIENT_BOND_WEI - occupancy_wei
    assert sum(in_training.credits_wei(in_training.verifiers[:3])) == occupancy_wei
    with reverts(in_training.market.NoPendingTask):
        in_training.open()
    in_training.check_settled(1)


SEAT_WAIT_S = 600

# --- NothingRevealed ---


def test_advance__nothing_revealed__client_gets_all(in_training: Play) -> None:
    in_training.to_reveal(*in_training.miners[:2])
    in_training.wait_for_deadline()
    in_training.advance()
    in_training.check_aborted(AbortReason.NOTHING_REVEALED)
    lost_wei = 2 * (MINER_BOND_WEI + JUDGING_WEI) - in_training.occupancy_wei(in_training.now_s)
    assert in_training.credit_wei(in_training.client) == ESCROW_WEI + CLIENT_BOND_WEI + lost_wei
    assert in_training.market.task(1).state == TaskState.REFUNDED
    in_training.check_settled(1)


def test_advance__nothing_revealed_nor_released__miners_share_the_clients_bond(in_training: Play) -> None:
    in_training.to_unreleased_reveal(*in_training.miners[:3])
    in_training.wait_for_deadline()
    in_training.advance()
    in_training.check_aborted(AbortReason.NOTHING_REVEALED)
    assert in_training.credits_wei(in_training.miners[:3]) == [CLIENT_BOND_WEI // 3] * 3
    rest_wei = CLIENT_BOND_WEI % 3 - in_training.occupancy_wei(in_training.now_s)
    assert in_training.credit_wei(in_training.client) == ESCROW_WEI + 3 * (MINER_BOND_WEI + JUDGING_WEI) + rest_wei
    in_training.check_settled(1)


# --- QuorumLost ---


def lose_quorum(play: Play) -> None:
    for _ in range(3):
        play.network.mine(timestamp=play.committee.ballot(play.ballot_id).deadline)
        play.committee.advance(play.ballot_id, sender=play.stranger)


def test_advance__quorum_lost__client_and_miners_get_theirs_back(in_training: Play) -> None:
    in_training.to_voting(*in_training.miners[:2])
    lose_quorum(in_training)
    in_training.advance()
    in_training.check_aborted(AbortReason.QUORUM_LOST)
    assert in_training.credit_wei(in_training.client) == ESCROW_WEI + CLIENT_BOND_WEI
    assert in_training.credits_wei(in_training.verifiers[:3]) == [0] * 3
    stakes = [in_training.committee.verifier(verifier).stakeWei for verifier in in_training.verifiers[:3]]
    assert stakes == [MIN_STAKE_WEI] * 3
    assert in_training.credits_wei(in_training.miners[:2]) == [MINER_BOND_WEI + JUDGING_WEI] * 2
    # The test set is out: the task cannot be trained for again.
    assert in_training.market.task(1).state == TaskState.REFUNDED
    in_training.check_settled(1)


def test_advance__too_few_seated_at_the_deadline__waits_then_goes_on(in_training: Play, reverts: Any) -> None:
    """D5: before anybody reveals, so that no model is shown that nobody would judge."""
    for verifier in in_training.verifiers[:3]:
        in_training.committee.requestUnstake(sender=verifier)
    in_training.commit(*in_training.miners[:2])
    in_training.wait_for_deadline()
    in_training.wait(SEAT_WAIT_S - 5)
    deadline = in_training.round.deadline
    assert not in_training.chain.isDue(1)
    with reverts(in_training.chain.NotDue, roundId=1, phase=Phase.TRAINING, deadline=deadline):
        in_training.advance()
    in_training.committee.stake(sender=in_training.verifiers[0])  # a stake that lies there is enough
    assert in_training.chain.isDue(1)
    in_training.advance()
    assert in_training.phase == Phase.RELEASE
    in_training.release()
    in_training.reveal(*in_training.miners[:2])
    in_training.advance()
    assert in_training.committee.members(in_training.ballot_id) == in_training.verifiers[:1]


def test_advance__too_few_seated_for_too_long__everything_returns(in_training: Play) -> None:
    for verifier in in_training.verifiers[:3]:
        in_training.committee.requestUnstake(sender=verifier)
    in_training.commit(*in_training.miners[:2])
    in_training.wait_for_deadline()
    in_training.wait(SEAT_WAIT_S)
    in_training.advance()
    in_training.check_aborted(AbortReason.QUORUM_LOST)
    assert in_training.credit_wei(in_training.client) == ESCROW_WEI + CLIENT_BOND_WEI
    assert in_training.credits_wei(in_training.miners[:2]) == [MINER_BOND_WEI + JUDGING_WEI] * 2
    in_training.check_settled(1)


def test_advance__all_leave_once_commits_have_closed__they_are_members_all_the_same(in_training: Play) -> None:
    """D5: the client would have had the models and its money."""
    in_training.to_reveal(*in_training.miners[:2])
    in_training.wait(2)
    for verifier in in_training.verifiers[:3]:
        in_training.committee.requestUnstake(sender=verifier)
    in_training.reveal(*in_training.miners[:2])
    in_training.advance()
    assert in_training.phase == Phase.VOTING
    assert in_training.committee.members(in_training.ballot_id) == in_training.verifiers[:3]
    both = [valid(950_000, 900_000), valid(950_000, 800_000)]
    in_training.vote_each(dict.fromkeys(in_training.verifiers[:3], both))
    in_training.advance()
    assert in_training.ledger.height() == 1
    in_training.check_settled(1)


def test_advance__one_missed_deadline_at_the_minimum__unseats_nobody(in_training: Play) -> None:
    """D5: 21 of 21 absent once were an empty committee."""
    in_training.to_voting(*in_training.miners[:1])
    in_training.network.mine(timestamp=in_training.committee.ballot(in_training.ballot_id).deadline)
    in_training.committee.advance(in_training.ballot_id, sender=in_training.stranger)
    assert in_training.committee.seatedCount() == 3
    in_training.committee.stake(sender=in_training.verifiers[0], value=ABSENCE_WEI)
    assert in_training.committee.verifier(in_training.verifiers[0]).stakeWei == MIN_STAKE_WEI


# --- NoValidSolution ---


@pytest.mark.parametrize("verdict", [INVALID, valid(899_999, 990_000)])
def test_advance__no_valid_solution__client_gets_the_bonds(in_training: Play, verdict: Any) -> None:
    in_training.to_voting(*in_training.miners[:2])
    in_training.finish([verdict] * 2)
    in_training.check_aborted(AbortReason.NO_VALID_SOLUTION)
    occupancy_wei = in_training.occupancy_wei(in_training.now_s)
    got_wei = REWARD_WEI + CLIENT_BOND_WEI + 2 * MINER_BOND_WEI - occupancy_wei
    assert in_training.credit_wei(in_training.client) == got_wei
    assert in_training.credits_wei(in_training.miners[:2]) == [0, 0]
    earned_wei = FEE_WEI + 2 * JUDGING_WEI + occupancy_wei
    assert sum(in_training.credits_wei(in_training.verifiers[:3])) == earned_wei
    assert in_training.market.task(1).state == TaskState.REFUNDED
    assert in_training.ledger.height() == 0
    in_training.check_settled(1)


def test_advance__no_valid_solution_nor_release__revealed_miners_share_the_clients_bond(
    in_training: Play,
) -> None:
    in_training.to_unreleased_reveal(*in_training.miners[:3])
    in_training.reveal(*in_training.miners[:2])
    in_training.wait_for_deadline()
    in_training.advance()
    in_training.finish([INVALID] * 2)
    in_training.check_aborted(AbortReason.NO_VALID_SOLUTION)
    assert in_training.credits_wei(in_training.miners[:3]) == [CLIENT_BOND_WEI // 2] * 2 + [0]
    occupancy_wei = in_training.occupancy_wei(in_training.now_s)
    assert in_training.credit_wei(in_training.client) == REWARD_WEI + 2 * MINER_BOND_WEI - occupancy_wei
    in_training.check_settled(1)
