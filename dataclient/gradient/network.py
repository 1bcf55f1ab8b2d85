"""The networks proposed for gradient tasks: batch normalisation, SiLU, average pooling; every weight moves.

Source: DGG, Results (a network whose weights all move in every step)
"""

import math

from pole.task.layers import (
    Activation,
    AnyLayer,
    AnyModel,
    Convolution,
    GraphModel,
    Linear,
    Normalisation,
    Pool,
    Reshape,
    Shape,
    TorchvisionModel,
)

_MAX_BLOCKS = 3
_CHANNELS = {1: 8, 3: 16}
_MIN_SIDE = 4
_HIDDEN = 64


def propose_network(kind: str, shape: tuple[int, ...], classes: int, has_columns: bool) -> AnyModel:
    """`small`: a few convolutions for images (flat squares count as such), a hidden layer for tables; or `resnet18`."""
    if kind == "resnet18":
        return TorchvisionModel(architecture="resnet18", stem="cifar")
    side = math.isqrt(shape[0]) if len(shape) == 1 and not has_columns else 0
    if side >= 2 * _MIN_SIDE and side * side == shape[0]:
        image = Reshape(name="image", shape=[1, side, side])
        return GraphModel(layers=[image, *_convolutions(1, side), Linear(name="classes", size=classes)])
    if len(shape) == 3:
        return GraphModel(layers=[*_convolutions(shape[0], min(shape[1:])), Linear(name="classes", size=classes)])
    return GraphModel(
        layers=[
            Linear(name="hidden", size=_HIDDEN),
            Activation(name="active", type="silu"),
            Linear(name="classes", size=classes),
        ]
    )


def _convolutions(channels: int, side: int) -> list[AnyLayer]:
    """Blocks that halve the map, as long as it can be halved. No bias before a normalisation, which would undo it."""
    layers: list[AnyLayer] = []
    width = _CHANNELS.get(channels, max(_CHANNELS.values()))
    for number in range(1, _MAX_BLOCKS + 1):
        layers += [
            Convolution(name=f"conv{number}", channels=width, kernel=3, padding=1, bias=False),
            Normalisation(name=f"norm{number}", type="batch_norm"),
            Activation(name=f"active{number}", type="silu"),
        ]
        if side < _MIN_SIDE or side % 2:
            break
        layers.append(Pool(name=f"pool{number}", type="average_pool", kernel=2, stride=2))
        side, width = side // 2, 2 * width
    return [*layers, Shape(name="flat", type="flatten")]
