"""The papers' networks: ResNet-18 on the gradient chain, VGG-16 on pictures for as long as a part may take."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from benchmarks.gpu.part import Bench, Rows
from benchmarks.gpu.pictures import SHAPES, Pictures, load_pictures
from benchmarks.gradient.tasks import MINER, resnet_task
from pole.gradient.network import FlatNetwork
from pole.gradient.trajectory import Trajectory
from pole.gradient.verification import verify
from pole.storage.folder import FolderStore
from pole.task.layers import TorchvisionModel
from pole.task.model import build_model
from pole.task.rows import Rows as PictureRows
from pole.task.weights import load_model, save_model

_BATCH, _RATE = 128, 0.01
_EVALUATED = 512


def resnet18(bench: Bench) -> Rows:
    """Batches of 4 and a rate of 0.001, as in the paper: steps a second, and a block mined and replayed here."""
    pictures = load_pictures(bench.data, "cifar10", bench.is_toy)
    few = bench.pick(8, 4000)
    training = PictureRows(pictures.x[:few], pictures.y[:few])
    test = PictureRows(pictures.test_x[:few], pictures.test_y[:few])
    with tempfile.TemporaryDirectory() as folder:
        task = resnet_task(FolderStore(Path(folder)), training, test, bench.pick(1, 16))
        network, samples = task.network(device=bench.device.type), task.samples.to(bench.device)
        trajectory = Trajectory(network, samples, bytes(32), MINER)
        bench.wait()
        started = time.perf_counter()
        while trajectory.best is None or trajectory.step < bench.pick(2, 320):
            trajectory.advance()
        bench.wait()
        rate = trajectory.step / (time.perf_counter() - started)
        claim = task.claim(network, bytes(32), task.genesis, trajectory.best, 1 << 24)
        judge = FlatNetwork(task.manifest, bench.device)
        found = verify(judge, samples, task.store, replace(claim, threshold=1 << 24))
    if not found.is_valid:
        raise AssertionError(f"this device does not replay its own block of {claim.step} steps: {found.reason}")
    return [("steps a second", f"{rate:.1f}"), ("its own block", f"{claim.step} steps, replayed")]


def vgg16(name: str) -> "Training":
    """On MNIST or CIFAR-10; every part goes on where the one before stopped."""
    return Training(name)


class Training:
    """Plain SGD with momentum on standardised pictures; the weights of the last epoch lie in the results' folder."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, bench: Bench) -> Rows:
        pictures = load_pictures(bench.data, self.name, bench.is_toy)
        kept = bench.folder / f"vgg16-{self.name}.safetensors"
        torch.manual_seed(1)
        model = build_model(TorchvisionModel(architecture="vgg16_bn"), SHAPES[self.name], 10)
        if kept.exists():
            load_model(kept.read_bytes(), model)
        model = model.to(bench.device)
        few = bench.pick(8, len(pictures.y))
        x, y = _tensors(pictures.x[:few], pictures, bench), torch.from_numpy(pictures.y[:few]).to(bench.device)
        epochs, started = 0, time.perf_counter()
        while not epochs or (time.perf_counter() - started) * (epochs + 1) / epochs < bench.budget_s:
            _train_epoch(model, x, y)
            epochs += 1
            if bench.is_toy:
                break
        bench.wait()
        took_s = time.perf_counter() - started
        if not bench.is_toy:  # half a gigabyte
            kept.write_bytes(save_model(model))
        right = _accuracy(model, _tensors(pictures.test_x, pictures, bench), pictures.test_y)
        return [
            ("epochs in this part", f"{epochs} over {len(y):,} pictures, {took_s / epochs:.1f} s each"),
            ("test accuracy after it", f"{right:.2%} of {len(pictures.test_y):,}"),
        ]


def _train_epoch(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=_RATE, momentum=0.9)
    model.train()
    for batch in torch.randperm(len(y), device=y.device).split(_BATCH):
        if len(batch) < 2:
            continue
        optimizer.zero_grad()
        functional.cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()


@torch.no_grad()
def _accuracy(model: nn.Module, x: torch.Tensor, y: NDArray[np.int64]) -> float:
    model.eval()
    guesses = torch.cat([model(part).argmax(dim=1) for part in x.split(_EVALUATED)]).cpu().numpy()
    return float((guesses == y).mean())


def _tensors(x: NDArray[np.uint8], pictures: Pictures, bench: Bench) -> torch.Tensor:
    mean, deviation = float(pictures.x.mean()), float(pictures.x.std())
    return torch.from_numpy((x.astype(np.float32) - mean) / deviation).to(bench.device)
