"""A chain with a data client, and helpers that act as miner and verifier, shared by the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dataclient.served_tasks import served_tasks
from pole.chain.structs import Phase, TaskState
from pole.node.context import RoleContext
from tests.unit.client_round import Hand
from tests.unit.commission import commission_iris
from tests.unit.local_nodes import LocalNodes, start_local_chain, start_local_nodes


@pytest.fixture(scope="package")
def local_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNodes]:
    folder = tmp_path_factory.mktemp("local_nodes")
    idle = commission_iris(folder / "store")
    with start_local_chain(idle.manifest_cid) as chain, start_local_nodes(chain, folder, idle) as taken:
        yield taken


@pytest.fixture
def context(local_nodes: LocalNodes, tmp_path: Path) -> RoleContext:
    """A new client with 100 ether and a home of its own."""
    return local_nodes.context("dataclient", tmp_path.name, local_nodes.funded())


@pytest.fixture
def client(context: RoleContext) -> Iterator[RoleContext]:
    """Its tasks that are still on the list leave it after the test: the next one's must be the most valuable."""
    yield context
    for served in served_tasks(context):
        if served.task.state is TaskState.PENDING:
            context.contracts.task_market.cancel(served.task.task_id, key=f"end/{served.task.task_id}")


@pytest.fixture
def hand(client: RoleContext, local_nodes: LocalNodes, tmp_path: Path) -> Iterator[Hand]:
    """A miner by hand; a round that a test leaves open is ended after it."""
    played = Hand(local_nodes.context("miner", f"{tmp_path.name}-miner", local_nodes.funded()))
    yield played
    for _ in range(8):
        if played.context.contracts.learning_chain.current_round() is None:
            return
        local_nodes.pass_time(120)
        current = played.current()
        if current.phase is Phase.VOTING:
            played.send("VerifierCommittee", "advance", current.ballot_id)
        if played.context.contracts.learning_chain.is_due(current.round_id):
            played.send("LearningChain", "advance", current.round_id)
