"""Points of secp256k1 as bytes: two forms, and how to convert one into the other."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

PointForm = Literal["uncompressed", "compressed"]


POINT_BYTES = 64


BYTES_OF_POINTS: dict[PointForm, int] = {"uncompressed": POINT_BYTES, "compressed": 33}


_COORDINATE_BYTES = 32


def compress_points(points: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Points [..., 64] as [..., 33]; a backend's `decompress` is the way back. Source: SEC 1, section 2.3.3."""
    compressed = np.empty((*points.shape[:-1], BYTES_OF_POINTS["compressed"]), dtype=np.uint8)
    compressed[..., 0] = 2 + (points[..., -1] & 1)
    compressed[..., 1:] = points[..., :_COORDINATE_BYTES]
    return compressed
