"""The field of secp256k1, eight elements at a time: five limbs of 52 bits each, as a tuple of `lanes`.

Two promises bound every value. *Loose*: each limb is below 2^52, so the value is below 2^260; any loose values may be
multiplied. *Tight*: below 2^256 + 2^80; what `multiply`, `square` and `fold` return and what is kept in memory. `minus`
and `times_small` take tight values and return loose ones. Nothing here branches on values.
Source: p = 2^256 - 2^32 - 977 (SEC 2, section 2.4.1); the folding of what exceeds 2^256 follows from it.
"""

from typing import Any

import numpy as np
from numba import njit

from pole.encryption.simd.cache import has_ifma
from pole.encryption.simd.lanes import (
    LIMB_MASK,
    P,
    load,
    multiply_high,
    multiply_low,
    select_zero,
    shift_right_signed,
    splat,
    store,
)
from pole.encryption.simd.portable import multiply_lane_by_lane

ELEMENT_WORDS = 40  # five limbs of eight lanes

Element = Any  # a tuple of five `lanes`, which no static type describes

_ZERO = np.uint64(0)
_52 = np.uint64(52)
_48 = np.uint64(48)
_4 = np.uint64(4)
_MASK_48 = np.uint64((1 << 48) - 1)
_P256 = np.uint64((1 << 256) % P)
_P260 = np.uint64((1 << 260) % P)
_LIMB_BYTES = np.uint64(64)


def _limbs(value: int) -> tuple[np.uint64, ...]:
    """The four lower limbs in 52 bits, the rest in the fifth."""
    return (*(np.uint64(value >> 52 * i & (1 << 52) - 1) for i in range(4)), np.uint64(value >> 208))


_2P, _4P = _limbs(2 * P), _limbs(4 * P)


@njit(forceinline=True)
def load_element(address: Any) -> Element:
    return (
        load(address),
        load(address + _LIMB_BYTES),
        load(address + np.uint64(2) * _LIMB_BYTES),
        load(address + np.uint64(3) * _LIMB_BYTES),
        load(address + np.uint64(4) * _LIMB_BYTES),
    )


@njit(forceinline=True)
def store_element(address: Any, a: Element) -> None:
    store(address, a[0])
    store(address + _LIMB_BYTES, a[1])
    store(address + np.uint64(2) * _LIMB_BYTES, a[2])
    store(address + np.uint64(3) * _LIMB_BYTES, a[3])
    store(address + np.uint64(4) * _LIMB_BYTES, a[4])


@njit(forceinline=True)
def one() -> Element:
    zero = splat(_ZERO)
    return (splat(np.uint64(1)), zero, zero, zero, zero)


@njit(forceinline=True)
def _carry(c0: Any, c1: Any, c2: Any, c3: Any, c4: Any) -> Element:
    """Limbs as signed integers to limbs below 2^52, the fifth keeping what is above; the value must not be negative."""
    c1 = c1 + shift_right_signed(c0, _52)
    c2 = c2 + shift_right_signed(c1, _52)
    c3 = c3 + shift_right_signed(c2, _52)
    c4 = c4 + shift_right_signed(c3, _52)
    return (c0 & LIMB_MASK, c1 & LIMB_MASK, c2 & LIMB_MASK, c3 & LIMB_MASK, c4)


@njit(forceinline=True)
def fold(a: Element) -> Element:
    """Loose to tight."""
    return _carry(a[0] + (a[4] >> _48) * _P256, a[1], a[2], a[3], a[4] & _MASK_48)


@njit(forceinline=True)
def minus(a: Element, b: Element) -> Element:
    """a - b + 2p: tight values to a loose one."""
    return _carry(
        a[0] - b[0] + splat(_2P[0]),
        a[1] - b[1] + splat(_2P[1]),
        a[2] - b[2] + splat(_2P[2]),
        a[3] - b[3] + splat(_2P[3]),
        a[4] - b[4] + splat(_2P[4]),
    )


@njit(forceinline=True)
def minus_both(a: Element, b: Element, c: Element) -> Element:
    """a - b - c + 4p: tight values to a loose one."""
    return _carry(
        a[0] - b[0] - c[0] + splat(_4P[0]),
        a[1] - b[1] - c[1] + splat(_4P[1]),
        a[2] - b[2] - c[2] + splat(_4P[2]),
        a[3] - b[3] - c[3] + splat(_4P[3]),
        a[4] - b[4] - c[4] + splat(_4P[4]),
    )


@njit(forceinline=True)
def times_small(a: Element, factor: Any) -> Element:
    """a * factor for a tight value and a factor of at most 3, loose."""
    if factor == 2:
        return _carry(a[0] + a[0], a[1] + a[1], a[2] + a[2], a[3] + a[3], a[4] + a[4])
    return _carry(a[0] + a[0] + a[0], a[1] + a[1] + a[1], a[2] + a[2] + a[2], a[3] + a[3] + a[3], a[4] + a[4] + a[4])


@njit(forceinline=True)
def negate_where(a: Element, signs: Any) -> Element:
    """a, or -a in the lanes where `signs` is all ones (elsewhere 0); limbs are signed and need `minus` next."""
    return (
        ((a[0] ^ signs) - signs),
        ((a[1] ^ signs) - signs),
        ((a[2] ^ signs) - signs),
        ((a[3] ^ signs) - signs),
        ((a[4] ^ signs) - signs),
    )


@njit(forceinline=True)
def _reduce(c0: Any, c1: Any, c2: Any, c3: Any, c4: Any, c5: Any, c6: Any, c7: Any, c8: Any, c9: Any) -> Element:
    """Ten columns below 2^56 to a tight value: columns 5..9 weigh 2^260 mod p more, what then exceeds 2^256 again."""
    top = splat(_P260)
    c6 = c6 + (c5 >> _52)
    c7 = c7 + (c6 >> _52)
    c8 = c8 + (c7 >> _52)
    c9 = c9 + (c8 >> _52)
    c0 = multiply_low(c0, c5, top)
    c1 = multiply_low(multiply_high(c1, c5, top), c6, top)
    c2 = multiply_low(multiply_high(c2, c6, top), c7, top)
    c3 = multiply_low(multiply_high(c3, c7, top), c8, top)
    c4 = multiply_low(multiply_high(c4, c8, top), c9, top)
    over = multiply_high(splat(_ZERO), c9, top)
    c0, c1, c2, c3, c4 = _carry(c0, c1, c2, c3, c4)
    over = (over << _4) + (c4 >> _48)
    c0 = multiply_low(c0, over, splat(_P256))
    c1 = multiply_high(c1, over, splat(_P256))
    return _carry(c0, c1, c2, c3, c4 & _MASK_48)


@njit(forceinline=True)
def _multiply(a: Element, b: Element) -> Element:
    """a * b: loose values to a tight one."""
    z = splat(_ZERO)
    a0, a1, a2, a3, a4 = a
    b0, b1, b2, b3, b4 = b
    c0 = multiply_low(z, a0, b0)
    c1 = multiply_low(multiply_low(multiply_high(z, a0, b0), a0, b1), a1, b0)
    c2 = multiply_high(multiply_high(z, a0, b1), a1, b0)
    c2 = multiply_low(multiply_low(multiply_low(c2, a0, b2), a1, b1), a2, b0)
    c3 = multiply_high(multiply_high(multiply_high(z, a0, b2), a1, b1), a2, b0)
    c3 = multiply_low(multiply_low(multiply_low(multiply_low(c3, a0, b3), a1, b2), a2, b1), a3, b0)
    c4 = multiply_high(multiply_high(multiply_high(multiply_high(z, a0, b3), a1, b2), a2, b1), a3, b0)
    c4 = multiply_low(multiply_low(multiply_low(multiply_low(c4, a0, b4), a1, b3), a2, b2), a3, b1)
    c4 = multiply_low(c4, a4, b0)
    c5 = multiply_high(multiply_high(multiply_high(multiply_high(z, a0, b4), a1, b3), a2, b2), a3, b1)
    c5 = multiply_high(c5, a4, b0)
    c5 = multiply_low(multiply_low(multiply_low(multiply_low(c5, a1, b4), a2, b3), a3, b2), a4, b1)
    c6 = multiply_high(multiply_high(multiply_high(multiply_high(z, a1, b4), a2, b3), a3, b2), a4, b1)
    c6 = multiply_low(multiply_low(multiply_low(c6, a2, b4), a3, b3), a4, b2)
    c7 = multiply_high(multiply_high(multiply_high(z, a2, b4), a3, b3), a4, b2)
    c7 = multiply_low(multiply_low(c7, a3, b4), a4, b3)
    c8 = multiply_low(multiply_high(multiply_high(z, a3, b4), a4, b3), a4, b4)
    c9 = multiply_high(z, a4, b4)
    return _reduce(c0, c1, c2, c3, c4, c5, c6, c7, c8, c9)


@njit(forceinline=True)
def _square(a: Element) -> Element:
    """a * a: a loose value to a tight one; the mixed products are taken once and doubled."""
    z = splat(_ZERO)
    a0, a1, a2, a3, a4 = a
    c1 = multiply_low(z, a0, a1)
    c2 = multiply_low(multiply_high(z, a0, a1), a0, a2)
    c3 = multiply_low(multiply_low(multiply_high(z, a0, a2), a0, a3), a1, a2)
    c4 = multiply_low(multiply_low(multiply_high(multiply_high(z, a0, a3), a1, a2), a0, a4), a1, a3)
    c5 = multiply_low(multiply_low(multiply_high(multiply_high(z, a0, a4), a1, a3), a1, a4), a2, a3)
    c6 = multiply_low(multiply_high(multiply_high(z, a1, a4), a2, a3), a2, a4)
    c7 = multiply_low(multiply_high(z, a2, a4), a3, a4)
    c8 = multiply_high(z, a3, a4)
    return _reduce(
        multiply_low(z, a0, a0),
        multiply_high(c1 + c1, a0, a0),
        multiply_low(c2 + c2, a1, a1),
        multiply_high(c3 + c3, a1, a1),
        multiply_low(c4 + c4, a2, a2),
        multiply_high(c5 + c5, a2, a2),
        multiply_low(c6 + c6, a3, a3),
        multiply_high(c7 + c7, a3, a3),
        multiply_low(c8 + c8, a4, a4),
        multiply_high(z, a4, a4),
    )


@njit(forceinline=True)
def _portable_square(a: Element) -> Element:
    return multiply_lane_by_lane(a, a)


multiply = _multiply if has_ifma() else multiply_lane_by_lane
square = _square if has_ifma() else _portable_square


@njit(forceinline=True)
def canonical(a: Element) -> Element:
    """The representative in 0..p-1 of a tight value: a - p = a + (2^256 - p) - 2^256 if that is not negative."""
    b = _carry(a[0] + splat(_P256), a[1], a[2], a[3], a[4])
    is_large = b[4] >> _48  # lanes of 0 or 1
    return (
        select_zero(is_large, a[0], b[0]),
        select_zero(is_large, a[1], b[1]),
        select_zero(is_large, a[2], b[2]),
        select_zero(is_large, a[3], b[3]),
        select_zero(is_large, a[4], b[4] & _MASK_48),
    )


@njit(forceinline=True)
def any_bits(a: Element) -> Any:
    """Lanes that are 0 exactly where a canonical value is 0."""
    return a[0] | a[1] | a[2] | a[3] | a[4]
