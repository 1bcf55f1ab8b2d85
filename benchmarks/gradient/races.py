"""Equally fast miners that race for the blocks of one chain: the product's mining and verification, without a node."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch.nn import functional

from benchmarks.gradient.tasks import Task
from dataclient.gradient.prepare import STEPS_BEFORE_FIRST
from pole.gradient.claim import BlockClaim
from pole.gradient.difficulty import MAX_THRESHOLD, threshold
from pole.gradient.network import FlatNetwork, Snapshot
from pole.gradient.trajectory import Trajectory
from pole.gradient.verification import verify

Merge = Literal["winner", "average", "root", "sum"]
MERGES: tuple[Merge, ...] = ("winner", "average", "root", "sum")


@dataclass(frozen=True)
class Won:
    """A block that verifiers accept. `ticks`: steps of each miner until it was proposed; `start`: of the next block."""

    claim: BlockClaim
    ticks: int
    test_ppm: int
    start: Snapshot


def race(task: Task, miners: int, blocks: int, target: int, seed: int, merge: Merge = "winner") -> Iterator[Won]:
    """A chain of blocks due every `target` steps of one miner; a step counts as a second of the chain's clock.

    All stop when a block is found. `merge`: what the next block starts from, see `merged`.
    """
    networks, judge = [task.network() for _ in range(miners)], task.network()
    addresses = ["0x" + hashlib.sha256(f"{seed} miner {number}".encode()).hexdigest()[:40] for number in range(miners)]
    previous_hash, weights, searched = hashlib.sha256(f"{seed} chain".encode()).digest(), task.genesis, 0
    first = target // STEPS_BEFORE_FIRST
    initial, start = MAX_THRESHOLD // ((target - first) * miners), judge.snapshot()
    for number in range(blocks):
        for network in networks:
            network.restore(start)
        runs = [
            Trajectory(network, task.samples, previous_hash, address, first)
            for network, address in zip(networks, addresses, strict=True)
        ]
        runs = runs[number % miners :] + runs[: number % miners]  # of two at once, another one is first each time
        found, ticks, now = _first_block(runs, initial, searched, number * target, target)
        assert found.best is not None
        claim = task.claim(found.network, previous_hash, weights, found.best, now, found.miner)
        finding = verify(judge, task.samples, task.store, claim)
        assert finding.is_valid, finding.reason
        losers = [run.checkpoints[-1] for run in runs if run is not found and run.checkpoints]
        start = merged(start, found.best.state, losers, merge)
        weights = claim.weights if merge == "winner" else task.store.put(judge.to_bytes(start))
        yield Won(claim, ticks, finding.test_ppm, start)
        searched += ticks
        previous_hash = hashlib.sha256(previous_hash + judge.to_bytes(start)).digest()


def _first_block(
    runs: Sequence[Trajectory], initial: int, searched: int, scheduled: int, target: int
) -> tuple[Trajectory, int, int]:
    """Whose trajectory holds the first block, after how many steps of everybody, and below which threshold."""
    ticks = 0
    while True:
        ticks += 1
        for run in runs:
            run.advance()
        now = threshold(initial, searched + ticks, scheduled, target)
        for run in runs:
            if run.best is not None and run.best.sign_digest < now:
                return run, ticks, now


def merged(start: Snapshot, winner: Snapshot, losers: Sequence[Snapshot], merge: Merge) -> Snapshot:
    """The winner's state, or the start and what all moved: added up, or divided by (the square root of) their number.

    Losers count up to their last full checkpoint, which verifiers can replay. Statistics of normalisation are averaged.
    """
    if merge == "winner" or not losers:
        return winner
    everybody = [winner, *losers]
    share = {"average": 1 / len(everybody), "root": len(everybody) ** -0.5, "sum": 1.0}[merge]
    moved = torch.stack([each.weights - start.weights for each in everybody]).sum(dim=0)
    buffers = torch.stack([each.buffers for each in everybody]).mean(dim=0)
    return Snapshot(start.weights + share * moved, buffers, winner.counters.clone())


def plain(task: Task, marks: Sequence[int], seed: int) -> Iterator[Snapshot]:
    """The states of plain SGD after so many steps: same network, rate and size of batches, rows shuffled by epoch."""
    network, generator = task.network(), np.random.default_rng(seed)
    rows, size = len(task.samples.train_y), task.manifest.batch_size
    order, done = torch.empty(0, dtype=torch.int64), 0
    for mark in marks:
        while done < mark:
            if len(order) < size:
                order = torch.from_numpy(generator.permutation(rows))
            batch, order = order[:size], order[size:]
            network.step(task.samples.train_x[batch], task.samples.train_y[batch])
            done += 1
        yield network.snapshot()


def test_loss(task: Task, network: FlatNetwork, state: Snapshot) -> float:
    """Mean cross-entropy over the test rows, in evaluation mode."""
    network.restore(state)
    network.model.eval()
    with torch.no_grad():
        loss = functional.cross_entropy(network.model(task.samples.test_x), task.samples.test_y)
    network.model.train()
    return float(loss)
