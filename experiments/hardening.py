"""Candidates for a mapping that a stolen model cannot be moved out of: bits from an XOF, then a seeded non-linearity.

All of it is computed from the inner products, which are what decryption yields; it needs no other encryption. The
inner products are whitened first: the constants are public, as those of the standardisation are.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.data import Bytes
from miner.whitening import Whitening, whitening_of

Floats = NDArray[np.float32]


def xof_vectors(previous_hash: bytes, count: int, dimension: int, bits_per_weight: int) -> NDArray[np.int64]:
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


@dataclass(frozen=True)
class Nonlinearity:
    """A function of whitened inner products, drawn from a seed; it keeps no parameter that depends on the data."""

    name: str
    make: Callable[[np.random.Generator, int, int], Callable[[Floats], Floats]]


def _linear(_: np.random.Generator, _inputs: int, _outputs: int) -> Callable[[Floats], Floats]:
    return lambda x: x


def cosine(scale: float) -> Nonlinearity:
    """Random Fourier features: cos(scale * x W + phase)."""

    def make(rng: np.random.Generator, inputs: int, outputs: int) -> Callable[[Floats], Floats]:
        weights = (scale * rng.standard_normal((inputs, outputs))).astype(np.float32)
        phase = rng.uniform(0, 2 * np.pi, outputs).astype(np.float32)
        return lambda x: np.sqrt(np.float32(2)) * np.cos(x @ weights + phase)

    return Nonlinearity(f"cosine {scale}", make)


def _rectified(rng: np.random.Generator, inputs: int, outputs: int) -> Callable[[Floats], Floats]:
    weights = (rng.standard_normal((inputs, outputs)) * np.sqrt(2 / inputs)).astype(np.float32)
    offset = (0.5 * rng.standard_normal(outputs)).astype(np.float32)
    return lambda x: np.maximum(x @ weights + offset, 0)


def _folded_signs(rng: np.random.Generator, inputs: int, outputs: int) -> Callable[[Floats], Floats]:
    """Each coordinate through a triangle wave of its own phase: no sums, so that the input's directions stay."""
    phase = rng.uniform(0, 4, outputs).astype(np.float32)
    chosen = np.arange(outputs) % inputs
    return lambda x: np.abs((x[:, chosen] + phase) % 4 - 2) - 1


LINEAR = Nonlinearity("linear", _linear)
RECTIFIED = Nonlinearity("random ReLU", _rectified)
FOLDED = Nonlinearity("triangle waves", _folded_signs)


@dataclass(frozen=True)
class Hardened:
    """The whole mapping of one round: inner products, whitening, non-linearity."""

    vectors: NDArray[np.int64]
    segments: int
    whitening: Whitening
    function: Callable[[Floats], Floats]

    def apply(self, x: Bytes) -> Floats:
        return self.function(self.whitening.apply(products(x, self.vectors, self.segments))).astype(np.float32)


def hardened(
    training: Bytes, previous_hash: bytes, *, vectors: int, segments: int, nonlinearity: Nonlinearity, outputs: int
) -> Hardened:
    """The mapping of a round, its constants taken from the training rows."""
    width = training[0].size // segments
    queries = xof_vectors(previous_hash, vectors, width, 3)
    whitening = whitening_of(products(training, queries, segments), has_bias=True)
    function = nonlinearity.make(generator(previous_hash), vectors * segments, outputs)
    return Hardened(queries, segments, whitening, function)


def products(x: Bytes, queries: NDArray[np.int64], segments: int) -> Floats:
    """Inner products [n, segments * vectors], exact."""
    rows = x.reshape(len(x), segments, -1).astype(np.float32)
    return (rows @ queries.T.astype(np.float32)).reshape(len(x), -1)
