"""Scores of predicted classes, from counts. Source: docs/exact-evaluation.md, Scores of classes"""

from math import isqrt
from typing import NamedTuple

import numpy as np

from pole.task.integers import PPM, Integers, floored_mean


class _Counts(NamedTuple):
    """Of each class: rows of this label and prediction, of this label, of this prediction."""

    hits: list[int]
    labelled: list[int]
    predicted: list[int]

    @property
    def rows(self) -> int:
        return sum(self.labelled)

    @property
    def by_chance(self) -> int:
        """Rows times the hits that independent predictions with these counts would have."""
        return sum(a * b for a, b in zip(self.labelled, self.predicted, strict=True))


def _counts(predictions: Integers, labels: Integers, classes: int) -> _Counts:
    of = (labels[predictions == labels], labels, predictions)
    return _Counts(*(np.bincount(values, minlength=classes).tolist() for values in of))


def accuracy(predictions: Integers, labels: Integers, _classes: int) -> int:
    return int((predictions == labels).sum()) * PPM // len(labels)


def balanced_accuracy(predictions: Integers, labels: Integers, classes: int) -> int:
    """The mean share of hits over the classes that have rows."""
    hits, labelled, _ = _counts(predictions, labels, classes)
    return floored_mean([(hit, of) for hit, of in zip(hits, labelled, strict=True) if of])


def macro_f1(predictions: Integers, labels: Integers, classes: int) -> int:
    """The mean F1 over the classes that have rows or are predicted."""
    counts = _counts(predictions, labels, classes)
    return floored_mean([(2 * hit, a + b) for hit, a, b in zip(*counts, strict=True) if a + b])


def weighted_f1(predictions: Integers, labels: Integers, classes: int) -> int:
    """The mean F1 over rows: that of each row's class."""
    counts = _counts(predictions, labels, classes)
    present = [(2 * hit * a, a + b) for hit, a, b in zip(*counts, strict=True) if a]
    # The mean over classes, times the number of classes, over the rows.
    return floored_mean([(numerator * len(present), denominator * counts.rows) for numerator, denominator in present])


def mcc(predictions: Integers, labels: Integers, classes: int) -> int:
    """Matthews' correlation r as (1 + r) / 2. Source: Gorodkin 2004 (for several classes)"""
    counts = _counts(predictions, labels, classes)
    covariance = sum(counts.hits) * counts.rows - counts.by_chance
    spread = [counts.rows**2 - sum(count**2 for count in each) for each in (counts.labelled, counts.predicted)]
    if 0 in spread:
        return PPM // 2
    # PPM / 2 * r = +- sqrt(square), with the floor on the right side of it.
    square, denominator = (PPM // 2 * covariance) ** 2, spread[0] * spread[1]
    if covariance >= 0:
        return PPM // 2 + isqrt(square // denominator)
    return PPM // 2 - _ceiled_root(square, denominator)


def cohen_kappa(predictions: Integers, labels: Integers, classes: int) -> int:
    """Cohen's kappa as (1 + kappa) / 2."""
    counts = _counts(predictions, labels, classes)
    most = counts.rows**2 - counts.by_chance
    if not most:
        return PPM // 2
    return PPM * (most + sum(counts.hits) * counts.rows - counts.by_chance) // (2 * most)


def _ceiled_root(numerator: int, denominator: int) -> int:
    """The least whole number whose square is at least numerator / denominator."""
    least = -(-numerator // denominator)
    return isqrt(least - 1) + 1 if least else 0
