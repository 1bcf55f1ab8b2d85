"""The mining loop compared with bare PyTorch training loops on the same network, batch size and device."""

import itertools
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.gradient.tasks import MINER, Task
from pole.gradient.trajectory import Trajectory
from pole.task.model import new_model
from pole.task.weights import load_model
from testbed.markdown import markdown_table

STEPS_PER_TURN = 20
Advance = Callable[[], object]


def loop_table(tasks: list[Task], turns: int) -> str:
    """CPU time per step, medians of turns of 20 steps that alternate; ratios are medians over turns side by side."""
    return markdown_table(
        ["network", "mining (us)", "torch.optim.SGD (us)", "SGD by hand (us)", "mining / optim", "mining / by hand"],
        [_row(task, turns) for task in tasks],
    )


def _row(task: Task, turns: int) -> list[str]:
    loops = [_mining(task), _with_optimizer(task), _by_hand(task)]
    seconds: list[list[float]] = [[] for _ in loops]
    for turn in range(turns + 2):
        for index, advance in enumerate(loops):
            started = time.process_time()
            for _ in range(STEPS_PER_TURN):
                advance()
            if turn >= 2:  # the first turns load libraries
                seconds[index].append((time.process_time() - started) / STEPS_PER_TURN)
    medians = [f"{statistics.median(each) * 1e6:.0f}" for each in seconds]
    ratios = [
        statistics.median(ours / bare for ours, bare in zip(seconds[0], other, strict=True)) for other in seconds[1:]
    ]
    return [task.name, *medians, *(f"{ratio:.3f}" for ratio in ratios)]


def _mining(task: Task) -> Advance:
    trajectory = Trajectory(task.network(), task.samples, bytes(32), MINER)
    return trajectory.advance


def _with_optimizer(task: Task) -> Advance:
    model, batches = _bare_model(task), _batches(task)
    optimizer = torch.optim.SGD(model.parameters(), lr=task.manifest.learning_rate)

    def advance() -> None:
        batch = next(batches)
        optimizer.zero_grad()
        functional.cross_entropy(model(task.samples.train_x[batch]), task.samples.train_y[batch]).backward()
        optimizer.step()

    return advance


def _by_hand(task: Task) -> Advance:
    model, batches, rate = _bare_model(task), _batches(task), task.manifest.learning_rate
    parameters = list(model.parameters())

    def advance() -> None:
        batch = next(batches)
        functional.cross_entropy(model(task.samples.train_x[batch]), task.samples.train_y[batch]).backward()
        with torch.no_grad():
            for parameter in parameters:
                assert parameter.grad is not None
                parameter.add_(parameter.grad, alpha=-rate)
                parameter.grad = None

    return advance


def _bare_model(task: Task) -> nn.Module:
    model = new_model(task.manifest).train()
    load_model(task.network().to_bytes(), model)
    return model


def _batches(task: Task) -> Iterator[torch.Tensor]:
    """Drawn beforehand, so that the bare loops are charged for nothing but training."""
    generator = np.random.default_rng(1)
    rows, size = len(task.samples.train_y), task.manifest.batch_size
    drawn = [torch.from_numpy(generator.choice(rows, size, replace=False)) for _ in range(500)]
    return itertools.cycle(drawn)
