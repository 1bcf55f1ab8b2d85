"""Row files and discretisation: hostile files first, then what a good file keeps."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pole.atomicfile import write_atomically
from pole.encryption.points import BYTES_OF_POINTS, PointForm
from pole.errors import BadInput, DataInvalid
from pole.storage.cid import cid_of
from pole.storage.tensorfile import MAX_HEADER_BYTES, read_tensors, write_tensors
from pole.task.manifest import DataSet, Discretisation, Quantity, RowFile
from pole.task.rows import (
    EncryptedRows,
    Rows,
    discretise,
    encrypted_rows_from_bytes,
    encrypted_rows_to_bytes,
    from_units,
    max_file_bytes,
    rows_from_bytes,
    rows_to_bytes,
    to_units,
)

FOUR_BITS = Discretisation(bits=4, minimum=[0.0], maximum=[15.0])


def _data(shape: list[int], bits: int = 4) -> DataSet:
    return DataSet(
        shape=shape,
        class_names=["a", "b", "c"],
        discretisation=Discretisation(bits=bits, minimum=[0.0], maximum=[1.0]),
        training_set=[RowFile(cid=str(cid_of(b"")), rows=1, size_bytes=1)],
        test_rows=0,
        test_size_bytes=0,
    )


def _rows() -> Rows:
    return Rows(np.arange(12, dtype=np.uint8).reshape(3, 4), np.array([0, 2, 1], dtype=np.int64))


def _file(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def _described(dtype: object = "U8", shape: object = (4,), offsets: object = (0, 4)) -> bytes:
    return _file({"t": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}, b"1234")


def _id(value: object) -> str:
    return value if isinstance(value, str) else ""


# --- hostile files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "claims a header of 0 bytes in a file of 0"),
        (b"\x05\0\0", "in a file of 3"),
        ((10 << 30).to_bytes(8, "little") + b"{}", "claims a header of 10737418240 bytes"),
        (_file(b" " * (MAX_HEADER_BYTES + 1)), "claims a header"),
        (_file(b"\x80\x04."), "not JSON"),
        (_file(b"[" * 100_000), "not JSON"),
        (_file(b'{"t": ' + b"1" * 5000 + b"}"), "not JSON"),
        (_file(b'{"t": NaN}'), "not JSON"),
        (_file([1, 2]), "not a JSON object"),
        (_file({"__metadata__": {"a": 1}}), "not an object of strings"),
        (_file({f"t{i}": {} for i in range(10_001)}), "10001 tensors"),
        (_file({"t": {"dtype": "U8", "shape": [4]}}), "without exactly"),
        (_described(dtype="F8"), "dtype 'F8'"),
        (_described(dtype=["U8"]), "dtype"),
        (_described(shape=(4, 0)), "malformed shape"),
        (_described(shape=(True,)), "malformed shape"),
        (_described(shape=(-4,)), "malformed shape"),
        (_described(shape=(4.0,)), "malformed shape"),
        (_described(shape=(1,) * 9), "malformed shape"),
        (_described(offsets=(0,)), "malformed shape"),
        (_described(shape=(5,)), "does not fit its shape"),
        (_described(shape=(5,), offsets=(0, 5)), "does not fit its shape or the file"),
        (_described(shape=(2**40, 2**40)), "does not fit its shape"),
        (_described(shape=(3,), offsets=(1, 4)), "does not fit"),
        (_described(shape=(3,), offsets=(0, 3)), "1 bytes that belong to no tensor"),
    ],
    ids=_id,
)
def test_read_tensors__hostile_file__refused(content: bytes, problem: str) -> None:
    with pytest.raises(DataInvalid, match=problem):
        read_tensors(content, "row file", DataInvalid)


def test_read_tensors__overlapping_ranges__refused() -> None:
    entry = {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}
    with pytest.raises(DataInvalid, match="does not fit"):
        read_tensors(_file({"a": entry, "b": entry}, b"1234"), "row file", DataInvalid)


@given(st.binary(max_size=200))
def test_read_tensors__any_bytes__only_the_named_error(content: bytes) -> None:
    with pytest.raises(DataInvalid):
        read_tensors(content, "row file", DataInvalid)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_rows_from_bytes__one_byte_changed__read_or_refused_never_a_crash(position: int, change: int) -> None:
    content = bytearray(rows_to_bytes(_rows()))
    content[position % len(content)] ^= change
    try:
        rows = rows_from_bytes(bytes(content), _data([4]), 3)
    except DataInvalid:
        return
    assert rows.x.max() <= 15
    assert set(rows.labels.tolist()) <= {0, 1, 2}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (write_tensors({"x": np.zeros((3, 4), np.uint8)}), "exactly x and labels"),
        (write_tensors({"ciphertexts": np.zeros((3, 4), np.uint8), "labels": np.zeros(3, np.int64)}), "exactly x and"),
        (write_tensors({"x": np.zeros((3, 5), np.uint8), "labels": np.zeros(3, np.int64)}), r"x as uint8 \(3, 5\)"),
        (write_tensors({"x": np.zeros((2, 4), np.uint8), "labels": np.zeros(2, np.int64)}), r"x as uint8 \(2, 4\)"),
        (write_tensors({"x": np.zeros((3, 4), np.float32), "labels": np.zeros(3, np.int64)}), "x as float32"),
        (write_tensors({"x": np.zeros((3, 4), np.uint8), "labels": np.zeros(3, np.int32)}), "labels as int32"),
        (write_tensors({"x": np.zeros((3, 4), np.uint8), "labels": np.zeros(2, np.int64)}), r"labels as int64 \(2,\)"),
        (write_tensors({"x": np.full((3, 4), 16, np.uint8), "labels": np.zeros(3, np.int64)}), "feature 16; 4 bits"),
        (write_tensors({"x": np.zeros((3, 4), np.uint8), "labels": np.array([0, 3, 0])}), "row 1 has the label 3"),
        (write_tensors({"x": np.zeros((3, 4), np.uint8), "labels": np.array([0, 0, -1])}), "row 2 has the label -1"),
    ],
    ids=_id,
)
def test_rows_from_bytes__does_not_fit_the_manifest__refused(content: bytes, problem: str) -> None:
    with pytest.raises(DataInvalid, match=problem):
        rows_from_bytes(content, _data([4]), 3)


def test_rows_from_bytes__no_rows__refused() -> None:
    content = _file(
        {
            "x": {"dtype": "U8", "shape": [0, 4], "data_offsets": [0, 0]},
            "labels": {"dtype": "I64", "shape": [0], "data_offsets": [0, 0]},
        }
    )
    with pytest.raises(DataInvalid, match="malformed shape"):
        rows_from_bytes(content, _data([4]), 0)


@pytest.mark.parametrize(
    ("size", "shape", "points", "wanted"),
    [
        (64, [5], "uncompressed", r"\(3, 6, 64\)"),
        (64, [4], "compressed", r"\(3, 5, 33\)"),
        (33, [4], "uncompressed", r"\(3, 5, 64\)"),
        (33, [5], "compressed", r"\(3, 6, 33\)"),
    ],
)
def test_encrypted_rows_from_bytes__other_shape_than_the_manifest_says__refused(
    size: int, shape: list[int], points: PointForm, wanted: str
) -> None:
    rows = EncryptedRows(np.zeros((3, 5, size), np.uint8), np.zeros(3, np.int64))
    with pytest.raises(DataInvalid, match=f"asks for uint8 {wanted}"):
        encrypted_rows_from_bytes(encrypted_rows_to_bytes(rows), _data(shape), 3, points)


# --- what a client gets wrong ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Rows(np.zeros((0, 4), np.uint8), np.zeros(0, np.int64)), "at least one sample"),
        (lambda: Rows(np.zeros((2, 4)), np.zeros(2, np.int64)), "float64"),  # type: ignore[arg-type]
        (lambda: Rows(np.zeros((2, 4), np.uint8), np.zeros(3, np.int64)), r"shapes \(2, 4\) and \(3,\)"),
        (lambda: Rows(np.zeros(4, np.uint8), np.zeros(4, np.int64)), "need"),
        (
            lambda: EncryptedRows(np.zeros((2, 5, 34), np.uint8), np.zeros(2, np.int64)),
            r"\[n, D \+ 1, 64\] or \[n, D \+ 1, 33\]",
        ),
    ],
)
def test_rows__malformed__refused(make: Callable[[], object], problem: str) -> None:
    with pytest.raises(BadInput, match=problem):
        make()


@pytest.mark.parametrize(
    ("x", "problem"),
    [
        (np.empty((0, 4)), "holds no rows"),
        (np.zeros(4), "holds no rows"),
        (np.array([[0.0, 1.0], [2.0, np.nan]]), "row 1, feature 1 is nan"),
        (np.array([[np.inf, 1.0]]), "row 0, feature 0 is inf"),
    ],
)
def test_discretise__unusable_data__refused(x: np.ndarray, problem: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(BadInput, match=problem):
        discretise(x, FOUR_BITS)


def test_discretise__ranges_of_other_features__refused() -> None:
    with pytest.raises(BadInput, match="rows have 4 features, but the discretisation has ranges for 2"):
        discretise(np.zeros((1, 4)), Discretisation(bits=4, minimum=[0.0, 0.0], maximum=[1.0, 1.0]))


def test_discretise__range_that_overflows__refused() -> None:
    with pytest.raises(BadInput, match="scale the data"):
        discretise(np.zeros((1, 1)), Discretisation(bits=4, minimum=[-1.5e308], maximum=[1.5e308]))


# --- what is kept ---------------------------------------------------------------------------------------------------


def test_discretise__one_range__clipped_and_rounded_half_to_even() -> None:
    x = np.array([[-3.0, 0.49, 0.5, 1.5, 14.51, 99.0]])
    assert discretise(x, FOUR_BITS).tolist() == [[0, 0, 0, 2, 15, 15]]


def test_discretise__range_per_feature__follows_the_flattened_row() -> None:
    ranges = Discretisation(bits=2, minimum=[0.0, -1.0, 0.0, 10.0], maximum=[3.0, 1.0, 30.0, 13.0])
    x = np.array([[[1.0, 1.0], [20.0, 10.9]]])
    levels = discretise(x, ranges)
    assert levels.dtype == np.uint8
    assert levels.tolist() == [[[1, 3], [2, 1]]]


@given(st.integers(1, 8), st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_discretise__any_data__within_the_bits(bits: int, values: list[float]) -> None:
    levels = discretise(np.array([values]), Discretisation(bits=bits, minimum=[-10.0], maximum=[10.0]))
    assert levels.max() <= 2**bits - 1


def test_rows_to_bytes__read_back__same_rows_and_same_bytes() -> None:
    content = rows_to_bytes(_rows())
    rows = rows_from_bytes(content, _data([4]), 3)
    assert np.array_equal(rows.x, _rows().x)
    assert rows.labels.tolist() == [0, 2, 1]
    assert rows_to_bytes(rows) == content


def test_rows_to_bytes__transposed_array__written_in_row_order() -> None:
    x = np.arange(12, dtype=np.uint8).reshape(4, 3).T
    assert np.array_equal(rows_from_bytes(rows_to_bytes(Rows(x, np.zeros(3, np.int64))), _data([4]), 3).x, x)


@pytest.mark.parametrize(("points", "size"), [("uncompressed", 64), ("compressed", 33)])
def test_encrypted_rows_to_bytes__read_back__same_rows(points: PointForm, size: int) -> None:
    ciphertexts = np.random.default_rng(0).integers(0, 256, (3, 5, size), dtype=np.uint8)
    content = encrypted_rows_to_bytes(EncryptedRows(ciphertexts, np.array([2, 1, 0])))
    assert np.array_equal(encrypted_rows_from_bytes(content, _data([4]), 3, points).ciphertexts, ciphertexts)


@pytest.mark.parametrize("rows", [1, 100_000])
def test_max_file_bytes__honest_files__fit_closely(rows: int) -> None:
    labels = np.zeros(rows, np.int64)
    plain = rows_to_bytes(Rows(np.zeros((rows, 4), np.uint8), labels))
    assert len(plain) <= max_file_bytes(rows, _data([4]), None) <= len(plain) + 4096
    for points, size in BYTES_OF_POINTS.items():
        encrypted = encrypted_rows_to_bytes(EncryptedRows(np.zeros((rows, 5, size), np.uint8), labels))
        assert len(encrypted) <= max_file_bytes(rows, _data([4]), points) <= len(encrypted) + 4096


def test_write_atomically__name_taken__old_content_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with pytest.raises(FileExistsError):
        write_atomically(path, b"new", replace=False)
    assert path.read_bytes() == b"old"
    write_atomically(path, b"new")
    assert [(each.name, each.read_bytes()) for each in path.parent.iterdir()] == [("file", b"new")]


# --- labels and quantities -------------------------------------------------------------------------------------------

PRICES = [Quantity(name="price", unit="EUR", minimum=-1.0, maximum=3.0), Quantity(name="age", minimum=0.0, maximum=1.0)]


def data_of(**targets: Any) -> DataSet:
    return DataSet(
        shape=[2],
        discretisation=Discretisation(bits=4, minimum=[0.0], maximum=[15.0]),
        training_set=[RowFile(cid=str(cid_of(b"rows")), rows=2, size_bytes=4)],
        test_rows=1,
        test_size_bytes=1,
        **targets,
    )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_to_units__not_finite__refused_with_row_and_name(value: float) -> None:
    with pytest.raises(BadInput, match="row 1: age is"):
        to_units(np.array([[0.0, 0.0], [0.0, value]]), PRICES)


def test_to_units__other_number_of_quantities__refused() -> None:
    with pytest.raises(BadInput, match="no numbers of 2 quantities"):
        to_units(np.zeros((3, 1)), PRICES)


def test_to_units__values__rounded_and_cut_off_at_the_ends_of_the_range() -> None:
    units = to_units(np.array([[-1.0, 0.5], [3.0, 1e-9], [99.0, -1.0], [0.0, 2.0**-25 * 3]]), PRICES)
    assert units.tolist() == [[0, 1 << 23], [1 << 24, 0], [1 << 24, 0], [1 << 22, 2]]
    assert from_units(units, PRICES)[0].tolist() == [-1.0, 0.5]


@given(st.lists(st.tuples(st.floats(-1, 3), st.floats(0, 1)), min_size=1, max_size=5))
def test_from_units__of_to_units__within_half_a_unit(rows: list[tuple[float, float]]) -> None:
    back = from_units(to_units(np.array(rows), PRICES), PRICES)
    assert np.abs(back - rows).max() <= 4 * 2.0**-25 * (1 + 1e-9)


@pytest.mark.parametrize(
    ("targets", "labels", "complaint"),
    [
        ({"quantities": PRICES}, [[0, -1]], "row 0 has the label -1; they are 0..16777216"),
        ({"quantities": PRICES}, [[0, (1 << 24) + 1]], "16777217"),
        ({"label_names": ["a", "b"]}, [[0, 2]], "row 0 has the label 2; they are 0..1"),
        ({"label_names": ["a", "b"]}, [[0]], r"asks for int64 \(1, 2\)"),
        ({"label_names": ["a"]}, [0], r"asks for int64 \(1, 1\)"),
        ({"class_names": ["a", "b"]}, [[0]], r"asks for int64 \(1,\)"),
    ],
)
def test_rows_from_bytes__labels_of_another_target__refused(
    targets: dict[str, Any], labels: list[Any], complaint: str
) -> None:
    content = rows_to_bytes(Rows(np.zeros((1, 2), np.uint8), np.array(labels, np.int64)))
    with pytest.raises(DataInvalid, match=complaint):
        rows_from_bytes(content, data_of(**targets), 1)


@pytest.mark.parametrize(
    ("targets", "labels"),
    [
        ({"quantities": PRICES}, [[5, 1 << 24]]),
        ({"label_names": ["a", "b"]}, [[0, 1]]),
        ({"class_names": ["a", "b"]}, [1]),
    ],
)
def test_rows_from_bytes__every_target__read_back_within_the_cap(targets: dict[str, Any], labels: list[Any]) -> None:
    data, rows = data_of(**targets), Rows(np.ones((1, 2), np.uint8), np.array(labels, np.int64))
    content = rows_to_bytes(rows)
    assert len(content) <= max_file_bytes(1, data, None)
    assert rows_from_bytes(content, data, 1).labels.tolist() == labels
