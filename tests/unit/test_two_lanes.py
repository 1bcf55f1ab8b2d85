"""A client, a miner and a verifier on two lanes, step by step on a real chain whose clock only blocks move."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataclient.collect import winning_header
from dataclient.leaderboard import leaderboard
from dataclient.serve import ClientNode
from dataclient.status import status_table
from dataclient.task_folder import find_task_home
from pole.chain.structs import TaskState
from pole.node.loop import Node
from tests.unit.client_round import commissioned
from tests.unit.commission import commission_digits
from tests.unit.local_nodes import ETHER, LocalNodes, start_local_chain, start_local_nodes

NAMES = ("one", "two")
TERMS: dict[str, Any] = {"terms": {"solutions_wanted": 1, "time_limit_s": 600}}


@pytest.fixture
def local_nodes(tmp_path: Path) -> Iterator[LocalNodes]:
    digits = commission_digits(tmp_path / "store")
    with start_local_chain(digits.manifest_cid, lanes=2) as chain, start_local_nodes(chain, tmp_path, digits) as taken:
        taken.rpc("anvil_setBlockTimestampInterval", 1)
        yield taken


@pytest.mark.timeout(300)
def test_nodes__two_tasks_at_once__each_is_delivered_on_a_lane_of_its_own(
    local_nodes: LocalNodes, tmp_path: Path
) -> None:
    client = local_nodes.context("dataclient", "client", local_nodes.funded())
    homes = [commissioned(client, tmp_path, name, **TERMS) for name in NAMES]
    miner = local_nodes.miner(local_nodes.funded(), is_idle_allowed=False)
    verifier = local_nodes.verifier(local_nodes.funded())
    market, lanes = client.contracts.task_market, client.contracts.lanes
    seen: set[tuple[str, ...]] = set()
    for _ in range(400):
        step([verifier, ClientNode(client), miner], local_nodes)
        seen.add(tuple(lane.phase.name for lane in (each.learning_chain.latest_round() for each in lanes) if lane))
        if all(market.task(task_id).state is TaskState.SOLVED for task_id in (1, 2)):
            break
    assert [market.task(task_id).state for task_id in (1, 2)] == [TaskState.SOLVED] * 2
    assert any(len(each) == 2 and "FINALISED" not in each for each in seen)
    assert [market.task(task_id).lane for task_id in (1, 2)] == [0, 1]
    assert [lane.block_ledger.height() for lane in lanes] == [1, 1]
    for name, task_id, lane in zip(NAMES, (1, 2), lanes, strict=True):
        assert winning_header(client, task_id) == lane.block_ledger.header(1)
        [standing] = leaderboard(client, name).standings
        assert (standing.miner, standing.outcome) == (miner.context.address, "won")
        assert standing.payment.tokens == 16 * ETHER
        assert find_task_home(client.home, name) in homes
    assert status_table(client).row_count == 2
    assert client.contracts.reward_token.balance(miner.context.address) == 32 * ETHER
    verifier.step()
    assert verifier.rounds_ended == 2
    assert [
        member.has_revealed
        for member in (
            verifier.context.contracts.verifier_committee.member(ballot_id, verifier.context.address)
            for ballot_id in (1, 2)
        )
    ] == [True, True]


def step(nodes: list[Node], local_nodes: LocalNodes) -> None:
    """Each acts once. While a model is judged beside the loop, no time passes on the chain."""
    waits = [node.act() for node in nodes]
    if any("judging" in wait.what or "opened" in wait.what for wait in waits):
        time.sleep(0.2)
    else:
        local_nodes.rpc("evm_mine")
