"""Scores in parts per million, floored, by integer arithmetic from predictions. Source: PoLe, Algorithm 2."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pole.errors import BadInput

PPM = 1_000_000

Metric = Literal["accuracy", "macro_f1", "balanced_accuracy"]
Integers = NDArray[np.int64]


def score_ppm(predictions: Integers, labels: Integers, metric: Metric, classes: int) -> int:
    """The metric over all rows. Raises BadInput without rows, for unequal lengths, or for classes that do not exist."""
    if len(labels) == 0 or len(predictions) != len(labels):
        raise BadInput(f"cannot score {len(predictions)} rows against {len(labels)} labels: need as many, at least one")
    for what, values in (("predictions", predictions), ("labels", labels)):
        if values.min() < 0 or values.max() >= classes:
            raise BadInput(f"{what} run from {values.min()} to {values.max()}, but there are {classes} classes")
    hits = np.bincount(labels[predictions == labels], minlength=classes).tolist()
    if metric == "accuracy":
        return int(sum(hits)) * PPM // len(labels)
    labelled = np.bincount(labels, minlength=classes).tolist()
    if metric == "balanced_accuracy":
        return _floored_mean([(hit, of) for hit, of in zip(hits, labelled, strict=True) if of])
    predicted = np.bincount(predictions, minlength=classes).tolist()
    return _floored_mean([(2 * h, a + b) for h, a, b in zip(hits, labelled, predicted, strict=True) if a + b])


def _floored_mean(fractions: Sequence[tuple[int, int]]) -> int:
    """Mean of numerator / denominator, in ppm."""
    numerator, denominator = _sum(fractions)
    return PPM * numerator // (denominator * len(fractions))


def _sum(fractions: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """By halves: added one by one, the fractions of 10,000 classes would take minutes."""
    if len(fractions) == 1:
        return fractions[0]
    half = len(fractions) // 2
    (a, b), (c, d) = _sum(fractions[:half]), _sum(fractions[half:])
    return a * d + c * b, b * d
