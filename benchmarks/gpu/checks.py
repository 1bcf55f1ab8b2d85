"""Checks and speeds of what exists for GPUs: encryption, exact evaluation, the fused gradient loop, verification."""

import itertools
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from benchmarks.gpu.part import Bench, Rows
from benchmarks.gpu.pictures import load_pictures
from benchmarks.gradient.tasks import MINER, Task, hash_after, image_task
from pole.encryption import CoincurveBackend, MasterKey
from pole.encryption.gpu.backend import TorchBackend
from pole.encryption.group import ORDER
from pole.exact.fast import prepare
from pole.exact.fast.devices import has_exact_products
from pole.exact.roots import RowPart, predictions_root
from pole.gradient.cuda_graph import start_trajectory
from pole.gradient.network import FlatNetwork
from pole.gradient.verification import verify
from pole.storage.cid import cid_of
from pole.storage.folder import FolderStore
from pole.task.layers import GraphModel
from pole.task.model import build_model, new_model

_BITS, _WEIGHT = 15, 7
_THRESHOLD = 1 << 19
_INTERVAL = 16
_CALLS = 20


def machine(bench: Bench) -> Rows:
    """What this ran on."""
    name = torch.cuda.get_device_name() if bench.device.type == "cuda" else platform.processor() or platform.machine()
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}"
    return [("device", f"{bench.device.type}: {name}"), ("versions", versions)]


def encryption_equality(bench: Bench) -> Rows:
    """Ciphertexts of either backend open to the same numbers in the other, which are the inner products."""
    master, x, queries, etas = _work(8, bench.pick(2, 20), 4)
    bound = 8 * _BITS * _WEIGHT
    reference, tested = CoincurveBackend(), TorchBackend(bench.device.type)
    wanted = x.astype(np.int64) @ queries.T
    for maker in (reference, tested):
        ciphertexts = maker.encrypt(master, x)
        for opener in (reference, tested):
            if not np.array_equal(opener.decrypt(ciphertexts, queries, etas, bound), wanted):
                raise AssertionError(f"{type(opener).__name__} opens {type(maker).__name__}'s rows to other numbers")
    return [("equality with the reference", f"{wanted.size} inner products, both ways: equal")]


def encryption_speed(bench: Bench) -> Rows:
    """MNIST rows under 32 query vectors: how long one batch of rows takes to open."""
    dimension, rows, vectors = bench.pick(16, 784), bench.pick(2, 1000), bench.pick(2, 32)
    master, x, queries, etas = _work(dimension, rows, vectors)
    backend = TorchBackend(bench.device.type)
    ciphertexts = backend.encrypt(master, x)
    seconds = []
    for _ in range(bench.pick(1, 3)):
        bench.wait()
        started = time.perf_counter()
        backend.decrypt(ciphertexts, queries, etas, dimension * _BITS * _WEIGHT)
        bench.wait()
        seconds.append(time.perf_counter() - started)
    per_row = min(seconds) / rows
    return [(f"{rows} rows of {dimension}, {vectors} vectors", f"{min(seconds):.3f} s, {per_row * 1e3:.3f} ms a row")]


def exact_hashes(bench: Bench) -> Rows:
    """Predictions of one model, exactly evaluated on the processor and on the device."""
    layers: list[dict[str, Any]] = [
        {"name": "flat", "type": "flatten"},
        {"name": "hidden", "type": "linear", "size": 64},
    ]
    layers += [{"name": "act", "type": "silu"}, {"name": "out", "type": "linear", "size": 10}]
    torch.manual_seed(1)
    model = build_model(GraphModel.model_validate({"layers": layers}), (1, 28, 28), 10)
    pictures = load_pictures(bench.data, "mnist", bench.is_toy)
    x = pictures.test_x[: bench.pick(32, 5000)].astype(np.float32) / 255
    roots = [
        predictions_root(bytes(32), cid_of(b"model"), RowPart.TEST, prepare(model, device=device).predict(x)).hex()
        for device in (torch.device("cpu"), bench.device)
    ]
    if roots[0] != roots[1]:
        raise AssertionError(f"the processor finds {roots[0]}, the device {roots[1]}")
    exact = "exact" if has_exact_products(bench.device) else "not exact"
    return [("root of the predictions", f"0x{roots[0][:16]}... on both"), ("float64 products", exact)]


def gradient_loop(bench: Bench) -> Rows:
    """Time of a mining step over that of a bare PyTorch step, in turns."""
    with tempfile.TemporaryDirectory() as folder:
        task = image_task(FolderStore(Path(folder)), checkpoint_interval=_INTERVAL)
        samples = task.samples.to(bench.device)
        ours = start_trajectory(task.network(device=bench.device.type), samples, bytes(32), MINER)
        bare, ratios, seconds = _bare_loop(task, bench.device), list[float](), list[float]()
        for _ in range(bench.pick(2, 200)):
            first = ours.step
            mining_s = _timed(bench, lambda: [ours.advance() for _ in range(_CALLS)])
            steps = ours.step - first
            bare_s = _timed(bench, lambda count=steps: [bare() for _ in range(count)])  # type: ignore[misc]
            ratios.append(mining_s / bare_s)
            seconds.append(mining_s / steps)
    pace = 1 / statistics.median(seconds)
    return [("mining / bare PyTorch, median", f"{statistics.median(ratios):.3f}"), ("mining", f"{pace:,.0f} steps/s")]


def _timed(bench: Bench, work: Callable[[], object]) -> float:
    bench.wait()
    started = time.perf_counter()
    work()
    bench.wait()
    return time.perf_counter() - started


def _bare_loop(task: Task, device: torch.device) -> Callable[[], None]:
    """As a tutorial would write it, on batches that lie on the device."""
    model = new_model(task.manifest).to(device).train()
    samples, size = task.samples.to(device), task.manifest.batch_size
    optimizer = torch.optim.SGD(model.parameters(), lr=task.manifest.learning_rate)
    batches = itertools.cycle(torch.randperm(len(samples.train_y), device=device).split(size)[:-1])

    def advance() -> None:
        batch = next(batches)
        optimizer.zero_grad()
        functional.cross_entropy(model(samples.train_x[batch]), samples.train_y[batch]).backward()
        optimizer.step()

    return advance


def verification(bench: Bench) -> Rows:
    """Blocks mined on the device are replayed on the processor, and the other way round."""
    blocks = bench.pick(1, 20)
    with tempfile.TemporaryDirectory() as folder:
        task = image_task(FolderStore(Path(folder)), checkpoint_interval=_INTERVAL)
        accepted = {name: _accepted(task, blocks, *pair) for name, pair in _pairs(bench.device.type).items()}
    if any(count != blocks for count in accepted.values()):
        raise AssertionError(f"of {blocks} blocks each: {accepted}")
    return [(name, f"{count} of {blocks} blocks accepted") for name, count in accepted.items()]


def _pairs(device: str) -> dict[str, tuple[str, str]]:
    return {
        f"mined on {device}, replayed on cpu": (device, "cpu"),
        f"mined on cpu, replayed on {device}": ("cpu", device),
    }


def _accepted(task: Task, blocks: int, miner: str, verifier: str) -> int:
    previous_hash, weights, accepted = bytes(32), task.genesis, 0
    for _ in range(blocks):
        network = task.network(weights, miner)
        trajectory = start_trajectory(network, task.samples.to(miner), previous_hash, MINER)
        while trajectory.best is None or trajectory.best.sign_digest >= _THRESHOLD:
            trajectory.advance()
        claim = task.claim(network, previous_hash, weights, trajectory.best, _THRESHOLD)
        judge = FlatNetwork(task.manifest, verifier)
        accepted += verify(judge, task.samples.to(verifier), task.store, claim).is_valid
        previous_hash, weights = hash_after(previous_hash), claim.weights
    return accepted


def _work(
    dimension: int, rows: int, vectors: int
) -> tuple[MasterKey, NDArray[np.uint8], NDArray[np.int64], list[list[int]]]:
    generator = np.random.default_rng(1)
    master = MasterKey.generate(dimension)
    x = generator.integers(0, _BITS + 1, (rows, dimension), dtype=np.uint8)
    queries = generator.integers(0, _WEIGHT + 1, (vectors, dimension))
    pairs = [zip(master.secret, query, strict=True) for query in queries.tolist()]
    return master, x, queries, [[sum(s * z for s, z in pair) % ORDER for pair in pairs]]
