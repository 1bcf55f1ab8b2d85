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


def test_advance__keys_missing_and_nobody_seated__who_ends_it_gets_the_bond(opened: Play) -> None:
    for verifier in opened.verifiers[:3]:
        opened.committee.requestUnstake(sender=verifier)
    opened.wait_for_deadline()
    opened.chain.advance(1, sender=opened.miners[0])
    assert opened.credit_wei(opened.miners[0]) == CLIENT_BOND_WEI
    assert opened.credit_wei(opened.client) == ESCROW_WEI
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
    assert in_training.credits_wei(in_training.verifiers[:3]) == [3 * ABSENCE_WEI] * 3
    assert in_training.credits_wei(in_training.miners[:2]) == [MINER_BOND_WEI + JUDGING_WEI] * 2
    # The test set is out: the task cannot be trained for again.
    assert in_training.market.task(1).state == TaskState.REFUNDED
    in_training.check_settled(1)


def test_advance__nobody_seated__is_a_lost_quorum(in_training: Play) -> None:
    for verifier in in_training.verifiers[:3]:
        in_training.committee.requestUnstake(sender=verifier)
    in_training.to_reveal(*in_training.miners[:2])
    in_training.reveal(in_training.miners[0])
    in_training.wait_for_deadline()
    in_training.advance()
    in_training.check_aborted(AbortReason.QUORUM_LOST)
    # Nobody could earn the fee and the silent miner's bond: they are the client's.
    assert in_training.credit_wei(in_training.client) == ESCROW_WEI + CLIENT_BOND_WEI + MINER_BOND_WEI + JUDGING_WEI
    assert in_training.credits_wei(in_training.miners[:2]) == [MINER_BOND_WEI + JUDGING_WEI, 0]
    in_training.check_settled(1)


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
