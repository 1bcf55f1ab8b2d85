"""The paper's rules as published, faults included, down to a network worked by hand."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pole.gradient.claim import BlockClaim
from pole.gradient.network import FlatNetwork, Snapshot
from pole.gradient.proof import publish_paper
from pole.gradient.requirements import paper_requirements
from pole.gradient.trajectory import PaperCandidate, PaperSearch
from pole.gradient.verification import ReplayResult, verify
from pole.storage.folder import FolderStore
from pole.task.rows import Rows
from tests.unit.gradient_task import MINER, OTHER_MINER, PREVIOUS_HASH, GradientTask, digits_task, published

# One feature, two classes, all weights zero: both logits are 0 and both probabilities 1/2 for every row. The gradient
# of the mean cross-entropy is mean((p - onehot) * x) per class. Batch {x=1, label 0; x=3, label 1}:
#   class 0: ((0.5 - 1) * 1 + 0.5 * 3) / 2 = 0.5      class 1: (0.5 * 1 + (0.5 - 1) * 3) / 2 = -0.5      biases: 0
# So with a rate of 0.5, W' = (-0.25, 0.25) and the biases stand still.
HAND_WORKED = np.array([-0.25, 0.25, 0.0, 0.0], dtype=np.float32)


@pytest.fixture
def by_hand(tmp_path: Path) -> Callable[..., GradientTask]:
    """`by_hand(count)`: the task above with |R| = count; test rows on which W' is right and W, on a tie, half right."""

    def task(count: int, test_labels: tuple[int, ...] = (1, 0)) -> GradientTask:
        training = Rows(np.array([[1], [3]], dtype=np.uint8), np.array([0, 1]))
        test = Rows(np.full((len(test_labels), 1), 2, dtype=np.uint8), np.array(test_labels))
        fields: dict[str, Any] = {
            "rules": "paper",
            "model": {"kind": "graph", "layers": [{"name": "out", "type": "linear", "size": 2}]},
            "scaling": {"mean": [0.0], "deviation": [1.0]},
            "batch_size": 2,
            "learning_rate": 0.5,
            "requirement_count": count,
        }
        return published(FolderStore(tmp_path / "store"), training, test, 2, fields)

    return task


def zeros(network: FlatNetwork) -> Snapshot:
    network.weights.zero_()
    return network.snapshot()


def hash_with(requirements: set[int]) -> bytes:
    """A previous hash from which exactly these requirements follow for the network worked by hand."""
    hashes = (number.to_bytes(32, "big") for number in range(10_000))
    return next(each for each in hashes if set(paper_requirements(each, len(requirements), 4).tolist()) == requirements)


def wanted(network: FlatNetwork, previous_hash: bytes) -> NDArray[np.int64]:
    return paper_requirements(previous_hash, network.manifest.requirement_count, network.weight_count)


def worked_claim(task: GradientTask, previous_hash: bytes) -> BlockClaim:
    network = task.network()
    before = zeros(network)
    network.step(task.samples.train_x, task.samples.train_y)
    files = publish_paper(task.store, network, PaperCandidate((0, 1), before, network.snapshot()))
    return BlockClaim(previous_hash, task.genesis, MINER, 0, 0, 1, files.proof, files.weights)


def judged(task: GradientTask, claim: BlockClaim) -> ReplayResult:
    return verify(FlatNetwork(task.manifest), task.samples, task.store, claim)


def test_step__by_hand(by_hand: Callable[..., GradientTask]) -> None:
    task = by_hand(1)
    network = task.network()
    zeros(network)
    network.step(task.samples.train_x, task.samples.train_y)
    assert np.array_equal(network.weights.numpy(), HAND_WORKED)
    last = network.last_step(np.arange(4))
    assert last.changes.tolist() == [-0.25, 0.25, 0.0, 0.0]
    assert last.rms.tolist() == [0.25, 0.25, 0.0, 0.0]


@pytest.mark.parametrize("requirements", [{0, 3}, {0, 2, 4}, {3}, {1, 3}])
def test_verify_paper__a_weight_that_moves_the_wrong_way__is_refused(
    by_hand: Callable[..., GradientTask], requirements: set[int]
) -> None:
    """Weight 0 falls and weight 1 rises, so that 0 and 3 are violated."""
    task = by_hand(len(requirements), (1, 1))
    finding = judged(task, worked_claim(task, hash_with(requirements)))
    assert finding == ReplayResult(False, "the step does not satisfy the requirements")


@pytest.mark.parametrize("requirements", [{1, 2}, {1, 2, 4, 6}, {1, 2, 5, 7}, {4, 7}])
def test_verify_paper__as_demanded_or_standing_still__is_valid(
    by_hand: Callable[..., GradientTask], requirements: set[int]
) -> None:
    """Weights 2 and 3 (the biases) do not move, which satisfies 4, 5, 6 and 7 alike: the paper's fault."""
    task = by_hand(len(requirements), (1, 1))
    assert judged(task, worked_claim(task, hash_with(requirements))) == ReplayResult(
        True, train_ppm=500_000, test_ppm=10**6
    )


def test_verify_paper__accuracy_that_stays__is_refused(by_hand: Callable[..., GradientTask]) -> None:
    """On a tie the first class wins: W has one of two right, and so has W'."""
    task = by_hand(2)
    finding = judged(task, worked_claim(task, hash_with({1, 2})))
    assert finding == ReplayResult(False, "test accuracy goes from 500000 to 500000 ppm; it must grow")


def test_verify_paper__stolen_or_from_nowhere__is_valid_as_published(by_hand: Callable[..., GradientTask]) -> None:
    """Nothing binds a proof to its miner, nor its W to the block before: genesis here has other weights than zero."""
    task = by_hand(2, (1, 1))
    claim = worked_claim(task, hash_with({1, 2}))
    assert task.network().weights.abs().min() > 0
    assert judged(task, replace(claim, miner=OTHER_MINER)).is_valid


def test_verify_paper__published_weights_of_another_step__are_refused(by_hand: Callable[..., GradientTask]) -> None:
    task = by_hand(2, (1, 1))
    claim = replace(worked_claim(task, hash_with({1, 2})), weights=task.genesis)
    assert judged(task, claim) == ReplayResult(False, "the published weights are not those that the step yields")


@pytest.mark.parametrize("batch", ["[0]", "[0,0]", "[0,2]", "[0,1,0]"])
def test_verify_paper__batch_of_wrong_rows__is_refused(by_hand: Callable[..., GradientTask], batch: str) -> None:
    task = by_hand(2, (1, 1))
    document = f'{{"version":1,"rules":"paper","batch":{batch},"weights_before":"{task.genesis}"}}'
    claim = replace(worked_claim(task, hash_with({1, 2})), proof=task.store.put(document.encode()))
    finding = judged(task, claim)
    assert not finding.is_valid
    assert "is not 2 different rows out of 2" in finding.reason


def test_paper_search__finds_steps_that_algorithm_2_accepts_or_refuses_for_accuracy_alone(tmp_path: Path) -> None:
    task = digits_task(FolderStore(tmp_path), rules="paper", requirement_count=2, learning_rate=0.05)
    network, previous_hash = task.network(), bytes(32)
    search = PaperSearch(network, task.samples, wanted(network, previous_hash), np.random.default_rng(1))
    found: list[ReplayResult] = []
    while len(found) < 6:
        candidate = search.advance()
        if candidate is not None:
            files = publish_paper(task.store, network, candidate)
            claim = BlockClaim(previous_hash, task.genesis, MINER, 0, 0, 1, files.proof, files.weights)
            found.append(judged(task, claim))
    assert search.steps > len(found)
    for finding in found:
        assert finding.is_valid or finding.reason.endswith("it must grow")


def test_paper_search__contradictory_requirements__stalls_as_published(tmp_path: Path) -> None:
    """This hash wants two neighbouring weights of one output neuron to move against each other. They never do, and the
    height keeps its R for ever.
    """
    task = digits_task(FolderStore(tmp_path), rules="paper", requirement_count=2, learning_rate=0.05)
    network = task.network()
    assert wanted(network, PREVIOUS_HASH).tolist() == [780, 779]
    search = PaperSearch(network, task.samples, wanted(network, PREVIOUS_HASH), np.random.default_rng(1))
    assert not any(search.advance() for _ in range(200))


def test_paper_search__candidate__holds_the_weights_before_and_after_its_step(tmp_path: Path) -> None:
    task = digits_task(FolderStore(tmp_path), rules="paper", requirement_count=1)
    network = task.network()
    search = PaperSearch(network, task.samples, wanted(network, PREVIOUS_HASH), np.random.default_rng(1))
    candidate = None
    while candidate is None:
        candidate = search.advance()
    network.restore(candidate.before)
    rows = torch.tensor(candidate.batch)
    network.step(task.samples.train_x[rows], task.samples.train_y[rows])
    assert torch.equal(network.weights, candidate.after.weights)
    assert torch.equal(network.buffers, candidate.after.buffers)
