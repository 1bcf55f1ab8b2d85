"""The race of the benchmark of useful work: real blocks, steps counted for everybody, losers merged as said."""

import pytest
import torch

from benchmarks.gradient.races import merged, plain, race
from benchmarks.gradient.tasks import Task, perceptron_task
from pole.gradient.network import Snapshot
from pole.storage.folder import FolderStore

TARGET = 24


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return perceptron_task(FolderStore(tmp_path_factory.mktemp("store")), checkpoint_interval=8)


def state(*weights: float, buffers: float = 0.0) -> Snapshot:
    return Snapshot(torch.tensor(weights), torch.tensor([buffers]), torch.zeros(0, dtype=torch.int64))


def test_merged__winner_alone__is_the_winners_state() -> None:
    winner = state(1.0, 2.0)
    assert merged(state(0.0, 0.0), winner, [state(9.0, 9.0)], "winner") is winner
    assert merged(state(0.0, 0.0), winner, [], "sum") is winner


@pytest.mark.parametrize(("kind", "weights"), [("average", [2.0, 2.0]), ("root", [3.0, 3.0]), ("sum", [5.0, 5.0])])
def test_merged__losers__move_the_start_by_their_share(kind: str, weights: list[float]) -> None:
    """From 1: one moves by 2 and 0, the others by 0 and 2, and 2 and 2; with the root, four share what four did."""
    start, winner = state(1.0, 1.0), state(3.0, 1.0, buffers=4.0)
    losers = [state(1.0, 3.0, buffers=2.0), state(3.0, 3.0, buffers=6.0), state(1.0, 1.0, buffers=0.0)]
    found = merged(start, winner, losers, kind)  # type: ignore[arg-type]
    assert (found.weights.tolist(), found.buffers.tolist()) == (weights, [3.0])


def test_race__one_miner__steps_of_the_chain_are_those_that_it_took_or_fewer(task: Task) -> None:
    won = list(race(task, 1, 3, TARGET, seed=1))
    assert [each.claim.step <= each.ticks for each in won] == [True] * 3
    assert won[0].claim.previous_weights == task.genesis
    assert [each.claim.previous_weights for each in won[1:]] == [each.claim.weights for each in won[:-1]]
    assert [each.claim for each in race(task, 1, 3, TARGET, seed=1)] == [each.claim for each in won]


def test_race__three_miners__several_win_and_blocks_take_no_longer(task: Task) -> None:
    won = list(race(task, 3, 12, TARGET, seed=1))
    assert len({each.claim.miner for each in won}) > 1
    assert sum(each.ticks for each in won) < 2 * 12 * TARGET


def test_race__losers_merged__the_next_block_starts_from_that(task: Task) -> None:
    first, second = race(task, 3, 2, TARGET, seed=1, merge="sum")
    assert second.claim.previous_weights != first.claim.weights
    network = task.network(second.claim.previous_weights)
    assert torch.equal(network.weights, first.start.weights)


def test_plain__same_seed__same_states_at_the_marks(task: Task) -> None:
    [early, late] = plain(task, [5, 9], seed=1)
    [alone] = plain(task, [9], seed=1)
    assert torch.equal(late.weights, alone.weights)
    assert not torch.equal(early.weights, late.weights)
