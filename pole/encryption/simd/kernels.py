"""Affine additions on secp256k1 in batches: programs of additions over samples, and powers of one fixed base.

A batch shares one inversion (Montgomery's trick): the forward pass multiplies all denominators up, the backward pass
takes one inverse after the other off the inverse of the product, so that an addition costs five products and a square:

    l = (y2 - y1) / (x2 - x1)      x3 = l^2 - x1 - x2      y3 = l (x1 - x3) - y1
    l = 3 x1^2 / (2 y1)            x3 = l^2 - 2 x1         y3 = l (x1 - x3) - y1      (doubling)

Where the formulas fail, completely, and why each case cannot pass unnoticed:
  1. An operand is the identity. It has no affine form: no input, table or program holds it. Ciphertexts are checked to
     be on the curve (0 coordinates are not), zero weights are left out of programs, every output carries the factor
     g^kappa, and the digits of encryption are odd, hence never zero.
  2. Equal points, x2 = x1 and y2 = y1: a doubling is due. 3. Opposite points, x2 = x1 and y2 = -y1: the sum is the
     identity. In both x2 - x1 = 0 makes the product of its lane 0, whatever follows. The forward pass ends with a test
     for that; the lane is reported, its samples are computed anew by the reference backend, and what the kernel made of
     them is discarded.
  4. Doubling a point with y1 = 0: there is none, the group's order is odd. (It would be reported like 2 and 3.)
A lane of one sample never mixes with another lane, so a fault stays in its lane.

Not constant-time: table look-ups follow secret digits. Encryption runs on the client's own machine; whoever can time
its caches can read its files too.
"""

from typing import Any

import numpy as np
from numba import njit

from pole.encryption.program import BETA, DOUBLE, ENDOMORPHISM, SUBTRACT
from pole.encryption.simd.field import (
    ELEMENT_WORDS,
    any_bits,
    canonical,
    fold,
    load_element,
    minus,
    minus_both,
    multiply,
    negate_where,
    one,
    square,
    store_element,
    times_small,
)
from pole.encryption.simd.inversion import inverse
from pole.encryption.simd.lanes import LIMB_MASK, gather, load, select_zero, splat, store

POINT_WORDS = 2 * ELEMENT_WORDS

_BYTE = np.uint64(8)
_ELEMENT = np.uint64(ELEMENT_WORDS * 8)
_POINT = np.uint64(POINT_WORDS * 8)
_BETA = tuple(np.uint64(BETA >> 52 * i & (1 << 52) - 1) for i in range(5))
_SEVEN = np.uint64(7)


@njit(forceinline=True)
def _address(array: Any) -> Any:
    return np.uint64(array.ctypes.data)


@njit(forceinline=True)
def _beta() -> Any:
    return (splat(_BETA[0]), splat(_BETA[1]), splat(_BETA[2]), splat(_BETA[3]), splat(_BETA[4]))


@njit(forceinline=True)
def _zero() -> Any:
    zero = splat(np.uint64(0))
    return (zero, zero, zero, zero, zero)


@njit(forceinline=True)
def _denominator(kind: Any, a: Any, b: Any) -> Any:
    if kind == DOUBLE:
        return times_small(load_element(a + _ELEMENT), 2)
    return minus(load_element(b), load_element(a))


@njit(forceinline=True)
def _record_zeros(product: Any, failed: Any) -> None:
    """Lanes whose product is 0 become non-zero in `failed`, and stay so."""
    ones = splat(np.uint64(1))
    bad = select_zero(any_bits(canonical(product)), ones, splat(np.uint64(0)))
    store(failed, load(failed) | bad)


@njit(forceinline=True)
def _finish(target: Any, slope: Any, x1: Any, y1: Any, x2: Any) -> None:
    x3 = fold(minus_both(square(slope), x1, x2))
    store_element(target, x3)
    store_element(target + _ELEMENT, fold(minus(multiply(slope, minus(x1, x3)), y1)))


@njit(forceinline=True)
def _slope(kind: Any, inverted: Any, x1: Any, y1: Any, b: Any) -> Any:
    if kind == DOUBLE:
        return multiply(times_small(square(x1), 3), inverted)
    y2 = load_element(b + _ELEMENT)
    if kind == SUBTRACT:
        return multiply(minus_both(_zero(), y2, y1), inverted)
    return multiply(minus(y2, y1), inverted)


@njit(forceinline=True)
def _run_level(base: Any, groups: Any, ops: Any, start: Any, end: Any, prefix: Any, failed: Any) -> None:
    stride = groups * _POINT
    product = one()
    place = prefix
    for i in range(start, end):
        kind = ops[i, 3]
        if kind == ENDOMORPHISM:
            continue
        a, b = base + np.uint64(ops[i, 1]) * stride, base + np.uint64(ops[i, 2]) * stride
        for _ in range(groups):
            store_element(place, product)
            product = multiply(product, _denominator(kind, a, b))
            place += _ELEMENT
            a += _POINT
            b += _POINT
    _record_zeros(product, failed)
    rest = inverse(product)
    for i in range(end - 1, start - 1, -1):
        kind = ops[i, 3]
        target = base + np.uint64(ops[i, 0]) * stride
        a, b = base + np.uint64(ops[i, 1]) * stride, base + np.uint64(ops[i, 2]) * stride
        for group in range(groups):
            offset = (groups - np.uint64(1) - np.uint64(group)) * _POINT
            x1, y1 = load_element(a + offset), load_element(a + offset + _ELEMENT)
            if kind == ENDOMORPHISM:
                store_element(target + offset, multiply(x1, _beta()))
                store_element(target + offset + _ELEMENT, y1)
                continue
            place -= _ELEMENT
            denominator = _denominator(kind, a + offset, b + offset)
            inverted = multiply(rest, load_element(place))
            rest = multiply(rest, denominator)
            slope = _slope(kind, inverted, x1, y1, b + offset)
            x2 = x1 if kind == DOUBLE else load_element(b + offset)
            _finish(target + offset, slope, x1, y1, x2)


@njit(nogil=True, cache=True)
def run_program(slots: Any, ops: Any, level_ends: Any, prefix: Any, failed: Any) -> None:
    """Run ops int32 [n, 4] (target, first, second, kind), level by level, on slots uint64 [slots, groups, 80].

    No operation of a level reads what another one of it writes. prefix uint64 [largest level * groups, 40] is scratch;
    lanes that met case 2, 3 or 4 are set in failed uint64 [8].
    """
    base, groups = _address(slots), np.uint64(slots.shape[1])
    start = 0
    for level in range(len(level_ends)):
        _run_level(base, groups, ops, start, level_ends[level], _address(prefix), _address(failed))
        start = level_ends[level]


# --- powers of the generator -----------------------------------------------------------------------------------------


@njit(forceinline=True)
def _window(exponents: Any, bit: Any, width: Any) -> Any:
    """`width` bits from position `bit` of eight exponents, uint64 [4, 8] at an address; beyond 256 they are 0."""
    place = exponents + (bit >> np.uint64(6)) * np.uint64(64)
    shift = bit & np.uint64(63)
    value = load(place) >> shift
    if shift + width > np.uint64(64) and bit < np.uint64(192):
        value = value | (load(place + np.uint64(64)) << (np.uint64(64) - shift))
    return value & ((np.uint64(1) << width) - np.uint64(1))


@njit(forceinline=True)
def _negative(window: Any, width: Any) -> Any:
    """Lanes of ones where the window stands for a negative digit: its highest bit is 0."""
    return select_zero(window >> (width - np.uint64(1)), splat(np.uint64(0xFFFFFFFFFFFFFFFF)), splat(np.uint64(0)))


@njit(forceinline=True)
def _table_element(table: Any, offsets: Any) -> Any:
    """Elements of four packed words each, at byte offsets."""
    w0, w1 = gather(table, offsets), gather(table + _BYTE, offsets)
    w2, w3 = gather(table + np.uint64(2) * _BYTE, offsets), gather(table + np.uint64(3) * _BYTE, offsets)
    return unpack(w0, w1, w2, w3)


@njit(forceinline=True)
def unpack(w0: Any, w1: Any, w2: Any, w3: Any) -> Any:
    """Four 64-bit words, least significant first, to five limbs."""
    return (
        w0 & LIMB_MASK,
        ((w0 >> np.uint64(52)) | (w1 << np.uint64(12))) & LIMB_MASK,
        ((w1 >> np.uint64(40)) | (w2 << np.uint64(24))) & LIMB_MASK,
        ((w2 >> np.uint64(28)) | (w3 << np.uint64(36))) & LIMB_MASK,
        w3 >> np.uint64(16),
    )


@njit(forceinline=True)
def _entry_offsets(window: Any, negative: Any, width: Any) -> Any:
    return ((window ^ negative) & ((np.uint64(1) << (width - np.uint64(1))) - np.uint64(1))) << np.uint64(6)


@njit(forceinline=True)
def _signed(table: Any, offsets: Any, negative: Any) -> Any:
    """The y of table entries, negated in some lanes; limbs are signed and not carried."""
    return negate_where(_table_element(table + np.uint64(32), offsets), negative)


@njit(nogil=True, cache=True)
def powers(table: Any, exponents: Any, width: Any, points: Any, prefix: Any, failed: Any) -> None:
    """g^e for exponents in the form b = (e + 2^(width * windows) - 1) / 2 mod n, uint64 [vectors, 4, 8].

    The bits of b stand for digits -1 and 1 of e, hence each window of them for an odd digit, never zero.
    table uint64 [windows, 2^(width - 1), 8] holds g^(d 2^(width i)) for d = 1, 3, 5...; points uint64 [vectors, 80];
    prefix uint64 [vectors, 40] is scratch; failed uint64 [8] as in `run_program`.
    """
    width = np.uint64(width)
    vectors = len(exponents)
    scratch = _address(prefix)
    for v in range(vectors):
        digits = _window(_address(exponents) + np.uint64(v) * np.uint64(256), np.uint64(0), width)
        negative = _negative(digits, width)
        offsets = _entry_offsets(digits, negative, width)
        point = _address(points) + np.uint64(v) * _POINT
        store_element(point, _table_element(_address(table), offsets))
        store_element(point + _ELEMENT, fold(minus(_signed(_address(table), offsets, negative), _zero())))
    for i in range(1, table.shape[0]):
        window_table = _address(table) + np.uint64(i * table.shape[1]) * np.uint64(64)
        bit = np.uint64(i) * width
        product = one()
        for v in range(vectors):
            digits = _window(_address(exponents) + np.uint64(v) * np.uint64(256), bit, width)
            offsets = _entry_offsets(digits, _negative(digits, width), width)
            x1 = load_element(_address(points) + np.uint64(v) * _POINT)
            store_element(scratch + np.uint64(v) * _ELEMENT, product)
            product = multiply(product, minus(_table_element(window_table, offsets), x1))
        _record_zeros(product, _address(failed))
        rest = inverse(product)
        for v in range(vectors - 1, -1, -1):
            digits = _window(_address(exponents) + np.uint64(v) * np.uint64(256), bit, width)
            negative = _negative(digits, width)
            offsets = _entry_offsets(digits, negative, width)
            point = _address(points) + np.uint64(v) * _POINT
            x1, y1 = load_element(point), load_element(point + _ELEMENT)
            x2 = _table_element(window_table, offsets)
            inverted = multiply(rest, load_element(scratch + np.uint64(v) * _ELEMENT))
            rest = multiply(rest, minus(x2, x1))
            dy = minus_both(_signed(window_table, offsets, negative), y1, _zero())
            _finish(point, multiply(dy, inverted), x1, y1, x2)
