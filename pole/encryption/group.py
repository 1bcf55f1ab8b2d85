"""The group secp256k1 through libsecp256k1: arrays of points, and discrete logarithms of small exponents.

Written multiplicatively, as in the paper: g is the standard generator. Points are affine: big-endian x then y, or
compressed, as 2 or 3 (y even or odd) and x. The library has no form for the identity, so
functions that may meet it return whether there is a point at all.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from coincurve import GLOBAL_CONTEXT
from coincurve._libsecp256k1 import ffi, lib
from numpy.typing import NDArray

from pole.encryption.points import POINT_BYTES
from pole.errors import DataInvalid

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SCALAR_BYTES = 32
CONTEXT = GLOBAL_CONTEXT.ctx

_UNCOMPRESSED_PREFIX = 4
_COMPRESSED_BYTES = 33
_BABY_STEPS = 1 << 16

Points = NDArray[np.uint8]  # [n, 64]


def new_points(count: int) -> Any:
    """An uninitialised C array of points; pointers into it stay valid as long as it is referenced."""
    return ffi.new("secp256k1_pubkey[]", count)


def power_of_g(point: Any, exponent: int) -> bool:
    """Set point to g^exponent, in constant time in the exponent; False if that is the identity."""
    reduced = exponent % ORDER
    return bool(reduced and lib.secp256k1_ec_pubkey_create(CONTEXT, point, reduced.to_bytes(SCALAR_BYTES)))


def store_points(points: Any, count: int) -> Points:
    """Serialise the first `count` points as [count, 64]."""
    content = np.empty((count, POINT_BYTES + 1), dtype=np.uint8)
    start, size = ffi.from_buffer("unsigned char[]", content), ffi.new("size_t *", POINT_BYTES + 1)
    for i in range(count):
        lib.secp256k1_ec_pubkey_serialize(
            CONTEXT, start + i * (POINT_BYTES + 1), size, points + i, lib.SECP256K1_EC_UNCOMPRESSED
        )
    return content[:, 1:]


def load_points(points: Any, content: Points) -> None:
    """Parse [n, 64] or compressed [n, 33] into the first n points; raises DataInvalid for what is no point."""
    if content.shape[1] == POINT_BYTES:
        prefixed = np.full((len(content), POINT_BYTES + 1), _UNCOMPRESSED_PREFIX, dtype=np.uint8)
        prefixed[:, 1:] = content
    else:
        prefixed = np.ascontiguousarray(content)
    start, size = ffi.from_buffer("unsigned char[]", prefixed), prefixed.shape[1]
    for i in range(len(content)):
        if not lib.secp256k1_ec_pubkey_parse(CONTEXT, points + i, start + i * size, size):
            raise DataInvalid(f"point {i} of {len(content)} is not on the curve secp256k1; the data is corrupt")


def product(result: Any, factors: Any, count: int) -> bool:
    """Set result to the product of `count` pointed-to points; False if it is the identity. They must not overlap it."""
    return bool(count and lib.secp256k1_ec_pubkey_combine(CONTEXT, result, factors, count))


class DiscreteLog:
    """Finds x in 0..bound with g^x = point: a table of up to 65,536 powers, and giant steps beyond it."""

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._table: dict[bytes, int] = {}
        self._baby_steps = max(1, min(bound, _BABY_STEPS))
        self._giant_step = new_points(1)
        power_of_g(self._giant_step, -self._baby_steps)
        self._fill()

    def find(self, point: Any) -> int | None:
        """The exponent of a point other than the identity, or None if it is not in 1..bound. Leaves point as it is."""
        places = new_points(2)
        for offset in range(0, self.bound, self._baby_steps):
            exponent = self._table.get(_compressed(point))
            if exponent is not None:
                return offset + exponent if offset + exponent <= self.bound else None
            target = places + (offset // self._baby_steps) % 2
            if not product(target, ffi.new("secp256k1_pubkey *[]", [point, self._giant_step]), 2):
                return None
            point = target
        return None

    def _fill(self) -> None:
        generator, places = new_points(1), new_points(2)
        power_of_g(generator, 1)
        power_of_g(places, 1)
        steps = [ffi.new("secp256k1_pubkey *[]", [places + i, generator]) for i in (0, 1)]
        for exponent in range(1, self._baby_steps + 1):
            here = (exponent - 1) % 2
            self._table[_compressed(places + here)] = exponent
            product(places + (1 - here), steps[here], 2)


@lru_cache(maxsize=4)
def discrete_log(bound: int) -> DiscreteLog:
    """The shared table for a bound; building the largest takes a few tenths of a second."""
    return DiscreteLog(bound)


def _compressed(point: Any) -> bytes:
    buffer, size = ffi.new("unsigned char[]", _COMPRESSED_BYTES), ffi.new("size_t *", _COMPRESSED_BYTES)
    lib.secp256k1_ec_pubkey_serialize(CONTEXT, buffer, size, point, lib.SECP256K1_EC_COMPRESSED)
    return bytes(ffi.buffer(buffer))
