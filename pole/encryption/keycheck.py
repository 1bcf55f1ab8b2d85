"""All functional keys of a round in one check: a random linear combination of g^eta == prod h_j^(z_j).

If one equation is wrong, the combination holds with probability 2^-64 over coefficients that the checker draws for
itself, so nobody can search for keys that pass. Source: Bellare, Garay, Rabin 1998, the small-exponents test.
"""

import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np
from coincurve._libsecp256k1 import ffi, lib
from numpy.typing import NDArray

from pole.encryption.group import CONTEXT, ORDER, load_points, new_points, power_of_g, product
from pole.encryption.keys import PublicKey
from pole.errors import BadInput

_COEFFICIENT_BITS = 64


def all_keys_match(public_key: PublicKey, queries: NDArray[np.int64], etas: Sequence[Sequence[int]]) -> bool:
    """Whether every key is right; queries [vectors, D / segments], etas[segment][vector]."""
    if public_key.dimension != queries.shape[1] * len(etas):
        raise BadInput(f"the public key has {public_key.dimension} features, the keys {queries.shape[1] * len(etas)}")
    exponents: list[int] = []
    total = 0
    for segment in etas:
        coefficients = [1 + secrets.randbits(_COEFFICIENT_BITS) for _ in segment]
        total += sum(coefficient * eta for coefficient, eta in zip(coefficients, segment, strict=True))
        exponents += (np.array(coefficients, dtype=object) @ queries.astype(object)).tolist()
    points = new_points(public_key.dimension + 2)  # the last two hold the result, by turns
    load_points(points, public_key.points)
    result, expected = _product_of_powers(points, exponents), new_points(1)
    if not power_of_g(expected, total) or result is None:
        return total % ORDER == 0 and result is None
    return bool(lib.secp256k1_ec_pubkey_cmp(CONTEXT, points + result, expected) == 0)


def _product_of_powers(points: Any, exponents: Sequence[int]) -> int | None:
    """Where prod points[j]^(exponents[j]) is, None for the identity; bit by bit of all exponents at once."""
    places = (len(exponents), len(exponents) + 1)
    current: int | None = None
    for bit in range(max(exponents).bit_length() - 1, -1, -1):
        factors = [current, current] if current is not None else []
        factors += [j for j, exponent in enumerate(exponents) if exponent >> bit & 1]
        target = places[1] if current == places[0] else places[0]
        pointers = ffi.new("secp256k1_pubkey *[]", [points + factor for factor in factors])
        if factors:
            current = target if product(points + target, pointers, len(factors)) else None
    return current
