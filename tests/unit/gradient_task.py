"""Gradient tasks in a store, as a client would publish them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from pole.gradient.claim import BlockClaim
from pole.gradient.manifest import GradientManifest
from pole.gradient.network import FlatNetwork, Snapshot
from pole.gradient.proof import publish_hardened
from pole.gradient.samples import Samples, fetch_samples
from pole.gradient.trajectory import CandidateStep, Trajectory
from pole.storage.cid import Cid
from pole.storage.store import Store
from pole.task.rows import Rows, rows_to_bytes

PREVIOUS_HASH = bytes(range(32))
MIN_STEP = 20  # so that with checkpoints every 8 steps there are at least three segments
MINER = "0x" + "11" * 20
OTHER_MINER = "0x" + "22" * 20
THRESHOLD = 1 << 19  # one step in 32

Layers = list[dict[str, Any]]


def conv(channels: int, **more: Any) -> dict[str, Any]:
    return {"type": "conv2d", "channels": channels, "kernel": 3, "padding": 1, "bias": False, **more}


NORM = {"type": "batch_norm"}
SILU = {"type": "silu"}
HALVE = {"type": "average_pool", "kernel": 2, "stride": 2}
GLOBAL = {"type": "global_average_pool"}
CLASSES = {"type": "linear", "size": 10}
SMALL_CNN: Layers = [conv(4), NORM, SILU, HALVE, conv(8), NORM, SILU, GLOBAL, CLASSES]


@dataclass(frozen=True)
class GradientTask:
    """A published task: `genesis` is the CID of the first block's W."""

    store: Store
    manifest: GradientManifest
    samples: Samples
    genesis: Cid

    def network(self) -> FlatNetwork:
        """Holding the genesis weights."""
        network = FlatNetwork(self.manifest)
        network.restore(network.read(self.store.get(self.genesis, network.max_file_bytes)))
        return network

    def mined(self, miner: str = MINER, previous_hash: bytes = PREVIOUS_HASH, min_step: int = 1) -> "Mined":
        """The first block of a miner's trajectory from genesis, published."""
        network = self.network()
        trajectory = Trajectory(network, self.samples, previous_hash, miner, min_step)
        while trajectory.best is None or trajectory.best.sign_digest >= THRESHOLD:
            trajectory.advance()
        best = trajectory.best
        return Mined(best, self.claim(network, best, miner, previous_hash))

    def claim(
        self, network: FlatNetwork, candidate: CandidateStep, miner: str = MINER, previous_hash: bytes = PREVIOUS_HASH
    ) -> BlockClaim:
        """Publishes a candidate and states the proposal that an honest miner would make of it."""
        files = publish_hardened(self.store, network, previous_hash, miner, candidate)
        return BlockClaim(
            previous_hash,
            self.genesis,
            miner,
            candidate.step,
            candidate.sign_digest,
            THRESHOLD,
            files.proof,
            files.weights,
        )


@dataclass(frozen=True)
class Mined:
    """A candidate and the proposal made of it."""

    candidate: CandidateStep
    claim: BlockClaim


def digits_task(store: Store, layers: Sequence[dict[str, Any]] = SMALL_CNN, **changes: Any) -> GradientTask:
    """300 training and 100 test digits as 1x8x8 images; `changes` are fields of the manifest."""
    digits = load_digits()
    levels, labels = digits.images.astype(np.uint8)[:, None], digits.target.astype(np.int64)
    training, test = Rows(levels[:300], labels[:300]), Rows(levels[300:400], labels[300:400])
    fields = {"learning_rate": 0.01, "checkpoint_interval": 8, "scaling": {"mean": [5.0], "deviation": [6.0]}}
    names = [f"l{index}" for index in range(len(layers))]
    model = {
        "kind": "graph",
        "layers": [{"name": name, **layer} for name, layer in zip(names, layers, strict=True)],
    }
    return published(store, training, test, 10, {"model": model, **fields, **changes})


def published(store: Store, training: Rows, test: Rows, classes: int, fields: dict[str, Any]) -> GradientTask:
    """Puts the rows and the genesis weights (seed 1) into the store."""
    files = [_row_file(store, rows) for rows in (training, test)]
    manifest = GradientManifest.model_validate(
        {
            "name": "task",
            "data": {
                "shape": list(training.x.shape[1:]),
                "class_names": [str(each) for each in range(classes)],
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
    return GradientTask(store, manifest, fetch_samples(store, manifest), genesis)


def _row_file(store: Store, rows: Rows) -> dict[str, Any]:
    content = rows_to_bytes(rows)
    return {"cid": str(store.put(content)), "rows": len(rows.labels), "size_bytes": len(content)}


def shifted(state: Snapshot, weight: int, by: float) -> Snapshot:
    changed = state.clone()
    changed.weights[weight] += by
    return changed
