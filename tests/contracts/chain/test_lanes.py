"""Two lanes of one deployment: independent chains of blocks over the same tasks, verifiers and money."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.contracts.rounds import (
    BOND,
    CLIENT_BOND_WEI,
    ESCROW,
    FEE_WEI,
    MIN_STAKE_WEI,
    REWARD_WEI,
    AbortReason,
    Phase,
    Play,
    TaskState,
    trained,
    valid,
)


@pytest.fixture(scope="module")
def lanes(play: Play, deploy: Any) -> list[Play]:
    """The same people on both lanes; three verifiers are seated."""
    system = deploy(lanes=2)
    parts = {key: value for key, value in vars(system).items() if key not in ("chain", "ledger", "lanes")}
    found = [play.on(SimpleNamespace(**parts, chain=lane.chain, ledger=lane.ledger)) for lane in system.lanes]
    found[0].stake(*[MIN_STAKE_WEI] * 3)
    return found


def test_genesis__two_ledgers__begin_with_different_headers(lanes: list[Play]) -> None:
    assert lanes[0].ledger.headerHash(0) != lanes[1].ledger.headerHash(0)


def test_open_round__other_lane_is_next__reverts(lanes: list[Play], create_task: Any, reverts: Any) -> None:
    first, second = lanes
    first.submit(create_task)
    with reverts(first.market.NotNextLane, lane=second.chain.address, next=first.chain.address):
        second.chain.openRound(sender=second.stranger)


def test_open_round__two_tasks__run_side_by_side_with_their_own_previous_hashes(
    lanes: list[Play], create_task: Any
) -> None:
    first, second = lanes
    task_ids = [first.submit(create_task) for _ in lanes]
    for lane in lanes:
        lane.open()
    assert [lane.round.taskId for lane in lanes] == task_ids
    assert [lane.phase for lane in lanes] == [Phase.TRAINING] * 2
    assert first.round.previousHash != second.round.previousHash
    assert [first.market.task(task_id).lane for task_id in task_ids] == [0, 1]


def test_open_round__holder_of_one_lane__delays_nobody_on_the_other(lanes: list[Play], create_task: Any) -> None:
    held, free = lanes
    held.submit(create_task)
    held.open(has_keys=False)
    for _ in range(3):
        free.play(create_task, [valid(950_000, 900_000)])
    assert held.phase == Phase.KEYS
    assert [lane.ledger.height() for lane in lanes] == [0, 3]


def test_finalise__ballots_of_both_lanes__blocks_at_the_same_height(lanes: list[Play], create_task: Any) -> None:
    for lane in lanes:
        lane.submit(create_task, solutionsWanted=1)
    for lane, miner in zip(lanes, lanes[0].miners, strict=False):
        lane.open()
        lane.to_voting(miner)
    assert [lane.ballot_id for lane in lanes] == [1, 2]
    for lane in reversed(lanes):
        lane.finish([valid(950_000, 900_000)])
        assert lane.phase == Phase.FINALISED
    headers = [lane.ledger.header(1) for lane in lanes]
    assert [header.taskId for header in headers] == [1, 2]
    assert [header.winner for header in headers] == lanes[0].miners[:2]
    assert [lane.market.task(task_id).state for task_id, lane in enumerate(lanes, 1)] == [TaskState.SOLVED] * 2
    for task_id, lane in enumerate(lanes, 1):
        lane.check_settled(task_id)


def test_reveal__model_committed_on_the_other_lane__is_no_commitment_there(
    lanes: list[Play], create_task: Any, reverts: Any
) -> None:
    first, second = lanes
    for lane in lanes:
        lane.submit(create_task, solutionsWanted=1)
        lane.open()
    miner = first.miners[0]
    elsewhere = first.solution(miner)
    second.commit_hash(miner, elsewhere)
    second.advance()
    second.release()
    with reverts(
        second.chain.CommitmentMismatch, expected=elsewhere, actual=second.solution(miner, second.model(miner))
    ):
        second.reveal(miner)


def test_open_idle_round__last_free_lane__reverts(lanes: list[Play], reverts: Any) -> None:
    first, second = lanes
    second.open_idle()
    with reverts(first.market.LastFreeLane, lane=first.chain.address):
        first.chain.openIdleRound(sender=first.stranger)


@pytest.mark.parametrize("how", ["no solution", "a block"])
def test_idle_round__has_ended__frees_its_lane(lanes: list[Play], how: str) -> None:
    lane = lanes[1]
    if how == "a block":
        lane.play_idle([trained(810_000), trained(820_000)])
    else:
        lane.open_idle()
        lane.to_overtime()
        lane.wait_for_deadline()
        lane.advance()
        lane.check_aborted(AbortReason.NO_SOLUTION)
    assert [each.isBusy for each in lane.market.lanes()] == [False, False]
    assert lane.market.nextLane() == lanes[0].chain
    lane.check_settled(0)


def test_idle_rounds__on_two_lanes_at_once__money_stays_apart(play: Play, deploy: Any) -> None:
    """The account of an idle round is its lane's."""
    system = deploy(lanes=3)
    parts = {key: value for key, value in vars(system).items() if key not in ("chain", "ledger", "lanes")}
    first, second, _ = (
        play.on(SimpleNamespace(**parts, chain=lane.chain, ledger=lane.ledger)) for lane in system.lanes
    )
    first.stake(*[MIN_STAKE_WEI] * 3)
    for lane in (first, second):
        lane.open_idle()
        lane.commit(first.miners[0], first.miners[2])
    assert first.chain.balance == second.chain.balance > 0
    first.wait_for_deadline()
    second.advance()
    first.advance()
    assert first.held_wei(BOND, 0) == second.held_wei(BOND, 0) > 0
    first.reveal(first.miners[0], first.miners[2])
    first.advance()
    first.finish([trained(810_000), trained(820_000)])
    first.check_settled(0)
    assert second.held_wei(BOND, 0) > 0


def test_keys_missing__on_one_lane__pays_from_its_own_task(lanes: list[Play], create_task: Any) -> None:
    first, second = lanes
    for lane in lanes:
        lane.submit(create_task)
        lane.open(has_keys=False)
    second.publish_keys()
    first.wait_for_deadline()
    first.advance()
    first.check_aborted(AbortReason.KEYS_MISSING)
    first.check_settled(1)
    assert second.held_wei(ESCROW, 2) == REWARD_WEI + FEE_WEI + CLIENT_BOND_WEI
