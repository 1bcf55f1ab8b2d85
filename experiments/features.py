"""What a network sees: the original features, or those behind a secure mapping layer."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from experiments.data import Bytes, Data
from experiments.training import Rows
from miner.training.whitening import FULL, whitening_of
from pole.learning.mapping import Mapping, project, statistics
from pole.task.manifest import ConvolutionalMapping, DenseMapping

Floats = NDArray[np.float32]


def previous_hash(seed: int, name: str) -> bytes:
    """A header's hash as good as any."""
    return hashlib.sha256(f"experiment {seed} {name}".encode()).digest()


def dense(outputs: int, segments: int, *, bits_per_weight: int = 3, normalise: bool = True) -> DenseMapping:
    return DenseMapping(
        vectors=outputs // segments,
        segments=segments,
        bits_per_weight=bits_per_weight,
        normalisation="standardise" if normalise else "none",
    )


def convolutional(filters: int, kernel: int = 3) -> ConvolutionalMapping:
    return ConvolutionalMapping(filters=filters, kernel=kernel)


def original(data: Data) -> Rows:
    """Values over their mean and deviation: of each column, or of all pixels."""
    train, test = data.train_x.astype(np.float32), data.test_x.astype(np.float32)
    axis = 0 if train.ndim == 2 else None
    mean, scale = train.mean(axis=axis), train.std(axis=axis) + 1e-6
    return Rows((train - mean) / scale, data.train_y, (test - mean) / scale, data.test_y)


def secure(data: Data, mapping: Mapping, phs: bytes) -> Rows:
    """Inner products with the query vectors of a previous hash, normalised as the protocol does."""
    train, test = project(mapping, phs, data.train_x), project(mapping, phs, data.test_x)
    constants = statistics(mapping, [train])
    return Rows(constants.apply(train), data.train_y, constants.apply(test), data.test_y)


def white(rows: Rows, power: float = FULL) -> Rows:
    """Whitened by the training part, to a power; what folds into a first linear layer before a model is submitted."""
    whitening = whitening_of(rows.train_x, has_bias=True, power=power)
    return Rows(whitening.apply(rows.train_x), rows.train_y, whitening.apply(rows.test_x), rows.test_y)


def raw(mapping: Mapping, phs: bytes, x: Bytes) -> Floats:
    """The integers themselves."""
    return project(mapping, phs, x)
