"""Experiment 1: how evenly blocks come, by training and by hash puzzles. Source: PoLe, section 4.2"""

import hashlib
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments import features, networks
from experiments.cells import Cell, Result, Tell, run_cells
from experiments.data import Data, load
from experiments.figures import figure
from experiments.report import Claim, Report
from experiments.settings import Settings
from experiments.training import Training, accuracy_of
from pole.chain.profiles import PUBLIC
from pole.chain.structs import Round
from pole.storage.cid import cid_of
from testbed import rounds
from testbed.artifacts import compiled
from testbed.chain import development_chain, web3_at
from testbed.contracts import ACCOUNTS, Chain, development_key
from testbed.deployer import deploy_with_web3
from testbed.markdown import markdown_table

BLOCKS, CLIENTS, MINERS, VERIFIERS = 50, 5, 3, 3
THRESHOLD = 80.0
MAPPING = features.dense(128, 4)
HIDDEN, BATCH, LR = (1024,), 32, 3e-5
LOOK_EVERY_STEPS = 5
ROWS = 2000
MOST_STEPS = 20_000
STEP_S = 0.5
GENESIS_S = 1_900_000_000
EXPECTED_HASHES = 60_000
ARRIVALS = 20_000
PAPER = {"PoLe": (222.64, 247.65, 203.50, 140.28), "PoW": (293.72, 1498.0, 3.0, 130548.84)}


def run(settings: Settings) -> Report:
    folder = settings.folder("block-time")
    cells = [
        Cell("pole", partial(_pole, settings, folder / "trained")),
        Cell("pow", partial(_pow, settings)),
    ]
    results = run_cells(folder / "cells", cells)
    pole = results["pole"]["seconds"]
    mean = statistics.mean(pole)
    times = {"PoLe": pole, "PoW": [hashes * mean / EXPECTED_HASHES for hashes in results["pow"]["hashes"]]}
    _draw(folder / "blocks", times)
    training = results["pole"]["training_s"]
    notes = [
        f"PoLe: {BLOCKS} rounds on the real contracts (anvil, a block per second, idle time skipped), {CLIENTS} data "
        f"clients, {MINERS} miners who really train on {results['pole']['data']} behind the mapping of each block's "
        f"hash, {VERIFIERS} verifiers; the first solution with {THRESHOLD:.0f} % train accuracy ends the training. "
        f"A training step counts as {STEP_S} s, so that the figures depend on the seed and on no machine.",
        f"Training alone takes {statistics.mean(training):.1f} s on average, coefficient of variation "
        f"{_variation(training):.3f}; the rest is transactions.",
        f"PoW: {MINERS} nodes really hash (SHA-256 twice) in turns; its mean is set to PoLe's by what a hash counts.",
        "A transaction's wait is the time to the next block from a random moment on.",
        "Why not the paper's figures: its network, rate and threshold are not known. A wide first layer and a small "
        f"rate (here {HIDDEN[0]:,} units, {LR:g}) even the training out.",
    ]
    title = "Experiment 1: block times (Table 1, Figure 4)"
    return Report("block-time", title, _table(times), ["blocks"], notes, _claims(times))


def _table(times: dict[str, list[float]]) -> str:
    header = ["chain", "", "mean s", "max s", "min s", "variance", "max / mean", "min / mean", "variation"]
    lines = []
    for name, seconds in times.items():
        lines.append([name, "here", *_figures(_moments(seconds))])
        lines.append([name, "paper", *_figures(PAPER[name])])
    waits = markdown_table(
        ["chain", "mean wait s", "95 % wait less than s"],
        [[name, *(f"{wait:.0f}" for wait in _waits(seconds))] for name, seconds in times.items()],
    )
    return f"{markdown_table(header, lines)}\n\n{waits}"


def _claims(times: dict[str, list[float]]) -> list[Claim]:
    found = {name: _variation(seconds) for name, seconds in times.items()}
    published = {name: variance**0.5 / mean for name, (mean, _, _, variance) in PAPER.items()}
    return [
        Claim(
            "PoLe's blocks come evenly (standard deviation / mean)",
            f"{published['PoLe']:.3f}",
            f"{found['PoLe']:.3f}",
            "yes" if found["PoLe"] <= published["PoLe"] else "no, they vary more",
        ),
        Claim(
            "proof of work's do not",
            f"{published['PoW']:.3f}",
            f"{found['PoW']:.3f}",
            "yes" if found["PoW"] > 10 * found["PoLe"] else "no, not ten times as much",
        ),
    ]


def _moments(seconds: list[float]) -> tuple[float, float, float, float]:
    return statistics.mean(seconds), max(seconds), min(seconds), statistics.variance(seconds)


def _figures(moments: tuple[float, float, float, float]) -> list[str]:
    mean, largest, least, variance = moments
    return [
        *(f"{value:.2f}" for value in moments),
        f"{largest / mean:.2f}",
        f"{least / mean:.2f}",
        f"{variance**0.5 / mean:.3f}",
    ]


def _variation(seconds: list[float]) -> float:
    return statistics.stdev(seconds) / statistics.mean(seconds)


def _waits(seconds: list[float]) -> tuple[float, float]:
    """Mean and 95th percentile over moments spread evenly over the whole time."""
    ends = np.cumsum(seconds)
    moments = (np.arange(ARRIVALS) + 0.5) * ends[-1] / ARRIVALS
    waits = ends[np.searchsorted(ends, moments)] - moments
    return float(waits.mean()), float(np.quantile(waits, 0.95))


def _draw(path: Path, times: dict[str, list[float]]) -> None:
    with figure(path, width=8) as [axis]:
        for name, seconds in times.items():
            axis.plot(range(1, len(seconds) + 1), seconds, marker=".", label=name)
        axis.set(xlabel="block", ylabel="seconds", title="Block times")
        axis.legend()


# --- PoLe -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Solution:
    miner: str
    steps: int
    train_ppm: int
    test_ppm: int


def _pole(settings: Settings, trained: Path, tell: Tell) -> Result:
    data = load("mnist", settings, bits=4, rows=None if settings.is_full else ROWS)
    with _chain() as chain:
        verifiers = [chain.verifier(i) for i in range(VERIFIERS)]
        rounds.stake(chain, *verifiers)
        clients = [chain.accomplice(i) for i in range(CLIENTS)]
        for client in clients:
            rounds.submit(chain, client, required_train_ppm=round(THRESHOLD * 10_000), solutions_wanted=1)
        ends, training = [_now_s(chain)], []
        for block in range(BLOCKS):
            current, solution = _round(chain, data, settings, trained, verifiers)
            training.append(solution.steps * STEP_S)
            ends.append(_now_s(chain))
            client = chain.contracts.task_market.task(current.task_id).client
            rounds.submit(chain, client, required_train_ppm=round(THRESHOLD * 10_000), solutions_wanted=1)
            tell(block + 1, BLOCKS)
    return {"data": data.name, "seconds": np.diff(ends).tolist(), "training_s": training}


def _round(chain: Chain, data: Data, settings: Settings, trained: Path, verifiers: list[str]) -> tuple[Round, Solution]:
    """The most valuable task, from opening to the block; everybody acts in the second in which they can."""
    chain.do(chain.anyone, "LearningChain", "openRound")
    bound = rounds.bound(chain)
    client = chain.contracts.task_market.task(bound.task_id).client
    chain.do(client, "LearningChain", "publishKeys", bound.round_id, bound.previous_hash, rounds.KEYS)
    current, started_s = rounds.latest(chain), _now_s(chain)
    solution = _first_solution(chain, data, settings, trained, current.previous_hash)
    _wait_until(chain, started_s + round(solution.steps * STEP_S))
    hashed = rounds.commitment(chain, current, solution.miner)
    rounds.commit_hash(chain, current, solution.miner, hashed, solution.train_ppm)
    rounds.advance(chain, current)
    chain.do(client, "LearningChain", "releaseTestSet", current.round_id, rounds.TEST_SET, rounds.SALT)
    rounds.reveal(chain, current, solution.miner)
    rounds.advance(chain, current)
    verdict = rounds.scored(solution.train_ppm, solution.test_ppm)
    rounds.vote_and_finish(chain, current, {verifier: [verdict] for verifier in verifiers})
    return current, solution


def _first_solution(chain: Chain, data: Data, settings: Settings, trained: Path, phs: bytes) -> Solution:
    """All miners train; their results are kept, so that an interrupted run replays the chain without training."""
    cells = [
        Cell(f"{phs.hex()[:16]}-miner{miner}", partial(_train, data, settings, phs, miner)) for miner in range(MINERS)
    ]
    results = run_cells(trained, cells, is_quiet=True)
    solutions = [
        Solution(chain.miner(miner), result["steps"], result["train_ppm"], result["test_ppm"])
        for miner, result in enumerate(results.values())
    ]
    return min(solutions, key=lambda solution: solution.steps)


def _train(data: Data, settings: Settings, phs: bytes, miner: int, _: Tell) -> Result:
    rows = features.white(features.secure(data, MAPPING, phs))
    seed = int.from_bytes(hashlib.sha256(phs + bytes([miner])).digest()[:4]) ^ settings.seed
    torch.manual_seed(seed)
    model = networks.build(networks.mlp(data.classes, HIDDEN), rows.shape, data.classes)
    training = Training(model, rows, settings.torch_device, seed=seed, lr=LR, batch=BATCH)
    steps, reached = training.steps_until(THRESHOLD, on="train", most=MOST_STEPS, every=LOOK_EVERY_STEPS)
    test = accuracy_of(model, rows.test_x, rows.test_y)
    return {"steps": steps, "train_ppm": int(reached * 10_000), "test_ppm": int(test * 10_000)}


@contextmanager
def _chain() -> Iterator[Chain]:
    """The contracts on a node whose hashes depend on nothing but what is sent to it."""
    with development_chain(block_time_s=None, accounts=ACCOUNTS, genesis_time_s=GENESIS_S) as node:
        web3 = web3_at(node.rpc_url)
        web3.provider.make_request("anvil_setBlockTimestampInterval", [1])  # type: ignore[arg-type]
        artifacts: Any = compiled()
        deployment = deploy_with_web3(web3, development_key(0), PUBLIC, cid_of(b"idle manifest"), artifacts)
        yield Chain(web3, deployment, artifacts)


def _now_s(chain: Chain) -> int:
    return int(chain.web3.eth.get_block("latest")["timestamp"])


def _wait_until(chain: Chain, time_s: int) -> None:
    if time_s > _now_s(chain) + 1:
        chain.rpc("evm_setNextBlockTimestamp", time_s)
        chain.rpc("evm_mine")


# --- proof of work ----------------------------------------------------------------------------------------------------


def _pow(settings: Settings, tell: Tell) -> Result:
    """Hashes per block, all nodes together, each node on a header of its own."""
    target = (1 << 256) // EXPECTED_HASHES
    previous = hashlib.sha256(f"pow {settings.seed}".encode()).digest()
    hashes = []
    for block in range(BLOCKS):
        headers = [previous + bytes([node]) for node in range(MINERS)]
        tried = 0
        while True:
            header = headers[tried % MINERS] + (tried // MINERS).to_bytes(8, "big")
            found = hashlib.sha256(hashlib.sha256(header).digest()).digest()
            tried += 1
            if int.from_bytes(found) < target:
                break
        previous = found
        hashes.append(tried)
        tell(block + 1, BLOCKS)
    return {"hashes": hashes}
