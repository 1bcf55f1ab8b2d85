"""Scores of predicted quantities. Source: docs/exact-evaluation.md, Scores of quantities

predictions and labels: whole numbers from 0 to 2^24, the ends of the quantity's public range; [n, quantities].
"""

from collections.abc import Callable
from math import isqrt

import numpy as np

from pole.task.integers import PPM, Integers, floored_ppm, total

VALUE_BITS = 24


def r2(predictions: Integers, labels: Integers, _outputs: int) -> int:
    """1 - squared errors over those of the mean, and not below 0."""
    return _mean(predictions, labels, lambda p, y: _share_ppm(*_squares(p, y)))


def rmse(predictions: Integers, labels: Integers, _outputs: int) -> int:
    """1 - root of the mean squared error over that of the mean, and not below 0."""
    return _mean(predictions, labels, _rmse)


def mae(predictions: Integers, labels: Integers, _outputs: int) -> int:
    """1 - absolute errors over those of the mean, and not below 0."""
    return _mean(predictions, labels, _mae)


def _mean(predictions: Integers, labels: Integers, score: Callable[[Integers, Integers], int]) -> int:
    """Floored, of one floored score for each quantity."""
    scores = [score(p, y) for p, y in zip(predictions.T, labels.T, strict=True)]
    return sum(scores) // len(scores)


def _squares(predictions: Integers, labels: Integers) -> tuple[int, int]:
    """n times the sum of squared errors, and the same of the mean."""
    n, sum_of_labels = len(labels), total(labels)
    return n * total((predictions - labels) ** 2), n * total(labels**2) - sum_of_labels**2


def _share_ppm(error: int, of_mean: int) -> int:
    """1 - error / error of the mean; where all labels are equal, 1 without error and 0 with any."""
    if not of_mean:
        return 0 if error else PPM
    return floored_ppm(of_mean - error, of_mean)


def _rmse(predictions: Integers, labels: Integers) -> int:
    error, of_mean = _squares(predictions, labels)
    if not of_mean or not error:
        return 0 if error else PPM
    # ceil(PPM * sqrt(error / of_mean)), so that what is left of PPM is floored.
    least = -(-(PPM**2) * error // of_mean)
    return max(0, PPM - isqrt(least - 1) - 1)


def _mae(predictions: Integers, labels: Integers) -> int:
    n, sum_of_labels = len(labels), total(labels)
    return _share_ppm(n * total(np.abs(predictions - labels)), total(np.abs(n * labels - sum_of_labels)))
