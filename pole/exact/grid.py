"""The grids that values lie on, and the rounding that brings them there.

A value is an integer, held in float64: v stands for v / 2^fraction_bits. Source: docs/exact-evaluation.md, Numbers
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EXACT = 2.0**53  # up to here float64 holds every integer


class Grid(NamedTuple):
    """Units of 2^-fraction_bits, and the largest magnitude in such units."""

    fraction_bits: int
    bound: float


FINE = Grid(16, 2.0**28)
COARSE = Grid(10, 2.0**28)
RAW = Grid(0, 2.0**24)


def settle(values: Floats, grid: Grid) -> Floats:
    """Round (halves to even) and clamp, in place."""
    np.rint(values, out=values)
    return np.clip(values, -grid.bound, grid.bound, out=values)
