"""What a model costs, counted without torch: the same as torch's own modules say, and refused in the same words."""

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pole.errors import ManifestInvalid
from pole.exact import size
from pole.task import model
from pole.task.caps import ModelSize
from pole.task.manifest import AnyModel, TorchvisionModel
from tests.unit.graphs import FLATTEN, GLOBAL, RELU, conv, graph_of, linear

SAME = ("batch_norm", "layer_norm", "relu", "silu", "gelu", "tanh", "sigmoid", "dropout")
ARCHITECTURES = [("vgg16", "stock"), ("vgg16_bn", "stock"), ("resnet18", "stock"), ("resnet18", "cifar")]


def found(measure: Any, spec: AnyModel, shape: tuple[int, ...], classes: int) -> ModelSize | str:
    try:
        measured: ModelSize = measure(spec, shape, classes)
    except ManifestInvalid as exc:
        return str(exc)
    return measured


def assert_alike(spec: AnyModel, shape: tuple[int, ...], classes: int) -> ModelSize | str:
    ours = found(size.measure_model, spec, shape, classes)
    assert ours == found(model.measure_model, spec, shape, classes)
    return ours


@st.composite
def layers(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Layers in any order; most fit, since linear ones behind a map find a flatten before them often enough."""
    kinds = st.sampled_from(
        [*SAME, "linear", "conv2d", "max_pool", "average_pool", "flatten", "reshape", "add", "concat"]
    )
    made: list[dict[str, Any]] = []
    for kind in draw(st.lists(kinds, max_size=8)):
        layer: dict[str, Any] = {"type": kind}
        if kind == "linear":
            layer |= {"size": draw(st.integers(1, 40)), "bias": draw(st.booleans())}
        elif kind == "conv2d":
            layer |= {"channels": draw(st.integers(1, 9)), "kernel": draw(st.integers(1, 3))}
            layer |= {
                "padding": draw(st.integers(0, 2)),
                "stride": draw(st.integers(1, 2)),
                "bias": draw(st.booleans()),
            }
        elif kind.endswith("pool"):
            layer |= {"kernel": draw(st.integers(1, 2)), "stride": draw(st.integers(1, 2))}
        elif kind == "dropout":
            layer["probability"] = 0.5
        elif kind == "reshape":
            layer["shape"] = draw(st.sampled_from([[1, 6, 6], [4, 3, 3], [2, 4, 4]]))
        elif kind in ("add", "concat"):
            earlier = ["input", *(f"l{i}" for i in range(len(made)))]
            layer["inputs"] = draw(st.lists(st.sampled_from(earlier), min_size=2, max_size=3))
        made.append(layer)
    return made


@given(made=layers(), shape=st.sampled_from([(36,), (1, 6, 6), (4, 3, 3), (3, 8, 5)]), ends_flat=st.booleans())
def test_measure_model__any_graph__as_torch_measures_or_refuses_it(
    made: list[dict[str, Any]], shape: tuple[int, ...], ends_flat: bool
) -> None:
    assert_alike(graph_of(*made, *([FLATTEN] if ends_flat else []), linear(3)), shape, 3)


def test_measure_model__one_of_each_layer__as_torch_measures_it() -> None:
    spec = graph_of(
        conv(4, 3, padding=1, bias=False),
        {"type": "batch_norm"},
        RELU,
        {"type": "max_pool", "kernel": 2, "stride": 1},
        {"type": "average_pool", "kernel": 2, "stride": 1},
        {"type": "layer_norm"},
        {"type": "silu"},
        {"type": "add", "inputs": ["l5", "l6"]},
        {"type": "concat", "inputs": ["l6", "l7"]},
        GLOBAL,
        {"type": "dropout", "probability": 0.1},
        {"type": "gelu"},
        linear(16),
        {"type": "tanh"},
        {"type": "reshape", "shape": [1, 4, 4]},
        FLATTEN,
        {"type": "sigmoid"},
        linear(2, bias=False),
    )
    measured = assert_alike(spec, (3, 8, 8), 2)
    assert isinstance(measured, ModelSize)
    assert measured.parameters == 3 * 4 * 9 + 8 + 2 * 4 * 36 + 8 * 16 + 16 + 32


@pytest.mark.parametrize(
    ("made", "shape"),
    [
        ([linear(65_536), linear(65_536), linear(2)], (65_536,)),
        ([conv(65_536, 1), GLOBAL], (1, 64, 64)),
        ([conv(1024, 1), RELU, {"type": "add", "inputs": ["l0", "l1"]}, GLOBAL, linear(2)], (1024, 64, 64)),
        ([*[conv(512, 15, padding=7)] * 3, GLOBAL, linear(2)], (512, 64, 64)),
        ([linear(2)], (1 << 24,)),
    ],
)
def test_measure_model__over_a_cap__same_words_as_torch(made: list[dict[str, Any]], shape: tuple[int, ...]) -> None:
    assert "the cap " in str(assert_alike(graph_of(*made), shape, 2))


@pytest.mark.parametrize("classes", [1, 2, 10])
@pytest.mark.parametrize(
    "shape", [(2, 2), (0,), (200,), (256,), (2700,), (1, 1, 1), (12, 8, 8), (2, 33, 5), (3, 64, 64)]
)
@pytest.mark.parametrize(("architecture", "stem"), ARCHITECTURES)
def test_measure_model__architecture__as_torch_measures_or_refuses_it(
    architecture: Any, stem: Any, shape: tuple[int, ...], classes: int
) -> None:
    assert_alike(TorchvisionModel(architecture=architecture, stem=stem), shape, classes)


@pytest.mark.parametrize(
    ("architecture", "stem", "side"), [("vgg16", "stock", 300), ("resnet18", "cifar", 224), ("vgg16", "cifar", 32)]
)
def test_measure_model__architecture_too_large_or_unfit__same_words_as_torch(
    architecture: Any, stem: Any, side: int
) -> None:
    assert isinstance(assert_alike(TorchvisionModel(architecture=architecture, stem=stem), (3, side, side), 10), str)


def test_draft_and_submit__without_torch__can_be_imported_and_check_a_model() -> None:
    program = """
import sys
from importlib.abc import MetaPathFinder
class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
import tempfile
from pathlib import Path
import dataclient.submit
from dataclient.drafting.draft import draft
from dataclient.drafting.proposal import Wishes
from dataclient.prepare import prepare
from dataclient.sources.load import SourceOptions
from dataclient.task_file import read_task_file
from dataclient.task_folder import open_task_home
from pole.chain.profiles import PUBLIC
from pole.storage.folder import FolderStore
folder = Path(tempfile.mkdtemp())
drafted = draft(SourceOptions(source="sklearn:iris"), Wishes(), PUBLIC.market)
(folder / "iris.toml").write_text(drafted.text)
source = read_task_file(folder / "iris.toml")
home = open_task_home(folder, source, is_new=False)
print(prepare(source.task, home, FolderStore(folder / "store")).manifest)
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("bafkrei")
