"""Hardened candidates: whom their features belong to, and where they are linear."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments import transplant
from experiments.data import load
from experiments.hardening import (
    ABSOLUTE,
    CHOSEN,
    LINEAR,
    OTHERS,
    SIGNS,
    Hardened,
    Nonlinearity,
    hardened,
    products,
    rotations,
)
from experiments.settings import Settings

Floats = NDArray[np.float32]


@pytest.fixture(scope="module")
def digits() -> NDArray[np.uint8]:
    return load("mnist", Settings(False, 1, None, Path("unused"), "cpu"), bits=4, rows=300).train_x


def mapped(x: NDArray[np.uint8], kind: Nonlinearity, phs: bytes = bytes(32), miner: bytes = b"") -> Floats:
    return hardened(x, phs, vectors=8, segments=4, nonlinearity=kind, miner=miner).apply(x)


def reordering_bound(mapping: Hardened, x: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How far two results may lie apart whose sums were added up in different orders, as processors choose.

    A sum of n products errs by at most n u of the products' magnitudes, whatever its order (Higham, "Accuracy and
    Stability of Numerical Algorithms", 3.1; u is half of epsilon, and two such sums err by twice as much), each
    coordinate by one rounding more, and the standardisation rounds twice. Of `ABSOLUTE`, the features of the unit
    vectors are the magnitudes of its weights.
    """
    inputs = mapping.matrix.shape[1]
    weights = mapping.drawn.features(np.eye(inputs, dtype=np.float32)).astype(np.float64)
    coordinates = (products(x, mapping.vectors, mapping.segments) - mapping.mean) @ mapping.matrix
    of_sums = (inputs + 2) * (np.abs(coordinates) @ weights) / mapping.scale
    bound: NDArray[np.float64] = np.finfo(np.float32).eps * (of_sums + 2 * np.abs(mapping.apply(x)) + 1)
    return bound


@pytest.mark.parametrize("kind", [LINEAR, CHOSEN, *OTHERS], ids=lambda kind: kind.name)
def test_hardened__same_hash_and_miner__same_features_else_others(
    digits: NDArray[np.uint8], kind: Nonlinearity
) -> None:
    one, again = mapped(digits, kind, miner=b"a"), mapped(digits, kind, miner=b"a")
    others = mapped(digits, kind, miner=b"b"), mapped(digits, kind, phs=bytes(31) + b"1", miner=b"a")
    assert np.array_equal(one, again)
    for other in others:
        assert other.shape == one.shape
        assert np.abs(other - one).mean() > 0.1


def test_hardened__training_rows__standardised_and_other_rows_by_the_same_constants(digits: NDArray[np.uint8]) -> None:
    mapping = hardened(digits, bytes(32), vectors=8, segments=4, nonlinearity=ABSOLUTE)
    x = mapping.apply(digits)
    assert x.shape == (300, 512)
    assert np.abs(x.mean(axis=0)).max() < 1e-4
    assert np.abs(x.std(axis=0) - 1).max() < 1e-3
    bound = reordering_bound(mapping, digits)[:7]
    assert bound.max() < 1e-3  # of features whose deviation is 1: other constants would show
    assert (np.abs(mapping.apply(digits[:7]) - x[:7]) <= bound).all()


def test_hardened__more_vectors_than_pixels__span_of_the_pixels(digits: NDArray[np.uint8]) -> None:
    """Segments of 16 pixels give 16 coordinates each, however many inner products."""
    assert hardened(digits, bytes(32), vectors=24, segments=4, nonlinearity=LINEAR).apply(digits).shape == (300, 64)


def test_linear__all_pixels_recoverable__distances_are_those_of_the_pixels(digits: NDArray[np.uint8]) -> None:
    mapping = hardened(digits, bytes(32), vectors=16, segments=4, nonlinearity=LINEAR)
    pixels = digits.reshape(300, -1).astype(np.float64)
    features = mapping.apply(digits) * mapping.scale
    measured = [np.linalg.norm(x[:100] - x[100:200], axis=1) for x in (features, pixels)]
    ratios = measured[0] / measured[1]
    assert ratios.std() < 1e-3 * ratios.mean()


def test_rotations__rows_of_one_branch__linear_in_the_coordinates_all_rows_not(digits: NDArray[np.uint8]) -> None:
    kind = rotations(2, leading=32)
    mapping = hardened(digits, bytes(32), vectors=16, segments=4, nonlinearity=kind)
    branch, x = mapping.branch(digits), mapping.apply(digits)
    assert branch is not None
    assert set(branch) == {0, 1}
    plain = hardened(digits, bytes(32), vectors=16, segments=4, nonlinearity=LINEAR).apply(digits)

    def unexplained(rows: NDArray[np.bool_]) -> float:
        matrix, offset = transplant.from_rows(x[rows], plain[rows])
        return float(np.var(x[rows] - plain[rows] @ matrix - offset) / np.var(x[rows]))

    assert unexplained(branch == 1) < 0.01
    assert unexplained(branch >= 0) > 0.1


def test_signs__flipped__same_features_but_for_the_sign(digits: NDArray[np.uint8]) -> None:
    """Of all rows, those of one branch are the rotated coordinates, the others their negatives."""
    mapping = hardened(digits, bytes(32), vectors=8, segments=4, nonlinearity=SIGNS)
    branch = mapping.branch(digits)
    assert branch is not None
    raw = mapping.apply(digits) * mapping.scale + mapping.centre
    straight = raw * (1 - 2 * branch[:, None])
    assert np.abs(straight.mean(axis=0)).max() < 1e-3 * np.abs(straight).mean()
