"""The paper's own network, end to end: ResNet-18 with a CIFAR stem, batches of four, a rate of 0.001."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pole.gradient.network import FlatNetwork
from pole.gradient.startup import measure_movement
from pole.gradient.trajectory import Trajectory
from pole.gradient.verification import verify
from pole.storage.folder import FolderStore
from pole.task.rows import Rows
from tests.unit.gradient_task import MINER, PREVIOUS_HASH, published

STEPS, INTERVAL = 3, 2


@pytest.mark.slow
def test_resnet18__few_steps_on_tiny_data__is_mined_and_verified(tmp_path: Path) -> None:
    """Devices must be alike: behind relu and batches of four, rounding grows a thousandfold with every step."""
    generator = np.random.default_rng(1)
    rows = Rows(generator.integers(0, 256, (16, 3, 32, 32), dtype=np.uint8), generator.integers(0, 10, 16))
    fields = {
        "model": {"kind": "torchvision", "architecture": "resnet18", "stem": "cifar"},
        "scaling": {"mean": [125.3, 123.0, 113.9], "deviation": [63.0, 62.1, 66.7]},
        "batch_size": 4,
        "learning_rate": 0.001,
        "checkpoint_interval": INTERVAL,
        "devices": "alike",
    }
    task = published(FolderStore(tmp_path), rows, rows, 10, fields)
    network = task.network()
    assert network.weight_count == 11_173_962
    trajectory = Trajectory(network, task.samples, PREVIOUS_HASH, MINER, min_step=STEPS)
    while trajectory.best is None:
        trajectory.advance()
    claim = task.claim(network, trajectory.best)
    claim = replace(claim, threshold=claim.sign_digest + 1)
    finding = verify(FlatNetwork(task.manifest), task.samples, task.store, claim)
    assert (finding.is_valid, finding.wrong_segments) == (True, 0)


@pytest.mark.slow
def test_resnet18__with_its_stock_stem__leaves_most_weights_unmoved(tmp_path: Path) -> None:
    """On 32x32 images the last maps are 1x1: of their 3x3 kernels only the centre ever sees more than padding."""
    generator = np.random.default_rng(1)
    rows = Rows(generator.integers(0, 256, (16, 3, 32, 32), dtype=np.uint8), generator.integers(0, 10, 16))
    fields = {
        "model": {"kind": "torchvision", "architecture": "resnet18", "stem": "stock"},
        "scaling": {"mean": [127.5], "deviation": [74.0]},
        "devices": "alike",
    }
    task = published(FolderStore(tmp_path), rows, rows, 10, fields)
    assert measure_movement(task.network(), task.samples, steps=2).moved_share < 0.5
