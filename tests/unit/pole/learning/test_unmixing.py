"""From inner products back to the row: exact where Z has full rank, the shortest fitting row elsewhere."""

from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pole.learning.mapping import mapping_matrix, project, statistics
from pole.learning.unmixing import unmixing_matrix
from pole.task.manifest import DenseMapping

HASHES = st.binary(min_size=32, max_size=32)


def unmixed(mapping: DenseMapping, previous_hash: bytes, x: NDArray[np.uint8]) -> NDArray[np.float64]:
    features = project(mapping, previous_hash, x)
    constants = statistics(mapping, [features])
    normalised = constants.apply(features).astype(np.float64)
    matrix = unmixing_matrix(mapping, previous_hash, x.shape[1:], constants.scale)
    found: NDArray[np.float64] = (normalised - normalised.mean(axis=0)) @ matrix
    return found


@pytest.mark.parametrize(("vectors", "segments", "width"), [(12, 1, 6), (8, 3, 4)])
def test_unmixing__full_rank__yields_the_centred_rows(vectors: int, segments: int, width: int) -> None:
    x = np.random.default_rng(1).integers(0, 256, (50, segments * width)).astype(np.uint8)
    mapping, previous_hash = DenseMapping(vectors=vectors, segments=segments), sha256(b"full rank").digest()
    assert np.linalg.matrix_rank(mapping_matrix(mapping, previous_hash, x.shape[1:])) == width
    assert np.abs(unmixed(mapping, previous_hash, x) - (x - x.mean(axis=0))).max() < 0.05


@settings(max_examples=30)
@given(previous_hash=HASHES, vectors=st.integers(1, 7))
def test_unmixing__any_hash__estimate_has_the_same_inner_products(previous_hash: bytes, vectors: int) -> None:
    x = np.random.default_rng(1).integers(0, 256, (30, 8)).astype(np.uint8)
    mapping = DenseMapping(vectors=vectors)
    weights = mapping_matrix(mapping, previous_hash, (8,))
    found = unmixed(mapping, previous_hash, x)
    wanted = (x - x.mean(axis=0)) @ weights.T
    assert np.abs(found @ weights.T - wanted).max() <= 1e-3 * max(1.0, np.abs(wanted).max())
    assert (np.linalg.norm(found, axis=1) <= np.linalg.norm(x - x.mean(axis=0), axis=1) + 1.0).all()
