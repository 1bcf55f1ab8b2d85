"""Labels of every kind, from texts and from arrays: what is refused, and what is read."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from dataclient.sources.load import SourceOptions, load_source, training_and_test
from dataclient.sources.plain import PlainData
from dataclient.sources.targets import label_set, targets_of_array
from dataclient.sources.traps import traps
from pole.errors import BadInput
from pole.task.scores import Target


def load(path: Path, **options: object) -> PlainData:
    return load_source(SourceOptions.model_validate({"source": str(path), **options}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ten", "line 3, column 'price': 'ten' is not a number"),
        ("inf", "line 3, column 'price': 'inf' is not finite"),
        ("", r"line 3: the label is missing \(''\)"),
        ("NA", r"line 3: the label is missing \('NA'\)"),
        ("1;5", "'1;5' is not a number"),
    ],
)
def test_load__no_quantity__refused_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "rows.csv").write_text(f"a,price\n1,1.5\n2,{text}\n3,2\n4,3\n")
    with pytest.raises(BadInput, match=message):
        load(tmp_path / "rows.csv", label="price", target="quantity")


def test_load__no_label_anywhere__refused(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,tags\n1,\n2,-\n")
    with pytest.raises(BadInput, match=r"no cell of column 'tags' names a label; write them as a\|b"):
        load(tmp_path / "rows.csv", label="tags", target="labels")


@pytest.mark.parametrize(
    ("y", "target", "message"),
    [
        (np.array([[0, 2]]), Target.LABELS, "other values than 0 and 1"),
        (np.array([["a"]]), Target.QUANTITY, "needs numbers"),
        (np.array([[1j]]), Target.QUANTITY, "needs numbers"),
        (np.zeros((2, 0)), Target.QUANTITY, "has shape"),
        (np.zeros((2, 1, 1)), Target.LABELS, "has shape"),
    ],
)
def test_array__unusable__refused(y: NDArray[np.generic], target: Target, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        targets_of_array(y, target, "y", "rows.npz")


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        (["a,price", "1,2", "2,3"], {"target": "quantity"}, "has 2 rows; give at least 4"),
        (["a,price", *["1,2", "3,2"] * 3], {"target": "quantity"}, "price is the same in every row"),
        (["a,price", "1,2", "2,"], {"target": "quantity"}, "the label is missing"),
        (["a,price", *[f"{i},{i * 0.7}" for i in range(20)]], {}, "or say --target quantity"),
        (["a,price", "1,2"], {"unit": "EUR"}, "a unit .EUR. is of a quantity"),
        (["a,price", "1,x", "2,x", "3,x|y", "4,x"], {"target": "labels"}, "x is the same in every row"),
    ],
)
def test_load__labels_that_cannot_be_learned__refused(
    tmp_path: Path, lines: list[str], options: dict[str, str], message: str
) -> None:
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(BadInput, match=message):
        load(tmp_path / "rows.csv", label="price", **options)


def test_load__set_of_another_target__refused() -> None:
    with pytest.raises(BadInput, match="sklearn:iris has class labels, not quantity"):
        load_source(SourceOptions(source="sklearn:iris", target="quantity"))


def test_label_set__any_separators__trimmed() -> None:
    assert label_set(" red | big;round ") == {"red", "big", "round"}
    assert label_set("none") == label_set("-") == label_set(" ") == set()


def test_load__csv_of_labels__matrix_with_sorted_names(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,tags\n1,red|big\n2,\n3,big\n4,red\n")
    data = load_source(SourceOptions(source=str(tmp_path / "rows.csv"), label="tags", target="labels"))
    assert (data.target, data.label_names, data.names) == (Target.LABELS, ("big", "red"), ("big", "red"))
    assert data.labels.tolist() == [[1, 1], [0, 0], [1, 0], [0, 1]]
    assert data.feature_names == ("a",)


@pytest.mark.parametrize(
    ("delimiter", "cells", "wanted"),
    [
        (",", ["1.5", "1e3", "-2", "0"], [1.5, 1000, -2, 0]),
        (";", ["1,5", "1.000,25", "-2", "0"], [1.5, 1000.25, -2, 0]),
        (",", ['"1,500"', '"1,000.25"', "-2", "0"], [1500, 1000.25, -2, 0]),
    ],
)
def test_load__quantities_as_people_write_them__read_by_their_marks(
    tmp_path: Path, delimiter: str, cells: list[str], wanted: list[float]
) -> None:
    lines = ["a" + delimiter + "price", *(f"{i * i}{delimiter}{cell}" for i, cell in enumerate(cells))]
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    data = load(tmp_path / "rows.csv", label="price", target="quantity")
    assert data.labels[:, 0].tolist() == wanted
    again = load_source(
        SourceOptions(source=str(tmp_path / "rows.csv"), label="price", target="quantity"), data.preprocessing
    )
    assert again.labels.tolist() == data.labels.tolist()


def test_load__typed_table__quantities_and_labels_with_gaps(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.0, 5.0, 2.0, 7.0], "tags": ["x|y", None, "Y", "z"], "price": [1, 2, 3, 10**6]})
    frame.to_parquet(tmp_path / "rows.parquet")
    labels = load(tmp_path / "rows.parquet", label="tags", target="labels", fold_case=True)
    assert (labels.label_names, labels.labels.sum(axis=1).tolist()) == (("x", "y", "z"), [2, 0, 1, 1])
    quantities = load(tmp_path / "rows.parquet", label="price", target="quantity", drop=["tags"])
    assert quantities.labels.tolist() == [[1.0], [2.0], [3.0], [1e6]]


def test_load__npz_of_quantities__split_without_strata(tmp_path: Path) -> None:
    y = np.arange(40).reshape(20, 2) / 3
    np.savez(tmp_path / "rows.npz", x=np.arange(60.0).reshape(20, 3), y=y)
    options = SourceOptions(source=str(tmp_path / "rows.npz"), target="quantity", max_training_rows=10)
    data = load_source(options)
    assert data.quantity_names == ("y0", "y1")
    training, test = training_and_test(data, options)
    assert (training.labels.shape, test.labels.shape) == ((10, 2), (4, 2))
    together = np.concatenate([training.labels, test.labels])
    assert {tuple(row) for row in together} <= {tuple(row) for row in y}
    assert len(np.unique(together, axis=0)) == 14


def test_load__diabetes__a_quantity() -> None:
    data = load_source(SourceOptions(source="sklearn:diabetes"))
    assert (data.target, data.quantity_names, data.x.shape) == (Target.QUANTITY, ("progression",), (442, 10))
    assert (data.labels.min(), data.labels.max()) == (25, 346)


def test_traps__column_that_gives_a_quantity_away__warned_of_by_name() -> None:
    rng = np.random.default_rng(0)
    y = rng.uniform(0, 100, (200, 1))
    x = np.column_stack([rng.uniform(0, 1, 200), 1.1 * y[:, 0]])
    data = PlainData(x, y, quantity_names=("price",), feature_names=("size", "gross"), has_columns=True)
    found = traps(data.take(np.arange(150)), data.take(np.arange(150, 200)))
    assert len(found) == 1
    assert "a column alone nearly gives the label away: 'gross'" in found[0]


def test_traps__label_sets__only_rows_on_both_sides() -> None:
    x = np.repeat(np.arange(20.0)[:, None], 2, axis=0)
    data = PlainData(x, np.tile([[1, 0], [0, 1]], (20, 1)), label_names=("a", "b"), has_columns=True)
    found = traps(data.take(np.arange(0, 40, 2)), data.take(np.arange(1, 40, 2)))
    assert found == ["WARNING: 20 of 20 test rows are also training rows: the test score flatters"]
