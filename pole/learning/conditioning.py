"""What makes a mapping useless: rank that is missing, features that nobody sees, vectors that hardly differ.

All exact, in integers, so that every node judges alike.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

BITS_PER_VECTOR = 4
"""How much volume each vector of a group may lose against a right angle, in squared halvings: see `Flaws`."""
GROUP = 32
"""Vectors that are compared with each other; more would take long, and are never nearly dependent by chance."""

_RANK_PRIME = (1 << 31) - 1


class Flaws(NamedTuple):
    """What a mapping lacks; smaller is better, the first difference counts.

    `missing_rank`: of the largest that the shape allows. `unseen`: features that have weight 0 in every vector.
    `flat_groups`: groups of up to 32 vectors whose Gram determinant is under 16^-(vectors - 1) of the product of its
    diagonal: of the squared volume that the same vectors would span at right angles.
    """

    missing_rank: int
    unseen: int
    flat_groups: int


def flaws(vectors: Integers, *, sees_all: bool) -> Flaws:
    """Of [count, width]; with more vectors than features, the features' columns are compared.

    `sees_all`: whether each feature has to be seen; a filter moves over the image and may skip a place.
    """
    most = min(vectors.shape)
    compared = vectors if len(vectors) <= vectors.shape[1] else vectors.T
    groups = [compared[start : start + GROUP] for start in range(0, len(compared), GROUP)]
    return Flaws(
        missing_rank=most - rank(vectors),
        unseen=int(np.count_nonzero(~vectors.any(axis=0))) if sees_all else 0,
        flat_groups=sum(_is_flat(group) for group in groups),
    )


def rank(vectors: Integers) -> int:
    """Rank of [rows, columns] modulo the prime 2^31 - 1: never above the rank over the rationals, and below it only if
    that prime divides every largest non-zero minor.
    """
    work = np.asarray(vectors, dtype=np.int64) % _RANK_PRIME
    found = 0
    for column in range(work.shape[1]):
        pivots = np.flatnonzero(work[found:, column])
        if not pivots.size:
            continue
        work[[found, found + pivots[0]]] = work[[found + pivots[0], found]]
        inverse = pow(int(work[found, column]), -1, _RANK_PRIME)
        work[found] = work[found] * inverse % _RANK_PRIME
        below = work[found + 1 :]
        below -= below[:, column : column + 1] * work[found] % _RANK_PRIME
        below %= _RANK_PRIME
        found += 1
        if found == work.shape[0]:
            break
    return found


def _is_flat(vectors: Integers) -> bool:
    gram: list[list[int]] = (vectors @ vectors.T).tolist()
    largest = math.prod(gram[i][i] for i in range(len(gram)))
    return determinant(gram) << BITS_PER_VECTOR * (len(gram) - 1) < max(1, largest)


def determinant(matrix: list[list[int]]) -> int:
    """Exact, of a symmetric matrix without negative eigenvalues: a zero pivot means 0. Source: Bareiss (1968)"""
    work, divisor = [list(row) for row in matrix], 1
    for k in range(len(work) - 1):
        pivot = work[k][k]
        if pivot == 0:
            return 0
        for i in range(k + 1, len(work)):
            factor = work[i][k]
            work[i][k + 1 :] = [
                (pivot * a - factor * b) // divisor for a, b in zip(work[i][k + 1 :], work[k][k + 1 :], strict=True)
            ]
        divisor = pivot
    return work[-1][-1]
