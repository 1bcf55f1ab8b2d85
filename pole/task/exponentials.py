"""exp and log2 in integers: a table that a hash pins, and digits by squaring.

Source: docs/exact-evaluation.md, Scores of probabilities
"""

import hashlib
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pole.errors import InexactMachine
from pole.task.integers import Integers

ONE_BITS = 30
_UNIT = 65_536  # of the argument
_ENTRIES = 1_408_210
_SHA256 = "b038d01053a92f3e72cde2d1a557039379001501ef940d05fa03504c06ad0501"
_DOUBT = 1e-4  # of a unit: a hundred times the error of float64 at this size
_DIGITS = 50
_LOG2_DIGITS = 24


def exponentials(differences: Integers) -> Integers:
    """2^30 * exp(-d / 2^16), rounded, of whole numbers d >= 0."""
    entries = _table()
    return np.asarray(entries[np.minimum(differences, len(entries) - 1)], dtype=np.int64)


def log2_units(sums: Integers) -> Integers:
    """2^24 * log2(s / 2^30), floored but for the last digits, of whole numbers from 2^30 up to 2^52.

    Each digit by one squaring: log2(x^2) = 2 log2 x. What a squaring leaves below 2^-30 is cut off.
    """
    whole = np.frexp(sums.astype(np.float64))[1].astype(np.int64) - ONE_BITS - 1
    x, units = sums >> whole, whole
    for _ in range(_LOG2_DIGITS):
        x = x * x >> ONE_BITS
        is_two = x >> (ONE_BITS + 1)
        x, units = x >> is_two, 2 * units + is_two
    return units


@cache
def _table() -> NDArray[np.int32]:
    """Raises InexactMachine if this machine computes another table than the one that all others use."""
    exact = np.exp(np.arange(_ENTRIES) / -_UNIT) * 2.0**ONE_BITS
    entries = np.asarray(np.rint(exact), dtype=np.int32)
    with localcontext(Context(prec=_DIGITS, traps=[])):
        for index in np.flatnonzero(np.abs(exact - np.floor(exact) - 0.5) < _DOUBT).tolist():
            precise = (Decimal(index) / -_UNIT).exp() * (1 << ONE_BITS)
            entries[index] = int(precise.to_integral_value(ROUND_HALF_EVEN))
    found = hashlib.sha256(entries.astype("<i4").tobytes()).hexdigest()
    if found != _SHA256:
        raise InexactMachine(f"this machine computes exp as a table with SHA-256 {found}; it cannot score models")
    entries.flags.writeable = False
    return entries
