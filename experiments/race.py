"""How many steps a start needs to an accuracy, at the learning rate that suits it best."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from experiments.training import BATCH, Rows, accuracy

RATES = (1e-3, 3e-3)
FINENESS = 16
"""Looked at after every step at first, then whenever this share of the steps so far was added: 1 / 16."""


@dataclass(frozen=True)
class Start:
    """A model that a race begins with. `trained`: prefix of the parameters' names; `teacher`: logits [n, classes] of
    the training rows to imitate instead of the labels."""

    model: nn.Module
    trained: str = ""
    teacher: Tensor | None = None


def steps_to(
    start: Start,
    rows: Rows,
    thresholds: Sequence[float],
    *,
    most: int,
    seed: int,
    device: torch.device,
    rates: Sequence[float] = RATES,
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
    parts = [torch.from_numpy(part).to(device) for part in (rows.train_x, rows.test_x, rows.test_y)]
    optimizer = torch.optim.AdamW(
        [p for name, p in model.named_parameters() if name.startswith(start.trained)], lr=rate
    )
    loss_of = _loss(start, rows, device)
    batches, looked_at = _batches(len(rows.train_y), seed), 0
    for done in range(most + 1):
        if done >= looked_at or done == most:
            looked_at = done + 1 + done // FINENESS
            reached = accuracy(model, parts[1], parts[2])
            yield done, reached
            if reached >= until:
                return
        model.train()
        chosen = next(batches).to(device)
        loss = loss_of(model(parts[0][chosen]), chosen)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _loss(start: Start, rows: Rows, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
    """Cross-entropy with the labels or with the teacher's softened answers."""
    if start.teacher is None:
        labels = torch.from_numpy(rows.train_y).to(device)
        return lambda logits, chosen: functional.cross_entropy(logits, labels[chosen])
    answers = functional.softmax(start.teacher.to(device) / TEMPERATURE, dim=1)
    return lambda logits, chosen: functional.cross_entropy(logits / TEMPERATURE, answers[chosen]) * TEMPERATURE**2


TEMPERATURE = 2.0


def _batches(count: int, seed: int) -> Iterator[Tensor]:
    """Whole mini-batches for ever, each pass in an order of its own."""
    order, size = torch.Generator().manual_seed(seed), min(BATCH, count)
    while True:
        rows = torch.randperm(count, generator=order)
        for start in range(0, count - size + 1, size):
            yield rows[start : start + size]
