"""Declared models: what is refused before any memory is taken, then the named architectures."""

import resource
from typing import Any

import pytest
import torch
from torch import nn

from pole.errors import ManifestInvalid
from pole.task.manifest import TorchvisionModel
from pole.task.model import build_model, measure_model
from tests.unit.graphs import FLATTEN, GLOBAL, RELU, Layers, conv, graph_of, linear, pool

# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "shape", "complaint"),
    [
        (
            [linear(3)],
            (4,),
            r"'l0' is the last and yields \(3,\); it must yield one output per class, label or quantity: \(2,\)",
        ),
        ([linear(2, inputs=["nobody"])], (4,), "'l0' takes input from 'nobody', which does not exist"),
        ([linear(2, inputs=["l0"])], (4,), "'l0' takes input from 'l0', which does not come before it"),
        ([linear(4, inputs=["l1"]), linear(2)], (4,), "'l0' takes input from 'l1', which does not come before it"),
        ([linear(4, name="a"), linear(2, name="a")], (4,), "'a' has a name that is taken"),
        ([linear(2, name="input")], (4,), "'input' has a name that is taken"),
        ([linear(2, name="training")], (4,), "'training' has a name that is taken"),
        ([linear(2), linear(2, inputs=["input"])], (4,), "'l0' is used by no later layer"),
        ([linear(2, inputs=["input", "input"])], (4,), "'l0' is of type linear and has 2 inputs; it takes one"),
        ([linear(2), {"type": "add"}], (4,), "'l1' is of type add and has 1 input; name two"),
        ([linear(2)], (1, 4, 4), "'l0' is of type linear and gets shape .*; put a flatten"),
        ([conv(2, 3), GLOBAL], (16,), r"'l0' needs \(channels, height, width\)"),
        ([GLOBAL], (16,), r"'l0' needs \(channels, height, width\)"),
        ([conv(2, 5), GLOBAL], (1, 4, 9), "'l0' has kernel 5 on a map of 4x9 with padding 0; nothing would be left"),
        ([pool(3), GLOBAL], (2, 2, 2), "'l0' has kernel 3 on a map of 2x2"),
        (
            [linear(3), linear(2, inputs=["input"]), {"type": "add", "inputs": ["l0", "l1"]}],
            (4,),
            r"'l2' adds shapes \(3,\), \(2,\)",
        ),
        (
            [conv(2, 3), conv(2, 1, inputs=["input"]), {"type": "concat", "inputs": ["l0", "l1"]}, GLOBAL],
            (1, 8, 8),
            "'l2' concatenates shapes",
        ),
        (
            [conv(2, 3), GLOBAL, {"type": "concat", "inputs": ["l0", "l1"]}],
            (1, 8, 8),
            "'l2' concatenates shapes",
        ),
        ([{"type": "reshape", "shape": [1, 3, 3]}, GLOBAL], (8,), r"'l0' reshapes \(8,\) \(8 numbers\) to \(1, 3, 3\)"),
    ],
)
def test_build_model__graph_that_does_not_fit__refused_by_layer(
    layers: Layers, shape: tuple[int, ...], complaint: str
) -> None:
    with pytest.raises(ManifestInvalid, match=complaint):
        build_model(graph_of(*layers), shape, 2)


@pytest.mark.parametrize(
    ("layers", "shape", "complaint"),
    [
        ([linear(65_536), linear(65_536), linear(2)], (65_536,), "'l0' brings the model to 4295032832 parameters"),
        ([*[linear(7_000)] * 5, linear(2)], (7_000,), "'l4' brings the model to 2450.* parameters"),
        ([conv(65_536, 1), GLOBAL], (1, 64, 64), "'l0' yields .* the cap is 4194304"),
        (
            [conv(1024, 1), RELU, {"type": "add", "inputs": ["l0", "l1"]}, GLOBAL, linear(2)],
            (1024, 64, 64),
            "'l2' brings the model to 12582912 activations per row",
        ),
        (
            [*[conv(512, 15, padding=7)] * 3, GLOBAL, linear(2)],
            (512, 64, 64),
            "'l0' brings the model to 241594007552 multiplications",
        ),
        ([{"type": "reshape", "shape": [65_536, 65_536, 65_536]}, GLOBAL], (4,), "'l0' reshapes"),
        ([{"type": "concat", "inputs": ["input"] * 16}, linear(2)], (1 << 20,), "'l0' yields"),
    ],
)
def test_build_model__over_a_cap__refused_before_allocating(
    layers: Layers, shape: tuple[int, ...], complaint: str
) -> None:
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ManifestInvalid, match=complaint):
        build_model(graph_of(*layers), shape, 2)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 100_000


@pytest.mark.parametrize("shape", [(), (2, 2), (0,), (3, 0, 3), (1, 1, 1, 1), (1 << 40,), (1 << 20, 1 << 20, 1)])
def test_build_model__impossible_row__refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ManifestInvalid, match="rows of shape"):
        build_model(graph_of(FLATTEN, linear(2)), shape, 2)


@pytest.mark.parametrize("outputs", [-1, 0])
def test_build_model__no_outputs__refused(outputs: int) -> None:
    with pytest.raises(ManifestInvalid, match="need at least 1"):
        build_model(TorchvisionModel(architecture="resnet18"), (1, 8, 8), outputs)


@pytest.mark.parametrize(
    ("spec", "shape", "complaint"),
    [
        ({"architecture": "resnet18"}, (200,), "200 features fold into no square map"),
        ({"architecture": "vgg16", "stem": "cifar"}, (3, 32, 32), "stem 'cifar' is for resnet18"),
        ({"architecture": "vgg16"}, (3, 300, 300), "'vgg16' on rows of .* activations per row"),
        ({"architecture": "resnet18", "stem": "cifar"}, (3, 224, 224), "the cap is"),
    ],
)
def test_build_model__architecture_that_does_not_fit__refused(
    spec: dict[str, Any], shape: tuple[int, ...], complaint: str
) -> None:
    with pytest.raises(ManifestInvalid, match=complaint):
        build_model(TorchvisionModel.model_validate(spec), shape, 10)


# --- named architectures ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "shape", "parameters"),
    [
        # Stock torchvision has 11,689,512 with 1000 classes and 3 channels: here 10 classes and 12 channels.
        ({"architecture": "resnet18"}, (12, 8, 8), 11_689_512 - 990 * 513 + 9 * 64 * 49),
        ({"architecture": "resnet18", "stem": "cifar"}, (3, 30, 30), 11_689_512 - 990 * 513 - 3 * 64 * (49 - 9)),
        ({"architecture": "resnet18", "stem": "cifar"}, (256,), 11_689_512 - 990 * 513 - 3 * 64 * 49 + 64 * 9),
        ({"architecture": "resnet34"}, (3, 9, 9), 21_797_672 - 990 * 513),
        ({"architecture": "resnet50"}, (3, 9, 9), 25_557_032 - 990 * 2049),
        # Stock VGG-16 has 138,357,544.
        ({"architecture": "vgg16"}, (2700,), 138_357_544 - 990 * 4097),
        ({"architecture": "vgg16_bn"}, (1, 16, 16), 138_365_992 - 990 * 4097 - 2 * 64 * 9),
    ],
)
def test_measure_model__architecture__parameters_of_stock_less_what_was_adapted(
    spec: dict[str, Any], shape: tuple[int, ...], parameters: int
) -> None:
    assert measure_model(TorchvisionModel.model_validate(spec), shape, 10).parameters == parameters


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 30, 30), (1, 1, 1), (2, 33, 5), (256,), (2700,)])
@pytest.mark.parametrize("architecture", ["vgg16", "vgg16_bn", "resnet18", "resnet34", "resnet50"])
def test_measure_model__small_maps__fit_every_architecture(architecture: Any, shape: tuple[int, ...]) -> None:
    """Measuring runs the forward pass on shapes, so a map that vanishes would fail here."""
    assert measure_model(TorchvisionModel(architecture=architecture), shape, 10).multiplications > 0


def test_build_model__vgg_on_large_maps__keeps_all_five_poolings_on_small_ones_four() -> None:
    with torch.device("meta"):
        large = build_model(TorchvisionModel(architecture="vgg16"), (3, 32, 32), 10)
        small = build_model(TorchvisionModel(architecture="vgg16"), (3, 30, 30), 10)
    counts = [sum(isinstance(m, nn.MaxPool2d) for m in model.modules()) for model in (large, small)]
    assert counts == [5, 4]
    assert list(large.state_dict()) == list(small.state_dict())


def test_build_model__resnet_with_cifar_stem__runs_on_folded_features() -> None:
    model = build_model(TorchvisionModel(architecture="resnet18", stem="cifar"), (64,), 10).eval()
    with torch.no_grad():
        assert model(torch.rand(2, 64)).shape == (2, 10)
