"""Plans: what is refused, what is folded, and the tensors, which are those of the torch modules."""

import numpy as np
import pytest
import torch

from pole.errors import ManifestInvalid
from pole.exact import plan_model
from pole.task.manifest import AnyModel, TorchvisionModel
from pole.task.model import _construct
from tests.unit.graphs import FLATTEN, GLOBAL, RELU, conv, graph_of, linear

NORM = {"type": "batch_norm"}
ARCHITECTURES = [
    TorchvisionModel(architecture="vgg16"),
    TorchvisionModel(architecture="vgg16_bn"),
    TorchvisionModel(architecture="resnet18"),
    TorchvisionModel(architecture="resnet18", stem="cifar"),
    TorchvisionModel(architecture="resnet34"),
    TorchvisionModel(architecture="resnet50"),
    TorchvisionModel(architecture="resnet50", stem="cifar"),
]


@pytest.mark.parametrize("shape", [(), (2, 2), (0,), (3, 0, 2)])
def test_plan__rows_of_no_shape__refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ManifestInvalid, match="rows of shape"):
        plan_model(graph_of(linear(2)), shape, 2)


def test_plan__last_layer_that_yields_no_logits__refused() -> None:
    with pytest.raises(ManifestInvalid, match="must yield one output per class"):
        plan_model(graph_of(linear(3)), (4,), 2)


def test_plan__rows_that_fold_into_no_map__refused() -> None:
    with pytest.raises(ManifestInvalid, match="fold into no square map"):
        plan_model(TorchvisionModel(architecture="vgg16"), (255,), 10)


def test_plan__stem_that_an_architecture_lacks__refused() -> None:
    with pytest.raises(ManifestInvalid, match="stem 'cifar' is for resnet18, 34 and 50"):
        plan_model(TorchvisionModel(architecture="vgg16", stem="cifar"), (256,), 10)


@pytest.mark.parametrize(
    ("layers", "steps"),
    [
        ([linear(2), NORM], [("linear", "l1")]),
        ([NORM, linear(2), NORM, NORM], [("batch_norm", "l0"), ("linear", "l2"), ("batch_norm", "l3")]),
        ([linear(2), RELU, NORM], [("linear", "l0"), ("relu", "l1"), ("batch_norm", "l2")]),
        ([linear(2), NORM, linear(2, inputs=["l0"]), {"type": "add", "inputs": ["l1", "l2"]}], None),
    ],
)
def test_plan__batch_norm__folded_if_it_alone_reads_a_linear(
    layers: list[dict[str, object]], steps: list[tuple[str, str]] | None
) -> None:
    found = [(step.kind, step.name) for step in plan_model(graph_of(*layers), (3,), 2).steps]
    assert found == (steps or [("linear", "l0"), ("batch_norm", "l1"), ("linear", "l2"), ("add", "l3")])


def test_plan__norm_behind_a_later_layer__input_stays_until_then() -> None:
    spec = graph_of(
        linear(2, name="a"),
        linear(2, name="b", inputs=["input"]),
        {**NORM, "name": "n", "inputs": ["a"]},
        {"type": "add", "inputs": ["b", "n"]},
    )
    plan = plan_model(spec, (3,), 2)
    assert [step.name for step in plan.steps] == ["b", "n", "l3"]
    assert plan.finished == ((), ("input",), ("b", "n"))


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 7, 9), (256,), (2700,)])
@pytest.mark.parametrize("spec", ARCHITECTURES, ids=lambda spec: f"{spec.architecture}-{spec.stem}")
def test_plan__architecture__torchs_tensors(spec: TorchvisionModel, shape: tuple[int, ...]) -> None:
    assert_same_tensors(spec, shape, 10)


def test_plan__graph__torchs_tensors_and_shapes() -> None:
    spec = graph_of(
        conv(4, 3, padding=1),
        NORM,
        RELU,
        {"type": "layer_norm"},
        conv(2, 2, bias=False),
        NORM,
        FLATTEN,
        NORM,
        linear(5),
    )
    assert_same_tensors(spec, (3, 5, 6), 5)
    assert_same_tensors(graph_of(conv(4, 3), GLOBAL, linear(3, bias=False)), (3, 5, 6), 3)


def assert_same_tensors(spec: AnyModel, shape: tuple[int, ...], classes: int) -> None:
    with torch.device("meta"):
        state = _construct(spec, shape, classes).state_dict()
    wanted = plan_model(spec, shape, classes).tensors
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == {
        n: kind.shape for n, kind in wanted.items()
    }
    assert {name for name, kind in wanted.items() if kind.dtype != np.float32} == {
        name for name in state if name.endswith("num_batches_tracked")
    }
