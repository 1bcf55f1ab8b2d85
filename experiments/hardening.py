"""Candidates for a mapping under which a stolen model is useless elsewhere: bits from an XOF, a seeded non-linearity.

All of it is computed from the inner products, which are what decryption yields; it needs no other encryption. The
constants that it takes from the training rows are public, as those of the standardisation are.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.data import Bytes
from miner.training.whitening import whitening_of

Floats = NDArray[np.float32]
Wide = NDArray[np.float64]
Integers = NDArray[np.int64]

RANK_TOLERANCE = 1e-9
"""Singular values of the query vectors below this share of the largest are taken for 0."""


def xof_vectors(previous_hash: bytes, count: int, dimension: int, bits_per_weight: int) -> Integers:
    """Query vectors [count, dimension] from SHAKE-256 of the previous hash and each vector's number, from 1."""
    vectors = []
    for i in range(1, count + 1):
        content = hashlib.shake_256(previous_hash + i.to_bytes(4, "big")).digest(-(-dimension * bits_per_weight // 8))
        bits = np.unpackbits(np.frombuffer(content, dtype=np.uint8))[: dimension * bits_per_weight]
        vectors.append(bits.reshape(dimension, bits_per_weight) @ (1 << np.arange(bits_per_weight - 1, -1, -1)))
    return np.stack(vectors).astype(np.int64)


def generator(previous_hash: bytes, miner: bytes = b"") -> np.random.Generator:
    """Seeded by the hash, and by the miner where features are to be each miner's own."""
    seed = hashlib.shake_256(b"hardened mapping" + previous_hash + miner).digest(32)
    return np.random.default_rng(int.from_bytes(seed))


# --- non-linearities --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Drawn:
    """A function of coordinates [n, inputs]. `branch`: which of its linear pieces a row takes, if it has few."""

    features: Callable[[Floats], Floats]
    branch: Callable[[Floats], Integers] | None = None


@dataclass(frozen=True)
class Nonlinearity:
    """A family of functions to draw from. `outputs`: how many, or as many as the coordinates; `leading`: how many of
    the coordinates it takes, those of the most variance."""

    name: str
    draw: Callable[[np.random.Generator, int, int], Drawn]
    outputs: int | None = None
    leading: int | None = None


def _gaussian(rng: np.random.Generator, inputs: int, outputs: int) -> Floats:
    weights: Floats = (rng.standard_normal((inputs, outputs)) / np.sqrt(inputs)).astype(np.float32)
    return weights


def _orthogonal(rng: np.random.Generator, size: int) -> Floats:
    directions, triangle = np.linalg.qr(rng.standard_normal((size, size)))
    rotation: Floats = (directions * np.sign(np.diag(triangle))).astype(np.float32)
    return rotation


def _linear(rng: np.random.Generator, inputs: int, _outputs: int) -> Drawn:
    """Rotated at random, so that all features weigh the same."""
    rotation = _orthogonal(rng, inputs)
    return Drawn(lambda x: x @ rotation)


def cosine(bandwidth: float, outputs: int) -> Nonlinearity:
    """Random Fourier features: cos(bandwidth * x W + phase), W of unit columns in the mean."""

    def draw(rng: np.random.Generator, inputs: int, count: int) -> Drawn:
        weights = np.float32(bandwidth) * _gaussian(rng, inputs, count)
        phase = rng.uniform(0, 2 * np.pi, count).astype(np.float32)
        return Drawn(lambda x: np.cos(x @ weights + phase))

    return Nonlinearity(f"cosine {bandwidth}", draw, outputs)


def _rectified(rng: np.random.Generator, inputs: int, outputs: int) -> Drawn:
    weights, offset = _gaussian(rng, inputs, outputs), (0.35 * rng.standard_normal(outputs)).astype(np.float32)
    return Drawn(lambda x: np.maximum(x @ weights + offset, 0))


def _absolute(rng: np.random.Generator, inputs: int, outputs: int) -> Drawn:
    """Even functions: none of them is correlated with a linear one of symmetric inputs."""
    weights = _gaussian(rng, inputs, outputs)
    return Drawn(lambda x: np.abs(x @ weights))


def _signs(rng: np.random.Generator, inputs: int, _outputs: int) -> Drawn:
    """All inner products change their sign on one side of a hyperplane."""
    rotation, normal = _orthogonal(rng, inputs), rng.standard_normal(inputs).astype(np.float32)

    def branch(x: Floats) -> Integers:
        side: Integers = (x @ normal > 0).astype(np.int64)
        return side

    return Drawn(lambda x: (x @ rotation) * (1 - 2 * branch(x)[:, None]).astype(np.float32), branch)


def rotations(count: int, *, is_told: bool = False, leading: int | None = None) -> Nonlinearity:
    """One of `count` (a power of 2) rotations, chosen by the sides of random hyperplanes that a row is on.

    `is_told`: further outputs tell which.
    """
    name = f"{count} rotations{f' of {leading}' if leading else ''}{' told' if is_told else ''}"

    def draw(rng: np.random.Generator, inputs: int, _outputs: int) -> Drawn:
        turns = np.stack([_orthogonal(rng, inputs) for _ in range(count)])
        normals = rng.standard_normal((inputs, count.bit_length() - 1)).astype(np.float32)

        def branch(x: Floats) -> Integers:
            sides: Integers = (x @ normals > 0).astype(np.int64) @ (1 << np.arange(normals.shape[1]))
            return sides

        def features(x: Floats) -> Floats:
            chosen, turned = branch(x), np.empty_like(x)
            for i, turn in enumerate(turns):
                turned[chosen == i] = x[chosen == i] @ turn
            told = np.eye(count, dtype=np.float32)[chosen]
            return np.concatenate([turned, told], axis=1) if is_told else turned

        return Drawn(features, branch)

    return Nonlinearity(name, draw, leading=leading)


LINEAR = Nonlinearity("linear", _linear)
RECTIFIED = Nonlinearity("random ReLU", _rectified, 512)
ABSOLUTE = Nonlinearity("absolute values", _absolute, 512)
SIGNS = Nonlinearity("sign flips", _signs)

CHOSEN = rotations(2, leading=96)
OTHERS = [
    rotations(2, leading=64),
    rotations(2, is_told=True),
    rotations(4),
    SIGNS,
    cosine(1.13, 512),
    RECTIFIED,
    ABSOLUTE,
]
"""Candidates that were tried with 128 inner products and do not meet the target."""


# --- the mapping ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hardened:
    """The whole mapping of one round, and of one miner: inner products, coordinates (x - mean) @ matrix, a drawn
    non-linearity, standardised."""

    vectors: Integers
    segments: int
    mean: Wide
    matrix: Wide
    drawn: Drawn
    centre: Floats
    scale: Floats

    def apply(self, x: Bytes) -> Floats:
        """Features float32 [n, outputs]."""
        standardised: Floats = ((self.drawn.features(self._coordinates(x)) - self.centre) / self.scale).astype(
            np.float32
        )
        return standardised

    def branch(self, x: Bytes) -> Integers | None:
        """Which linear piece of the mapping each row takes, if it has few."""
        return self.drawn.branch(self._coordinates(x)) if self.drawn.branch else None

    def _coordinates(self, x: Bytes) -> Floats:
        moved: Floats = ((products(x, self.vectors, self.segments) - self.mean) @ self.matrix).astype(np.float32)
        return moved


def hardened(
    training: Bytes,
    previous_hash: bytes,
    *,
    vectors: int,
    segments: int,
    nonlinearity: Nonlinearity,
    miner: bytes = b"",
) -> Hardened:
    """The mapping of a round with `vectors` query vectors per segment, its constants taken from the training rows."""
    queries = xof_vectors(previous_hash, vectors, training[0].size // segments, 3)
    mean, matrix = _coordinates_of(products(training, queries, segments), queries, segments, nonlinearity.leading)
    inputs = matrix.shape[1]
    drawn = nonlinearity.draw(generator(previous_hash, miner), inputs, nonlinearity.outputs or inputs)
    raw = Hardened(queries, segments, mean, matrix, drawn, np.zeros(1, np.float32), np.ones(1, np.float32))
    features = raw.apply(training)
    scale = features.std(axis=0)
    return Hardened(queries, segments, mean, matrix, drawn, features.mean(axis=0), np.where(scale > 0, scale, 1))


def products(x: Bytes, queries: Integers, segments: int) -> Floats:
    """Inner products [n, segments * vectors], exact."""
    rows = x.reshape(len(x), segments, -1).astype(np.float32)
    return (rows @ queries.T.astype(np.float32)).reshape(len(x), -1)


def _coordinates_of(seen: Floats, queries: Integers, segments: int, leading: int | None) -> tuple[Wide, Wide]:
    """Mean and matrix that turn inner products into coordinates of the rows' projections on the span of the vectors.

    Distances are those of the pixels, which the inner products distort: random weights all have a large mean. The
    coordinates are principal components, those of the most variance first, over one common scale.
    """
    left, singular, _ = np.linalg.svd(queries.astype(np.float64), full_matrices=False)
    kept = singular > RANK_TOLERANCE * singular[0]
    straight = np.kron(np.eye(segments), left[:, kept] / singular[kept])
    components = whitening_of((seen @ straight).astype(np.float32), has_bias=True, power=0.0)
    mean = seen.astype(np.float64).mean(axis=0)
    return mean, (straight @ components.matrix)[:, ::-1][:, :leading]
