"""Model files from strangers: everything but the exact state of the specified model is refused as ModelInvalid."""

import contextlib
import io
import json
import pickle
import resource
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pole.errors import ModelInvalid
from pole.storage.tensorfile import write_tensors
from pole.task.manifest import GraphModel
from pole.task.model import build_model
from pole.task.weights import load_model, save_model

SPEC = GraphModel.model_validate(
    {
        "layers": [
            {"name": "hidden", "type": "linear", "size": 3},
            {"name": "norm", "type": "batch_norm"},
            {"name": "classes", "type": "linear", "size": 2},
        ]
    }
)


@pytest.fixture
def model() -> nn.Module:
    return _model()


def _model() -> nn.Module:
    torch.manual_seed(1)
    return build_model(SPEC, (4,), 2)


def _state() -> dict[str, Any]:
    return {name: tensor.numpy() for name, tensor in _model().state_dict().items()}


def _file(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model/data.pkl", b"\x80\x02.")
    return buffer.getvalue()


def _torch_file() -> bytes:
    buffer = io.BytesIO()
    torch.save(_model().state_dict(), buffer)
    return buffer.getvalue()


class _Bomb:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return pytest.fail, ("a pickle was executed",)


def _entry(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


# --- what is refused -------------------------------------------------------------------------------------------------


HOSTILE = {
    "empty": b"",
    "seven bytes": b"\0" * 7,
    "no header": bytes(8),
    "10 GB header": (10 * 10**9).to_bytes(8, "little") + b"{}",
    "largest header": b"\xff" * 8 + b"{}",
    "pickle": pickle.dumps(_Bomb()),
    "pickle protocol 0": pickle.dumps(_Bomb(), protocol=0),
    "zip": _zip(),
    "torch.save": _torch_file(),
    "not JSON": _file(b"{'a': 1}"),
    "deep JSON": _file(b'{"a":' * 100_000),
    "deep list": _file(b"[" * 500_000 + b"]" * 500_000),
    "huge number": _file(b'{"a": {"dtype": "F32", "shape": [' + b"9" * 10_000 + b'], "data_offsets": [0, 4]}}'),
    "list header": _file([]),
    "empty header": _file({}),
    "unknown dtype": _file({"a": _entry([1], 0, 2, "BF16")}, bytes(2)),
    "negative shape": _file({"a": _entry([-1], 0, 4)}, bytes(4)),
    "huge shape": _file({"a": _entry([1 << 40, 1 << 40], 0, 4)}, bytes(4)),
    "empty tensors of huge shape": _file({"a": _entry([0, 1 << 60], 0, 0)}),
    "negative offsets": _file({"a": _entry([1], -4, 0)}, bytes(4)),
    "offsets past the end": _file({"a": _entry([2], 0, 8)}, bytes(4)),
    "offsets reversed": _file({"a": _entry([1], 4, 0)}, bytes(4)),
    "overlap": _file({"a": _entry([1], 0, 4), "b": _entry([1], 0, 4)}, bytes(4)),
    "gap": _file({"a": _entry([1], 0, 4), "b": _entry([1], 8, 12)}, bytes(12)),
    "trailing bytes": _file({"a": _entry([1], 0, 4)}, bytes(5)),
    "metadata of numbers": _file({"__metadata__": {"a": 1}}),
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_load_model__hostile_or_broken_file__refused_without_memory_or_harm(model: nn.Module, name: str) -> None:
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelInvalid, match="model file") as caught:
        load_model(HOSTILE[name], model)
    assert len(str(caught.value)) < 1000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 100_000


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["classes.weight", "norm.running_var"])
def test_load_model__not_finite__refused_naming_the_tensor(model: nn.Module, name: str, bad: float) -> None:
    state = _state()
    state[name].reshape(-1)[-1] = bad
    with pytest.raises(ModelInvalid, match=f"'{name}' holds NaN or infinity"):
        load_model(write_tensors(state), model)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"hidden.weight": None}, r"lacks 1 tensor\(s\): 'hidden.weight'"),
        ({"norm.running_mean": None}, r"lacks 1 tensor\(s\): 'norm.running_mean'"),
        ({"extra": np.zeros(1, np.float32)}, r"has unknown 1 tensor\(s\): 'extra'"),
        ({"hidden.weight": np.zeros((4, 3), np.float32)}, r"shape \(4, 3\); the specification says \(3, 4\)"),
        ({"hidden.weight": np.zeros(12, np.float32)}, r"shape \(12,\)"),
        ({"norm.num_batches_tracked": np.zeros(1, np.int64)}, r"shape \(1,\); the specification says \(\)"),
        ({"hidden.weight": np.zeros((3, 4), np.float64)}, "dtype float64; it must be float32"),
        ({"hidden.weight": np.zeros((3, 4), np.float16)}, "dtype float16; it must be float32"),
        ({"hidden.weight": np.zeros((3, 4), np.int32)}, "dtype int32; it must be float32"),
        ({"norm.num_batches_tracked": np.array(0.0, np.float32)}, "dtype float32; it must be int64"),
    ],
)
def test_load_model__other_names_shapes_or_dtypes__refused(
    model: nn.Module, change: dict[str, Any], complaint: str
) -> None:
    state = {name: array for name, array in (_state() | change).items() if array is not None}
    with pytest.raises(ModelInvalid, match=complaint):
        load_model(write_tensors(state), model)


def test_load_model__thousand_unknown_long_names__message_stays_short(model: nn.Module) -> None:
    state = _state() | {"x" * 500 + str(index): np.zeros(1, np.float32) for index in range(1000)}
    with pytest.raises(ModelInvalid, match="has unknown 1000") as caught:
        load_model(write_tensors(state), model)
    assert len(str(caught.value)) < 1000


def test_load_model__last_tensor_wrong__leaves_the_model_unchanged(model: nn.Module) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = {name: array + 1 for name, array in _state().items()}
    state["norm.weight"][0] = np.nan
    with pytest.raises(ModelInvalid):
        load_model(write_tensors(state), model)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_save_model__diverged_weights__refused(model: nn.Module) -> None:
    with torch.no_grad():
        model.state_dict()["hidden.weight"][0, 0] = float("nan")
    with pytest.raises(ModelInvalid, match=r"'hidden\.weight' holds NaN or infinity; the training has diverged"):
        save_model(model)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_load_model__any_bytes__model_invalid(content: bytes) -> None:
    with pytest.raises(ModelInvalid):
        load_model(content, _model())


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-4, 1 << 50) | st.sampled_from(["F32", "I64", "U8"]) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["dtype", "shape", "a"]), inner),
    max_leaves=6,
)
_ENTRIES = st.fixed_dictionaries({"dtype": _VALUES, "shape": _VALUES, "data_offsets": _VALUES}) | _VALUES


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(list(_state())) | st.text(max_size=4), _ENTRIES, max_size=4), st.binary())
def test_load_model__any_header__model_invalid(header: dict[str, object], data: bytes) -> None:
    with pytest.raises(ModelInvalid):
        load_model(_file(header, data), _model())


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 255), st.integers(-5, 5))
def test_load_model__valid_file_with_a_byte_changed_or_cut__loads_or_model_invalid(
    place: int, byte: int, cut: int
) -> None:
    content = bytearray(save_model(_model()))
    content[place % len(content)] = byte
    with contextlib.suppress(ModelInvalid):
        load_model(bytes(content[: len(content) + cut] if cut < 0 else content + bytes(cut)), _model())
        assert cut == 0


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_save_then_load__trained_model__same_weights_buffers_and_outputs(model: nn.Module) -> None:
    for _ in range(3):
        model(torch.randn(8, 4))
    content = save_model(model)
    fresh = build_model(SPEC, (4,), 2)
    load_model(content, fresh)
    x = torch.randn(5, 4)
    assert torch.equal(fresh.eval()(x), model.eval()(x))
    assert int(fresh.state_dict()["norm.num_batches_tracked"]) == 3
    assert save_model(fresh) == content


def test_save_model__read_by_the_safetensors_library__same_tensors_and_back(model: nn.Module) -> None:
    theirs = safetensors.torch.load(save_model(model))
    state = model.state_dict()
    assert theirs.keys() == state.keys()
    assert all(torch.equal(theirs[name], state[name]) for name in state)
    other = build_model(SPEC, (4,), 2)
    load_model(safetensors.torch.save(theirs), other)
    assert all(torch.equal(other.state_dict()[name], state[name]) for name in state)


def test_load_model__training_goes_on_afterwards__weights_are_the_models_own(model: nn.Module) -> None:
    load_model(save_model(model), model)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(8, 4)).square().sum().backward()
    optimiser.step()
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not torch.equal(model.state_dict()["classes.weight"], _model().state_dict()["classes.weight"])
