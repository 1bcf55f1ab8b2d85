"""Inverses and square roots in the field: powers by one addition chain, of single elements or of pairs.

Each step of a chain waits for the one before; two chains side by side fill the processor, which makes each a third
cheaper. Inversions are rare, roots are not. Source: the addition chain of libsecp256k1.
"""

from typing import Any

from numba import njit

from pole.encryption.simd.field import Element, multiply, square

Pair = tuple[Element, Element]


@njit(forceinline=True)
def _multiply_pair(a: Pair, b: Pair) -> Pair:
    return multiply(a[0], b[0]), multiply(a[1], b[1])


@njit(forceinline=True)
def _square_pair(a: Pair) -> Pair:
    return square(a[0]), square(a[1])


def _chain(times: Any, squaring: Any) -> tuple[Any, Any]:
    """Repeated squaring, and a -> (a^3, a^(2^246 - 2^22 - 1)), with which both powers below begin."""

    @njit
    def squared(a: Any, count: int) -> Any:
        for _ in range(count):
            a = squaring(a)
        return a

    @njit
    def start(a: Any) -> tuple[Any, Any]:
        x2 = times(squaring(a), a)
        x3 = times(squaring(x2), a)
        x6 = times(squared(x3, 3), x3)
        x9 = times(squared(x6, 3), x3)
        x11 = times(squared(x9, 2), x2)
        x22 = times(squared(x11, 11), x11)
        x44 = times(squared(x22, 22), x22)
        x88 = times(squared(x44, 44), x44)
        x176 = times(squared(x88, 88), x88)
        x220 = times(squared(x176, 44), x44)
        x223 = times(squared(x220, 3), x3)
        return x2, times(squared(x223, 23), x22)

    return squared, start


_squared, _start_of_chain = _chain(multiply, square)
_squared_pair, _start_of_pair = _chain(_multiply_pair, _square_pair)


@njit
def inverse(a: Element) -> Element:
    """a^(p-2), tight: 255 squarings and 15 products; 0 for 0."""
    x2, start = _start_of_chain(a)
    end = multiply(_squared(start, 5), a)
    end = multiply(_squared(end, 3), x2)
    return multiply(_squared(end, 2), a)


@njit
def square_roots(a: Pair) -> Pair:
    """a^((p+1)/4), tight, of two elements: 253 squarings and 13 products each.

    The square of a root is a exactly if a has one, as p = 3 mod 4.
    """
    x2, start = _start_of_pair(a)
    roots: Pair = _squared_pair(_multiply_pair(_squared_pair(start, 6), x2), 2)
    return roots
