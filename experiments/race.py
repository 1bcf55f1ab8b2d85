"""How many steps training needs to reach an accuracy from given weights, at the best learning rate for them."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from experiments.training import BATCH, Rows, accuracy

AVERAGED = 10.0
"""The weights that are scored are a running mean, to which each step adds this over the steps so far."""
FINENESS = 12
"""Looked at after every step at first, then whenever one step in so many was added."""
TEMPERATURE, HIDDEN_WEIGHT = 2.0, 1.0
"""Of imitation: the best of a few that were tried (temperatures 2 and 4, weights 0 to 10)."""


@dataclass(frozen=True)
class Teacher:
    """What a model makes of the training rows: logits [n, classes] and what `layer` yields, [n, units].

    `has_labels`: the labels count as well.
    """

    logits: Tensor
    layer: str
    hidden: Tensor
    has_labels: bool = False


@dataclass(frozen=True)
class Start:
    """A model that a race begins with. `trained`: prefix of the parameters' names; `teacher`: whose units and answers
    to imitate."""

    model: nn.Module
    trained: str = ""
    teacher: Teacher | None = None


@torch.inference_mode()
def teacher_of(model: nn.Module, layer: str, x: NDArray[np.float32]) -> Teacher:
    """All on the CPU."""
    device = next(model.parameters()).device
    with _listening(model.eval(), layer) as heard:
        logits = model(torch.from_numpy(x).to(device)).cpu()
    return Teacher(logits, layer, heard[layer].cpu())


@contextmanager
def _listening(model: nn.Module, layer: str) -> Iterator[dict[str, Tensor]]:
    """Holds what the layer yielded last."""
    heard: dict[str, Tensor] = {}

    def keep(_: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        heard[layer] = output

    hook = model.get_submodule(layer).register_forward_hook(keep)
    try:
        yield heard
    finally:
        hook.remove()


def steps_to(
    start: Start,
    rows: Rows,
    thresholds: Sequence[float],
    *,
    most: int,
    seed: int,
    device: torch.device,
    rates: Sequence[float],
) -> list[int | None]:
    """Mini-batches until the test accuracy first reaches each threshold, in percent: the fewest over `rates`.

    None where none of them gets there in `most`.
    """
    fewest: list[int | None] = [None] * len(thresholds)
    for rate in rates:
        climb = _climb(start, rows, most=most, until=max(thresholds), seed=seed, device=device, rate=rate)
        for steps, reached in climb:
            for i, threshold in enumerate(thresholds):
                if reached >= threshold:
                    known = fewest[i]
                    fewest[i] = steps if known is None else min(known, steps)
    return fewest


def _climb(
    start: Start, rows: Rows, *, most: int, until: float, seed: int, device: torch.device, rate: float
) -> Iterator[tuple[int, float]]:
    """Steps done and test accuracy then, until `until` or `most`."""
    model = copy.deepcopy(start.model).to(device)
    averaged = copy.deepcopy(model)
    parts = [torch.from_numpy(part).to(device) for part in (rows.train_x, rows.test_x, rows.test_y)]
    trained = [parameter for name, parameter in model.named_parameters() if name.startswith(start.trained)]
    optimizer = torch.optim.AdamW(trained, lr=rate, fused=True)
    loss_of = _loss(start, rows, device)
    batches, looked_at = _batches(len(rows.train_y), seed), 0
    with _listening(model, start.teacher.layer if start.teacher else "") as heard:
        for done in range(most + 1):
            if done >= looked_at or done == most:
                looked_at = done + 1 + done // FINENESS
                reached = accuracy(averaged, parts[1], parts[2])
                yield done, reached
                if reached >= until:
                    return
            model.train()
            chosen = next(batches).to(device)
            loss = loss_of(model(parts[0][chosen]), chosen, heard)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            _average(averaged, model, done + 1)


@torch.no_grad()
def _average(averaged: nn.Module, model: nn.Module, done: int) -> None:
    """A mean of the weights over the last part of the steps: at any time what a falling rate would have come to."""
    share = min(1.0, AVERAGED / done)
    for mean, parameter in zip(averaged.parameters(), model.parameters(), strict=True):
        mean.lerp_(parameter, share)


def _loss(start: Start, rows: Rows, device: torch.device) -> Callable[[Tensor, Tensor, Mapping[str, Tensor]], Tensor]:
    """Cross-entropy with the labels, or the distance from the teacher's softened answers and hidden units."""
    teacher = start.teacher
    labels = torch.from_numpy(rows.train_y).to(device)
    if teacher is None:
        return lambda logits, chosen, _: functional.cross_entropy(logits, labels[chosen])
    answers = functional.softmax(teacher.logits.to(device) / TEMPERATURE, dim=1)
    scale = teacher.hidden.std()
    hidden, layer = (teacher.hidden / scale).to(device), teacher.layer

    def imitate(logits: Tensor, chosen: Tensor, heard: Mapping[str, Tensor]) -> Tensor:
        told = functional.cross_entropy(logits / TEMPERATURE, answers[chosen]) * TEMPERATURE**2
        told = told + HIDDEN_WEIGHT * functional.mse_loss(heard[layer] / scale, hidden[chosen])
        return told + functional.cross_entropy(logits, labels[chosen]) if teacher.has_labels else told

    return imitate


def _batches(count: int, seed: int) -> Iterator[Tensor]:
    """Whole mini-batches for ever, each pass in an order of its own."""
    order, size = torch.Generator().manual_seed(seed), min(BATCH, count)
    while True:
        rows = torch.randperm(count, generator=order)
        for start in range(0, count - size + 1, size):
            yield rows[start : start + size]
