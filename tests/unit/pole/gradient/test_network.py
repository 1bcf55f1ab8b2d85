"""The flat network: one buffer behind a model, the plain step, its files, and the start-up check."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from pole.errors import BadInput, ManifestInvalid, ModelInvalid
from pole.gradient.network import FlatNetwork, model_file_cap
from pole.gradient.pace import choose_threads, steps_per_second
from pole.gradient.samples import fetch_samples
from pole.gradient.startup import MIN_SURPRISE, check_startup, measure_drift, measure_movement, measure_surprise
from pole.storage.folder import FolderStore
from pole.task.model import build_model
from pole.task.weights import load_model, save_model
from tests.unit.gradient_task import CLASSES, GLOBAL, HALVE, NORM, SILU, GradientTask, Layers, conv, digits_task


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> GradientTask:
    return digits_task(FolderStore(tmp_path_factory.mktemp("store")))


def test_step__beside_torchs_own_optimizer__trains_the_same_network(task: GradientTask) -> None:
    network = task.network()
    model = build_model(task.manifest.model, (1, 8, 8), 10).train()
    load_model(network.to_bytes(), model)
    optimizer = torch.optim.SGD(model.parameters(), lr=task.manifest.learning_rate)
    for start in range(0, 40, 4):
        x, y = task.samples.train_x[start : start + 4], task.samples.train_y[start : start + 4]
        network.step(x, y)
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert save_model(model) == network.to_bytes()


def test_read__inverts_to_bytes_and_leaves_the_network_alone(task: GradientTask) -> None:
    network = task.network()
    before = network.snapshot()
    network.step(task.samples.train_x[:4], task.samples.train_y[:4])
    content = network.to_bytes()
    network.restore(before)
    read = network.read(content)
    assert torch.equal(network.weights, before.weights)
    assert not torch.equal(read.weights, before.weights)
    assert network.to_bytes(read) == content
    assert read.counters.tolist() == [1, 1]
    assert len(content) <= network.max_file_bytes == model_file_cap(task.manifest)


def test_read__file_of_another_model__is_refused(task: GradientTask, tmp_path: Path) -> None:
    other = digits_task(FolderStore(tmp_path), [conv(4), NORM, SILU, GLOBAL, CLASSES]).network()
    with pytest.raises(ModelInvalid, match="lacks"):
        task.network().read(other.to_bytes())


def test_to_bytes__float64__is_refused(task: GradientTask) -> None:
    with pytest.raises(BadInput, match="files hold float32"):
        FlatNetwork(task.manifest, dtype=torch.float64).to_bytes()


def test_genesis__same_seed__same_weights_and_torchs_generator_untouched(task: GradientTask) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, other = FlatNetwork.genesis(task.manifest, 3), FlatNetwork.genesis(task.manifest, 3)
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(one.weights, other.weights)
    assert not torch.equal(one.weights, FlatNetwork.genesis(task.manifest, 4).weights)


def test_last_step__is_the_movement_before_rounding(task: GradientTask) -> None:
    network = task.network()
    before = network.weights.double()
    network.step(task.samples.train_x[:4], task.samples.train_y[:4])
    moved = (network.weights.double() - before).numpy()
    last = network.last_step(np.arange(network.weight_count))
    assert np.abs(last.changes - moved).max() <= 2.0**-24 * float(before.abs().max())
    for part in network.weight_parts:
        rms = np.sqrt(np.square(last.changes[part.start : part.end]).mean())
        assert np.allclose(last.rms[part.start : part.end], rms, rtol=1e-6)


def test_samples__are_scaled_levels(task: GradientTask) -> None:
    samples = fetch_samples(task.store, task.manifest)
    levels = samples.train_x * 6 + 5
    assert samples.train_x.shape == (300, 1, 8, 8)
    assert (float(levels.min()), float(levels.max())) == (0.0, 16.0)
    assert samples.train_y[:4].tolist() == [0, 1, 2, 3]


def test_steps_per_second__leaves_the_network_as_it_was(task: GradientTask) -> None:
    network = task.network()
    before = network.snapshot()
    assert steps_per_second(network, task.samples, seconds=0.01) > 0
    assert torch.equal(network.weights, before.weights)
    assert torch.equal(network.counters, before.counters)


def test_choose_threads__devices_alike__is_one(tmp_path: Path) -> None:
    task = digits_task(FolderStore(tmp_path), devices="alike")
    assert choose_threads(task.network(), task.samples, counts=(2,)) == 1
    assert torch.get_num_threads() == 1


def test_choose_threads__sets_what_it_returns(task: GradientTask) -> None:
    chosen = choose_threads(task.network(), task.samples, counts=(1, 2), seconds=0.01)
    assert torch.get_num_threads() == chosen
    torch.set_num_threads(1)


# --- start-up check --------------------------------------------------------------------------------------------------


def test_check_startup__smooth_network__moves_as_a_whole(task: GradientTask) -> None:
    network = task.network()
    before = network.snapshot()
    assert check_startup(network, task.samples, steps=50).moved_share >= 0.999
    assert torch.equal(network.weights, before.weights)
    assert torch.equal(network.buffers, before.buffers)


def test_check_startup__weights_that_no_gradient_reaches__names_their_layer(tmp_path: Path) -> None:
    """Behind two halvings and a stride the maps are 1x1: only a kernel's centre ever sees more than padding."""
    layers = [conv(4, stride=2), NORM, SILU, HALVE, HALVE, conv(8), NORM, SILU, GLOBAL, CLASSES]
    task = digits_task(FolderStore(tmp_path), layers)
    with pytest.raises(ManifestInvalid, match=r"of the weights move .* 'l5.weight' \(11.11% moved\)"):
        check_startup(task.network(), task.samples, steps=50)


def test_check_startup__bias_before_batch_norm__is_named(tmp_path: Path) -> None:
    layers = [{**conv(4), "bias": True}, NORM, SILU, GLOBAL, CLASSES]
    task = digits_task(FolderStore(tmp_path), layers)
    with pytest.raises(ManifestInvalid, match=r"the gradient of 'l0.bias' .* is rounding noise"):
        check_startup(task.network(), task.samples, steps=10)


def test_check_startup__chaotic_network__is_refused_unless_devices_are_alike(tmp_path: Path) -> None:
    """A rate so large that rounding differences grow from step to step."""
    for devices in ("any", "alike"):
        task = digits_task(FolderStore(tmp_path), learning_rate=5.0, checkpoint_interval=100, devices=devices)
        if devices == "alike":
            check_startup(task.network(), task.samples, steps=10)
        else:
            with pytest.raises(ManifestInvalid, match="after 100 steps, rounding alone moves a weight by"):
                check_startup(task.network(), task.samples, steps=10)


def test_check_startup__fewer_weights_than_requirements__is_refused(tmp_path: Path) -> None:
    task = digits_task(FolderStore(tmp_path), [GLOBAL, {"type": "linear", "size": 10, "bias": False}])
    with pytest.raises(ManifestInvalid, match="10 weights for 24 requirements"):
        check_startup(task.network(), task.samples, steps=10)


def test_measure_drift__grows_with_the_steps_and_restores(task: GradientTask) -> None:
    network = task.network()
    before = network.snapshot()
    assert measure_drift(network, task.samples, 32) < 1e-4
    assert torch.equal(network.weights, before.weights)


def test_measure_movement__dead_relu_units__count_as_unmoved(tmp_path: Path) -> None:
    layers: Layers = [{"type": "flatten"}, {"type": "linear", "size": 16}, {"type": "relu"}, CLASSES]
    task = digits_task(FolderStore(tmp_path), layers)
    network = task.network()
    network.weights[16 * 64 : 16 * 65] = -100.0  # the hidden layer's biases
    movement = measure_movement(network, task.samples, steps=10)
    assert {tensor.name: tensor.moved_share for tensor in movement.tensors}["l1.weight"] == 0.0


def test_check_startup__steps_that_a_table_foretells__are_refused_unless_segments_are_longer(tmp_path: Path) -> None:
    """A network whose rows do not meet in a batch, at a small rate: one gradient of each row tells where it goes."""
    layers: list[dict[str, Any]] = [
        {"type": "flatten"},
        {"type": "linear", "size": 32},
        {"type": "silu"},
        {"type": "linear", "size": 10},
    ]
    task = digits_task(FolderStore(tmp_path), layers, learning_rate=0.003)
    start = task.network()
    with pytest.raises(ManifestInvalid, match="longer checkpoint interval"):
        check_startup(start, task.samples, steps=50)
    assert torch.equal(start.weights, task.network().weights)
    longer = digits_task(FolderStore(tmp_path), layers, learning_rate=0.003, checkpoint_interval=1024)
    assert check_startup(longer.network(), longer.samples, steps=50).moved_share >= 0.999


def test_measure_surprise__batch_normalisation__foils_a_table(task: GradientTask) -> None:
    assert measure_surprise(task.network(), task.samples) > 2 * MIN_SURPRISE
