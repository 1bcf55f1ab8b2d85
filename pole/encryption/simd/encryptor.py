"""Encryption in batches: one window table of the generator's multiples, shared by all exponents."""

import secrets
from functools import lru_cache
from threading import local

import numpy as np
from numpy.typing import NDArray

from pole.encryption.group import ORDER
from pole.encryption.keys import MasterKey
from pole.encryption.points import POINT_BYTES
from pole.encryption.program import multiples_program
from pole.encryption.simd import codec, kernels
from pole.encryption.simd.batches import Words, aligned, run_batch, to_words, write_powers
from pole.encryption.simd.field import ELEMENT_WORDS
from pole.encryption.simd.lanes import LANES

_HALF = pow(2, -1, ORDER)
_LARGEST_WINDOW = 13  # entries of larger ones leave the second-level cache


class Encryptor:
    """Exponents, then powers of g from a table, for a few rows at a time."""

    def __init__(self, master: MasterKey, rows: int) -> None:
        self._local = local()
        self._width = window_width(rows * (master.dimension + 1))
        self._table = generator_table(self._width)
        shift = (1 << self._width * len(self._table)) - 1
        scale = (_HALF << 256) % ORDER
        self._secret = np.array([to_words(s * scale % ORDER) for s in (1, *master.secret)], dtype=np.uint64)
        self._constants = np.array([to_words((x + shift) * _HALF % ORDER) for x in range(256)], dtype=np.uint64)

    def run(self, x: NDArray[np.uint8], ciphertexts: NDArray[np.uint8]) -> None:
        while not self._try(x, ciphertexts):
            pass  # a sum met the identity or itself: other randomness (probability about 2^-240 per point)

    def _try(self, x: NDArray[np.uint8], ciphertexts: NDArray[np.uint8]) -> bool:
        count = len(x) * len(self._secret)
        exponents, points, prefix = self._scratch(-(-count // LANES))
        exponents[:, 0] = np.arange(2, LANES + 2)  # for lanes without a point: any exponents that do not fail
        codec.fill_exponents(_random_scalars(len(x)), self._secret, self._constants, x, exponents)
        failed = aligned(LANES)
        kernels.powers(self._table, exponents, self._width, points, prefix, failed)
        codec.write_points(points, ciphertexts.reshape(count, POINT_BYTES).view(np.uint64), count)
        return not failed.any()

    def _scratch(self, vectors: int) -> tuple[Words, Words, Words]:
        """This thread's arrays, kept from part to part: fresh pages cost as much as some of the arithmetic."""
        kept = getattr(self._local, "arrays", None)
        if kept is None or len(kept[0]) < vectors:
            kept = (
                aligned(vectors, 4, LANES),
                aligned(vectors, kernels.POINT_WORDS),
                aligned(vectors, ELEMENT_WORDS),
            )
            self._local.arrays = kept
        return kept[0][:vectors], kept[1][:vectors], kept[2][:vectors]


def _random_scalars(count: int) -> Words:
    """uint64 [count, 4] from the operating system, below the order; an r of 0 would fail like any identity."""
    while True:
        scalars = np.frombuffer(secrets.token_bytes(32 * count), dtype=np.uint64).reshape(count, 4)
        if (scalars[:, 3] != np.iinfo(np.uint64).max).all():  # else it may be too large (probability 2^-64)
            return scalars


def window_width(points: int) -> int:
    """The window that makes table and additions together cheapest."""
    return min(range(4, _LARGEST_WINDOW + 1), key=lambda width: -(-256 // width) * (points + (1 << width - 1)))


@lru_cache(maxsize=2)
def generator_table(width: int) -> Words:
    """g^(d 2^(width i)) for odd d below 2^width, as uint64 [windows, 2^(width - 1), 8]."""
    windows = -(-256 // width)
    program = multiples_program(width - 1, is_odd_only=True)
    slots = aligned(program.slots, -(-windows // LANES), kernels.POINT_WORDS)
    write_powers(slots, 0, [1 << width * i for i in range(windows)])
    assert not run_batch(program, slots).any()
    table = np.empty((1 << width - 1, windows, 8), dtype=np.uint64)
    for entry in range(len(table)):
        codec.write_points(slots[entry], table[entry], windows)
    return np.ascontiguousarray(_packed(table).transpose(1, 0, 2))


def _packed(big_endian: Words) -> Words:
    """Points as stored in files to x and y with their least significant word first."""
    return big_endian.byteswap().reshape(*big_endian.shape[:-1], 2, 4)[..., ::-1].reshape(big_endian.shape)
