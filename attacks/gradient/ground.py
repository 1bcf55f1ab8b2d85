"""The setting of the attacks on the gradient chain: real digits, small networks, the core's own rules."""

import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

from attacks.record import Open, Weakening
from pole.atomicfile import write_atomically
from pole.gradient.manifest import GradientManifest
from pole.gradient.network import FlatNetwork, Snapshot, prepare_torch
from pole.gradient.samples import Samples, fetch_samples
from pole.gradient.trajectory import Draws
from pole.storage.cid import Cid
from pole.storage.folder import FolderStore
from pole.task.rows import Rows, rows_to_bytes

Size = Literal["tiny", "quick", "full"]
MINER = "0x" + "a1" * 20
_TRAINING_ROWS = 1437
_ROUNDS = 3

PERCEPTRON = "perceptron"
CONVOLUTION = "convolution"


@dataclass(frozen=True)
class Rates:
    """Medians of alternating measurements on this machine; for people only, never asserted."""

    honest_per_s: float
    attacker_per_s: float


class Ground:
    """`size` scales how often attacks try; `tiny` is for tests, which assert on counts and not on seconds.

    `results`: a file in which counts of long attacks are kept, so that another run goes on behind them.
    """

    def __init__(self, folder: Path, seed: int = 1, size: Size = "quick", results: Path | None = None) -> None:
        self.seed, self.size, self._results = seed, size, results
        self.store = FolderStore(folder)
        for kind in (np.float32, np.float64):
            np.finfo(kind)  # kept by numpy, which warns if it asks the processor after the next line
        prepare_torch("cpu", threads=1)

    def pick(self, tiny: int, quick: int, full: int) -> int:
        """How many trials this size asks for."""
        return {"tiny": tiny, "quick": quick, "full": full}[self.size]

    def generator(self, purpose: str) -> np.random.Generator:
        """Random numbers of one attack, whatever ran before it."""
        return np.random.default_rng([self.seed, *purpose.encode()])

    def hash(self, purpose: str) -> bytes:
        """Stands for a previous block's header hash."""
        return hashlib.sha256(f"{self.seed} {purpose}".encode()).digest()

    def address(self, number: int) -> str:
        return "0x" + hashlib.sha256(f"{self.seed} miner {number}".encode()).hexdigest()[:40]

    def counted(self, what: str, count: Callable[[], int]) -> int:
        """What `count` says, or said in a run before with the same seed."""
        if self._results is None:
            return count()
        known: dict[str, int] = json.loads(self._results.read_text()) if self._results.exists() else {}
        key = f"{self.seed} {what}"
        if key not in known:
            known[key] = count()
            write_atomically(self._results, json.dumps(known, indent=1).encode())
        return known[key]

    def manifest(self, layers: tuple[dict[str, Any], ...], **changes: Any) -> GradientManifest:
        """A task on scikit-learn's digits; `changes`: fields of the manifest."""
        document = self._data_part | {"model": {"kind": "graph", "layers": list(layers)}, "name": "digits"} | changes
        return GradientManifest.model_validate(document)

    @cached_property
    def samples(self) -> Samples:
        """The digits as every node sees them."""
        return fetch_samples(self.store, self.manifest(perceptron("silu")))

    @cached_property
    def _data_part(self) -> dict[str, Any]:
        from sklearn.datasets import load_digits

        digits = load_digits()
        x, y = digits.images.astype(np.uint8)[:, None], digits.target.astype(np.int64)
        files = [
            rows_to_bytes(Rows(x[:_TRAINING_ROWS], y[:_TRAINING_ROWS])),
            rows_to_bytes(Rows(x[_TRAINING_ROWS:], y[_TRAINING_ROWS:])),
        ]
        counts = (_TRAINING_ROWS, len(y) - _TRAINING_ROWS)
        train, test = (
            {"cid": str(self.store.put(content)), "rows": rows, "size_bytes": len(content)}
            for content, rows in zip(files, counts, strict=True)
        )
        data = {
            "shape": [1, 8, 8],
            "class_names": list("0123456789"),
            "discretisation": {"bits": 5, "minimum": [0.0], "maximum": [31.0]},
            "training_set": [train],
            "test_rows": test["rows"],
            "test_size_bytes": test["size_bytes"],
        }
        return {"data": data, "test_set": test, "scaling": {"mean": [4.9], "deviation": [6.0]}}

    def put_state(self, network: FlatNetwork, state: Snapshot | None = None) -> Cid:
        return self.store.put(network.to_bytes(state))


def perceptron(activation: str, hidden: int = 64) -> tuple[dict[str, Any], ...]:
    """64 pixels, one hidden layer, 10 classes: 4,810 weights with 64 hidden units."""
    return (
        {"name": "in", "type": "flatten"},
        {"name": "hidden", "type": "linear", "size": hidden},
        {"name": "act", "type": activation},
        {"name": "out", "type": "linear", "size": 10},
    )


def convolution(channels: int = 16) -> tuple[dict[str, Any], ...]:
    """Two convolutions with BatchNorm, SiLU and average pooling."""
    layers: list[dict[str, Any]] = []
    for index, size in enumerate((channels, 2 * channels)):
        layers += [
            {"name": f"conv{index}", "type": "conv2d", "channels": size, "kernel": 3, "padding": 1, "bias": False},
            {"name": f"norm{index}", "type": "batch_norm"},
            {"name": f"act{index}", "type": "silu"},
        ]
    layers.insert(3, {"name": "pool", "type": "average_pool", "kernel": 2, "stride": 2})
    layers += [{"name": "mean", "type": "global_average_pool"}, {"name": "out", "type": "linear", "size": 10}]
    return tuple(layers)


def batch_of(ground: Ground, generator: np.random.Generator, size: int = 4) -> torch.Tensor:
    """Distinct rows in ascending order."""
    return torch.from_numpy(np.sort(generator.choice(len(ground.samples.train_y), size, replace=False)))


def take_step(ground: Ground, network: FlatNetwork, batch: torch.Tensor) -> None:
    network.step(ground.samples.train_x[batch], ground.samples.train_y[batch])


def train(ground: Ground, network: FlatNetwork, steps: int, generator: np.random.Generator) -> None:
    """Honest steps on random batches."""
    for _ in range(steps):
        take_step(ground, network, batch_of(ground, generator, network.manifest.batch_size))


def follow(ground: Ground, network: FlatNetwork, draws: Draws) -> NDArray[np.float32]:
    """Trains on these batches; returns each step's movements of its own 24 weights, [steps, n]."""
    values, moved = network.weights.numpy(), []
    for weights, batch in zip(draws.weights, draws.batches.unbind(), strict=True):
        before = values[weights]
        take_step(ground, network, batch)
        moved.append(values[weights] - before)
    return np.array(moved)


def measure(honest: Callable[[], int], attacker: Callable[[], int]) -> Rates:
    """Candidates per second of both, in turns, so that both meet the same noise; each call returns its count."""
    seen: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS):
        for rates, work in zip(seen, (honest, attacker), strict=True):
            start = time.perf_counter()
            count = work()
            rates.append(count / (time.perf_counter() - start))
    return Rates(statistics.median(seen[0]), statistics.median(seen[1]))


def honest_miner(ground: Ground, network: FlatNetwork, steps: int) -> Callable[[], int]:
    """Work for `measure`: the core's own mining loop, from the network's present state each time."""
    from pole.gradient.trajectory import Trajectory

    start = network.snapshot()

    def work() -> int:
        network.restore(start)
        trajectory = Trajectory(network, ground.samples, ground.hash("honest"), MINER)
        for _ in range(steps):
            trajectory.advance()
        network.restore(start)
        return steps

    return work


@contextmanager
def session(seed: int, size: Size, results: Path | None = None) -> Iterator[Open[Ground]]:
    """Yields what opens the ground; the attacks share it, and none changes it."""
    with tempfile.TemporaryDirectory(prefix="attack-gradient-") as folder:
        ground = Ground(Path(folder), seed, size, results)

        @contextmanager
        def open_ground(weakening: Weakening | None) -> Iterator[Ground]:
            with ExitStack() as patches:
                for name, stand_in in (weakening.patches if weakening else {}).items():
                    patches.enter_context(patch(name, stand_in))
                yield ground

        yield open_ground
