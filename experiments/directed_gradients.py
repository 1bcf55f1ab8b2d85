"""The second paper's Figure 1: accuracy and block interval as the chain grows, under both sets of rules.

The chain's logic is driven directly, without contracts: one miner, intervals in training steps. Source: DGG, Results
"""

import hashlib
import statistics
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from dataclient.gradient.network import propose_network
from experiments.cells import Cell, Result, Tell, run_cells
from experiments.data import Data, load
from experiments.figures import figure
from experiments.report import Claim, Report
from experiments.settings import Settings
from pole.gradient.cuda_graph import start_trajectory
from pole.gradient.difficulty import MAX_THRESHOLD, threshold
from pole.gradient.manifest import GradientManifest
from pole.gradient.network import FlatNetwork, prepare_torch
from pole.gradient.requirements import paper_requirements
from pole.gradient.samples import Samples
from pole.gradient.trajectory import PaperSearch
from pole.storage.cid import cid_of
from pole.task.rows import Rows
from testbed.markdown import markdown_table

RuleSet = Literal["paper", "hardened"]
RULES: tuple[RuleSet, ...] = ("paper", "hardened")
QUICK_BLOCKS, FULL_BLOCKS = 30, 300
QUICK_ROWS, QUICK_TEST_ROWS = 4000, 1000
TARGET_STEPS = 256
REQUIREMENTS = 8  # 2^8 steps per block, if weights move either way alike
QUICK_MOST_STEPS, FULL_MOST_STEPS = 5_000, 20_000
MINER = "0x" + "11" * 20
BITS = 8


def run(settings: Settings) -> Report:
    folder = settings.folder("directed-gradients")
    cells = [Cell(rules, partial(_chain, rules, settings)) for rules in RULES]
    results = run_cells(folder / "cells", cells)
    _draw(folder / "figure1", results)
    header = ["rules", "data", "network", "blocks", "steps per block", "variation", "test % at 0", "test % at the end"]
    lines = [[rules, *_line(results[rules])] for rules in RULES]
    notes = [
        f"One miner; an interval is counted in training steps (target {TARGET_STEPS}). `paper`: |R| = {REQUIREMENTS}, "
        "and a block must raise the test accuracy; `hardened`: the threshold follows the chain's own formula, a step "
        "counting as a second.",
        f"A `paper` chain that finds no block in {_most_steps(settings):,} steps is stalled and ends.",
        "The paper gives a figure without numbers: CIFAR-10, ResNet-18, batch 4, rate 0.001; `--full` runs that.",
    ]
    title = "Directed guiding gradients: accuracy and interval over the chain (Figure 1)"
    return Report(
        "directed-gradients", title, markdown_table(header, lines), ["figure1"], notes, _claims(results, settings)
    )


def _claims(results: dict[str, Result], settings: Settings) -> list[Claim]:
    claims = []
    wanted = FULL_BLOCKS if settings.is_full else QUICK_BLOCKS
    for rules, result in results.items():
        first, last = result["accuracies"][0], result["accuracies"][-1]
        here = f"{first:.1f} to {last:.1f} % test"
        claims.append(
            Claim(f"accuracy grows with the chain ({rules} rules)", "yes", here, "yes" if last > first else "no")
        )
        steps = result["steps"]
        is_stalled = len(steps) < wanted
        here = f"{len(steps)} of {wanted} blocks, standard deviation / mean {_variation(steps)}"
        verdict = "no, the chain stalls" if is_stalled else "yes, about as proof of work's"
        claims.append(Claim(f"the block rate remains stable ({rules} rules)", "yes", here, verdict))
    return claims


def _variation(steps: list[int]) -> str:
    return f"{statistics.stdev(steps) / statistics.mean(steps):.2f}" if len(steps) > 1 else "-"


def _chain(rules: RuleSet, settings: Settings, tell: Tell) -> Result:
    data = _data(settings)
    manifest = _manifest(rules, data, settings)
    prepare_torch(str(settings.torch_device), threads=1)
    samples = Samples.from_rows(Rows(data.train_x, data.train_y), Rows(data.test_x, data.test_y), manifest.scaling)
    samples = samples.to(settings.torch_device)
    network = FlatNetwork(manifest, settings.torch_device)
    network.restore(FlatNetwork.genesis(manifest, settings.seed).snapshot())
    previous = hashlib.sha256(f"gradient {settings.seed}".encode()).digest()
    accuracies, steps = [network.test_ppm(samples) / 10_000], list[int]()
    blocks = FULL_BLOCKS if settings.is_full else QUICK_BLOCKS
    mine = partial(_paper_block, most_steps=_most_steps(settings)) if rules == "paper" else _hardened_block
    for block in range(blocks):
        taken = mine(network, samples, previous, steps)
        if taken is None:
            break
        steps.append(taken)
        accuracies.append(network.test_ppm(samples) / 10_000)
        previous = hashlib.sha256(previous + network.to_bytes()).digest()
        tell(block + 1, blocks)
    kind = "ResNet-18" if settings.is_full else "small"
    return {"data": data.name, "network": kind, "accuracies": accuracies, "steps": steps}


def _most_steps(settings: Settings) -> int:
    return FULL_MOST_STEPS if settings.is_full else QUICK_MOST_STEPS


def _data(settings: Settings) -> Data:
    if settings.is_full:
        return load("cifar10", settings, bits=BITS)
    data = load("cifar10", settings, bits=BITS, rows=QUICK_ROWS)
    return replace(data, test_x=data.test_x[:QUICK_TEST_ROWS], test_y=data.test_y[:QUICK_TEST_ROWS])


def _paper_block(
    network: FlatNetwork, samples: Samples, previous: bytes, _: list[int], *, most_steps: int
) -> int | None:
    """Algorithm 1 until Algorithm 2 would say yes; the network then holds W'."""
    requirements = paper_requirements(previous, REQUIREMENTS, network.weight_count)
    search = PaperSearch(network, samples, requirements, np.random.default_rng(int.from_bytes(previous[:8])))
    while search.steps < most_steps:
        candidate = search.advance()
        if candidate is None:
            continue
        network.restore(candidate.before)
        before = network.test_ppm(samples)
        network.restore(candidate.after)
        if network.test_ppm(samples) > before:
            return search.steps
    return None


def _hardened_block(network: FlatNetwork, samples: Samples, previous: bytes, steps: list[int]) -> int | None:
    """The forced trajectory until its lowest digest is under the threshold of the moment."""
    trajectory = start_trajectory(network, samples, previous, MINER)
    scheduled = len(steps) * TARGET_STEPS
    while True:
        step = trajectory.advance()
        now = threshold(MAX_THRESHOLD // TARGET_STEPS, sum(steps) + step, scheduled, TARGET_STEPS)
        if trajectory.best is not None and trajectory.best.sign_digest < now:
            network.restore(trajectory.best.state)
            return step


def _manifest(rules: RuleSet, data: Data, settings: Settings) -> GradientManifest:
    """The data are at hand: the files that a manifest names stand for themselves."""
    file = {"cid": str(cid_of(b"training rows")), "rows": len(data.train_y), "size_bytes": 1 << 20}
    kind = "resnet18" if settings.is_full else "small"
    pixels = data.train_x.astype(np.float64)
    return GradientManifest.model_validate(
        {
            "name": data.name,
            "rules": rules,
            "model": propose_network(kind, data.shape, data.classes, has_columns=False).model_dump(),
            "data": {
                "shape": list(data.shape),
                "class_names": [str(i) for i in range(data.classes)],
                "discretisation": {"bits": BITS, "minimum": [0.0], "maximum": [255.0]},
                "training_set": [file],
                "test_rows": len(data.test_y),
                "test_size_bytes": 1 << 20,
            },
            "test_set": {**file, "rows": len(data.test_y)},
            "scaling": {"mean": [float(pixels.mean())], "deviation": [float(pixels.std())]},
            "learning_rate": 0.001 if settings.is_full else 0.01,
            "requirement_count": REQUIREMENTS if rules == "paper" else 24,
            "devices": "alike" if settings.is_full else "any",
        }
    )


def _line(result: Result) -> list[str]:
    steps = result["steps"]
    accuracies = [f"{result['accuracies'][i]:.2f}" for i in (0, -1)]
    mean = f"{statistics.mean(steps):.0f}" if steps else "-"
    return [result["data"], result["network"], str(len(steps)), mean, _variation(steps), *accuracies]


def _draw(path: Path, results: dict[str, Result]) -> None:
    with figure(path, columns=len(results), width=6) as axes:
        for axis, (rules, result) in zip(axes, results.items(), strict=True):
            interval = axis.twinx()
            interval.bar(range(1, len(result["steps"]) + 1), result["steps"], color="tab:blue", alpha=0.35)
            interval.set_ylabel("steps to the block")
            axis.plot(range(len(result["accuracies"])), result["accuracies"], color="tab:red", marker=".")
            axis.set(title=f"rules: {rules}", xlabel="block", ylabel="test accuracy, %", ylim=(0, 100))
