"""Which hash a mapping comes from: vectors, the definition worked with fractions, and what small tasks gain by it."""

import hashlib
import json
import math
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pole.learning.conditioning import GROUP, Flaws, determinant, flaws, rank
from pole.learning.mapping import MOST_CANDIDATES, mapping_hash, mapping_matrix, matrix_under
from pole.task.manifest import ConvolutionalMapping, DenseMapping
from tests.paths import VECTORS as VECTORS_DIR

VECTORS = json.loads((VECTORS_DIR / "mapping_hash.json").read_text())["vectors"]
hashes = st.binary(min_size=32, max_size=32)


def _by_permutations(matrix: list[list[int]]) -> int:
    size = len(matrix)
    total = 0
    for order in permutations(range(size)):
        sign = (-1) ** sum(order[i] > order[j] for i in range(size) for j in range(i + 1, size))
        total += sign * math.prod(matrix[i][order[i]] for i in range(size))
    return total


def _is_good(mapping: DenseMapping, candidate: bytes, width: int) -> bool:
    """By the definition, for no more vectors than features."""
    rows = matrix_under(mapping, candidate, (width,)).tolist()
    gram = [[sum(a * b for a, b in zip(x, y, strict=True)) for y in rows] for x in rows]
    volume = _by_permutations(gram)
    right_angled = math.prod(gram[i][i] for i in range(len(gram)))
    is_seen = all(any(row[column] for row in rows) for column in range(width))
    return volume > 0 and is_seen and volume * 16 ** (len(rows) - 1) >= right_angled


def _mapping_of(vector: dict[str, Any]) -> DenseMapping | ConvolutionalMapping:
    if vector["kind"] == "dense":
        return DenseMapping(vectors=vector["vectors"], bits_per_weight=vector["bits_per_weight"])
    return ConvolutionalMapping(
        filters=vector["filters"], kernel=vector["kernel"], bits_per_weight=vector["bits_per_weight"]
    )


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("previous_hash", [bytes(32), b"\x00" + b"\xff" * 31, b"\x01" * 32])
def test_mapping_hash__bad_hash__is_rehashed(previous_hash: bytes) -> None:
    mapping = DenseMapping(vectors=4)
    assert any(flaws(matrix_under(mapping, previous_hash, (4,)), sees_all=True))
    found = mapping_hash(mapping, previous_hash, (4,))
    assert found != previous_hash
    assert not any(flaws(mapping_matrix(mapping, previous_hash, (4,)), sees_all=True))


def test_flaws__by_hand() -> None:
    assert flaws(np.array([[1, 2], [2, 4]]), sees_all=True) == Flaws(1, 0, 1)
    assert flaws(np.array([[1, 0], [2, 0]]), sees_all=True) == Flaws(1, 1, 1)
    assert flaws(np.array([[1, 0], [2, 0]]), sees_all=False) == Flaws(1, 0, 1)
    assert flaws(np.array([[1, 0], [0, 1]]), sees_all=True) == Flaws(0, 0, 0)
    # det = 1 of 34 * 50 = 1700, and 16 * 1 < 1700; then det = 400 of 45 * 25 = 1125.
    assert flaws(np.array([[3, 5], [4, 7]]), sees_all=True) == Flaws(0, 0, 1)
    assert flaws(np.array([[6, 3], [3, 4]]), sees_all=True) == Flaws(0, 0, 0)


def test_flaws__more_vectors_than_features__compares_the_features() -> None:
    assert flaws(np.array([[1, 0], [0, 1], [1, 0]]), sees_all=True) == Flaws(0, 0, 0)
    assert flaws(np.array([[1, 1], [1, 1], [1, 1]]), sees_all=True) == Flaws(1, 0, 1)


# --- which one is taken ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['kind']}-{v['previous_hash'][:6]}")
def test_mapping_hash__on_vectors__agrees(vector: dict[str, Any]) -> None:
    found = mapping_hash(_mapping_of(vector), bytes.fromhex(vector["previous_hash"]), tuple(vector["shape"]))
    assert found.hex() == vector["hash"]
    expected = bytes.fromhex(vector["previous_hash"])
    for _ in range(vector["rehashed"]):
        expected = hashlib.sha256(expected).digest()
    assert found == expected


@given(hashes, st.integers(1, 4), st.integers(0, 2))
@settings(max_examples=60, deadline=None)
def test_mapping_hash__any_hash__is_the_first_that_is_good_by_definition(
    previous_hash: bytes, count: int, more: int
) -> None:
    mapping, width, candidate = DenseMapping(vectors=count), count + more, previous_hash
    for _ in range(MOST_CANDIDATES):
        if _is_good(mapping, candidate, width):
            assert mapping_hash(mapping, previous_hash, (width,)) == candidate
            return
        candidate = hashlib.sha256(candidate).digest()
    assert mapping_hash(mapping, previous_hash, (width,)) in _chain(previous_hash)


def _chain(previous_hash: bytes) -> list[bytes]:
    chain = [previous_hash]
    for _ in range(MOST_CANDIDATES - 1):
        chain.append(hashlib.sha256(chain[-1]).digest())
    return chain


@given(hashes)
@settings(max_examples=10, deadline=None)
def test_mapping_hash__one_vector_of_many_features__leaves_as_few_unseen_as_any(previous_hash: bytes) -> None:
    mapping = DenseMapping(vectors=1)
    unseen = [np.count_nonzero(matrix_under(mapping, each, (196,)) == 0) for each in _chain(previous_hash)]
    assert np.count_nonzero(mapping_matrix(mapping, previous_hash, (196,)) == 0) == min(unseen)


@given(hashes)
@settings(max_examples=20, deadline=None)
def test_mapping_hash__small_filters__all_channels_of_full_rank(previous_hash: bytes) -> None:
    mapping = ConvolutionalMapping(filters=4, kernel=3)
    assert [rank(channel) for channel in mapping_matrix(mapping, previous_hash, (3, 8, 8))] == [4, 4, 4]


# --- determinants ----------------------------------------------------------------------------------------------------


@given(st.lists(st.lists(st.integers(0, 7), min_size=5, max_size=5), min_size=1, max_size=5))
def test_determinant__gram_matrices__as_by_permutations(rows: list[list[int]]) -> None:
    gram = (np.array(rows) @ np.array(rows).T).tolist()
    assert determinant(gram) == _by_permutations(gram)


def test_determinant__a_whole_group_of_the_largest_weights__is_exact() -> None:
    identity = (np.eye(GROUP, dtype=np.int64) * 255**2 * 784).tolist()
    assert determinant(identity) == (255**2 * 784) ** GROUP
