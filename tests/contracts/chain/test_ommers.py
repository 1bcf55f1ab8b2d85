"""LearningChain, ommers: which are kept, which are referenced, and what both readings of equation (2) pay."""

from typing import Any

import pytest

from tests.contracts.rounds import MIN_STAKE_WEI, WINNER_REWARD, ZERO_HASH, Play, valid

REFERENCE_REWARD = WINNER_REWARD // 32


@pytest.mark.parametrize(
    ("formula", "first_reward", "last_reward"),
    [
        (0, 2 * WINNER_REWARD, WINNER_REWARD * 2 // 3),  # R_w / 1 * 2 capped and R_w / 1 * 1; R_w / (4 - 1) * 2
        (1, 2 * WINNER_REWARD, WINNER_REWARD),  # R_w * H_w - H_o * O_num, capped each time
    ],
)
def test_reference__three_heights_on__pays_by_the_formula(
    play: Play, deploy: Any, create_task: Any, formula: int, first_reward: int, last_reward: int
) -> None:
    other = play.on(deploy(ledger={"ommerFormula": formula}))
    other.stake(MIN_STAKE_WEI)
    other.play(create_task, [valid(950_000, 900_000), valid(950_000, 800_000), valid(950_000, 100_000)])
    other.play(create_task, [valid(950_000, 900_000), valid(950_000, 700_000)])
    other.play(create_task, [valid(950_000, 900_000)])
    other.play(create_task, [valid(950_000, 900_000)])
    assert other.token.balanceOf(other.miners[1]) == first_reward
    assert other.token.balanceOf(other.miners[2]) == last_reward
    assert other.token.balanceOf(other.miners[0]) == 4 * WINNER_REWARD + 3 * REFERENCE_REWARD
    assert other.ledger.header(4).ommerHash == other.ledger.ommers(1)[1].hash


def test_reference__seven_heights_on__is_too_late(play: Play) -> None:
    for verifier in play.verifiers[1:3]:  # one verifier is enough here, and quicker
        play.committee.requestUnstake(sender=verifier)
    play.play_idle([valid(900_000, 0), valid(890_000, 2), valid(880_000, 1)])
    for height in range(2, 7):
        play.play_idle([valid(900_000, 0), valid(890_000, 10 * height)])
    play.play_idle([valid(900_000, 0)])
    assert play.ledger.header(7).ommerHash == play.ledger.ommers(6)[0].hash
    play.play_idle([valid(900_000, 0)])
    # All but one have been referenced, and that one is seven heights old.
    assert [ommer.isReferenced for ommer in play.ledger.ommers(1)] == [True, False]
    assert play.ledger.header(8).ommerHash == ZERO_HASH


def test_ommers__seven_losers__six_are_kept_but_all_counted(play: Play, create_task: Any, accounts: Any) -> None:
    play.submit(create_task, solutionsWanted=8)
    play.open()
    crowd = [*play.miners, *[accounts[i] for i in range(14, 18)]]
    play.to_voting(*crowd)
    play.finish([valid(950_000, 900_000 - place) for place in range(8)])
    assert [ommer.miner for ommer in play.ledger.ommers(1)] == crowd[1:7]
    assert play.ledger.ommerCount(1) == 7


def test_winner__equal_test_accuracy__earliest_commit(play: Play, create_task: Any) -> None:
    play.play(create_task, [valid(990_000, 900_000), valid(950_000, 900_000)][::-1])
    assert play.ledger.header(1).winner == play.miners[0]
