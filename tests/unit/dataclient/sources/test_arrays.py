"""Arrays as people save them: names, axes, labels; what does not fit is refused with both sides."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from dataclient.drafting.proposal import propose_discretisation
from dataclient.preprocessing.document import ArrayPreprocessing, TablePreprocessing
from dataclient.sources.load import SourceOptions, load_source, training_and_test
from dataclient.sources.plain import PlainData
from pole.errors import BadInput

N = 24
LABELS = np.arange(N) % 3


def load(folder: Path, options: dict[str, Any] | None = None, **arrays: Any) -> PlainData:
    np.savez(folder / "rows.npz", **arrays)
    return load_source(SourceOptions.model_validate({"source": str(folder / "rows.npz"), **(options or {})}))


def values(*shape: int) -> npt.NDArray[np.float64]:
    return np.random.default_rng(1).normal(size=(N, *shape))


@pytest.mark.parametrize(
    ("names", "is_split"),
    [
        (("X", "y"), False),
        (("images", "labels"), False),
        (("data", "target"), False),
        (("features", "labels"), False),
        (("X_train", "y_train", "X_test", "y_test"), True),
        (("train_images", "train_labels", "test_images", "test_labels"), True),
        (("x_train", "y_train", "x_val", "y_val", "x_test", "y_test"), True),
    ],
)
def test_load_source__usual_names__are_found(tmp_path: Path, names: tuple[str, ...], is_split: bool) -> None:
    pairs = dict.fromkeys(names, None)
    arrays: dict[str, Any] = {name: values(4) if i % 2 == 0 else LABELS for i, name in enumerate(pairs)}
    data = load(tmp_path, **arrays)
    assert data.rows == N * len(names) // 2
    assert (data.is_test is not None) == is_split
    if data.is_test is not None:
        assert data.is_test.sum() == N
        assert data.is_test[-N:].all()


@pytest.mark.parametrize(
    ("shape", "expected", "note"),
    [
        (
            (8, 9, 4),
            (4, 8, 9),
            "images read as 4 x 8 x 9 (channels x height x width): the last axis holds the channels",
        ),
        ((8, 9, 3), (3, 8, 9), "the last axis holds the channels"),
        ((8, 9, 1), (1, 8, 9), "the last axis holds the channels"),
        ((8, 9, 2), (2, 8, 9), "the last axis holds the channels"),
        ((4, 8, 9), (4, 8, 9), "the first axis holds the channels"),
        ((8, 9), (1, 8, 9), "images read as 1 x 8 x 9"),
    ],
)
def test_load_source__images__find_their_channels_and_say_so(
    tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...], note: str
) -> None:
    x = values(*shape)
    data = load(tmp_path, x=x, y=LABELS)
    assert data.shape == expected
    assert any(note in told for told in data.notes)
    assert isinstance(data.preprocessing, ArrayPreprocessing)
    if len(shape) == 3 and data.preprocessing.is_channels_last:
        assert np.array_equal(data.x[:, 1 % expected[0]], x[..., 1 % expected[0]])


@pytest.mark.parametrize(
    ("y", "names", "note"),
    [
        (LABELS[:, None], ("0", "1", "2"), "read as one label for each row"),
        (np.eye(3)[LABELS], ("0", "1", "2"), "is one-hot"),
        (np.array([b"red", b"green", b"blue"])[LABELS], ("blue", "green", "red"), None),
        (np.array(["red", "green", "blue"])[LABELS], ("blue", "green", "red"), None),
        (LABELS.astype(np.float32), ("0", "1", "2"), None),
        (LABELS > 0, ("False", "True"), None),
    ],
)
def test_load_source__labels__are_understood(
    tmp_path: Path, y: npt.NDArray[Any], names: tuple[str, ...], note: str | None
) -> None:
    data = load(tmp_path, x=values(4), y=y)
    assert data.class_names == names
    assert note is None or any(note in told for told in data.notes)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"x_train": values(4), "y_train": LABELS[1:], "x_test": values(4), "y_test": LABELS},
            r"y_train has shape \(23,\)",
        ),
        ({"x_train": values(4), "y_train": LABELS}, "it needs arrays named x and y, or x_train, y_train, x_test"),
        ({"x": values(4), "y": np.ones((N, 3))}, "is not one-hot"),
        ({"x": values(4), "y": values(2, 2)}, r"y has shape \(24, 2, 2\); it needs one label for each of the 24 rows"),
        ({"x": values(4), "y": LABELS.astype(complex)}, "dtype complex128"),
        ({"x": np.array([["a"]] * N), "y": LABELS}, "dtype <U1"),
        ({"x": np.ones((N, 4)), "y": LABELS}, "the same value in every training row"),
        ({"x": np.ones((N, 4, 4)), "y": LABELS}, "all 24 rows are identical"),
        (
            {"x": values(4)[:6], "y": LABELS[:6]},
            "the split leaves 3 training rows for 3 classes; at least 9 are needed",
        ),
    ],
)
def test_load_source__arrays_that_do_not_fit__are_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        training_and_test(load(tmp_path, **arrays), SourceOptions(source="rows.npz"))


@pytest.mark.parametrize("option", ["label", "encoding"])
def test_load_source__option_of_tables__is_refused(tmp_path: Path, option: str) -> None:
    with pytest.raises(BadInput, match=f"--{option} does not apply to .*rows.npz"):
        load(tmp_path, {option: "y"}, x=values(4), y=LABELS)


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.int8, np.float32, np.uint8])
def test_load_source__table_of_numbers__has_a_range_for_each_column(tmp_path: Path, dtype: type) -> None:
    """A column of small numbers beside one of large ones: one range for both would leave it one value only."""
    generator = np.random.default_rng(0)
    x: npt.NDArray[Any] = np.column_stack([generator.integers(0, 3, N), generator.integers(50, 120, N)]).astype(dtype)
    data = load(tmp_path, x=x, y=LABELS)
    ranges = propose_discretisation(data, None)
    assert data.has_columns
    assert (ranges.minimum[0], ranges.maximum[0]) == (0.0, 2.0)
    assert ranges.minimum[1] >= 50.0
    assert isinstance(data.preprocessing, TablePreprocessing)
    assert not data.preprocessing.is_named


def test_load_source__rows_of_many_bytes__are_pixels_of_one_range(tmp_path: Path) -> None:
    x: npt.NDArray[np.uint8] = np.random.default_rng(0).integers(0, 256, (N, 64), dtype=np.uint8)
    data = load(tmp_path, x=x, y=LABELS)
    assert not data.has_columns
    assert propose_discretisation(data, None).maximum == [255.0]


def test_load_source__truth_values_and_gaps__are_read(tmp_path: Path) -> None:
    data = load(tmp_path, x=values(4) > 0, y=LABELS)
    assert set(np.unique(data.x)) == {0.0, 1.0}
    x = values(2)
    x[3, 0] = np.nan
    filled = load(tmp_path, x=x, y=LABELS)
    assert filled.shape == (3,)
    assert filled.x[:, 1].tolist() == [float(i == 3) for i in range(N)]
