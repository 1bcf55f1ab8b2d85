"""What the mapping's parameters cost in accuracy, varied one at a time around the defaults. Not in the paper."""

import statistics
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from experiments import features, networks
from experiments.cells import Cell, Result, Tell, run_cells
from experiments.data import load
from experiments.figures import figure
from experiments.report import Report
from experiments.settings import Settings
from experiments.training import Curve, Rows, Training
from miner.training.whitening import FULL, HALF
from pole.learning.conditioning import rank
from pole.learning.mapping import mapping_matrix
from pole.task.manifest import MAX_EXACT_FLOAT32
from testbed.markdown import markdown_table

EPOCHS, HASHES, QUICK_ROWS = 8, 3, 10_000
WHITENING = {"whitened": FULL, "half-whitened": HALF}


@dataclass(frozen=True)
class Choice:
    """`bits` of a feature, `weight_bits` (k) of a query vector's entry, outputs in all."""

    bits: int = 4
    weight_bits: int = 3
    outputs: int = 128
    segments: int = 4
    normalisation: str = "half-whitened"

    @property
    def key(self) -> str:
        return f"b{self.bits}-k{self.weight_bits}-o{self.outputs}-s{self.segments}-{self.normalisation}"


DEFAULT = Choice()
SWEEPS: dict[str, list[Choice]] = {  # by what varies
    "bits per feature": [replace(DEFAULT, bits=bits) for bits in range(1, 9)],
    "bits per weight": [replace(DEFAULT, weight_bits=bits) for bits in range(1, 9)],
    "segments": [replace(DEFAULT, segments=segments) for segments in (1, 2, 4, 8, 16)],
    "outputs": [replace(DEFAULT, outputs=outputs) for outputs in (32, 64, 128, 256, 512)],
    "normalisation": [
        replace(DEFAULT, normalisation=name) for name in ("none", "standardised", "half-whitened", "whitened")
    ],
}


def run(settings: Settings) -> Report:
    folder = settings.folder("discretisation")
    choices = {choice.key: choice for sweep in SWEEPS.values() for choice in sweep}
    cells = [Cell(key, partial(_measure, choice, settings)) for key, choice in choices.items()]
    results = run_cells(folder / "cells", cells)
    _draw(folder / "sweeps", results)
    tables = [f"**{name}**\n\n{_table(sweep, results)}" for name, sweep in SWEEPS.items()]
    first = next(iter(results.values()))
    notes = [
        f"Data: {first['data']}, {first['rows']:,} training rows, {EPOCHS} epochs of an MLP behind the mappings of "
        f"{HASHES} hashes, mean and deviation; defaults: {DEFAULT.bits} bits, k = {DEFAULT.weight_bits}, "
        f"{DEFAULT.outputs} outputs in {DEFAULT.segments} segments, half-whitened, as the default miner trains.",
        "A sum stays exact in float32 while the largest one is below 2^24; `largest sum` is a share of that.",
        "Rank of Z, the mapping of all segments together: how many linear equations about a row a round reveals.",
    ]
    return Report(
        "discretisation", "What bits, segments and normalisation cost", "\n\n".join(tables), ["sweeps"], notes
    )


def _measure(choice: Choice, settings: Settings, tell: Tell) -> Result:
    """Behind the mappings of a few hashes, one training each."""
    data = load("mnist", settings, bits=choice.bits, rows=None if settings.is_full else QUICK_ROWS)
    mapping = features.dense(
        choice.outputs,
        choice.segments,
        bits_per_weight=choice.weight_bits,
        normalise=choice.normalisation != "none",
    )
    finals: dict[str, list[float]] = {"train": [], "test": []}
    for i in range(HASHES):
        phs = features.previous_hash(settings.seed, f"discretisation {i}")
        curve = _trained(features.secure(data, mapping, phs), choice, data.classes, settings)
        finals["train"].append(curve.train[-1])
        finals["test"].append(curve.test[-1])
        tell(i + 1, HASHES)
    weights = mapping_matrix(mapping, phs, data.shape)
    largest = int(weights.sum(axis=1).max()) * ((1 << choice.bits) - 1)
    return {
        "data": data.name,
        "rows": len(data.train_y),
        **finals,
        "rank": choice.segments * rank(weights),
        "largest": largest / MAX_EXACT_FLOAT32,
    }


def _trained(rows: Rows, choice: Choice, classes: int, settings: Settings) -> Curve:
    if choice.normalisation in WHITENING:
        rows = features.white(rows, WHITENING[choice.normalisation])
    torch.manual_seed(settings.seed)
    model = networks.build(networks.mlp(classes), rows.shape, classes)
    training = Training(model, rows, settings.torch_device, seed=settings.seed)
    for _ in range(EPOCHS):
        training.epoch()
    return training.curve


def _table(sweep: list[Choice], results: dict[str, Result]) -> str:
    header = ["bits", "k", "outputs", "segments", "normalisation", "train %", "test %", "rank of Z", "largest sum"]
    lines = []
    for choice in sweep:
        result = results[choice.key]
        lines.append(
            [
                *(str(value) for value in (choice.bits, choice.weight_bits, choice.outputs, choice.segments)),
                choice.normalisation,
                f"{statistics.mean(result['train']):.2f}",
                f"{statistics.mean(result['test']):.2f} ± {statistics.stdev(result['test']):.2f}",
                str(result["rank"]),
                f"{100 * result['largest']:.2f} %",
            ]
        )
    return markdown_table(header, lines)


def _draw(path: Path, results: dict[str, Result]) -> None:
    with figure(path, columns=len(SWEEPS), width=3.4) as axes:
        for axis, (name, sweep) in zip(axes, SWEEPS.items(), strict=True):
            field = name.replace("bits per feature", "bits").replace("bits per weight", "weight_bits")
            tests = [results[choice.key]["test"] for choice in sweep]
            means, spread = [statistics.mean(test) for test in tests], [statistics.stdev(test) for test in tests]
            axis.errorbar([str(getattr(choice, field)) for choice in sweep], means, spread, marker="o", capsize=3)
            axis.tick_params("x", labelsize=7)
            axis.set(title=name, ylabel="test accuracy, %")
