"""Models that a client may ask `init` for by one word, for rows of any shape."""

import math
from typing import Literal

from pole.errors import BadInput
from pole.task.graph import MAX_TOKENS
from pole.task.layers import (
    Activation,
    AnyLayer,
    Attention,
    Convolution,
    Dropout,
    GlobalPool,
    GraphModel,
    Linear,
    Normalisation,
    Pool,
    PositionEmbedding,
    Reshape,
    RowConvolution,
    Shape,
)

ModelWord = Literal["auto", "small", "wide", "conv", "transformer"]

SMALL, WIDE = 32, 512
CHANNELS = (32, 64, 128)
WIDTH, HEADS, BLOCKS, TOKENS = 64, 4, 2, 128
LARGEST_STRIDE, LONGEST_PART = 16, 255  # of the layers that make tokens


def named_model(word: ModelWord, row: tuple[int, ...], outputs: int) -> GraphModel:
    """The model for mapped rows of this shape, (features,) or (channels, height, width). Raises BadInput."""
    layers = {"small": _small, "wide": _wide, "conv": _convolutional, "transformer": _transformer}[word](row)
    return GraphModel(layers=[*layers, Linear(name="outputs", size=outputs)])


def _flat(row: tuple[int, ...]) -> list[AnyLayer]:
    return [Shape(name="flat", type="flatten")] if len(row) == 3 else []


def _small(row: tuple[int, ...]) -> list[AnyLayer]:
    """One hidden layer."""
    return [*_flat(row), Linear(name="hidden", size=SMALL), Activation(name="active", type="relu")]


def _wide(row: tuple[int, ...]) -> list[AnyLayer]:
    """Two hidden layers of many units, with dropout."""
    layers = _flat(row)
    for i in (1, 2):
        layers += [
            Linear(name=f"hidden{i}", size=WIDE),
            Activation(name=f"active{i}", type="relu"),
            Dropout(name=f"dropped{i}", probability=0.1),
        ]
    return layers


def _convolutional(row: tuple[int, ...]) -> list[AnyLayer]:
    """Over a map; over a flat row as a sequence of neighbouring features."""
    layers: list[AnyLayer] = [] if len(row) == 3 else [Reshape(name="sequence", shape=[1, 1, row[0]])]
    side = min(row[1:]) if len(row) == 3 else 0
    for i, channels in enumerate(CHANNELS, start=1):
        name = f"conv{i}"
        layers += [
            Convolution(name=name, channels=channels, kernel=3, padding=1, bias=False)
            if len(row) == 3
            else RowConvolution(name=name, channels=channels, kernel=3, padding=1, bias=False),
            Normalisation(name=f"norm{i}", type="batch_norm"),
            Activation(name=f"active{i}", type="relu"),
        ]
        if i < len(CHANNELS) and side >= 4:
            layers.append(Pool(name=f"pool{i}", type="max_pool", kernel=2, stride=2))
            side //= 2
    # The place of a feature in a flat row means something, so its positions are not averaged.
    return [*layers, GlobalPool(name="pooled") if len(row) == 3 else Shape(name="features", type="flatten")]


def _transformer(row: tuple[int, ...]) -> list[AnyLayer]:
    """Tokens are patches of a map, or features of a flat row, with what was learned about their places."""
    layers = _tokens(row)
    for i in range(1, BLOCKS + 1):
        before = layers[-1].name
        layers += [
            Normalisation(name=f"calm{i}", type="channel_norm"),
            Attention(name=f"mixed{i}", heads=HEADS),
            Shape(name=f"seen{i}", type="add", inputs=[before, f"mixed{i}"]),
            Normalisation(name=f"even{i}", type="channel_norm"),
            Convolution(name=f"wide{i}", channels=2 * WIDTH, kernel=1),
            Activation(name=f"active{i}", type="gelu"),
            Convolution(name=f"narrow{i}", channels=WIDTH, kernel=1),
            Shape(name=f"block{i}", type="add", inputs=[f"seen{i}", f"narrow{i}"]),
        ]
    return [*layers, Normalisation(name="last", type="channel_norm"), GlobalPool(name="pooled")]


def _tokens(row: tuple[int, ...]) -> list[AnyLayer]:
    """Some 128 patches of a map; of a flat row at most so many parts of neighbouring features."""
    place = PositionEmbedding(name="placed")
    if len(row) == 3:
        patch = min(math.ceil(math.sqrt(row[1] * row[2] / TOKENS)), *row[1:], LARGEST_STRIDE)
        tokens = (row[1] // patch) * (row[2] // patch)
        if tokens > MAX_TOKENS:
            raise BadInput(
                f"a map of {row[1]}x{row[2]} makes {tokens} patches, too many for a transformer; choose conv"
            )
        return [Convolution(name="patches", channels=WIDTH, kernel=patch, stride=patch), place]
    size = next(size for size in range(1, row[0] + 1) if row[0] % size == 0 and row[0] // size <= TOKENS)
    if size > LONGEST_PART:
        raise BadInput(
            f"{row[0]} mapped features have no equal parts for a transformer's tokens; choose other --vectors"
        )
    parts = RowConvolution(name="parts", channels=WIDTH, kernel=size, stride=size)
    return [Reshape(name="sequence", shape=[1, 1, row[0]]), parts, place]
