"""Writing tensor files: the very bytes of the safetensors library."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from safetensors.numpy import load, save

from pole.errors import DataInvalid
from pole.storage.tensorfile import read_tensors, write_tensors

DTYPES = ["?", "u1", "<f2", "<i4", "<f4", "<f8", "<i8"]
ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: npst.arrays(np.dtype(dtype), npst.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=4))
)


def test_write_tensors__two_metadata_entries__refused() -> None:
    with pytest.raises(ValueError, match="2 metadata entries"):
        write_tensors({"x": np.zeros(1)}, {"a": "1", "b": "2"})


@given(
    st.dictionaries(st.text('abcé"\\ ', min_size=1, max_size=5), ARRAYS, max_size=6),
    st.sampled_from([None, {"k": "v"}]),
)
def test_write_tensors__any_arrays__as_the_library_and_read_back(
    tensors: dict[str, NDArray[Any]], metadata: dict[str, str] | None
) -> None:
    content = write_tensors(tensors, metadata)
    assert content == bytes(save(tensors, metadata))
    found = read_tensors(content, "file", DataInvalid)
    assert found.metadata == (metadata or {})
    assert {name: (array.dtype, array.shape, array.tobytes()) for name, array in found.tensors.items()} == {
        name: (array.dtype, array.shape, array.tobytes()) for name, array in tensors.items()
    }


def test_write_tensors__reversed_view__written_in_order() -> None:
    x = np.arange(6, dtype=np.int64)[::-2]
    assert read_tensors(write_tensors({"x": x}), "file", DataInvalid).tensors["x"].tolist() == [5, 3, 1]


SAMPLE = write_tensors({"a": np.arange(6.0).reshape(2, 3), "b": np.array([True, False])}, {"k": "v"})


@settings(max_examples=400)
@given(
    st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255)), max_size=4), st.integers(0, len(SAMPLE))
)
@example([], len(SAMPLE))
def test_read_tensors__mutated_file__our_error_or_as_the_library(changes: list[tuple[int, int]], length: int) -> None:
    mutated = bytearray(SAMPLE)
    for place, value in changes:
        mutated[place] = value
    for content in (bytes(mutated), bytes(mutated[:length]), bytes(mutated) + bytes(length)):
        try:
            found = read_tensors(content, "file", DataInvalid)
        except DataInvalid:
            continue
        assert {name: (array.dtype, array.shape, array.tobytes()) for name, array in found.tensors.items()} == {
            name: (array.dtype, array.shape, array.tobytes()) for name, array in load(content).items()
        }


@pytest.mark.parametrize(
    "header",
    [
        b'{"a":{"dtype":"U8","dtype":"U8","shape":[2],"data_offsets":[0,2]}}',
        b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}',
        b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
        b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}',
        b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}',
        b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2],"more":1}}',
        b'{"a":{"dtype":"U8","shape":[2,0],"data_offsets":[0,0]}}',
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=["same-field-twice", "repeated tensor", "trailing", "overlap", "gap", "unknown-field", "zero-side", "deep"],
)
def test_read_tensors__hostile_header__our_error(header: bytes) -> None:
    content = len(header).to_bytes(8, "little") + header + b"\1\2"
    with pytest.raises(DataInvalid, match="file "):
        read_tensors(content, "file", DataInvalid)


def test_read_tensors__any_file__arrays_are_read_only() -> None:
    assert not any(array.flags.writeable for array in read_tensors(SAMPLE, "file", DataInvalid).tensors.values())
