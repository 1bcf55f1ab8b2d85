"""Tables of every kind yield the same rows; what is left out, changed or guessed is told."""

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataclient.preprocessing.choose import Choices
from dataclient.preprocessing.document import Category, Date, Labels, Number, TablePreprocessing
from dataclient.preprocessing.fit import fit
from dataclient.preprocessing.transform import features
from dataclient.sources.load import SourceOptions, load_source, training_and_test
from dataclient.sources.plain import PlainData
from dataclient.sources.traps import traps
from pole.errors import BadInput

ROWS = 40


@pytest.fixture
def frame() -> pd.DataFrame:
    generator = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "size": generator.normal(size=ROWS).round(3),
            "weight": generator.integers(0, 900, ROWS),
            "colour": generator.choice(["red", "grün", "blue"], ROWS),
            "ripe": generator.choice([True, False], ROWS),
            "picked": pd.date_range("2024-02-27", periods=ROWS, freq="31h"),
            "kind": [("apple", "pear")[i % 2] for i in range(ROWS)],
        }
    )
    frame.loc[3, "size"] = np.nan
    frame.loc[5, "colour"] = None
    return frame


def load(path: Path, **options: object) -> PlainData:
    return load_source(SourceOptions.model_validate({"source": str(path), "label": "kind", **options}))


def load_text(folder: Path, text: str, **options: object) -> PlainData:
    (folder / "rows.csv").write_text(text)
    return load(folder / "rows.csv", **options)


def column(name: str, values: list[object], classes: list[object] | None = None) -> str:
    """A CSV of one column and labels."""
    labels = classes or ["apple", "pear"] * (len(values) // 2)
    return f"{name},kind\n" + "".join(f"{value},{label}\n" for value, label in zip(values, labels, strict=True))


FEATURES = (
    *("size", "size is missing", "weight", "colour=red", "colour=blue", "colour=grün", "colour is missing"),
    *("ripe", "picked days", "picked month", "picked day", "picked weekday", "picked hour"),
)


@pytest.mark.parametrize(
    "write",
    [
        lambda f, p: f.to_csv(p, index=False),
        lambda f, p: f.to_csv(p, index=False, encoding="utf-8-sig"),
        lambda f, p: f.to_csv(p, index=False, encoding="utf-16"),
        lambda f, p: f.to_csv(p, index=False, encoding="utf-16-le"),
        lambda f, p: f.to_csv(p, index=False, encoding="latin-1"),
        lambda f, p: f.to_csv(p, index=False, sep=";", decimal=","),
        lambda f, p: f.to_csv(p, index=False, sep="\t", decimal=","),
        lambda f, p: f.to_csv(p, index=False, sep="|"),
        lambda f, p: p.write_text("sep=;\n" + f.to_csv(index=False, sep=";", decimal=",")),
        lambda f, p: f.to_csv(p, index=False, quoting=1, lineterminator="\r\n"),
        lambda f, p: p.write_bytes(gzip.compress(f.to_csv(index=False).encode())),
        lambda f, p: p.write_bytes(bz2.compress(f.to_csv(index=False).encode())),
        lambda f, p: p.write_bytes(lzma.compress(f.to_csv(index=False).encode())),
        lambda f, p: zipfile.ZipFile(p, "w").writestr("rows.csv", f.to_csv(index=False)),
        lambda f, p: p.write_bytes(pa.compress(f.to_csv(index=False).encode(), codec="zstd", asbytes=True)),
        lambda f, p: f.to_parquet(p),
        lambda f, p: f.assign(colour=f["colour"].astype("category")).to_parquet(p),
        lambda f, p: f.to_feather(p),
        lambda f, p: excel(f, p),
    ],
)
def test_load_source__any_format__yields_the_same_rows(
    tmp_path: Path, frame: pd.DataFrame, write: Callable[[pd.DataFrame, Path], object]
) -> None:
    write(frame, tmp_path / "rows.data")
    data, known = load(tmp_path / "rows.data"), load_text(tmp_path, frame.to_csv(index=False))
    assert data.feature_names == known.feature_names
    assert set(data.feature_names or ()) == set(FEATURES)
    assert np.array_equal(data.x, known.x)
    assert data.class_names == ("apple", "pear")
    assert data.preprocessing is not None
    assert TablePreprocessing.model_validate_json(data.preprocessing.model_dump_json()) == data.preprocessing


def excel(frame: pd.DataFrame, path: Path) -> None:
    with path.open("wb") as file:
        frame.to_excel(file, index=False, engine="openpyxl")


def test_load_source__semicolons_in_quotes__do_not_cut(tmp_path: Path) -> None:
    text = column("a", [f'"x; {i % 3}; y, {i % 3}"' for i in range(12)])
    assert load_text(tmp_path, text).shape == (3,)
    assert load_text(
        tmp_path, text.replace(",apple", "|apple").replace(",pear", "|pear").replace("a,k", "a|k")
    ).shape == (3,)


def test_load_source__line_that_is_too_long__is_counted_in_the_file(tmp_path: Path) -> None:
    text = 'sep=,\n\n"a\nb",kind\n1,apple\n\n"2\n",pear,more\n'
    with pytest.raises(BadInput, match="line 7: 3 fields, but the first line names 2 columns"):
        load_text(tmp_path, text)


def test_load_source__parquet_with_an_index__keeps_it_as_a_column(tmp_path: Path, frame: pd.DataFrame) -> None:
    frame.set_index("colour").to_parquet(tmp_path / "rows.parquet")
    assert "colour=red" in (load(tmp_path / "rows.parquet").feature_names or ())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.pkl", b"cos\nsystem\n", "pickles are never opened"),
        ("rows.csv", b"\x80\x04\x95 a pickle by its content", "pickles are never opened"),
        ("rows.npy", b"\x93NUMPY\x01\x00", "put features and labels into an .npz file"),
        ("rows.json", b'{"a": 1}', "JSON is not read"),
        ("rows.parquet", b"PAR1 and then nothing", "cannot read .*rows.parquet as Parquet"),
        ("rows.csv.gz", b"\x1f\x8b\x08 broken", "cannot read .*rows.csv.gz"),
        ("rows.csv", b"PK\x03\x04 broken", "cannot read .*rows.csv as a zip archive"),
    ],
)
def test_load_source__file_that_is_not_read__says_why(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=message):
        load(tmp_path / name)


def test_load_source__latin_1__tells_the_encoding(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(column("a", [*range(8)], ["süß", "sauer"] * 4).encode("latin-1"))
    data = load(tmp_path / "rows.csv")
    assert data.class_names == ("sauer", "süß")
    assert "is not UTF-8 and is read as cp1252" in data.notes[0]
    assert load(tmp_path / "rows.csv", encoding="latin-1").notes == ()


# --- columns ---


def chosen(folder: Path, values: list[object], **options: object) -> object:
    document = load_text(folder, column("a", values), **options).preprocessing
    assert isinstance(document, TablePreprocessing)
    return document.columns[0]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "2.5", "-3e2", ".5"], "number"),
        (["2010_01", "2011_02"], "boolean"),
        (["2010_01", "2011_02", "2012_03"], "category"),
        (["0x10", "0x11", "0x12"], "category"),
        (["True", "False"], "boolean"),
        (["01234", "10115", "99999"], "category"),
        (["1", "two", "three"], "category"),
        (["2024-01-31", "2024-02-01"], "boolean"),
        (["2024-01-31", "2024-02-01", "2024-12-24"], "date"),
        (["31.01.2024", "01.02.2024", "24.12.2024"], "date"),
        (["2024-01-31 10:00", "2024-02-01 11:30", "2024-12-24 00:00"], "date"),
    ],
)
def test_load_source__column__is_read_as_what_it_is(tmp_path: Path, values: list[object], kind: str) -> None:
    repeated = [value for value in values for _ in range(8)]
    assert chosen(tmp_path, repeated).kind == kind  # type: ignore[attr-defined]


def test_load_source__dates_of_which_day_and_month_are_unclear__told(tmp_path: Path) -> None:
    data = load_text(tmp_path, column("a", ["01/02/2024", "03/04/2024", "05/06/2024", "07/08/2024"] * 3))
    assert "column 'a': dates are read as day before month; nothing in it says which comes first" in data.notes
    american = chosen(tmp_path, ["01/25/2024", "03/04/2024", "05/06/2024", "07/08/2024"] * 3)
    assert isinstance(american, Date)
    assert american.format == "%m/%d/%Y"


def test_load_source__thousands__are_told_from_decimals(tmp_path: Path) -> None:
    quoted = load_text(tmp_path, column("a", [f'"{i},{i}50"' for i in range(1, 9)]))
    assert quoted.x[:2, 0].tolist() == [1150.0, 2250.0]
    assert "commas are read as marks between thousands" in quoted.notes[0]
    text = column("a", [f"1.{i}50.000,5" for i in range(1, 9)]).replace(",kind", ";kind").replace("5,a", "5;a")
    assert load_text(tmp_path, text.replace("5,p", "5;p")).x[0, 0] == 1_150_000.5


def test_load_source__numbers_beyond_float64__are_told_apart_exactly(tmp_path: Path) -> None:
    data = load_text(tmp_path, column("a", [10**18 + i * i for i in range(10)]))
    assert sorted(data.x[:, 0] - data.x[0, 0]) == [i * i for i in range(10)]


def test_load_source__outliers__are_clipped_and_told(tmp_path: Path) -> None:
    data = load_text(tmp_path, column("a", [*range(999), 10**9]))
    assert data.x.max() < 2_000
    assert "column 'a': 1 outlier(s) are clipped (maximum" in data.notes[0]


def test_load_source__index_column__is_left_out_unless_kept(tmp_path: Path) -> None:
    rows = "".join(f"{i},{i % 5},{'apple' if i < 20 else 'pear'}\n" for i in range(40))
    data = load_text(tmp_path, f",a,kind\n{rows}")
    assert data.feature_names == ("a",)
    assert "column 'Unnamed: 0' numbers the rows and is left out" in data.notes[0]
    assert load_text(tmp_path, f",a,kind\n{rows}", keep=["Unnamed: 0"]).feature_names == ("Unnamed: 0", "a")


def test_load_source__free_text_constant_and_copied_columns__are_left_out_and_told(tmp_path: Path) -> None:
    rows = "".join(f"name {i},7,{i % 3},{i % 3},{('apple', 'pear')[i % 2]}\n" for i in range(40))
    data = load_text(tmp_path, f"who,same,a,b,kind\n{rows}")
    assert data.feature_names == ("a",)
    assert [note.split(" and is")[0].split(":")[0] for note in data.notes] == [
        "column 'who' has 40 different texts in 40 rows (names, ids or free text)",
        "left out, the same value in every training row",
        "left out, a copy of another column",
    ]


def test_load_source__classes_alike__are_told_and_folded_if_asked(tmp_path: Path) -> None:
    text = column("a", [*range(12)], ["yes", "Yes ", "no"] * 4)
    data = load_text(tmp_path, text)
    assert data.class_names == ("Yes", "no", "yes")
    assert "classes that differ by case or spaces only: 'Yes', 'yes'; --fold-case" in data.notes[0]
    assert load_text(tmp_path, text, fold_case=True).class_names == ("no", "yes")


@pytest.mark.parametrize("name", ["NA", "None", "n/a", "?"])
def test_load_source__missing_label__is_a_class_only_if_asked(tmp_path: Path, name: str) -> None:
    text = column("a", [*range(8)], [name, "ZA"] * 4)
    with pytest.raises(BadInput, match=r"line 2: the label is missing .* say --na-is-a-class"):
        load_text(tmp_path, text)
    assert set(load_text(tmp_path, text, na_is_a_class=True).class_names) == {name, "ZA"}
    with pytest.raises(BadInput, match=r"line 3: the label is missing \(''\); fill it in or remove the row$"):
        load_text(tmp_path, column("a", [*range(4)], ["a", "", "a", "b"]), na_is_a_class=True)


# --- use ---


def test_features__unseen_and_missing_values__have_a_place() -> None:
    document = TablePreprocessing.model_validate(
        {
            "columns": [
                Category(name="a", encoding="one_hot", values=["x", "y"], has_indicator=True),
                Category(name="b", encoding="ordinal", values=["u", "v"]),
                Number(name="c", fill=7.0),
            ],
            "features": ["b", "a=y", "a=x", "a is missing", "c"],
        }
    )
    found = features(document, pd.DataFrame({"a": ["y", "new", ""], "b": ["v", "new", "NA"], "c": ["1", "?", "2.0"]}))
    assert found.tolist() == [[1, 1, 0, 0, 1], [2, 0, 0, 0, 7], [2, 0, 0, 1, 2]]


@given(
    cells=st.lists(
        st.one_of(
            st.floats(-1e6, 1e6).map(str),
            st.integers(-(10**20), 10**20).map(str),
            st.sampled_from(["", "NA", "red", "blue", "True", "2024-01-02", "1,5", "1.000,5", " x ", "ü", "inf"]),
            st.text(max_size=5),
        ),
        min_size=4,
        max_size=30,
    )
)
def test_fit__any_cells__the_document_gives_the_training_rows_back(cells: list[str]) -> None:
    table = pd.DataFrame({"a": pd.Series(cells, dtype=object), "b": [str(i % 2) for i in range(len(cells))]})
    training = np.arange(0, len(cells), 2)
    try:
        fitted = fit(table, np.append(training, 1), Choices(), Labels(), lambda row: f"row {row}", is_named=True)
    except BadInput as exc:
        assert "row " in str(exc)  # noqa: PT017
        return
    read_back = TablePreprocessing.model_validate_json(fitted.document.model_dump_json())
    assert np.array_equal(features(read_back, table), fitted.x)
    assert np.isfinite(fitted.x).all()


# --- what is paid for is what was looked at ---


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("0,apple", "0.5,apple", 1), "has changed since the task file was made"),
        (lambda text: text.replace("a,kind", "b,kind", 1), "has the columns b, kind, but had a, kind"),
    ],
)
def test_load_source__file_that_changed__is_refused(tmp_path: Path, change: Callable[[str], str], message: str) -> None:
    text = column("a", [*range(8)])
    data = load_text(tmp_path, text)
    bound = {"digest": data.digest, "columns": list(data.columns or ())}
    assert load_text(tmp_path, text, **bound).digest == data.digest
    with pytest.raises(BadInput, match=message):
        load_text(tmp_path, change(text), **bound)


def test_load_source__values_outside_of_the_range_in_the_document__are_refused(tmp_path: Path) -> None:
    document = load_text(tmp_path, column("a", [*range(999), 10**9])).preprocessing
    (tmp_path / "rows.csv").write_text(column("a", [10**6 + i for i in range(40)]))
    options = SourceOptions(source=str(tmp_path / "rows.csv"), label="kind")
    with pytest.raises(BadInput, match="100 % of the values of 'a' lie outside of the range in the task file"):
        load_source(options, document)


# --- traps ---


def told(folder: Path, text: str) -> str:
    options = SourceOptions(source=str(folder / "rows.csv"), label="kind")
    data = load_text(folder, text)
    return "\n".join([*data.notes, *traps(*training_and_test(data, options))])


def test_traps__column_that_gives_the_label_away__is_named(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    rows = "".join(
        f"{a:.3f},{i % 2 * 10 + i % 7},{('apple', 'pear')[i % 2]}\n" for i, a in enumerate(generator.normal(size=80))
    )
    said = told(tmp_path, f"noise,leak,kind\n{rows}")
    assert "a column alone nearly gives the label away: 'leak' (100.0 %)" in said
    assert "'noise'" not in said


def test_traps__same_rows_on_both_sides_and_tiny_classes__are_counted(tmp_path: Path) -> None:
    said = told(tmp_path, column("a", [i % 4 for i in range(40)], [*["apple", "pear"] * 18, *["quince"] * 4]))
    assert "9 of 9 test rows are also training rows" in said
    assert "classes of fewer than 10 rows, hardly to be learned or tested: quince (4)" in said


def test_load_source__numbers_that_look_like_codes__are_told(tmp_path: Path) -> None:
    data = load_text(tmp_path, column("zip code", [10_000 + i * i for i in range(40)]))
    assert "column 'zip code' looks like codes but is read as numbers; --category zip code" in data.notes[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": [2, 2]}, "--image-size does not apply to"),
        ({"background": 0, "skip_broken": True}, "--background, --skip-broken does not apply to"),
        ({"drop": ["kind"]}, "column 'kind' is the label, it cannot be a dropped column as well"),
        ({"category": ["colour"]}, "no category column 'colour'; its columns are a, kind"),
    ],
)
def test_load_source__options_that_do_not_apply__are_refused(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        load_text(tmp_path, column("a", [*range(8)]), **options)
