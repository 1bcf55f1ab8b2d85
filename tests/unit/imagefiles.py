"""Small image sets in the published files' formats: MNIST's idx files and CIFAR-10's binary batches."""

from pathlib import Path
from typing import Any

import numpy as np


def write_idx(path: Path, values: np.ndarray[Any, Any]) -> None:
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    path.write_bytes(bytes([0, 0, 8, values.ndim]) + sizes + values.astype(np.uint8).tobytes())


def write_mnist(root: Path, rows: int, seed: int = 1) -> None:
    """28x28 pixels of noise, in which each of ten classes has a bright row of its own: easy to learn."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", rows), ("t10k", rows // 4)):
        labels = np.arange(count) % 10
        images = np.random.default_rng(seed).integers(0, 30, (count, 28, 28))
        images[np.arange(count), 2 * labels + 4] += 220
        write_idx(raw / f"{part}-images-idx3-ubyte", images)
        write_idx(raw / f"{part}-labels-idx1-ubyte", labels)


def write_cifar10(root: Path, rows: int, seed: int = 1) -> None:
    """3x32x32 pixels of noise; two classes, bright in different channels. `rows` in each of the six files."""
    folder = root / "cifar-10-batches-bin"
    folder.mkdir()
    for i, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        labels = np.arange(rows) % 2
        records = np.random.default_rng(seed + i).integers(0, 100, (rows, 3073))
        records[:, 0] = labels
        for row, label in enumerate(labels):
            records[row, 1 + 1024 * label : 1 + 1024 * (label + 1)] += 100
        (folder / f"{name}.bin").write_bytes(records.astype(np.uint8).tobytes())
    (folder / "batches.meta.txt").write_text("plane\ncar\n\n")
