"""The pictures in the kit: part of MNIST and of CIFAR-10 as one .npz each."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SHAPES = {"mnist": (1, 28, 28), "cifar10": (3, 32, 32)}
_TOY_ROWS = 64


@dataclass(frozen=True)
class Pictures:
    """x: uint8 [n, channels, height, width]; y: int64 [n]."""

    x: NDArray[np.uint8]
    y: NDArray[np.int64]
    test_x: NDArray[np.uint8]
    test_y: NDArray[np.int64]

    def save(self, path: Path) -> None:
        np.savez_compressed(path, x=self.x, y=self.y, test_x=self.test_x, test_y=self.test_y)


def load_pictures(folder: Path, name: str, is_toy: bool) -> Pictures:
    """A toy run takes random ones, so that it needs no kit."""
    if is_toy:
        generator = np.random.default_rng(1)
        x = generator.integers(0, 256, (2 * _TOY_ROWS, *SHAPES[name]), dtype=np.uint8)
        y = generator.integers(0, 10, 2 * _TOY_ROWS)
        return Pictures(x[:_TOY_ROWS], y[:_TOY_ROWS], x[_TOY_ROWS:], y[_TOY_ROWS:])
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
        return Pictures(arrays["x"], arrays["y"], arrays["test_x"], arrays["test_y"])
