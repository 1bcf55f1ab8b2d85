"""Writing tensor files: the very bytes of the safetensors library."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from safetensors.numpy import save

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
