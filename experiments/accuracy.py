"""Experiment 2: networks behind a secure mapping layer against the same networks without. Source: PoLe, section 4.3"""

import statistics
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch

from experiments import features, networks
from experiments.cells import Cell, Result, Tell, run_cells
from experiments.data import load
from experiments.figures import figure
from experiments.report import Report
from experiments.settings import Settings
from experiments.training import Rows, Training
from pole.layers import AnyModel
from pole.manifest import DenseMapping
from scripts.table import markdown_table

BITS = 4


@dataclass(frozen=True)
class Row:
    """A line of Table 2. `paper`: its final accuracy and minutes, secure and original."""

    title: str
    data: str
    network: str
    mapping: DenseMapping
    epochs: int
    quick_epochs: int
    quick_rows: int | None
    paper: str
    lr: float = 1e-3
    splits: int = 1

    @property
    def key(self) -> str:
        outputs = self.mapping.vectors * self.mapping.segments
        return f"{self.data}-{self.network}-{outputs}"


ROWS = [
    Row("MNIST MLP", "mnist", "mlp", features.dense(128, 4), 400, 6, None, "99.90 / 99.52; 14.55 / 11.26 min"),
    Row("MNIST MLP, 512 outputs", "mnist", "mlp", features.dense(512, 4), 400, 6, None, "-"),
    Row("IRIS MLP", "iris", "mlp", features.dense(4, 1), 400, 60, None, "100 / 100; 5.14 / 3.25 min", splits=8),
    Row(
        "MNIST VGG-16", "mnist", "vgg16", features.dense(256, 4), 400, 3, 2000, "99.70 / 99.93; 78.56 / 64.51 min", 3e-4
    ),
    Row(
        "CIFAR-10 VGG-16",
        "cifar10",
        "vgg16",
        features.dense(2700, 3),
        120,
        3,
        1500,
        "91.25 / 91.70; 93.41 / 71.28 min",
        3e-4,
    ),
]


def run(settings: Settings) -> Report:
    rows = [row for row in ROWS if settings.data_dir or row.data != "cifar10"]
    cells = [
        Cell(f"{row.key}-split{split}", partial(_train, row, settings, split))
        for row in rows
        for split in range(row.splits)
    ]
    folder = settings.folder("accuracy")
    results = run_cells(folder / "cells", cells)
    by_row = {row.key: [results[f"{row.key}-split{split}"] for split in range(row.splits)] for row in rows}
    _draw(folder / "curves", rows, by_row)
    table = markdown_table(_HEADER, [_line(row, by_row[row.key]) for row in rows])
    return Report(
        "accuracy", "Experiment 2: accuracy behind the mapping (Table 2, Figures 5-8)", table, ["curves"], _NOTES
    )


_HEADER = [
    "model",
    "data",
    "epochs",
    "type",
    "train %",
    "test %",
    "s per epoch",
    "secure / original",
    "paper (secure / original)",
]
_NOTES = [
    "Both networks of a row train alternately, epoch by epoch, in one process; seconds per epoch are CPU time without "
    "evaluation, as the median of all epochs but the first. The mapping is computed once, before training.",
    "MLPs see whitened features, with and without the mapping: the default miner folds whitening into its first layer.",
    "The paper's accuracies are training accuracies to judge from its figures, and it names no test accuracy.",
]


def _train(row: Row, settings: Settings, split: int, tell: Tell) -> Result:
    """Both variants, epoch by epoch in turn."""
    seed = settings.seed + split
    limit = None if settings.is_full else row.quick_rows
    data = load(row.data, settings, bits=BITS, rows=limit, seed=seed)
    is_white = row.network == "mlp"
    variants = {
        "secure": features.secure(data, row.mapping, features.previous_hash(seed, row.key), is_white=is_white),
        "original": features.original(data, is_white=is_white),
    }
    trainings = {name: _start(row, rows, data.classes, settings, seed) for name, rows in variants.items()}
    epochs = row.epochs if settings.is_full else row.quick_epochs
    for epoch in range(epochs):
        for training in trainings.values():
            training.epoch()
        tell(epoch + 1, epochs)
    curves = {name: asdict(training.curve) for name, training in trainings.items()}
    return {"data": data.name, "rows": len(data.train_y), "epochs": epochs, **curves}


def _start(row: Row, rows: Rows, classes: int, settings: Settings, seed: int) -> Training:
    torch.manual_seed(seed)
    spec: AnyModel = networks.mlp(classes) if row.network == "mlp" else networks.vgg16()
    batch = 16 if row.data == "iris" else 128
    model = networks.build(spec, rows.shape, classes)
    return Training(model, rows, settings.torch_device, seed=seed, lr=row.lr, batch=batch)


def _line(row: Row, results: list[Result]) -> list[str]:
    cells: list[list[str]] = []
    seconds = {kind: [_epoch_s(result[kind]) for result in results] for kind in ("secure", "original")}
    ratio = statistics.median(a / b for a, b in zip(seconds["secure"], seconds["original"], strict=True))
    for kind in ("secure", "original"):
        finals = {part: [result[kind][part][-1] for result in results] for part in ("train", "test")}
        cells.append([kind, _mean(finals["train"]), _mean(finals["test"]), f"{statistics.median(seconds[kind]):.2f}"])
    first = results[0]
    outputs = row.mapping.vectors * row.mapping.segments
    columns = [f"{a}<br>{b}" for a, b in zip(*cells, strict=True)]
    where = f"{first['data']}, {first['rows']:,} rows, {outputs} outputs"
    return [row.title, where, str(first["epochs"]), *columns, f"{ratio:.2f}", row.paper]


def _epoch_s(curve: Result) -> float:
    return float(statistics.median(curve["cpu_s"][1:] or curve["cpu_s"]))


def _mean(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}"


def _draw(path: Path, rows: list[Row], by_row: dict[str, list[Result]]) -> None:
    with figure(path, columns=len(rows), width=4.2) as axes:
        for axis, row in zip(axes, rows, strict=True):
            result = by_row[row.key][0]
            for kind, colour in (("secure", "tab:blue"), ("original", "tab:orange")):
                epochs = range(1, result["epochs"] + 1)
                axis.plot(epochs, result[kind]["train"], color=colour, linestyle="--", label=f"{kind}, train")
                axis.plot(epochs, result[kind]["test"], color=colour, label=f"{kind}, test")
            axis.set(title=row.title, xlabel="epoch", ylabel="accuracy, %")
            axis.legend(fontsize=7)
