"""Whole blocks: what verifying costs compared with mining."""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.gradient.tasks import MINER, Task, hash_after
from pole.gradient.claim import BlockClaim, assignment, ballot_seed, sample
from pole.gradient.manifest import DIGEST_BITS
from pole.gradient.network import FlatNetwork
from pole.gradient.trajectory import Trajectory
from pole.gradient.verification import verify
from testbed.markdown import markdown_table

VERIFIERS = [f"0x{index:040x}" for index in range(6)]


@dataclass(frozen=True)
class Block:
    """A proposal and the CPU time that its miner spent on it, publication included."""

    claim: BlockClaim
    mining_s: float


def mined(task: Task, blocks: int, threshold: int, min_step: int = 1) -> Iterator[Block]:
    """A chain of blocks by one miner."""
    previous_hash, weights, network = bytes(32), task.genesis, task.network()
    for _ in range(blocks):
        started = time.process_time()
        network.restore(network.read(task.store.get(weights, network.max_file_bytes)))
        trajectory = Trajectory(network, task.samples, previous_hash, MINER, min_step)
        while trajectory.best is None or trajectory.best.sign_digest >= threshold:
            trajectory.advance()
        claim = task.claim(network, previous_hash, weights, trajectory.best, threshold)
        yield Block(claim, time.process_time() - started)
        previous_hash, weights = hash_after(previous_hash), claim.weights


def cost_table(task: Task, blocks: int, threshold: int) -> str:
    """CPU time of the slowest verifier over that of the miner, per block; medians, and the sums' ratio."""
    chain, network = list(mined(task, blocks, threshold)), task.network()
    rows = []
    for redundancy in (1, task.manifest.redundancy):
        for count in (1, 2, 3, 6):
            times = [_slowest(task, network, block.claim, count, redundancy) for block in chain]
            ratios = [spent / block.mining_s for spent, block in zip(times, chain, strict=True)]
            total = sum(times) / sum(block.mining_s for block in chain)
            rows.append([str(redundancy), str(count), f"{statistics.median(ratios):.2f}", f"{total:.2f}"])
    steps = sum(block.claim.step for block in chain)
    header = ["redundancy", "verifiers", "median of verifier / miner", "all blocks together"]
    return f"{blocks} blocks, {steps} steps in all.\n\n" + markdown_table(header, rows)


def sampled_table(task: Task, blocks: int) -> str:
    """CPU time of a verifier that replays a sample, over that of the miner: long blocks, whatever the odds."""
    network, interval, rows = task.network(), task.manifest.checkpoint_interval, []
    for segments in (64, 128):
        first = (segments - 1) * interval + interval // 2  # the last segment is half a one, on average
        chain = list(mined(task, blocks, 1 << DIGEST_BITS, first))
        for count in (2, 4):
            spent = 0.0
            for number, block in enumerate(chain):
                chosen = sample(ballot_seed(block.claim.previous_hash, number), 0, VERIFIERS[0], segments, count)
                spent += _verifying_s(task, network, block.claim, chosen)
            share = spent / sum(block.mining_s for block in chain)
            rows.append([str(segments), str(count), f"{share:.3f}"])
    return markdown_table(["segments", "sampled, besides the last", "verifier / miner"], rows)


def _slowest(task: Task, network: FlatNetwork, claim: BlockClaim, count: int, redundancy: int) -> float:
    segments = -(-claim.step // task.manifest.checkpoint_interval)
    shares = assignment(claim.previous_hash, 0, VERIFIERS[:count], segments, redundancy)
    return _verifying_s(task, network, claim, max(shares.values(), key=len))


def _verifying_s(task: Task, network: FlatNetwork, claim: BlockClaim, chosen: frozenset[int]) -> float:
    started = time.process_time()
    finding = verify(network, task.samples, task.store, claim, chosen)
    assert finding.is_valid, finding.reason
    return time.process_time() - started
