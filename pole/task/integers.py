"""Exact sums and means, for scores."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

PPM = 1_000_000

Integers = NDArray[np.int64]
Fraction = tuple[int, int]
"""Numerator and denominator, which is above zero."""


def total(values: Integers) -> int:
    """The sum of up to 2^31 numbers of any size, none of which is below zero: in two halves, so that none overflows."""
    return (int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())


def floored_ppm(numerator: int, denominator: int) -> int:
    """Of a fraction, cut off at zero."""
    return max(0, PPM * numerator // denominator)


def floored_mean(fractions: Sequence[Fraction]) -> int:
    """Mean of numerator / denominator, in ppm."""
    numerator, denominator = _sum(fractions)
    return PPM * numerator // (denominator * len(fractions))


def _sum(fractions: Sequence[Fraction]) -> Fraction:
    """By halves: added one by one, the fractions of 10,000 classes would take minutes."""
    if len(fractions) == 1:
        return fractions[0]
    half = len(fractions) // 2
    (a, b), (c, d) = _sum(fractions[:half]), _sum(fractions[half:])
    return a * d + c * b, b * d
