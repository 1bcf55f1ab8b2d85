"""The secure mapping layer: query vectors from the previous hash, and the frozen linear layer that they make.

Bit order, exactly: b is the 32-byte previous hash read big-endian. Vector i (from 1) comes from b XOR (b << i), written
most significant bit first with exactly 256 + i digits (leading zeros kept), repeated until it has k*D digits, cut from
the left into D groups of k digits, each group read most significant digit first. Source: PoLe, Algorithm 3.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pole.errors import BadInput
from pole.learning.conditioning import Flaws, flaws
from pole.task.manifest import MAX_EXACT_FLOAT32, ConvolutionalMapping, DenseMapping
from pole.task.mappings import image_shape

HASH_BITS = 256
MOST_CANDIDATES = 32
"""Hashes that are tried for a mapping without flaws; half of them do for the smallest tasks, all for large ones."""

Mapping = DenseMapping | ConvolutionalMapping
Integers = NDArray[np.int64]
Floats = NDArray[np.float32]

_CHUNK_ENTRIES = 1 << 22  # entries of the largest intermediate array at a time, so that memory stays bounded


# --- query vectors ---------------------------------------------------------------------------------------------------


def query_vectors(previous_hash: bytes, count: int, dimension: int, bits_per_weight: int) -> Integers:
    """Vectors z^1..z^count as rows of [count, dimension], entries 0..2^bits_per_weight - 1. Source: PoLe, Algorithm 3.

    The shift does not truncate: the string of z^i has 256 + i bits, so that strings of different vectors repeat with
    different periods. Its first i bits are those of the hash itself: a vector with dimension * bits_per_weight <= i
    equals its successor, so many short vectors are not worth asking for.
    """
    if len(previous_hash) * 8 != HASH_BITS:
        raise BadInput(f"previous hash has {len(previous_hash)} bytes; it must have {HASH_BITS // 8}")
    if min(count, dimension) < 1 or not 1 <= bits_per_weight <= 8:
        raise BadInput(
            f"{count} vectors of {dimension} weights of {bits_per_weight} bits: need at least 1 and 1..8 bits"
        )
    wanted = dimension * bits_per_weight
    strings = np.stack([np.resize(_primary_weight(previous_hash, i), wanted) for i in range(1, count + 1)])
    place_values = 1 << np.arange(bits_per_weight - 1, -1, -1, dtype=np.int64)
    return strings.reshape(count, dimension, bits_per_weight).astype(np.int64) @ place_values


def _primary_weight(previous_hash: bytes, shift: int) -> NDArray[np.uint8]:
    """The 256 + shift binary digits of b XOR (b << shift), most significant first."""
    digits = np.unpackbits(np.frombuffer(previous_hash, dtype=np.uint8))
    shifted = np.concatenate([digits, np.zeros(shift, dtype=np.uint8)])
    shifted[shift:] ^= digits
    return np.asarray(shifted, dtype=np.uint8)


@lru_cache(maxsize=64)
def mapping_hash(mapping: Mapping, previous_hash: bytes, shape: tuple[int, ...]) -> bytes:
    """The hash b that a round's query vectors come from: PHS, or the first of its SHA-256 chain without flaws.

    If none of MOST_CANDIDATES is without, as with a single vector of many features, the first of those with the least.
    The test is of integers alone, so every node takes the same.
    """
    best, least = previous_hash, None
    for candidate in _candidates(previous_hash):
        found = _flaws_under(mapping, candidate, shape)
        if least is None or found < least:
            best, least = candidate, found
        if not any(found):
            break
    return best


def _candidates(previous_hash: bytes) -> Iterator[bytes]:
    candidate = previous_hash
    for _ in range(MOST_CANDIDATES):
        yield candidate
        candidate = hashlib.sha256(candidate).digest()


def _flaws_under(mapping: Mapping, candidate: bytes, shape: tuple[int, ...]) -> Flaws:
    """Of the matrix, or of all channels' filters together."""
    weights = matrix_under(mapping, candidate, shape)
    if isinstance(mapping, DenseMapping):
        return flaws(weights, sees_all=True)
    each = [flaws(channel, sees_all=False) for channel in weights]
    return Flaws(*(sum(counts) for counts in zip(*each, strict=True)))


def mapping_matrix(mapping: Mapping, previous_hash: bytes, shape: tuple[int, ...]) -> Integers:
    """A round's weights, see `matrix_under`: those of `mapping_hash`."""
    return matrix_under(mapping, mapping_hash(mapping, previous_hash, shape), shape)


def matrix_under(mapping: Mapping, candidate: bytes, shape: tuple[int, ...]) -> Integers:
    """Weights for rows of `shape`: dense [vectors, segment width], convolutional [channels, filters, kernel^2].

    Reading: one vector of filters * kernel^2 weights per channel, cut into its filters in row-major order. One short
    vector per filter would repeat itself: z^i starts with i bits of the hash, and a 3x3 filter of 3-bit weights only
    has 27, so every filter after the 27th would be the same one.
    """
    if isinstance(mapping, DenseMapping):
        width = mapping.segment_width(shape)
        return query_vectors(candidate, mapping.vectors, width, mapping.bits_per_weight)
    channels, _, _ = image_shape(shape)
    weights = mapping.filters * mapping.kernel**2
    vectors = query_vectors(candidate, channels, weights, mapping.bits_per_weight)
    return vectors.reshape(channels, mapping.filters, mapping.kernel**2)


def key_queries(mapping: Mapping, previous_hash: bytes, shape: tuple[int, ...]) -> Integers:
    """Vectors [count, width] that the task's functional keys open, on each slice of `width` features.

    A convolutional task opens the features themselves: the keys of all patches of one zero-padded filter are an
    invertible system and would reveal its channel's secret anyway.
    """
    if isinstance(mapping, DenseMapping):
        return mapping_matrix(mapping, previous_hash, shape)
    return np.ones((1, 1), dtype=np.int64)


# --- projection ------------------------------------------------------------------------------------------------------


def project(mapping: Mapping, previous_hash: bytes, x: NDArray[np.uint8]) -> Floats:
    """Map plain rows [n, *shape] to [n, *output_shape] as the round with this PHS does, see `project_under`."""
    return project_under(mapping, mapping_hash(mapping, previous_hash, x.shape[1:]), x)


def project_under(mapping: Mapping, candidate: bytes, x: NDArray[np.uint8]) -> Floats:
    """Map plain rows [n, *shape] to [n, *output_shape]: integers, held exactly in float32.

    Dense output s * vectors + i is <segment s, z^(i+1)>. Convolutional output channel c * filters + l is channel c
    under filter l, cross-correlated (not flipped) with zero padding. Exact whatever the order of summation: all terms
    are non-negative integers and no sum reaches 2^24.
    """
    shape = x.shape[1:]
    weights = matrix_under(mapping, candidate, shape)
    _check_exact(weights, x)
    mapped = np.empty((len(x), *mapping.output_shape(shape)), dtype=np.float32)
    weights_f = weights.astype(np.float32)
    step = max(1, _CHUNK_ENTRIES // (math.prod(shape) * weights.shape[-1]))
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        apply = _map_dense if isinstance(mapping, DenseMapping) else _map_convolutional
        mapped[rows] = apply(weights_f, x[rows].astype(np.float32)).reshape(-1, *mapped.shape[1:])
    return mapped


def _check_exact(weights: Integers, x: NDArray[np.uint8]) -> None:
    largest = int(weights.sum(axis=-1).max()) * int(x.max(initial=0))
    if largest >= MAX_EXACT_FLOAT32:
        raise BadInput(
            f"inner products up to {largest} are not exact in float32 (2^24); use fewer bits or more segments"
        )


def _map_dense(weights: Floats, x: Floats) -> Floats:
    """[n, *shape] -> [n, segments, vectors]."""
    return x.reshape(len(x), -1, weights.shape[1]) @ weights.T


def _map_convolutional(weights: Floats, x: Floats) -> Floats:
    """[n, channels, height, width] -> [n, channels, filters, height, width]."""
    kernel = math.isqrt(weights.shape[2])
    border = kernel // 2
    padded = np.pad(x, ((0, 0), (0, 0), (border, border), (border, border)))
    windows: Floats = sliding_window_view(padded, (kernel, kernel), axis=(2, 3))  # type: ignore[call-overload]
    patches = windows.reshape(*x.shape, kernel**2).reshape(len(x), x.shape[1], -1, kernel**2)
    mapped: Floats = weights[None] @ patches.swapaxes(2, 3)
    return mapped.reshape(len(x), x.shape[1], -1, *x.shape[2:])


# --- normalisation ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Statistics:
    """Constants of the shared normalisation: float32, one per dense feature or per convolutional channel."""

    mean: Floats
    scale: Floats

    def apply(self, mapped: Floats) -> Floats:
        """Normalise integers [n, *output_shape] in float32: one subtraction, one division, alike everywhere."""
        each = (-1,) + (1,) * (mapped.ndim - 2)
        normalised: Floats = (mapped - self.mean.reshape(each)) / self.scale.reshape(each)
        return normalised


def statistics(mapping: Mapping, parts: Iterable[Floats]) -> Statistics:
    """Normalisation constants of the training rows, given as parts [n, *output_shape] of exact integers.

    They come from exact sums, so every node has them bit for bit however the rows are cut into parts. The scale is the
    population standard deviation; constant features get 1, and so does everything under `normalisation: none`.
    """
    count, totals, squares = 0, [], []
    for part in parts:
        step = max(1, _CHUNK_ENTRIES // max(1, math.prod(part.shape[1:])))
        for start in range(0, len(part), step):
            values = part[start : start + step].astype(np.int64)
            values = np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)
            count += values.shape[1]
            totals.append(values.sum(axis=1).astype(object))
            squares.append(_sum_of_squares(values))
    if not count:
        raise BadInput("no rows to take the normalisation from; the training set is empty")
    total, square = np.sum(totals, axis=0), np.sum(squares, axis=0)
    if mapping.normalisation == "none":
        return Statistics(np.zeros(len(total), dtype=np.float32), np.ones(len(total), dtype=np.float32))
    mean = [int(t) / count for t in total]
    scale = [math.sqrt(count * int(q) - int(t) ** 2) / count or 1.0 for t, q in zip(total, square, strict=True)]
    return Statistics(np.array(mean, dtype=np.float32), np.array(scale, dtype=np.float32))


def _sum_of_squares(values: Integers) -> NDArray[np.object_]:
    """Exact sums over [features, n] of values below 2^24, as Python ints: squares are summed in halves of 24 bits."""
    squares = values * values
    high = (squares >> 24).sum(axis=1).astype(object)
    low = (squares & (MAX_EXACT_FLOAT32 - 1)).sum(axis=1).astype(object)
    result: NDArray[np.object_] = high * MAX_EXACT_FLOAT32 + low
    return result
