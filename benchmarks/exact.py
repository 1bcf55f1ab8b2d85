"""`make bench-exact`: judging a model exactly, beside judging it in float32 and an epoch of the default trainer.

CPU time, so that whatever else runs disturbs it less; medians of interleaved runs in one process. Judging exactly
includes preparing the weights, which takes the same time for any number of rows. Rows are random.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from miner.training.api import TrainingJob
from miner.training.default import DefaultTrainer
from pole.exact.fast import prepare
from pole.task.estimate import estimate_ppm
from pole.task.manifest import AnyModel, GraphModel, Manifest, TorchvisionModel
from pole.task.model import build_model
from testbed.markdown import markdown_table

CLASSES = 10
HEADER = (
    *("model", "row", "rows", "float32 (s)", "exact: weights (s)", "exact: rows (s)"),
    *("exact / float32", "at most", "epoch (s)", "exact / epoch"),
)


@dataclass(frozen=True)
class Case:
    """`limit`: how many times the CPU time of float32 is allowed (issue "Exact verdicts")."""

    name: str
    model: AnyModel
    shape: tuple[int, ...]
    rows: int
    limit: float
    epoch_repeats: int = 3


@dataclass(frozen=True)
class Times:
    """Seconds of CPU time."""

    float32: float
    weights: float
    rows: float
    epoch: float

    @property
    def exact(self) -> float:
        return self.weights + self.rows


class BenchJob(TrainingJob):
    """A job for a model alone, without a task around it."""

    @property
    def feature_shape(self) -> tuple[int, ...]:
        return tuple(self.train_x.shape[1:])

    def new_model(self) -> nn.Module:
        return build_model(self.manifest.model, self.feature_shape, CLASSES)


def graph(*layers: dict[str, Any]) -> GraphModel:
    named = [{"name": f"l{index}", **layer} for index, layer in enumerate(layers)]
    return GraphModel.model_validate({"layers": named})


def small_cnn(pool: str) -> GraphModel:
    blocks = [
        (
            {"type": "conv2d", "channels": channels, "kernel": 3, "padding": 1},
            *({"type": "batch_norm"}, {"type": "silu"}, {"type": pool, "kernel": 2, "stride": 2}),
        )
        for channels in (16, 32)
    ]
    return graph(*blocks[0], *blocks[1], {"type": "flatten"}, {"type": "linear", "size": CLASSES})


def cases(share: float) -> list[Case]:
    sizes = ({"type": "linear", "size": 512}, {"type": "linear", "size": 256}, {"type": "linear", "size": CLASSES})
    relu = {"type": "relu"}
    image = (3, 32, 32)
    found = [
        Case("MLP 784-512-256-10", graph(sizes[0], relu, sizes[1], relu, sizes[2]), (784,), 10_000, 2.5),
        Case("CNN, average_pool", small_cnn("average_pool"), (1, 28, 28), 2_000, 4),
        Case("CNN, max_pool", small_cnn("max_pool"), (1, 28, 28), 2_000, 4),
        Case("ResNet-18", TorchvisionModel(architecture="resnet18"), image, 1_024, 3, 1),
        Case("ResNet-18, cifar", TorchvisionModel(architecture="resnet18", stem="cifar"), image, 128, 3, 1),
        Case("VGG-16", TorchvisionModel(architecture="vgg16"), image, 512, 3, 1),
    ]
    return [replace(case, rows=max(1, int(case.rows * share))) for case in found]


def measured(case: Case, repeats: int) -> Times:
    torch.manual_seed(1)
    model = build_model(case.model, case.shape, CLASSES)
    random = np.random.default_rng(1)
    x = random.standard_normal((case.rows, *case.shape)).astype(np.float32)
    y = random.integers(0, CLASSES, case.rows)
    float32, weights, rows = [], [], []
    for _ in range(repeats):
        float32.append(_seconds(lambda: estimate_ppm(model, x, y, "accuracy")))
        weights.append(_seconds(lambda: prepare(model)))
        rows.append(_seconds(partial(prepare(model).predict, x)))
    epochs = [_seconds(_epoch(case, x, y)) for _ in range(case.epoch_repeats)]
    return Times(*(statistics.median(times) for times in (float32, weights, rows, epochs)))


def _seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def _epoch(case: Case, x: Any, y: Any) -> Callable[[], object]:
    """One epoch of training; what the trainer does once, before the first, is not in it."""
    parts: dict[str, Any] = {"model": case.model, "metric": "accuracy", "mapping": None}
    manifest = Manifest.model_construct(**parts)
    job = BenchJob(
        manifest=manifest,
        train_x=x,
        train_y=y,
        target_ppm=1_000_000,
        device=torch.device("cpu"),
        seed=1,
        checkpoint_path=Path("/nonexistent/checkpoint"),
        seconds_left=lambda: 3600.0,
        is_over=lambda: False,
        report=lambda _: None,
    )
    trainer = DefaultTrainer(job)
    return lambda: [trainer._train_on(batch) for batch in trainer._batches()]


def _line(case: Case, times: Times) -> list[str]:
    return [
        case.name,
        "x".join(map(str, case.shape)),
        f"{case.rows:,}",
        *(f"{seconds:.3f}" for seconds in (times.float32, times.weights, times.rows)),
        f"{times.exact / times.float32:.2f}",
        f"{case.limit:g}",
        f"{times.epoch:.2f}",
        f"{times.exact / times.epoch:.2f}",
    ]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--share", type=float, default=1.0, help="of the rows")
    arguments.add_argument("--models", default="", help="only those whose name contains this")
    chosen = arguments.parse_args()
    torch.set_num_threads(1)
    lines = [_line(case, measured(case, chosen.repeats)) for case in cases(chosen.share) if chosen.models in case.name]
    print(markdown_table(HEADER, lines))


if __name__ == "__main__":
    main()
