"""Scores of probabilities, from logits in units of 2^-16. Source: docs/exact-evaluation.md, Scores of probabilities

logits: int64 [n, classes] of magnitude up to 2^40; labels: int64 [n]. n * classes is at most 2^27, so that no sum of
int64 overflows.
"""

from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pole.task.exponentials import ONE_BITS, exponentials, log2_units
from pole.task.integers import PPM, Fraction, Integers, floored_mean, total

_NUMBERS_AT_ONCE = 1 << 20
_PRECISION_BITS = 32
_DECIMALS = Context(prec=50, rounding=ROUND_HALF_EVEN, Emin=-999_999, Emax=999_999, traps=[])
_LOGIT_UNIT, _LOG2_UNIT = 1 << 16, 1 << 24


def top_k(logits: Integers, labels: Integers, k: int) -> int:
    """The share of rows whose class is among the k of the largest logits; of equals, the lower class comes first."""
    hits = 0
    for rows in _parts(logits):
        z, y = logits[rows], labels[rows, None]
        own = np.take_along_axis(z, y, axis=1)
        before = (z > own) | ((z == own) & (np.arange(z.shape[1]) < y))
        hits += int((before.sum(axis=1) < k).sum())
    return PPM * hits // len(labels)


def roc_auc(logits: Integers, labels: Integers, classes: int) -> int:
    """How often a row of a class ranks above one of another, equals half: one class against the rest, and their mean.

    Of two classes both give the same. 1/2 if there are rows of one class only.
    """
    found = [_auc(positive, negative) for positive, negative in _ranked(logits, labels, classes)]
    fractions = [fraction for fraction in found if fraction is not None]
    return floored_mean(fractions) if fractions else PPM // 2


def average_precision(logits: Integers, labels: Integers, classes: int) -> int:
    """The mean precision at the rank of each row of a class, and the mean of that over the classes that have rows.

    Of two classes the second alone counts; 0 if it has no rows.
    """
    found = [_precision(positive, negative) for positive, negative in _ranked(logits, labels, classes)]
    fractions = [fraction for fraction in found if fraction is not None]
    return floored_mean(fractions) if fractions else 0


def log_loss(logits: Integers, labels: Integers, _classes: int) -> int:
    """exp(-loss): the geometric mean of the probabilities of the rows' own classes."""
    differences = log2 = 0
    for rows in _parts(logits):
        z = logits[rows]
        largest = z.max(axis=1)
        differences += total(largest - z[np.arange(len(z)), labels[rows]])
        log2 += total(log2_units(exponentials(largest[:, None] - z).sum(axis=1)))
    # 2^-halvings is exact; only what is left is rounded.
    halvings, rest = divmod(log2, _LOG2_UNIT * len(labels))
    with localcontext(_DECIMALS):
        exponent = Decimal(differences) / _LOGIT_UNIT + Decimal(2).ln() * Decimal(rest) / _LOG2_UNIT
        return int(PPM * (-exponent / len(labels)).exp() / (1 << min(halvings, 100)))


def brier(logits: Integers, labels: Integers, _classes: int) -> int:
    """1 - half the mean squared distance between the probabilities and 0, and 1 for the row's own class."""
    squares = 0
    for rows in _parts(logits):
        distances = probabilities(logits[rows])
        distances[np.arange(len(distances)), labels[rows]] -= 1 << ONE_BITS
        squares += total((distances**2).sum(axis=1))
    worst = 2 * len(labels) << 2 * ONE_BITS
    return PPM * (worst - squares) // worst


def probabilities(logits: Integers) -> Integers:
    """In units of 2^-30, floored: int64 [n, classes]."""
    exponential = exponentials(logits.max(axis=1, keepdims=True) - logits)
    return np.asarray((exponential << ONE_BITS) // exponential.sum(axis=1, keepdims=True), dtype=np.int64)


def _parts(logits: Integers) -> Iterator[slice]:
    step = max(1, _NUMBERS_AT_ONCE // logits.shape[1])
    return (slice(start, start + step) for start in range(0, len(logits), step))


def _ranked(logits: Integers, labels: Integers, classes: int) -> Iterator[tuple[Integers, Integers]]:
    """For each class that is looked at: its rows and the others, counted for each rank from the lowest to the highest.

    Of two classes the second, by the difference of the logits; else every class, by its probability.
    """
    if classes == 2:
        yield _counted(logits[:, 1] - logits[:, 0], labels == 1)
        return
    keys = np.empty(logits.shape, np.int32)
    for rows in _parts(logits):
        keys[rows] = probabilities(logits[rows])
    yield from (_counted(keys[:, label], labels == label) for label in range(classes))


def _counted(keys: NDArray[np.integer[Any]], is_positive: NDArray[np.bool_]) -> tuple[Integers, Integers]:
    values, ranks = np.unique(keys, return_inverse=True)
    positive, negative = (np.bincount(ranks[chosen], minlength=len(values)) for chosen in (is_positive, ~is_positive))
    return positive, negative


def _auc(positive: Integers, negative: Integers) -> Fraction | None:
    pairs = int(positive.sum()) * int(negative.sum())
    below = np.cumsum(negative) - negative
    return (int((positive * (2 * below + negative)).sum()), 2 * pairs) if pairs else None


def _precision(positive: Integers, negative: Integers) -> Fraction | None:
    rows = int(positive.sum())
    if not rows:
        return None
    found = np.cumsum(positive[::-1])
    taken = found + np.cumsum(negative[::-1])
    precision = (found << _PRECISION_BITS) // taken
    return int((positive[::-1] * precision).sum()), rows << _PRECISION_BITS
