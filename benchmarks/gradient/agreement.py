"""Whether verifiers with other arithmetic agree over a whole chain: each in a process of its own, as in real life.

`python -m benchmarks.gradient.agreement FOLDER KIND` is one of them; `agreement_table` starts them all.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gradient.blocks import mined
from benchmarks.gradient.tasks import Task
from pole.gradient.claim import BlockClaim
from pole.gradient.manifest import GradientManifest, fetch_gradient_manifest
from pole.gradient.network import FlatNetwork, prepare_torch
from pole.gradient.samples import fetch_samples
from pole.gradient.verification import verify
from pole.storage.cid import Cid
from pole.storage.folder import FolderStore
from testbed.markdown import markdown_table

# Threads that wait for each other at every layer must sleep, not spin: where other processes have the cores, a spinning
# thread keeps the one that it waits for from running. That is why this did not end.
_PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
KINDS: dict[str, dict[str, str]] = {
    "float32, 1 thread": {},
    "float32, 2 threads": {"OMP_NUM_THREADS": "2"},
    "float32, 4 threads": {"OMP_NUM_THREADS": "4"},
    "float32, no vector instructions": {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    "float32, AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "float64, torch": {},
    "float64, numpy": {},
}
if torch.cuda.is_available():
    KINDS["float32, CUDA"] = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}


class NumpyNetwork(FlatNetwork):
    """A hidden layer with SiLU, forward and backward by hand in float64: shares no kernel with torch."""

    def __init__(self, manifest: GradientManifest) -> None:
        super().__init__(manifest, dtype=torch.float64)

    def step(self, x: torch.Tensor, y: torch.Tensor) -> None:
        hidden_w, hidden_b, out_w, out_b = (parameter.data.numpy() for parameter in self.parameters)
        rows, labels = x.numpy().reshape(len(x), -1), y.numpy()
        before = rows @ hidden_w.T + hidden_b
        gate = 1 / (1 + np.exp(-before))
        active = before * gate
        wrong = _softmax(active @ out_w.T + out_b)
        wrong[np.arange(len(labels)), labels] -= 1
        wrong /= len(labels)
        back = (wrong @ out_w) * (gate * (1 + before * (1 - gate)))
        gradients = (back.T @ rows, back.sum(axis=0), wrong.T @ active, wrong.sum(axis=0))
        self.gradients = tuple(torch.from_numpy(gradient) for gradient in gradients)
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.data.sub_(self.manifest.learning_rate * gradient)


def agreement_table(task: Task, blocks: int, threshold: int) -> str:
    """Blocks of one miner's float32 chain that each kind of verifier accepts, and with which findings."""
    folder = Path(task.store.location)
    claims = [block.claim for block in mined(task, blocks, threshold)]
    manifest = str(task.store.put(task.manifest.to_bytes()))
    (folder / "chain.json").write_text(
        json.dumps({"manifest": manifest, "claims": [_written(each) for each in claims]})
    )
    found = {kind: _verdicts(folder, kind) for kind in KINDS}
    usual = found["float32, 1 thread"]
    rows = []
    for kind, findings in found.items():
        alike = sum(one == other for one, other in zip(findings, usual, strict=True))
        rows.append([kind, f"{sum(each['is_valid'] for each in findings)} of {blocks}", f"{alike} of {blocks}"])
    if not torch.cuda.is_available():
        rows.append(["float32, CUDA", "not run: no GPU here", "-"])
    steps = sum(claim.step for claim in claims)
    return f"{blocks} blocks, {steps} steps.\n\n" + markdown_table(
        ["verifier", "accepted", "same finding, accuracies included"], rows
    )


def _verdicts(folder: Path, kind: str) -> list[dict[str, Any]]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | _PASSIVE | KINDS[kind]
    command = [sys.executable, "-m", "benchmarks.gradient.agreement", str(folder), kind]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    findings: list[dict[str, Any]] = json.loads(done.stdout)
    return findings


def main(folder: Path, kind: str) -> None:
    """Prints what this kind of verifier finds of every block."""
    device = "cuda" if "CUDA" in kind else "cpu"
    prepare_torch(device, threads=int(os.environ["OMP_NUM_THREADS"]))
    store, chain = FolderStore(folder), json.loads((folder / "chain.json").read_text())
    manifest = fetch_gradient_manifest(store, Cid.parse(chain["manifest"]))
    network = NumpyNetwork(manifest) if "numpy" in kind else _torch_network(manifest, kind, device)
    samples = fetch_samples(store, manifest).to(device, network.dtype)
    findings = [verify(network, samples, store, _read(each)) for each in chain["claims"]]
    print(json.dumps([asdict(each) for each in findings]))


def _torch_network(manifest: GradientManifest, kind: str, device: str) -> FlatNetwork:
    return FlatNetwork(manifest, device, torch.float64 if "float64" in kind else torch.float32)


def _softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _written(claim: BlockClaim) -> dict[str, Any]:
    cids = {name: str(getattr(claim, name)) for name in ("previous_weights", "proof", "weights")}
    return asdict(claim) | cids | {"previous_hash": claim.previous_hash.hex()}


def _read(document: dict[str, Any]) -> BlockClaim:
    cids = {name: Cid.parse(document[name]) for name in ("previous_weights", "proof", "weights")}
    return BlockClaim(**(document | cids | {"previous_hash": bytes.fromhex(document["previous_hash"])}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
