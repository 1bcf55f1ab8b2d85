"""Between bytes and lanes: reading and checking points, writing them, exponents modulo the order, table look-ups."""

from typing import Any

import numpy as np
from numba import njit

from pole.encryption.group import ORDER
from pole.encryption.simd.field import (
    any_bits,
    canonical,
    fold,
    load_element,
    minus,
    minus_both,
    multiply,
    negate_where,
    square,
    store_element,
)
from pole.encryption.simd.inversion import square_roots
from pole.encryption.simd.kernels import POINT_WORDS
from pole.encryption.simd.lanes import LANES, LIMB_MASK, P, high_word, load, splat, store

_WORD_MASK = (1 << 64) - 1
_ORDER = tuple(np.uint64(ORDER >> 64 * i & _WORD_MASK) for i in range(4))
_ORDER_INVERSE = np.uint64(-pow(ORDER, -1, 1 << 64) & _WORD_MASK)  # for Montgomery's reduction
_POINT = np.uint64(POINT_WORDS * 8)
_ELEMENT = np.uint64(POINT_WORDS * 4)
_MINUS_SEVEN = tuple(np.uint64((P - 7) >> 52 * i & (1 << 52) - 1) for i in range(5))
_MIX = np.uint64(0x9E3779B97F4A7C15)
EMPTY = -1


@njit(forceinline=True)
def _swap(word: Any) -> Any:
    """Big-endian to native and back."""
    word = ((word >> np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF)) | (
        (word & np.uint64(0x00FF00FF00FF00FF)) << np.uint64(8)
    )
    word = ((word >> np.uint64(16)) & np.uint64(0x0000FFFF0000FFFF)) | (
        (word & np.uint64(0x0000FFFF0000FFFF)) << np.uint64(16)
    )
    return (word >> np.uint64(32)) | (word << np.uint64(32))


@njit(nogil=True, cache=True)
def read_points(words: Any, slots: Any) -> None:
    """Points as big-endian words uint64 [rows, points, 8] to slots uint64 [points or more, groups, 80].

    Row = group * 8 + lane; lanes beyond the last row repeat it.
    """
    rows, points = words.shape[0], words.shape[1]
    groups = slots.shape[1]
    for group in range(groups):
        for lane in range(LANES):
            row = min(group * LANES + lane, rows - 1)
            for i in range(points):
                for half in range(2):
                    w3, w2 = _swap(words[row, i, 4 * half]), _swap(words[row, i, 4 * half + 1])
                    w1, w0 = _swap(words[row, i, 4 * half + 2]), _swap(words[row, i, 4 * half + 3])
                    at = half * 40 + lane
                    slots[i, group, at] = w0 & LIMB_MASK
                    slots[i, group, at + 8] = ((w0 >> np.uint64(52)) | (w1 << np.uint64(12))) & LIMB_MASK
                    slots[i, group, at + 16] = ((w1 >> np.uint64(40)) | (w2 << np.uint64(24))) & LIMB_MASK
                    slots[i, group, at + 24] = ((w2 >> np.uint64(28)) | (w3 << np.uint64(36))) & LIMB_MASK
                    slots[i, group, at + 32] = w3 >> np.uint64(16)


@njit(forceinline=True)
def _difference(a: Any, b: Any) -> Any:
    """Lanes that are 0 where a and b are the same limbs."""
    return (a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) | (a[4] ^ b[4])


@njit(nogil=True, cache=True)
def check_points(slots: Any, points: Any, failed: Any) -> None:
    """Set lanes of failed uint64 [groups, 8] where a point is not on the curve or a coordinate is not below p."""
    zero = splat(np.uint64(0))
    seven = (splat(np.uint64(7)), zero, zero, zero, zero)
    for group in range(slots.shape[1]):
        place = np.uint64(failed.ctypes.data) + np.uint64(group * LANES * 8)
        wrong = load(place)
        for i in range(points):
            address = np.uint64(slots.ctypes.data) + np.uint64(i * slots.shape[1] + group) * _POINT
            x, y = load_element(address), load_element(address + _ELEMENT)
            wrong = wrong | _difference(x, canonical(x)) | _difference(y, canonical(y))
            cube = multiply(square(x), x)
            wrong = wrong | any_bits(canonical(fold(minus_both(square(y), cube, seven))))
        store(place, wrong)


@njit(forceinline=True)
def _y_squared(x: Any) -> Any:
    m = _MINUS_SEVEN
    minus_seven = (splat(m[0]), splat(m[1]), splat(m[2]), splat(m[3]), splat(m[4]))
    return fold(minus(multiply(square(x), x), minus_seven))


@njit(forceinline=True)
def _store_root(point: Any, root: Any, parities: Any, failed: Any) -> None:
    """Write y = root or -root, whose lowest bit is the wanted one; set lanes where that makes no point."""
    x, y = load_element(point), canonical(root)
    off_curve = any_bits(canonical(fold(minus(square(y), _y_squared(x)))))
    store(failed, _difference(x, canonical(x)) | off_curve)
    zero = splat(np.uint64(0))
    differs = (y[0] ^ load(parities)) & np.uint64(1)
    signed = negate_where(y, zero - differs)
    store_element(point + _ELEMENT, fold(minus(signed, (zero, zero, zero, zero, zero))))


@njit(nogil=True, cache=True)
def find_roots(points: Any, parities: Any, failed: Any) -> None:
    """Give points uint64 [vectors, 80], whose x is there, the y of y^2 = x^3 + 7 with the wanted lowest bit.

    parities uint64 [vectors, 8]; lanes of failed uint64 [vectors, 8] are set where x is not below p or there is no y.
    Source: SEC 1, section 2.3.4.
    """
    start, bits, bad = np.uint64(points.ctypes.data), np.uint64(parities.ctypes.data), np.uint64(failed.ctypes.data)
    lanes_bytes = np.uint64(LANES * 8)
    for vector in range(0, len(points), 2):
        a, b = np.uint64(vector), np.uint64(min(vector + 1, len(points) - 1))
        x_a, x_b = load_element(start + a * _POINT), load_element(start + b * _POINT)
        root_a, root_b = square_roots((_y_squared(x_a), _y_squared(x_b)))
        _store_root(start + a * _POINT, root_a, bits + a * lanes_bytes, bad + a * lanes_bytes)
        _store_root(start + b * _POINT, root_b, bits + b * lanes_bytes, bad + b * lanes_bytes)


@njit(nogil=True, cache=True)
def write_points(points: Any, words: Any, count: Any) -> None:
    """points uint64 [vectors, 80] to the first `count` of big-endian words uint64 [n, 8]: point = vector * 8 + lane."""
    for vector in range(len(points)):
        for half in range(2):
            address = np.uint64(points.ctypes.data) + np.uint64(vector) * _POINT + np.uint64(half) * _ELEMENT
            store_element(address, canonical(load_element(address)))
            for lane in range(min(LANES, count - vector * LANES)):
                at = half * 40 + lane
                l0, l1, l2 = points[vector, at], points[vector, at + 8], points[vector, at + 16]
                l3, l4 = points[vector, at + 24], points[vector, at + 32]
                row = vector * LANES + lane
                words[row, 4 * half + 3] = _swap(l0 | (l1 << np.uint64(52)))
                words[row, 4 * half + 2] = _swap((l1 >> np.uint64(12)) | (l2 << np.uint64(40)))
                words[row, 4 * half + 1] = _swap((l2 >> np.uint64(24)) | (l3 << np.uint64(28)))
                words[row, 4 * half] = _swap((l3 >> np.uint64(36)) | (l4 << np.uint64(16)))


# --- exponents -------------------------------------------------------------------------------------------------------


@njit(forceinline=True)
def _multiply_add(a: Any, b: Any, c: Any, d: Any) -> Any:
    """a * b + c + d as (low, high) words; it always fits."""
    low, high = a * b, high_word(a, b)
    low += c
    high += np.uint64(low < c)
    low += d
    high += np.uint64(low < d)
    return low, high


@njit(forceinline=True)
def _minus_order(w0: Any, w1: Any, w2: Any, w3: Any, over: Any) -> Any:
    """Subtract the order once if the five words are not below it."""
    s0 = w0 - _ORDER[0]
    borrow = np.uint64(w0 < _ORDER[0])
    s1 = w1 - _ORDER[1] - borrow
    borrow = np.uint64(w1 < _ORDER[1] or (w1 == _ORDER[1] and borrow))
    s2 = w2 - _ORDER[2] - borrow
    borrow = np.uint64(w2 < _ORDER[2] or (w2 == _ORDER[2] and borrow))
    s3 = w3 - _ORDER[3] - borrow
    borrow = np.uint64(w3 < _ORDER[3] or (w3 == _ORDER[3] and borrow))
    if over >= borrow:
        return s0, s1, s2, s3
    return w0, w1, w2, w3


@njit(forceinline=True)
def _montgomery(a: Any, b: Any) -> Any:
    """a * b / 2^256 mod the order, for words [4] below it. Source: Montgomery 1985, in its interleaved form."""
    t0 = t1 = t2 = t3 = t4 = np.uint64(0)
    for i in range(4):
        zero = np.uint64(0)
        t0, carry = _multiply_add(a[i], b[0], t0, zero)
        t1, carry = _multiply_add(a[i], b[1], t1, carry)
        t2, carry = _multiply_add(a[i], b[2], t2, carry)
        t3, carry = _multiply_add(a[i], b[3], t3, carry)
        t4 += carry
        t5 = np.uint64(t4 < carry)
        factor = t0 * _ORDER_INVERSE
        _, carry = _multiply_add(factor, _ORDER[0], t0, zero)
        t0, carry = _multiply_add(factor, _ORDER[1], t1, carry)
        t1, carry = _multiply_add(factor, _ORDER[2], t2, carry)
        t2, carry = _multiply_add(factor, _ORDER[3], t3, carry)
        t3 = t4 + carry
        t4 = t5 + np.uint64(t3 < carry)
    return _minus_order(t0, t1, t2, t3, t4)


@njit(nogil=True, cache=True)
def fill_exponents(randomness: Any, secret: Any, constants: Any, x: Any, exponents: Any) -> None:
    """exponents[row * (D + 1) + i] = randomness[row] * secret[i] / 2^256 + constants[x_i] mod the order; x_0 is 0.

    randomness uint64 [rows, 4], secret uint64 [D + 1, 4], constants uint64 [256, 4], x uint8 [rows, D]; exponents
    uint64 [vectors, 4, 8], exponent = vector * 8 + lane.
    """
    for row in range(len(x)):
        for i in range(len(secret)):
            product = _montgomery(secret[i], randomness[row])
            term = constants[x[row, i - 1]] if i else constants[0]
            w0 = product[0] + term[0]
            carry = np.uint64(w0 < term[0])
            w1, carry = _add_carry(product[1], term[1], carry)
            w2, carry = _add_carry(product[2], term[2], carry)
            w3, carry = _add_carry(product[3], term[3], carry)
            w0, w1, w2, w3 = _minus_order(w0, w1, w2, w3, carry)
            index = row * len(secret) + i
            vector, lane = index // LANES, index % LANES
            exponents[vector, 0, lane], exponents[vector, 1, lane] = w0, w1
            exponents[vector, 2, lane], exponents[vector, 3, lane] = w2, w3


@njit(forceinline=True)
def _add_carry(a: Any, b: Any, carry: Any) -> Any:
    total = a + b
    over = np.uint64(total < a)
    total += carry
    return total, over | np.uint64(total < carry)


# --- discrete logarithms ---------------------------------------------------------------------------------------------


@njit(forceinline=True)
def _key(slots: Any, slot: Any, group: Any, keys: Any) -> None:
    """The lowest 64 bits of eight x coordinates."""
    address = np.uint64(slots.ctypes.data) + np.uint64(slot * slots.shape[1] + group) * _POINT
    x = canonical(load_element(address))
    store(np.uint64(keys.ctypes.data), x[0] | (x[1] << np.uint64(52)))


@njit(nogil=True, cache=True)
def fill_table(slots: Any, count: Any, stride: Any, keys: Any, values: Any) -> None:
    """Enter the points of slots [0..count) as lane * stride + slot, group 0, into an open-addressed table."""
    found = np.empty(LANES, dtype=np.uint64)
    mask = np.uint64(len(keys) - 1)
    for slot in range(count):
        _key(slots, slot, 0, found)
        for lane in range(LANES):
            place = (found[lane] * _MIX) >> np.uint64(20) & mask
            while values[place] != EMPTY:
                place = (place + np.uint64(1)) & mask
            keys[place], values[place] = found[lane], lane * stride + slot


@njit(nogil=True, cache=True)
def look_up(slots: Any, outputs: Any, keys: Any, values: Any, offset: Any, bound: Any, results: Any) -> Any:
    """Fill in results int64 [outputs, groups, 8] that are still EMPTY with offset + logarithm; how many stay EMPTY."""
    found = np.empty(LANES, dtype=np.uint64)
    mask = np.uint64(len(keys) - 1)
    missing = 0
    for output in range(len(outputs)):
        for group in range(slots.shape[1]):
            _key(slots, outputs[output], group, found)
            for lane in range(LANES):
                if results[output, group, lane] != EMPTY:
                    continue
                place = (found[lane] * _MIX) >> np.uint64(20) & mask
                while values[place] != EMPTY and keys[place] != found[lane]:
                    place = (place + np.uint64(1)) & mask
                if values[place] != EMPTY and offset + values[place] <= bound:
                    results[output, group, lane] = offset + values[place]
                else:
                    missing += 1
    return missing
