"""LearningChain, idle rounds: a public task for R_w alone; and the reservoir after everybody has withdrawn."""

from typing import Any

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from tests.contracts.rounds import INVALID, MINER_BOND_WEI, WINNER_REWARD, ZERO_HASH, AbortReason, Play, valid


def test_idle_round__no_solution__aborts_without_money(play: Play) -> None:
    play.chain.openIdleRound(sender=play.stranger)
    play.to_overtime()
    play.wait_for_deadline()
    play.advance()
    play.check_aborted(AbortReason.NO_SOLUTION)
    assert play.reservoir.totalCredits() == 0
    play.check_settled(0)


def test_idle_round__solutions__best_train_accuracy_wins_the_token_alone(play: Play) -> None:
    play.play_idle([valid(810_000, 0), valid(820_000, 0)])
    header = play.chain.header(1)
    assert (header.taskId, header.winner, header.trainPpm) == (0, play.miners[1], 820_000)
    assert play.token.balanceOf(play.miners[1]) == WINNER_REWARD
    assert play.credits_wei(play.miners[:2]) == [MINER_BOND_WEI] * 2
    assert play.chain.ommers(1)[0].miner == play.miners[0]
    idle = play.chain.idleTask().manifest
    values = play.body_of(1)
    assert values[2] == keccak(encode(["uint8", "bytes32"], [idle.codec, idle.digest]))
    assert values[4] == ZERO_HASH
    play.check_settled(0)


def test_idle_round__silent_miner__pays_the_verifiers(play: Play) -> None:
    play.chain.openIdleRound(sender=play.stranger)
    play.to_reveal(*play.miners[:2])
    play.reveal(play.miners[0])
    play.wait_for_deadline()
    play.advance()
    play.finish([valid(810_000, 0)])
    assert sum(play.credits_wei(play.verifiers[:3])) == MINER_BOND_WEI
    play.check_settled(0)


def test_idle_round__invalid_model__bond_goes_to_the_opener(play: Play) -> None:
    play.chain.openIdleRound(sender=play.stranger)
    play.to_voting(*play.miners[:2])
    play.finish([valid(799_999, 0), INVALID])
    play.check_aborted(AbortReason.NO_VALID_SOLUTION)
    assert play.credit_wei(play.stranger) == 2 * MINER_BOND_WEI
    play.check_settled(0)


def test_withdraw__everybody_after_everything__reservoir_is_empty(play: Play, create_task: Any) -> None:
    play.play(create_task, [valid(950_000, 900_000), INVALID])
    play.play_idle([valid(810_000, 0), valid(820_000, 0)])
    for verifier in play.verifiers[:3]:
        play.committee.requestUnstake(sender=verifier)
    play.wait(600)
    for verifier in play.verifiers[:3]:
        play.committee.completeUnstake(sender=verifier)
    for payee in (play.client, *play.miners[:2], *play.verifiers[:3]):
        play.reservoir.withdraw(payee, sender=payee)
    assert play.reservoir.balance == 0
