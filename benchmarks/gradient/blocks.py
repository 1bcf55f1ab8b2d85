"""Whole blocks: what verifying costs compared with mining, and whether verifiers with other arithmetic agree."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from benchmarks.gradient.tasks import MINER, Task, hash_after
from pole.gradient.claim import BlockClaim, assignment
from pole.gradient.network import FlatNetwork
from pole.gradient.trajectory import Trajectory
from pole.gradient.verification import ReplayResult, verify
from testbed.markdown import markdown_table

VERIFIERS = [f"0x{index:040x}" for index in range(6)]


@dataclass(frozen=True)
class Block:
    """A proposal and the CPU time that its miner spent on it, publication included."""

    claim: BlockClaim
    mining_s: float


def mined(task: Task, blocks: int, threshold: int) -> Iterator[Block]:
    """A chain of blocks by one miner."""
    previous_hash, weights, network = bytes(32), task.genesis, task.network()
    for _ in range(blocks):
        started = time.process_time()
        network.restore(network.read(task.store.get(weights, network.max_file_bytes)))
        trajectory = Trajectory(network, task.samples, previous_hash, MINER)
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


def agreement_table(task: Task, blocks: int, threshold: int) -> str:
    """Blocks of a float32 chain, mined with one thread, that each kind of verifier accepts with the same accuracies."""
    judges = _judges(task)
    chain = [block.claim for block in mined(task, blocks, threshold)]
    usual = [verify(task.network(), task.samples, task.store, claim) for claim in chain]
    rows = [["float32, 1 thread", f"{sum(each.is_valid for each in usual)} of {blocks}", "-"]]
    for name, judge in judges.items():
        findings = [judge(claim) for claim in chain]
        alike = sum(found == each for found, each in zip(findings, usual, strict=True))
        rows.append([name, f"{sum(found.is_valid for found in findings)} of {blocks}", f"{alike} of {blocks}"])
    if not torch.cuda.is_available():
        rows.append(["CUDA", "not run: no GPU here", "-"])
    return markdown_table(["verifier", "accepted", "same finding, accuracies included"], rows)


def _slowest(task: Task, network: FlatNetwork, claim: BlockClaim, count: int, redundancy: int) -> float:
    segments = -(-claim.step // task.manifest.checkpoint_interval)
    shares = assignment(claim.previous_hash, 0, VERIFIERS[:count], segments, redundancy)
    slowest = max(shares.values(), key=len)
    started = time.process_time()
    finding = verify(network, task.samples, task.store, claim, slowest)
    assert finding.is_valid, finding.reason
    return time.process_time() - started


def _judges(task: Task) -> dict[str, Callable[[BlockClaim], ReplayResult]]:
    double = task.samples.to("cpu", torch.float64)

    def in_float64(claim: BlockClaim) -> ReplayResult:
        return verify(task.network(dtype=torch.float64), double, task.store, claim)

    def with_two_threads(claim: BlockClaim) -> ReplayResult:
        torch.set_num_threads(2)
        try:
            return verify(task.network(), task.samples, task.store, claim)
        finally:
            torch.set_num_threads(1)

    judges: dict[str, Callable[[BlockClaim], ReplayResult]] = {
        "float64, 1 thread": in_float64,
        "float32, 2 threads": with_two_threads,
    }
    if torch.cuda.is_available():
        samples = task.samples.to("cuda")
        judges["CUDA float32"] = lambda claim: verify(task.network(device="cuda"), samples, task.store, claim)
    return judges
