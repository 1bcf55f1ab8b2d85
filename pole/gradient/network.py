"""A network whose weights lie in one flat buffer, and the one kind of step that this chain knows: plain SGD.

Momentum, weight decay and adaptive rates would fix most signs before the batch is seen, so there are none.
Source: DGG, Algorithm 1, line 6 (update)
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pole.errors import BadInput
from pole.gradient.manifest import GradientManifest
from pole.gradient.samples import Samples
from pole.storage.tensorfile import MAX_HEADER_BYTES, write_tensors
from pole.task.estimate import estimate_ppm
from pole.task.model import model_bytes, new_model
from pole.task.weights import load_model


@dataclass(frozen=True)
class Snapshot:
    """A copy of everything that a step changes: weights [w] and buffers [b] (flat, float), counters [k] (int64)."""

    weights: Tensor
    buffers: Tensor
    counters: Tensor

    def clone(self) -> "Snapshot":
        return Snapshot(self.weights.clone(), self.buffers.clone(), self.counters.clone())

    def copy_(self, other: "Snapshot") -> None:
        """Overwrites this one's values."""
        self.weights.copy_(other.weights)
        self.buffers.copy_(other.buffers)
        self.counters.copy_(other.counters)


@dataclass(frozen=True)
class LastStep:
    """-rate * gradient of some weights [n], and the root mean square of that over each one's whole tensor [n]."""

    changes: NDArray[np.float64]
    rms: NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """One tensor's place in its flat buffer."""

    name: str
    start: int
    end: int
    shape: torch.Size


class FlatNetwork:
    """The manifest's model with genesis values, in training mode.

    `state` (`weights`, `buffers`, `counters`) is live: the model's tensors are views into it. Order: that of
    `named_parameters` and `named_buffers`. Raises ManifestInvalid if the model does not fit together.
    """

    def __init__(
        self, manifest: GradientManifest, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        self.manifest, self.device, self.dtype = manifest, torch.device(device), dtype
        self.model = new_model(manifest).to(self.device, dtype).train()
        self.parameters = list(self.model.parameters())
        self.weight_parts = _parts(self.model.named_parameters())
        self.weights = _flattened(self.parameters)
        for parameter, part in zip(self.parameters, self.weight_parts, strict=True):
            parameter.data = _view(self.weights, part)
        self._data = [parameter.data for parameter in self.parameters]
        named = dict(self.model.named_buffers())
        self.buffer_parts = _parts((name, each) for name, each in named.items() if each.is_floating_point())
        self.counter_parts = _parts((name, each) for name, each in named.items() if not each.is_floating_point())
        self.buffers = self._flat_buffers(self.buffer_parts, dtype)
        self.counters = self._flat_buffers(self.counter_parts, torch.int64)
        self.state = Snapshot(self.weights, self.buffers, self.counters)
        self.gradients: tuple[Tensor, ...] = ()
        self._starts = np.array([part.start for part in self.weight_parts])
        self._twin: FlatNetwork | None = None

    @classmethod
    def genesis(cls, manifest: GradientManifest, seed: int) -> "FlatNetwork":
        """Initial values from a seed; torch's global generator is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(manifest)

    @property
    def weight_count(self) -> int:
        """|W|: learnable parameters, without buffers."""
        return self.weights.numel()

    @property
    def max_file_bytes(self) -> int:
        """No honest file of this network's state is larger."""
        return model_file_cap(self.manifest)

    def step(self, x: Tensor, y: Tensor) -> None:
        """W <- W - rate * gradient of the mean cross-entropy over the batch. Keeps the gradients for `last_step`."""
        loss = functional.cross_entropy(self.model(x), y)
        self.gradients = torch.autograd.grad(loss, self.parameters)
        torch._foreach_add_(self._data, self.gradients, alpha=-self.manifest.learning_rate)

    def last_step(self, weights: NDArray[np.int64]) -> "LastStep":
        """The last step of these weights (flat indices), before it was rounded to the weights' float grid."""
        rate, owners = self.manifest.learning_rate, np.searchsorted(self._starts, weights, side="right") - 1
        changes, rms = np.empty(len(weights)), np.empty(len(weights))
        for owner in np.unique(owners):
            is_own, gradient = owners == owner, self.gradients[owner].reshape(-1).cpu().numpy()
            changes[is_own] = -rate * gradient[weights[is_own] - self._starts[owner]].astype(np.float64)
            rms[is_own] = rate * float(np.linalg.norm(gradient.astype(np.float64))) / math.sqrt(gradient.size)
        return LastStep(changes, rms)

    def snapshot(self) -> Snapshot:
        return self.state.clone()

    def restore(self, snapshot: Snapshot) -> None:
        self.state.copy_(snapshot)

    def to_bytes(self, snapshot: Snapshot | None = None) -> bytes:
        """The state, or a snapshot, as the model file that `pole.task.weights.save_model` writes; float32 only."""
        state = snapshot or self.state
        if state.weights.dtype != torch.float32:
            raise BadInput(f"a network in {state.weights.dtype} has no model file; files hold float32")
        return write_tensors(dict(self._arrays(state)))

    def read(self, content: bytes) -> Snapshot:
        """The state in a model file, on this device and in this dtype; this network does not change.

        Raises ModelInvalid for anything but a finite state of exactly this model.
        """
        if self._twin is None:
            self._twin = FlatNetwork(self.manifest)
        load_model(content, self._twin.model)
        twin = self._twin.snapshot()
        return Snapshot(
            twin.weights.to(self.device, self.dtype),
            twin.buffers.to(self.device, self.dtype),
            twin.counters.to(self.device),
        )

    def accuracies_ppm(self, samples: Samples) -> tuple[int, int]:
        """Training accuracy, on the manifest's first rows to be scored, and test accuracy, on all."""
        rows = self.manifest.scored_training_rows
        return (
            estimate_ppm(self.model, samples.train_x[:rows], samples.train_y[:rows], "accuracy", self.device),
            self.test_ppm(samples),
        )

    def test_ppm(self, samples: Samples) -> int:
        return estimate_ppm(self.model, samples.test_x, samples.test_y, "accuracy", self.device)

    def _flat_buffers(self, parts: list[Part], dtype: torch.dtype) -> Tensor:
        """Moves the model's buffers into one tensor; batch normalisation updates them in place."""
        owners = [self.model.get_submodule(part.name.rpartition(".")[0]) for part in parts]
        names = [part.name.rpartition(".")[2] for part in parts]
        flat = torch.empty(sum(part.end - part.start for part in parts), dtype=dtype, device=self.device)
        for part, owner, name in zip(parts, owners, names, strict=True):
            view = _view(flat, part)
            view.copy_(owner._buffers[name])  # type: ignore[arg-type]
            owner._buffers[name] = view
        return flat

    def _arrays(self, state: Snapshot) -> Iterator[tuple[str, NDArray[Any]]]:
        for parts, flat in (
            (self.weight_parts, state.weights),
            (self.buffer_parts, state.buffers),
            (self.counter_parts, state.counters),
        ):
            values = flat.cpu()
            for part in parts:
                yield part.name, _view(values, part).numpy()


def model_file_cap(manifest: GradientManifest) -> int:
    """Bytes of the largest honest model file, found without allocating the model."""
    return model_bytes(manifest) + MAX_HEADER_BYTES


def prepare_torch(device: torch.device | str, threads: int | None = None) -> None:
    """Settings of this process that make steps repeatable: call once, before the first network.

    Numbers too small for float32's normal form count as zero, as with the verifiers: they take forty times as long.
    CUDA needs CUBLAS_WORKSPACE_CONFIG=:4096:8 in the environment when the process starts; torch says so otherwise.
    """
    for kind in (np.float32, np.float64):
        np.finfo(kind)  # numpy keeps the smallest numbers from here on; later it would warn that there are none
    torch.set_flush_denormal(True)
    torch.use_deterministic_algorithms(True)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    if threads is not None and torch.device(device).type == "cpu":
        torch.set_num_threads(threads)


def _parts(named: Iterator[tuple[str, Any]]) -> list[Part]:
    parts, start = [], 0
    for name, tensor in named:
        parts.append(Part(name, start, start + tensor.numel(), tensor.shape))
        start += tensor.numel()
    return parts


def _flattened(tensors: list[nn.Parameter]) -> Tensor:
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


def _view(flat: Tensor, part: Part) -> Tensor:
    return flat[part.start : part.end].view(part.shape)
