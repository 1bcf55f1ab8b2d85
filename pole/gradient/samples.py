"""The rows of a gradient task as tensors, fetched from the store and scaled in the same way by everybody."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pole.gradient.manifest import GradientManifest, InputScaling
from pole.storage.cid import Cid
from pole.storage.store import Store
from pole.task.manifest import RowFile
from pole.task.rows import Rows, max_file_bytes, rows_from_bytes


@dataclass(frozen=True)
class Samples:
    """x: float32 (or the network's dtype) [n, *shape]; y: int64 [n], on the device they are used on."""

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor

    @classmethod
    def from_rows(cls, training: Rows, test: Rows, scaling: InputScaling) -> "Samples":
        return cls(
            torch.from_numpy(scaled(training.x, scaling)),
            torch.from_numpy(training.labels.copy()),
            torch.from_numpy(scaled(test.x, scaling)),
            torch.from_numpy(test.labels.copy()),
        )

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> "Samples":
        return Samples(
            self.train_x.to(device, dtype),
            self.train_y.to(device),
            self.test_x.to(device, dtype),
            self.test_y.to(device),
        )


def fetch_samples(store: Store, manifest: GradientManifest) -> Samples:
    """All rows, on the CPU; raises DataInvalid, or as the store does."""
    training = [_fetch(store, manifest, file) for file in manifest.data.training_set]
    joined = Rows(np.concatenate([rows.x for rows in training]), np.concatenate([rows.labels for rows in training]))
    return Samples.from_rows(joined, _fetch(store, manifest, manifest.test_set), manifest.scaling)


def scaled(levels: NDArray[np.uint8], scaling: InputScaling) -> NDArray[np.float32]:
    """(level - mean) / deviation, in float32 throughout so that all nodes have the same bits; [n, channels, ...]."""
    shape = (1, -1) + (1,) * (levels.ndim - 2)
    mean = np.array(scaling.mean, dtype=np.float32).reshape(shape)
    deviation = np.array(scaling.deviation, dtype=np.float32).reshape(shape)
    values: NDArray[np.float32] = (levels.astype(np.float32) - mean) / deviation
    return values


def _fetch(store: Store, manifest: GradientManifest, file: RowFile) -> Rows:
    cap = min(file.size_bytes, max_file_bytes(file.rows, manifest.data, points=None))
    return rows_from_bytes(store.get(Cid.parse(file.cid), cap), manifest.data, file.rows)
