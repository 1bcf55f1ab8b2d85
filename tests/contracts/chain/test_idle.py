"""LearningChain, idle rounds: a public task for R_w alone; and the reservoir after everybody has withdrawn."""

from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from tests.contracts.rounds import (
    IDLE_JUDGING_WEI,
    INVALID,
    MIN_STAKE_WEI,
    MINER_BOND_WEI,
    WINNER_REWARD,
    ZERO_HASH,
    AbortReason,
    Kind,
    Phase,
    Play,
    Vote,
    trained,
    valid,
)


def test_idle_round__no_solution__aborts_without_money(play: Play) -> None:
    play.open_idle()
    play.to_overtime()
    play.wait_for_deadline()
    play.advance()
    play.check_aborted(AbortReason.NO_SOLUTION)
    assert play.reservoir.totalCredits() == 0
    play.check_settled(0)


def test_idle_round__solutions__best_train_accuracy_wins_the_token_alone(play: Play) -> None:
    play.play_idle([trained(810_000), trained(820_000)])
    header = play.ledger.header(1)
    assert (header.taskId, header.winner, header.trainPpm) == (0, play.miners[1], 820_000)
    assert play.token.balanceOf(play.miners[1]) == WINNER_REWARD
    assert play.credits_wei(play.miners[:2]) == [MINER_BOND_WEI] * 2
    assert play.ledger.ommers(1)[0].miner == play.miners[0]
    idle = play.chain.idleTask().manifest
    values = play.body_of(1)
    assert values[2] == keccak(encode(["uint8", "bytes32"], [idle.codec, idle.digest]))
    assert values[4] == ZERO_HASH
    play.check_settled(0)


def test_idle_round__silent_miner__pays_the_verifiers(play: Play) -> None:
    play.open_idle()
    play.to_reveal(*play.miners[:2])
    play.reveal(play.miners[0])
    play.wait_for_deadline()
    play.advance()
    play.finish([trained(810_000)])
    assert sum(play.credits_wei(play.verifiers[:3])) == MINER_BOND_WEI + 2 * IDLE_JUDGING_WEI
    play.check_settled(0)


def test_idle_round__invalid_model__bond_goes_to_the_opener(play: Play) -> None:
    play.open_idle()
    play.to_voting(*play.miners[:2])
    play.finish([trained(799_999), INVALID])
    play.check_aborted(AbortReason.NO_VALID_SOLUTION)
    assert play.credit_wei(play.stranger) == 2 * MINER_BOND_WEI
    play.check_settled(0)


@pytest.mark.parametrize("missed", [(Kind.UNAVAILABLE, 0, Kind.NONE, 0), INVALID])
def test_advance__every_verifier_misses_another_model__the_opener_gets_nothing(play: Play, missed: Any) -> None:
    """D4: the opener of an idle round took the penalties of all verifiers, who lost their seats."""
    play.open_idle()
    play.to_voting(*play.miners[:3])
    votes: dict[Any, Vote] = {
        verifier: [missed if entry == place else trained(980_000) for entry in range(3)]
        for place, verifier in enumerate(play.verifiers[:3])
    }
    play.vote_each(votes)
    play.advance()
    assert play.phase == Phase.FINALISED
    assert play.credit_wei(play.stranger) == 0
    # Nobody has earned the judging fees: they are the winner's, with the rest of the escrow.
    won_wei = MINER_BOND_WEI + 3 * IDLE_JUDGING_WEI
    assert play.credits_wei(play.miners[:3]) == [won_wei, MINER_BOND_WEI, MINER_BOND_WEI]
    assert [play.committee.verifier(each).stakeWei for each in play.verifiers[:3]] == [MIN_STAKE_WEI] * 3
    assert play.committee.seatedCount() == 3
    play.check_settled(0)


def test_idle_round__undecided_twice_with_a_silent_miner__its_bond_goes_to_the_undecided_ones(play: Play) -> None:
    play.open_idle()
    play.to_reveal(*play.miners[:2])
    play.reveal(play.miners[1])
    play.wait_for_deadline()
    play.advance()
    for _ in range(2):
        three: list[Vote] = [[trained(1)], [trained(2)], [INVALID]]
        play.vote_each(dict(zip(play.verifiers[:3], three, strict=True)))
        play.advance()
    play.check_aborted(AbortReason.UNDECIDED)
    assert play.credits_wei(play.miners[:2]) == [0, 2 * MINER_BOND_WEI + 2 * IDLE_JUDGING_WEI]
    assert play.credit_wei(play.stranger) == 0
    play.check_settled(0)


def test_withdraw__everybody_after_everything__reservoir_is_empty(play: Play, create_task: Any) -> None:
    play.play(create_task, [valid(950_000, 900_000), INVALID])
    play.play_idle([trained(810_000), trained(820_000)])
    for verifier in play.verifiers[:3]:
        play.committee.requestUnstake(sender=verifier)
    play.wait(600)
    for verifier in play.verifiers[:3]:
        play.committee.completeUnstake(sender=verifier)
    for payee in (play.client, *play.miners[:2], *play.verifiers[:3]):
        play.reservoir.withdraw(payee, sender=payee)
    assert play.reservoir.balance == 0
