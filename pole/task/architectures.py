"""What the named architectures ask of a row and of the manifest. Needs no torch."""

import math

from pole.errors import ManifestInvalid
from pole.task.graph import RowShape
from pole.task.layers import TorchvisionModel


def check_stem(spec: TorchvisionModel) -> None:
    """Raises ManifestInvalid for a stem that the architecture does not have."""
    if spec.stem != "stock" and not is_resnet(spec):
        raise ManifestInvalid(f"stem {spec.stem!r} is for resnet18, 34 and 50; use 'stock' with {spec.architecture}")


def is_resnet(spec: TorchvisionModel) -> bool:
    return spec.architecture.startswith("resnet")


def folded_row(shape: RowShape) -> tuple[int, int, int]:
    """Reading: flat features fold into a square map, of one channel (256 -> 1x16x16) or three (2700 -> 3x30x30).

    At most one of the two is possible. Raises ManifestInvalid if neither is. Source: PoLe, section 4 (VGG-16 behind
    the secure mapping layer)
    """
    if len(shape) == 3:
        return (shape[0], shape[1], shape[2])
    for channels in (1, 3):
        side = math.isqrt(shape[0] // channels)
        if channels * side * side == shape[0]:
            return (channels, side, side)
    raise ManifestInvalid(
        f"{shape[0]} features fold into no square map of 1 or 3 channels, as this architecture needs; "
        "choose other vectors and segments, such as 256 (1x16x16) or 2700 (3x30x30) outputs"
    )
