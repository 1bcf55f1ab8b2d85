"""Activations on the grid, as tables of correctly rounded values, each pinned by its hash.

Float64 is far more precise than a table needs, except where a value lies almost half-way between two integers: those
few entries are computed again with 50 digits. So no table depends on how well a machine's library computes exp or erf.
"""

import decimal
import hashlib
import math
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pole.errors import InexactMachine
from pole.exact.grid import FINE, Floats

Integers = NDArray[np.int32]

ONE = 1 << FINE.fraction_bits
REACH = 16 * ONE  # beyond it every activation has met its asymptote
_DOUBT = 1e-6  # of a unit: a thousand times the error of float64 at this size
_DIGITS = 50
_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494")


class Table(NamedTuple):
    """How the entries of one activation are computed, and what they must be. `bound`: the asymptote, in units."""

    fast: Callable[[Floats], Floats]
    precise: Callable[[Decimal], Decimal]
    bound: int
    sha256: str


@cache
def table(kind: str) -> Integers:
    """Entry i belongs to |v| = i; int32, read-only. The last entry is the asymptote, and holds for all |v| beyond.

    `kind`: tanh, sigmoid (of |v|), exp (of -|v|), silu or gelu (what they are below max(v, 0)). Raises InexactMachine
    if this one computes another table than the one that all others use.
    """
    recipe = TABLES[kind]
    entries = _rounded(recipe)
    entries = entries[: int(np.flatnonzero(entries != recipe.bound)[-1]) + 2]
    if (found := hashlib.sha256(entries.astype("<i4").tobytes()).hexdigest()) != recipe.sha256:
        raise InexactMachine(f"this machine computes {kind} as a table with SHA-256 {found}; it cannot judge models")
    entries.flags.writeable = False
    return entries


def _rounded(recipe: Table) -> Integers:
    index = np.arange(REACH + 1)
    values = recipe.fast(index / ONE) * ONE
    entries = np.rint(values)
    doubtful = np.flatnonzero(np.abs(values - np.floor(values) - 0.5) < _DOUBT)
    with decimal.localcontext(prec=_DIGITS):
        for i in doubtful:
            exact = recipe.precise(Decimal(int(i)) / ONE) * ONE
            entries[i] = int(exact.to_integral_value(decimal.ROUND_HALF_EVEN))
    return np.asarray(entries, dtype=np.int32)


def _half_complement(x: Floats) -> Floats:
    """erfc(x / sqrt 2) / 2: how much of the normal distribution lies above x."""
    return np.fromiter((0.5 * math.erfc(value * math.sqrt(0.5)) for value in x.tolist()), np.float64, len(x))


def _precise_half_complement(x: Decimal) -> Decimal:
    """By a series of positive terms.

    erf z = 2 / sqrt(pi) * exp(-z^2) * sum of 2^n z^(2n + 1) / (1 * 3 * ... * (2n + 1)). Source: DLMF 7.6.2
    """
    square = x * x  # 2 z^2
    term = total = x * Decimal("0.5").sqrt()
    n = 1
    while term > Decimal(10) ** -_DIGITS:
        term = term * square / (2 * n + 1)
        total += term
        n += 1
    return (1 - 2 / _PI.sqrt() * (-square / 2).exp() * total) / 2


def _precise_sigmoid(x: Decimal) -> Decimal:
    return 1 / (1 + (-x).exp())


TABLES = {
    "tanh": Table(
        np.tanh,
        lambda x: 2 * _precise_sigmoid(2 * x) - 1,
        ONE,
        "b9c550415b1bde7ff5008144bbfee796321d2411e09dbb35a4bf0069880fd10e",
    ),
    "sigmoid": Table(
        lambda x: 1 / (1 + np.exp(-x)),
        _precise_sigmoid,
        ONE,
        "e79e70dd038565124739ff91b552dfff0e965d25d2d2636ed4b3ddde127d6d00",
    ),
    "exp": Table(  # of -x, in units of 2^-20
        lambda x: np.exp(-x) * 16.0,
        lambda x: 16 * (-x).exp(),
        0,
        "65eacd43a355466a785509781035bce01d77d1a0b67a52bc8cc4ca89f6f79b8f",
    ),
    "silu": Table(
        lambda x: x / (1 + np.exp(x)),
        lambda x: x * _precise_sigmoid(-x),
        0,
        "5e576c57c88f5829ade78c8e7b5a952b8dbfedc6042808135f07fcf6707ca4ce",
    ),
    "gelu": Table(
        lambda x: x * _half_complement(x),
        lambda x: x * _precise_half_complement(x),
        0,
        "9b98cd93afbf284b0aa1eb243ee981c978e27ce5b68f54bf986830dac0638e53",
    ),
}
