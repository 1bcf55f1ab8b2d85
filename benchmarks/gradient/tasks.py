"""The networks that are measured, on the digits and on images of CIFAR-10's shape."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pole.gradient.claim import BlockClaim
from pole.gradient.manifest import GradientManifest
from pole.gradient.network import FlatNetwork
from pole.gradient.proof import publish_hardened
from pole.gradient.samples import Samples, fetch_samples
from pole.gradient.trajectory import CandidateStep
from pole.storage.cid import Cid
from pole.storage.store import Store
from pole.task.rows import Rows, rows_to_bytes

MINER = "0x" + "11" * 20
IMAGE_ROWS = 400

Layers = list[dict[str, Any]]


@dataclass(frozen=True)
class Task:
    """A published task; genesis weights from seed 1."""

    name: str
    store: Store
    manifest: GradientManifest
    samples: Samples
    genesis: Cid

    def network(
        self, weights: Cid | None = None, device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> FlatNetwork:
        """Holding a block's weights, or the genesis weights."""
        network = FlatNetwork(self.manifest, device, dtype)
        network.restore(network.read(self.store.get(weights or self.genesis, network.max_file_bytes)))
        return network

    def claim(
        self,
        network: FlatNetwork,
        previous_hash: bytes,
        previous_weights: Cid,
        best: CandidateStep,
        threshold: int,
        miner: str = MINER,
    ) -> BlockClaim:
        """Publishes a candidate and proposes it."""
        files = publish_hardened(self.store, network, previous_hash, miner, best)
        return BlockClaim(
            previous_hash,
            previous_weights,
            miner,
            best.step,
            best.sign_digest,
            threshold,
            files.proof,
            files.weights,
        )


def digits_task(store: Store, **changes: Any) -> Task:
    """8x8 digits, two convolutions of 16 and 32 filters, 5,178 weights."""
    layers = [*_block(16), _halved(), *_block(32), {"type": "global_average_pool"}, {"type": "linear", "size": 10}]
    fields = {"learning_rate": 0.01, "scaling": {"mean": [4.9], "deviation": [6.0]}, **changes}
    return _task("digits", store, *_digits(), layers, fields)


def perceptron_task(store: Store, **changes: Any) -> Task:
    """The same rows, one hidden layer with SiLU, 2,410 weights: little enough to write its steps by hand."""
    layers: Layers = [
        {"type": "flatten"},
        {"type": "linear", "size": 32},
        {"type": "silu"},
        {"type": "linear", "size": 10},
    ]
    fields = {"learning_rate": 0.01, "scaling": {"mean": [4.9], "deviation": [6.0]}, **changes}
    return _task("perceptron", store, *_digits(), layers, fields)


def image_task(store: Store, **changes: Any) -> Task:
    """Random 3x32x32 images (what a step costs does not depend on them), three convolutions, 24,346 weights."""
    generator = np.random.default_rng(1)
    levels = generator.integers(0, 256, (IMAGE_ROWS, 3, 32, 32), dtype=np.uint8)
    rows = Rows(levels, generator.integers(0, 10, IMAGE_ROWS))
    layers = [*_block(16), _halved(), *_block(32), _halved(), *_block(64), _halved()]
    layers += [{"type": "global_average_pool"}, {"type": "linear", "size": 10}]
    fields = {"learning_rate": 0.001, "scaling": {"mean": [127.5], "deviation": [74.0]}, **changes}
    return _task("3x32x32", store, rows, rows, layers, fields)


def mnist_task(store: Store, directory: Path, **changes: Any) -> Task:
    """MNIST's 60,000 and 10,000 rows, and the network that a client proposes for them by default."""
    from dataclient.gradient.network import propose_network
    from dataclient.sources.packed import load_mnist

    data = load_mnist(directory)
    assert data.is_test is not None
    parts = [Rows(data.x[chosen].astype(np.uint8), data.labels[chosen]) for chosen in (~data.is_test, data.is_test)]
    model = propose_network("small", (1, 28, 28), 10, has_columns=False).model_dump()
    fields = {"model": model, "learning_rate": 0.01, "scaling": {"mean": [33.3], "deviation": [78.6]}, **changes}
    return _task("mnist", store, parts[0], parts[1], [], fields)


def resnet_task(store: Store, training: Rows, test: Rows, interval: int) -> Task:
    """The second paper's network, batch and rate on colour pictures; only devices alike can replay it."""
    fields = {"learning_rate": 0.001, "checkpoint_interval": interval, "devices": "alike"}
    scaling = {"mean": [125.3, 123.0, 113.9], "deviation": [63.0, 62.1, 66.7]}
    model = {"kind": "torchvision", "architecture": "resnet18", "stem": "cifar"}
    return _task("resnet18", store, training, test, [], {"model": model, "scaling": scaling, **fields})


def _digits() -> tuple[Rows, Rows]:
    from sklearn.datasets import load_digits  # the kit for GPUs has none

    digits = load_digits()
    levels, labels = digits.images.astype(np.uint8)[:, None], digits.target.astype(np.int64)
    return Rows(levels[:1437], labels[:1437]), Rows(levels[1437:], labels[1437:])


def hash_after(previous_hash: bytes) -> bytes:
    """Stands in for the next header's hash."""
    return hashlib.sha256(previous_hash).digest()


def _block(channels: int) -> Layers:
    convolution = {"type": "conv2d", "channels": channels, "kernel": 3, "padding": 1, "bias": False}
    return [convolution, {"type": "batch_norm"}, {"type": "silu"}]


def _halved() -> dict[str, Any]:
    return {"type": "average_pool", "kernel": 2, "stride": 2}


def _task(name: str, store: Store, training: Rows, test: Rows, layers: Layers, fields: dict[str, Any]) -> Task:
    files = [_row_file(store, rows) for rows in (training, test)]
    named = [{"name": f"l{index}", **layer} for index, layer in enumerate(layers)]
    manifest = GradientManifest.model_validate(
        {
            "name": name,
            "model": {"kind": "graph", "layers": named},
            "data": {
                "shape": list(training.x.shape[1:]),
                "class_names": [str(digit) for digit in range(10)],
                "discretisation": {"bits": 8, "minimum": [0.0], "maximum": [255.0]},
                "training_set": [files[0]],
                "test_rows": files[1]["rows"],
                "test_size_bytes": files[1]["size_bytes"],
            },
            "test_set": files[1],
            **fields,
        }
    )
    genesis = store.put(FlatNetwork.genesis(manifest, seed=1).to_bytes())
    return Task(name, store, manifest, fetch_samples(store, manifest), genesis)


def _row_file(store: Store, rows: Rows) -> dict[str, Any]:
    content = rows_to_bytes(rows)
    return {"cid": str(store.put(content)), "rows": len(rows.labels), "size_bytes": len(content)}
