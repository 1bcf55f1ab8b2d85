"""A whole round, three miners and three verifiers: who is paid what, and what the block says."""

from typing import Any

import pytest

from tests.contracts.rounds import (
    CLIENT_BOND_WEI,
    FEE_WEI,
    JUDGING_WEI,
    MIN_STAKE_WEI,
    MINER_BOND_WEI,
    REWARD_WEI,
    WINNER_REWARD,
    Phase,
    Play,
    TaskState,
    valid,
)


@pytest.fixture(scope="module")
def finished(play: Play, create_task: Any) -> Play:
    """A finalised round whose second of three miners won."""
    play.submit(create_task)
    play.open()
    play.to_voting(*play.miners[:3])
    play.finish([valid(950_000, 900_000), valid(960_000, 930_000), valid(940_000, 910_000)])
    return play


def test_round__three_valid_models__highest_test_accuracy_wins(finished: Play) -> None:
    header = finished.ledger.header(1)
    assert finished.phase == Phase.FINALISED
    assert header.winner == finished.miners[1]
    assert (header.trainPpm, header.testPpm) == (960_000, 930_000)
    assert finished.market.task(1).state == TaskState.SOLVED


def test_round__three_valid_models__everybody_is_paid(finished: Play, money: Any) -> None:
    credits_wei = [finished.credit_wei(miner) for miner in finished.miners[:3]]
    assert credits_wei == [MINER_BOND_WEI, MINER_BOND_WEI + REWARD_WEI, MINER_BOND_WEI]
    assert finished.credit_wei(finished.client) == CLIENT_BOND_WEI
    shares_wei = [finished.credit_wei(verifier) for verifier in finished.verifiers[:3]]
    assert sum(shares_wei) == FEE_WEI + 3 * JUDGING_WEI
    assert max(shares_wei) - min(shares_wei) <= 2
    assert finished.token.balanceOf(finished.miners[1]) == WINNER_REWARD
    assert finished.reservoir.total(2) == 3 * MIN_STAKE_WEI
    money(finished.reservoir)
