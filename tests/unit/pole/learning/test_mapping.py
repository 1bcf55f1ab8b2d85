"""The secure mapping layer: refusals, Algorithm 3 by hand and by strings, exact projection, exact normalisation."""

import hashlib
import json
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pole.errors import BadInput
from pole.learning.conditioning import rank
from pole.learning.mapping import (
    key_queries,
    mapping_hash,
    mapping_matrix,
    project,
    query_vectors,
    statistics,
)
from pole.task.manifest import ConvolutionalMapping, DenseMapping
from tests.paths import VECTORS as VECTORS_DIR

VECTORS = json.loads((VECTORS_DIR / "algorithm3.json").read_text())["vectors"]
HASH = hashlib.sha256(b"previous header").digest()

hashes = st.binary(min_size=32, max_size=32)


def _by_strings(previous_hash: bytes, i: int, dimension: int, k: int) -> list[int]:
    """Algorithm 3 as printed (with our readings), on strings of digits."""
    b = int.from_bytes(previous_hash, "big")
    primary_weight = bin(b ^ (b << i))[2:].zfill(256 + i)
    master_weight = primary_weight
    while len(master_weight) < k * dimension:
        master_weight += primary_weight
    return [int(master_weight[(j - 1) * k : j * k], 2) for j in range(1, dimension + 1)]


def _rank_over_rationals(rows: list[list[int]]) -> int:
    work, found = [[Fraction(value) for value in row] for row in rows], 0
    for column in range(len(work[0])):
        pivot = next((r for r in range(found, len(work)) if work[r][column]), None)
        if pivot is None:
            continue
        work[found], work[pivot] = work[pivot], work[found]
        for r in range(found + 1, len(work)):
            factor = work[r][column] / work[found][column]
            work[r] = [a - factor * b for a, b in zip(work[r], work[found], strict=True)]
        found += 1
    return found


def _random_rows(shape: tuple[int, ...], largest: int = 15, seed: int = 7) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, largest + 1, shape, dtype=np.uint8)


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_query_vectors__hash_of_wrong_length__refused(length: int) -> None:
    with pytest.raises(BadInput, match=f"has {length} bytes; it must have 32"):
        query_vectors(bytes(length), 1, 4, 3)


@pytest.mark.parametrize(("count", "dimension", "bits"), [(0, 4, 3), (1, 0, 3), (1, 4, 0), (1, 4, 9)])
def test_query_vectors__nothing_asked_for__refused(count: int, dimension: int, bits: int) -> None:
    with pytest.raises(BadInput, match="need at least 1"):
        query_vectors(HASH, count, dimension, bits)


def test_segment_width__unequal_segments__refused() -> None:
    with pytest.raises(BadInput, match="3 segments do not divide 64"):
        DenseMapping(vectors=2, segments=3).segment_width((64,))


def test_output_shape__convolution_of_flat_rows__refused() -> None:
    with pytest.raises(BadInput, match="needs rows of shape"):
        ConvolutionalMapping(filters=2, kernel=3).output_shape((64,))


def test_project__sums_beyond_float32__refused() -> None:
    x = np.full((1, 40_000), 255, dtype=np.uint8)
    with pytest.raises(BadInput, match="not exact in float32"):
        project(DenseMapping(vectors=1, bits_per_weight=3), b"\xaa" * 32, x)


def test_statistics__no_rows__refused() -> None:
    with pytest.raises(BadInput, match="training set is empty"):
        statistics(DenseMapping(vectors=2), [np.empty((0, 2), dtype=np.float32)])


# --- Algorithm 3 ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['previous_hash'][:4]}-i{v['i']}-k{v['bits_per_weight']}")
def test_query_vectors__worked_by_hand(vector: dict[str, Any]) -> None:
    previous_hash, i = bytes.fromhex(vector["previous_hash"]), vector["i"]
    weights = query_vectors(previous_hash, i, vector["dimension"], vector["bits_per_weight"])[i - 1]
    assert {str(j + 1): int(weights[j]) for j in np.flatnonzero(weights)} == vector["nonzero"]


@given(hashes, st.integers(1, 300), st.integers(1, 300), st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_query_vectors__any_input__as_on_strings(previous_hash: bytes, count: int, dimension: int, bits: int) -> None:
    vectors = query_vectors(previous_hash, count, dimension, bits)
    assert vectors.shape == (count, dimension)
    for i in {1, count // 2 + 1, count}:
        assert vectors[i - 1].tolist() == _by_strings(previous_hash, i, dimension, bits)


def test_query_vectors__more_than_256_vectors__rank_is_not_stuck_at_256() -> None:
    assert rank(query_vectors(HASH, 300, 400, 3)) == 300


@given(st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=1, max_size=6))
def test_rank__small_matrices__as_over_the_rationals(rows: list[list[int]]) -> None:
    assert rank(np.array(rows)) == _rank_over_rationals(rows)


def test_rank__repeated_and_summed_rows__counted_once() -> None:
    vectors = query_vectors(HASH, 5, 40, 3)
    assert rank(np.concatenate([vectors, vectors, vectors[:1] + vectors[1:2]])) == 5


# --- projection -----------------------------------------------------------------------------------------------------


def test_project__one_segment__inner_products_in_order() -> None:
    mapping, x = DenseMapping(vectors=3), _random_rows((5, 64))
    b = mapping_hash(mapping, HASH, (64,))
    expected = [
        [sum(x * z for x, z in zip(row, _by_strings(b, i, 64, 3), strict=True)) for i in (1, 2, 3)]
        for row in x.tolist()
    ]
    mapped = project(mapping, HASH, x)
    assert mapped.dtype == np.float32
    assert mapped.tolist() == expected


def test_project__segments__output_is_segment_times_vectors_plus_vector() -> None:
    mapping, x = DenseMapping(vectors=3, segments=4), _random_rows((5, 2, 4, 4))
    mapped = project(mapping, HASH, x)
    assert mapping.output_shape((2, 4, 4)) == mapped.shape[1:] == (12,)
    weights = _by_strings(mapping_hash(mapping, HASH, (2, 4, 4)), 2, 8, 3)
    assert mapped[3, 2 * 3 + 1] == sum(a * b for a, b in zip(x[3].ravel()[16:24].tolist(), weights, strict=True))


def test_project__many_rows__cutting_them_changes_nothing() -> None:
    mapping, x = ConvolutionalMapping(filters=2, kernel=5), _random_rows((300, 3, 16, 16))
    mapped = project(mapping, HASH, x)
    assert np.array_equal(mapped, np.concatenate([project(mapping, HASH, x[:1]), project(mapping, HASH, x[1:])]))


@pytest.mark.parametrize(("channels", "kernel"), [(1, 1), (1, 3), (3, 3), (2, 5)])
def test_project__convolutional__as_depthwise_convolution_in_float64(channels: int, kernel: int) -> None:
    mapping, x = ConvolutionalMapping(filters=4, kernel=kernel), _random_rows((3, channels, 6, 7), largest=255)
    filters = mapping_matrix(mapping, HASH, (channels, 6, 7)).reshape(channels * 4, 1, kernel, kernel)
    expected = torch.nn.functional.conv2d(
        torch.from_numpy(x).double(), torch.from_numpy(filters).double(), padding=kernel // 2, groups=channels
    )
    mapped = project(mapping, HASH, x)
    assert mapped.shape[1:] == mapping.output_shape((channels, 6, 7)) == (channels * 4, 6, 7)
    assert np.array_equal(mapped, expected.numpy())


def test_mapping_matrix__convolutional__channel_vector_cut_into_filters() -> None:
    mapping = ConvolutionalMapping(filters=4, kernel=3)
    b = mapping_hash(mapping, HASH, (3, 8, 8))
    assert mapping_matrix(mapping, HASH, (3, 8, 8))[2, 1].tolist() == _by_strings(b, 3, 4 * 9, 3)[9:18]


def test_mapping_matrix__many_small_filters__all_distinct_and_of_full_rank() -> None:
    filters = mapping_matrix(ConvolutionalMapping(filters=64, kernel=3), HASH, (3, 8, 8))
    for channel in filters:
        assert len(np.unique(channel, axis=0)) == 64
        assert rank(channel) == 9


def test_project__largest_values__exact_just_below_the_limit() -> None:
    x, alternating = np.full((1, 257), 255, dtype=np.uint8), b"\xaa" * 32
    weights = query_vectors(alternating, 1, 257, 8)
    assert 0.98 * 2**24 < weights.sum() * 255 < 2**24
    assert project(DenseMapping(vectors=1, bits_per_weight=8), alternating, x)[0, 0] == int(weights.sum()) * 255


def test_key_queries__convolutional__open_each_feature() -> None:
    assert key_queries(ConvolutionalMapping(filters=4, kernel=3), HASH, (3, 8, 8)).tolist() == [[1]]


def test_key_queries__dense__are_the_mapping() -> None:
    mapping = DenseMapping(vectors=4, segments=2)
    b = mapping_hash(mapping, HASH, (64,))
    assert np.array_equal(key_queries(mapping, HASH, (64,)), query_vectors(b, 4, 32, 3))


# --- normalisation --------------------------------------------------------------------------------------------------


def test_statistics__small_columns__known_mean_and_deviation() -> None:
    part = np.array([[1, 7], [3, 7], [5, 7], [7, 7]], dtype=np.float32)
    constants = statistics(DenseMapping(vectors=2), [part])
    assert constants.mean.tolist() == [4.0, 7.0]
    assert constants.scale.tolist() == [np.float32(5**0.5), 1.0]
    assert constants.apply(part)[:, 1].tolist() == [0.0] * 4


def test_statistics__largest_integers__no_sum_overflows() -> None:
    part = np.full((70_000, 1), (1 << 24) - 1, dtype=np.float32)
    part[::2] = 0
    constants = statistics(DenseMapping(vectors=1), [part])
    assert constants.mean[0] == constants.scale[0] == np.float32(((1 << 24) - 1) / 2)


@given(st.lists(st.integers(0, 200), max_size=4))
@settings(max_examples=20, deadline=None)
def test_statistics__rows_cut_anyhow__same_bits(cuts: list[int]) -> None:
    mapped = project(DenseMapping(vectors=8), HASH, _random_rows((200, 64)))
    whole = statistics(DenseMapping(vectors=8), [mapped])
    bounds = [0, *sorted(cuts), 200]
    parts = [mapped[a:b] for a, b in pairwise(bounds)]
    pieces = statistics(DenseMapping(vectors=8), parts)
    assert pieces.mean.tobytes() == whole.mean.tobytes()
    assert pieces.scale.tobytes() == whole.scale.tobytes()


def test_statistics__convolutional__one_constant_per_channel() -> None:
    mapping = ConvolutionalMapping(filters=2, kernel=3)
    mapped = project(mapping, HASH, _random_rows((20, 3, 8, 8)))
    constants = statistics(mapping, [mapped])
    normalised = constants.apply(mapped)
    assert constants.mean.shape == (6,)
    np.testing.assert_allclose(normalised.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(normalised.std(axis=(0, 2, 3)), 1, rtol=1e-5)


def test_statistics__no_normalisation__integers_stay_as_they_are() -> None:
    mapping = DenseMapping(vectors=8, normalisation="none")
    mapped = project(mapping, HASH, _random_rows((20, 64)))
    assert np.array_equal(statistics(mapping, [mapped]).apply(mapped), mapped)
