"""The seed of a segment's draws: the published checkpoint that it starts from, rounded coarsely.

Nobody can foretell the draws of a segment without training up to it, and hardly anybody can choose them: rounding is so
coarse that a checkpoint altered within the replay tolerance nearly always has the same seed. See docs/gradient.md.
"""

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Differences by rounding alone: relative to the weight, on top of the manifest's tolerance.
ROUNDING = 2.0**-20
COORDINATES = 256
# How many of the coordinates an alteration within the tolerance can move into another cell, on average.
MOVABLE = 0.06

_CELLS = b"pole.gradient.cells.v1"
_SEED = b"pole.gradient.segment.v1"
_WORD_BYTES = 8
_LEVEL_BITS = 15
_MAX_CELL = 1 << 62

Floats = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]


def segment_seed(
    previous_hash: bytes,
    miner: str,
    segment: int,
    before: Floats,
    after: Floats,
    tensors: Sequence[tuple[int, int]],
    tolerance: float,
) -> bytes:
    """What stands for the previous hash in the draws of a segment from the second on, 32 bytes.

    `after`: the weights [w] that the segment starts from, as published; `before`: those of the checkpoint before it.
    `tensors`: each one's first index and the one after its last.
    """
    start = previous_hash + bytes.fromhex(miner[2:]) + segment.to_bytes(_WORD_BYTES, "big")
    chosen, offsets = places(start, len(after))
    old, new = flushed(before), flushed(after)
    width = cell_widths(old, new, tensors, tolerance)[chosen]
    return hashlib.shake_256(_SEED + start + _cells((new - old)[chosen], width, offsets).tobytes()).digest(32)


def cell_widths(before: Doubles, after: Doubles, tensors: Sequence[tuple[int, int]], tolerance: float) -> Doubles:
    """How coarsely each weight's movement is rounded, [w]: what may be altered, times 2 * COORDINATES / MOVABLE."""
    allowed = ROUNDING * np.abs(after)
    for first, end in tensors:
        allowed[first:end] += tolerance * _rms_bound(after[first:end] - before[first:end])
    widths: Doubles = allowed * (2 * COORDINATES / MOVABLE)
    return widths


def places(start: bytes, weights: int) -> tuple[NDArray[np.int64], Doubles]:
    """Which weights count, and where the borders of their cells lie, as shares of a cell; [COORDINATES] each."""
    stream = hashlib.shake_256(_CELLS + start).digest(2 * COORDINATES * _WORD_BYTES)
    words = np.frombuffer(stream, dtype=">u8").astype(np.uint64)
    chosen = (words[:COORDINATES] % np.uint64(weights)).astype(np.int64)
    return chosen, np.ldexp((words[COORDINATES:] >> np.uint64(11)).astype(np.float64), -53)


def _cells(movement: Doubles, width: Doubles, offsets: Doubles) -> NDArray[np.int64]:
    """Big-endian. A weight of a tensor that stands still, at zero, is in cell 0; so is one that is not finite."""
    with np.errstate(all="ignore"):
        cells = np.floor(movement / width + offsets)
    cells = np.where(np.isfinite(cells), cells, 0).clip(-_MAX_CELL, _MAX_CELL)
    return cells.astype(">i8")


def _rms_bound(movement: Doubles) -> float:
    """The RMS, rounded up to a power of two: by integers, so that every machine finds the same."""
    largest = float(np.abs(movement).max())
    if not 0 < largest < math.inf:
        return 0.0
    scale = _LEVEL_BITS - math.frexp(largest)[1]
    levels = np.rint(np.ldexp(movement, scale)).astype(np.int64)
    mean_square = -(-int(np.square(levels).sum()) // len(levels))
    return math.ldexp(1.0, ((mean_square - 1).bit_length() + 1) // 2 - scale)


def flushed(values: Floats) -> Doubles:
    """In float64; what is too small for float32's normal form is zero, as it is for whoever trains."""
    wide = values.astype(np.float64)
    wide[np.abs(wide) < np.finfo(np.float32).tiny] = 0
    return wide
