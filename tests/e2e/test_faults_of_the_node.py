"""Rounds on a node that is away, lies, or takes blocks back. Everybody is paid each time."""

import time
from collections.abc import Iterator

import pytest

from pole.chain.structs import Phase
from tests.e2e.proxy import Fault
from tests.e2e.trouble import Trouble, troubled_company

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HUNG_S, REFUSED_S = 10.0, 20.0


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trouble]:
    """Transactions wait for their blocks, so that faults come between."""
    with troubled_company(tmp_path_factory.mktemp("trouble"), is_hasty=False) as company:
        yield company


def test_round__connections_dropped_answers_lost_late_or_wrong__finishes(trouble: Trouble) -> None:
    shares = {
        Fault.REFUSED: 0.04,
        Fault.LOST: 0.04,
        Fault.SLOW: 0.05,
        Fault.BUSY: 0.02,
        Fault.FAILED: 0.02,
        Fault.GARBAGE: 0.02,
    }
    with trouble.proxy.sometimes(shares):
        trouble.finish(trouble.commission("flaky-node"))
    assert all(trouble.proxy.counts[fault] for fault in shares), trouble.proxy.counts


def test_round__node_away_for_thirty_seconds__goes_on_where_it_was(trouble: Trouble) -> None:
    world = trouble.world
    task_id = trouble.commission("outage", solutions_wanted=2)
    world.until("the commit", lambda: world.has_committed(task_id, trouble.company.miner))
    marks = trouble.marks()
    world.pass_deadline(world.in_phase(task_id, Phase.TRAINING).deadline)
    with trouble.proxy.always(Fault.HUNG):
        time.sleep(HUNG_S)
    with trouble.proxy.always(Fault.REFUSED):
        time.sleep(REFUSED_S)
    trouble.finish(task_id)
    for actor in trouble.company.actors:
        trouble.says(actor, "trying again in", marks[actor.name])


def test_round__reorgs_undo_commit_reveal_and_block__are_sent_again_and_paid_once(trouble: Trouble) -> None:
    world, miner = trouble.world, trouble.company.miner
    task_id = trouble.commission("reorgs", solutions_wanted=2)
    world.until("the commit", lambda: world.has_committed(task_id, miner))
    current = world.in_phase(task_id, Phase.TRAINING)
    undo(trouble, "SolutionCommitted", current.round_id)
    assert not world.has_committed(task_id, miner)
    world.thaw()
    world.until("the commit again", lambda: world.has_committed(task_id, miner))
    world.pass_deadline(current.deadline)
    world.until("the reveal", lambda: world.contracts.learning_chain.round(current.round_id).revealed_count)
    undo(trouble, "SolutionRevealed", current.round_id)
    assert world.contracts.learning_chain.round(current.round_id).revealed_count == 0
    world.thaw()
    ended = world.ended(task_id)
    undo(trouble, "BlockAppended", current.round_id)
    assert world.contracts.block_ledger.height() == ended.height - 1
    world.thaw()
    trouble.finish(task_id)


def undo(trouble: Trouble, event: str, round_id: int) -> None:
    """A reorg removes the event and all after it; no block comes until the test says so."""
    trouble.world.freeze()
    while (block := trouble.block_of(event, round_id)) is not None:
        trouble.world.reorganise(block)
