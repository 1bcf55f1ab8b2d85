"""Loading rows: every unusable input gets one clear error; every format yields known values."""

from pathlib import Path

import numpy as np
import pytest

from dataclient.sources.load import SourceOptions, load_source, training_and_test
from dataclient.sources.plain import PlainData, check_rows, limit_rows, split
from pole.errors import BadInput

MANY = "\n".join(["1,rose", "2,iris"] * 20) + "\n"
FLOWERS = "length,width,species\n" + "".join(f"{i}.5,{i},rose\n{i + 10},{i}.25,iris\n" for i in range(5))


def csv_file(folder: Path, content: str) -> str:
    path = folder / "rows.csv"
    path.write_text(content)
    return str(path)


def load_csv_text(folder: Path, content: str, **options: object) -> PlainData:
    return load_source(
        SourceOptions.model_validate({"source": csv_file(folder, content), "label": "species", **options})
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("length,width,species\n", "has no rows below"),
        ("species\nrose\niris\n", "no column left besides the label"),
        ("length,colour\n1,2\n", "no label column 'species'; its columns are length, colour"),
        ("a,a,species\n1,2,rose\n", "several columns named a"),
        ("a,species\n1,rose\n2\n", "line 3: 1 fields, but the first line names 2 columns"),
        ("a,species\n1,rose\n\n1,rose,2\n", "line 4: 3 fields, but the first line names 2 columns"),
        ('"a\n(mm)",species\n1,rose\n2,\n', "line 4: the label is missing"),
        ("a,species\n1,rose\n2,rose\n\n3,iris\ninf,iris\n", "line 6, column 'a': 'inf' is not finite"),
        (f"a,species\n{MANY}\nred,iris\n", "line 43, column 'a': 'red' is not a number, but most of the column is"),
        ('a,species\n1,"rose\n2,iris\n', "cannot read .* as CSV: unexpected end of data .* check its quotes"),
        ("a,species\n1,rose\n2,\n", "line 3: the label is missing"),
        ("a,species\n1,rose\n2,rose\n3,rose\n", r"one class only \('rose'\)"),
        ("a,species\n1,rose\n2,rose\n3,rose\n4,iris\n", "fewer than 2 rows of class iris"),
        ("a,species\n" + "".join(f"{i},{i}.5\n" for i in range(20)), "20 distinct values in 20 rows"),
        ("b,species\n7,rose\n7,rose\n7,iris\n7,iris\n", "the same value in every training row of b"),
        ("1.5,2,rose\n1.6,3,iris\n", "no label column 'species'"),
        ("1.5,2,3\n1.6,3,4\n", "its first line looks like data"),
    ],
)
def test_load_source__unusable_csv__says_what_is_wrong(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load_csv_text(tmp_path, content)


def test_load_source__csv_without_label__lists_the_columns(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Say --label COLUMN, one of length, width, species"):
        load_csv_text(tmp_path, FLOWERS, label=None)


def test_load_source__csv_of_bytes__is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"a,species\n\x00\xff\x00\x00\xfe,rose\n")
    with pytest.raises(BadInput, match=r"cannot read .* as CSV"):
        load_source(SourceOptions(source=str(tmp_path / "rows.csv"), label="species"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("missing.csv", "no file or folder missing.csv"),
        ("sklearn:faces", "known are iris, digits, wine, breast_cancer"),
        ("torchvision:imagenet", "known are cifar10, fashion_mnist, mnist"),
        ("torchvision:mnist", "needs --data-dir"),
    ],
)
def test_load_source__unknown_source__says_what_is_known(source: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load_source(SourceOptions(source=source))


def test_load_source__csv__yields_columns_in_order(tmp_path: Path) -> None:
    data = load_csv_text(tmp_path, FLOWERS)
    assert data.feature_names == ("length", "width")
    assert data.class_names == ("iris", "rose")
    assert data.x[:2].tolist() == [[0.5, 0.0], [10.0, 0.25]]
    assert data.labels[:2].tolist() == [1, 0]
    assert data.has_columns


def test_load_source__csv_with_semicolons_bom_and_drop__is_understood(tmp_path: Path) -> None:
    text = "\ufeff" + FLOWERS.replace(",", ";")
    data = load_csv_text(tmp_path, text, drop=["width"])
    assert data.feature_names == ("length",)
    assert data.shape == (1,)


def test_load_source__numeric_labels__sort_as_numbers(tmp_path: Path) -> None:
    rows = "".join(f"{i}.5,{label}\n" for i, label in enumerate([10, 2, 10, 2, 10, 2]))
    assert load_csv_text(tmp_path, "a,species\n" + rows).class_names == ("2", "10")


# --- npz ---


def npz(folder: Path, **arrays: object) -> SourceOptions:
    path = folder / "rows.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return SourceOptions(source=str(path))


def test_load_source__pickled_npz__is_refused_unopened(tmp_path: Path) -> None:
    options = npz(tmp_path, x=np.array([{"a": 1}], dtype=object), y=np.zeros(1))
    with pytest.raises(BadInput, match="no pickled objects"):
        load_source(options)


def test_load_source__npz_that_is_text__is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.npz").write_text("hello")
    with pytest.raises(BadInput, match="cannot read"):
        load_source(SourceOptions(source=str(tmp_path / "rows.npz")))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.zeros(3)}, "holds a; it needs arrays named x and y"),
        ({"x": np.zeros((4, 2)), "y": np.zeros(3)}, r"y has shape \(3,\); it needs one label for each of the 4 rows"),
        ({"x": np.zeros((4, 2), dtype=complex), "y": np.zeros(4)}, "dtype complex128"),
        ({"x": np.zeros(4), "y": np.zeros(4)}, r"x has shape \(4,\)"),
        ({"x": np.eye(4), "y": np.array([0, 1, 0, 0.5])}, "missing or fractional"),
        ({"x": np.zeros((0, 2)), "y": np.zeros(0, dtype=int)}, "has no rows"),
        (
            {"x": np.array([[1.0], [np.inf], [2], [3]]), "y": np.array([0, 0, 1, 1])},
            "row 2, column '1': inf is not finite",
        ),
    ],
)
def test_load_source__unusable_npz__says_what_is_wrong(tmp_path: Path, arrays: dict[str, object], message: str) -> None:
    options = npz(tmp_path, **arrays)
    with pytest.raises(BadInput, match=message):
        load_source(options)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((6, 5), (5,)), ((6, 8, 9), (1, 8, 9)), ((6, 8, 9, 3), (3, 8, 9)), ((6, 3, 8, 9), (3, 8, 9))],
)
def test_load_source__npz__finds_the_channels(
    tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    x = np.arange(np.prod(shape)).reshape(shape) % 251
    data = load_source(npz(tmp_path, x=x, y=np.array(["a", "b"] * 3)))
    assert data.shape == expected
    assert data.class_names == ("a", "b")


def test_load_source__npz_with_its_own_split__keeps_it(tmp_path: Path) -> None:
    options = npz(tmp_path, x_train=np.arange(8).reshape(4, 2), y_train=[0, 1, 0, 1], x_test=[[90, 91]], y_test=[1])
    training, test = training_and_test(load_source(options), options)
    assert training.rows == 4
    assert test.x.tolist() == [[90, 91]]


# --- splitting ---


def numbered(labels: list[int]) -> PlainData:
    names = tuple(str(i) for i in range(max(labels) + 1))
    return PlainData(np.arange(len(labels))[:, None], np.asarray(labels), names)


def test_check_rows__without_features__is_refused() -> None:
    data = PlainData(np.zeros((4, 0)), np.array([0, 0, 1, 1]), ("a", "b"))
    with pytest.raises(BadInput, match="has no feature besides the label"):
        check_rows(data, "rows")


def test_split__is_stratified_disjoint_and_seeded() -> None:
    data = numbered([0] * 40 + [1] * 10)
    parts = split(data, test_fraction=0.2, seed=3)
    assert np.bincount(parts.test.labels).tolist() == [8, 2]
    assert sorted([*parts.training.x[:, 0], *parts.test.x[:, 0]]) == list(range(50))
    assert split(data, test_fraction=0.2, seed=3).test.x.tolist() == parts.test.x.tolist()
    assert split(data, test_fraction=0.2, seed=4).test.x.tolist() != parts.test.x.tolist()


def test_split__two_rows_of_a_class__leaves_one_on_either_side() -> None:
    parts = split(numbered([0] * 20 + [1, 1]), test_fraction=0.9, seed=0)
    assert (parts.training.labels == 1).sum() == 1
    assert (parts.test.labels == 1).sum() == 1


def test_limit_rows__too_few_for_the_classes__is_refused() -> None:
    with pytest.raises(BadInput, match="2 rows cannot hold all 3 classes"):
        limit_rows(numbered([0, 0, 1, 1, 2, 2]), rows=2, seed=0)


def test_limit_rows__keeps_the_share_of_each_class() -> None:
    chosen = limit_rows(numbered([0] * 60 + [1] * 30), rows=30, seed=0)
    assert np.bincount(chosen.labels).tolist() == [20, 10]


def test_load_source__sklearn_sets__have_their_known_shapes() -> None:
    iris, digits = (load_source(SourceOptions(source=f"sklearn:{name}")) for name in ("iris", "digits"))
    assert (iris.x.shape, iris.class_names, iris.has_columns) == ((150, 4), ("setosa", "versicolor", "virginica"), True)
    assert (digits.x.shape, len(digits.class_names), digits.has_columns) == ((1797, 64), 10, False)
