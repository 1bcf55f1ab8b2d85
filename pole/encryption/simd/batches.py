"""Arrays that the kernels work on: aligned slots of eight points, and powers of g to fill them with."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pole.encryption.group import new_points, power_of_g, store_points
from pole.encryption.program import Program
from pole.encryption.simd import codec, kernels
from pole.encryption.simd.field import ELEMENT_WORDS
from pole.encryption.simd.lanes import LANES

Words = NDArray[np.uint64]


def aligned(*shape: int) -> Words:
    """Zeros that start on a cache line."""
    size = int(np.prod(shape))
    content = np.zeros(size + LANES, dtype=np.uint64)
    skip = -(content.ctypes.data // 8) % LANES
    return content[skip : skip + size].reshape(shape)


def run_batch(program: Program, slots: Words) -> Words:
    """Lanes [8] that the batch formulas failed for are not 0."""
    failed = aligned(LANES)
    prefix = aligned(program.largest_level * slots.shape[1], ELEMENT_WORDS)
    kernels.run_program(slots, program.ops, program.level_ends, prefix, failed)
    return failed


def to_words(value: int) -> list[int]:
    return [value >> 64 * i & (1 << 64) - 1 for i in range(4)]


def write_powers(slots: Words, slot: int, exponents: Sequence[int]) -> None:
    """Write g^e into a slot: exponent group * 8 + lane; the last one is repeated."""
    points = new_points(len(exponents))
    for i, exponent in enumerate(exponents):
        power_of_g(points + i, exponent)
    words = np.ascontiguousarray(store_points(points, len(exponents))).view(np.uint64)
    codec.read_points(words.reshape(-1, 1, 8), slots[slot : slot + 1])
