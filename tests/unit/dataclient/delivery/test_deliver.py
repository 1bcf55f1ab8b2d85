"""What is in a delivered folder, used as its README says, and what is said where a library is missing."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataclient.answers import answers_of
from dataclient.bundle import Bundle
from dataclient.delivery.deliver import FILES, HeldOut, deliver, undiscretised
from dataclient.delivery.preparation import preparation
from dataclient.delivery.report import confusion, confusion_picture, report
from dataclient.preprocessing.document import (
    AnyPreprocessing,
    ArrayPreprocessing,
    Boolean,
    Category,
    Column,
    Date,
    ImagePreprocessing,
    Number,
    TablePreprocessing,
)
from pole.errors import BadInput
from pole.task.manifest import ConvolutionalMapping, DenseMapping, Discretisation
from pole.task.rows import discretise
from tests.unit.dataclient.delivery.bundles import (
    bundle_of,
    labels_bundle,
    manifest_of,
    quantities_bundle,
    rows_of,
    with_document,
)
from tests.unit.graphs import GLOBAL, conv, graph_of, linear

WITHOUT = """
import sys
from importlib.abc import MetaPathFinder
class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
"""


def held_out(bundle: Bundle, rows: int = 60) -> HeldOut:
    manifest = bundle.description.manifest
    x = discretise(rows_of(manifest, rows), manifest.data.discretisation)
    predictions, _ = answers_of(bundle.logits(undiscretised(x, manifest.data.discretisation)), manifest.data)
    labels = np.arange(rows) % manifest.outputs if predictions.ndim == 1 else predictions[::-1].copy()
    return HeldOut(x, labels, predictions)


def flat() -> Bundle:
    return bundle_of(manifest_of(graph_of(linear(5)), DenseMapping(vectors=4), (6,)))


def images() -> Bundle:
    mapping = ConvolutionalMapping(filters=2, kernel=3)
    return bundle_of(manifest_of(graph_of(conv(8, 3), GLOBAL, linear(5)), mapping, (2, 5, 4)))


def printed(tmp_path: Path, bundle: Bundle) -> str:
    """What the code in the delivered README says, without this project."""
    delivery = deliver(bundle, held_out(bundle), b"{}")
    for name, content in delivery.files.items():
        (tmp_path / name).write_bytes(content)
    text = (tmp_path / "README.md").read_text()
    assert len(text.splitlines()) <= 40
    [code] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    alone = WITHOUT.format(missing=("dataclient", "pole", "torch", "onnx")) + code
    done = subprocess.run([sys.executable, "-c", alone], cwd=tmp_path, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.mark.parametrize("bundle", [flat(), images()], ids=["flat", "images"])
def test_deliver__its_readme_s_code__runs_without_this_project(tmp_path: Path, bundle: Bundle) -> None:
    name, share = printed(tmp_path, bundle).rsplit(maxsplit=1)
    assert name in bundle.description.manifest.data.class_names
    assert 0.2 <= float(share) <= 1


def test_deliver__everything_installed__all_files_and_how_well_onnx_agrees() -> None:
    bundle = flat()
    delivery = deliver(bundle, held_out(bundle), b"{}")
    assert set(delivery.files) == FILES - {"residuals.png"}
    assert delivery.remarks == ["model.onnx gives the class that predict gives on 60 of 60 test rows"]


def test_deliver__without_the_extra__says_what_is_left_out_and_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = ("onnx", "onnxruntime", "matplotlib")
    for name in [*extra, *(name for name in sys.modules if name.partition(".")[0] in extra)]:
        monkeypatch.setitem(sys.modules, name, None)
    bundle = flat()
    delivery = deliver(bundle, held_out(bundle), b"{}")
    assert set(delivery.files) == FILES - {"model.onnx", "confusion-matrix.png", "residuals.png"}
    assert delivery.remarks == [
        "no model.onnx: it needs onnxruntime; pip install 'useful-proof-of-work[deliver]', then fetch-model --force",
        "no confusion-matrix.png: it needs matplotlib; pip install 'useful-proof-of-work[deliver]', "
        "then fetch-model --force",
    ]
    assert "pole client predict" in delivery.files["README.md"].decode()
    assert "confusion" not in delivery.files["report.md"].decode()


def test_deliver__another_module_missing__is_not_taken_for_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dataclient.delivery.onnx_file", None)
    bundle = flat()
    with pytest.raises(ModuleNotFoundError, match="dataclient"):
        deliver(bundle, held_out(bundle), b"{}")


def test_deliver__node_without_old_events__no_proof_and_a_word_about_it() -> None:
    bundle = flat()
    delivery = deliver(bundle, held_out(bundle), None)
    assert "block.json" not in delivery.files
    assert delivery.remarks[0].startswith("no block.json: this node keeps no events of the block")
    assert b"check-proof" not in delivery.files["README.md"]


def test_deliver__hundreds_of_classes__no_picture_and_a_word_about_it() -> None:
    bundle = bundle_of(manifest_of(graph_of(linear(300)), DenseMapping(vectors=4), (6,), classes=300))
    delivery = deliver(bundle, held_out(bundle, 300), b"{}")
    assert "confusion-matrix.png" not in delivery.files
    assert delivery.remarks[-1].startswith("no confusion-matrix.png: 300 classes are too many to draw")
    assert b"| class 299 " in delivery.files["report.md"]


def test_report__counts_by_class__by_hand() -> None:
    bundle = flat()
    labels, predictions = np.array([0, 0, 0, 1, 2]), np.array([0, 0, 1, 1, 1])
    test = HeldOut(np.zeros((5, 6), np.uint8), labels, predictions)
    text = deliver(bundle, test, b"{}").files["report.md"].decode()
    assert "| class 0 é | 3 | 2 | 2 | 100.0 % | 66.7 % | 80.0 % |" in text
    assert "| class 1 é | 1 | 3 | 1 | 33.3 % | 100.0 % | 50.0 % |" in text
    assert "| class 2 é | 1 | 0 | 0 | - | 0.0 % | 0.0 % |" in text
    assert "| class 3 é | 0 | 0 | 0 | - | - | - |" in text


def test_confusion__rows_are_true_classes() -> None:
    assert confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 3).tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize("names", [["$x^{$", "b\\frac"], ["日本", "a" * 100], [str(i) for i in range(40)]])
def test_confusion_picture__any_class_names__draws_them(tmp_path: Path, names: list[str]) -> None:
    (tmp_path / "picture.png").write_bytes(confusion_picture(names, np.eye(len(names), dtype=np.int64)))
    with Image.open(tmp_path / "picture.png") as picture:
        assert min(picture.size) > 200


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_undiscretised__discretises_to_what_it_came_from(bits: int) -> None:
    ranges = Discretisation(bits=bits, minimum=[-1.1, 0.0, 1e-9], maximum=[4.7, 255.0, 3e-9])
    x = np.repeat(np.arange(1 << bits, dtype=np.uint8)[:, None], 3, axis=1)
    assert (discretise(undiscretised(x, ranges), ranges) == x).all()


# --- labels and quantities ---


def test_deliver__labels__readme_s_code_names_them(tmp_path: Path) -> None:
    assert set(ast.literal_eval(printed(tmp_path, labels_bundle()))) <= {"red", "big", "round é"}
    assert "Says which of 3 labels a row has: red, big, round é." in (tmp_path / "README.md").read_text()
    assert not list(tmp_path.glob("*.png"))


def test_deliver__quantities__readme_s_code_gives_them_in_their_units(tmp_path: Path) -> None:
    answer = ast.literal_eval(printed(tmp_path, quantities_bundle()))
    assert -3.3 <= answer["price | net"] <= 96.7
    text = (tmp_path / "README.md").read_text()
    assert "Predicts price | net from -3.3 to 96.7 EUR, age from 0 to 0.5." in text
    with Image.open(tmp_path / "residuals.png") as picture:
        assert min(picture.size) > 200


def test_deliver__labels_and_quantities__says_how_well_onnx_agrees() -> None:
    bundle = labels_bundle()
    assert deliver(bundle, held_out(bundle), b"{}").remarks == [
        "model.onnx gives the labels that predict gives on 60 of 60 test rows"
    ]
    bundle = quantities_bundle()
    [remark] = deliver(bundle, held_out(bundle), b"{}").remarks
    found = re.fullmatch(
        r"model.onnx gives what predict gives on 60 test rows, up to (.*) % of a quantity's range", remark
    )
    assert found is not None
    assert float(found[1]) < 0.1


def test_report__labels__counted_one_by_one_by_hand() -> None:
    labels, predictions = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0]]), np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0]])
    text = report(labels_bundle(), labels, predictions, has_picture=False).decode()
    assert "## By label, on the 3 test rows" in text
    assert "| red | 2 | 1 | 1 | 100.0 % | 50.0 % | 66.7 % |" in text
    assert "| big | 1 | 2 | 1 | 50.0 % | 100.0 % | 66.7 % |" in text
    assert "| round é | 0 | 0 | 0 | - | - | - |" in text


def test_report__quantities__errors_in_their_units_by_hand() -> None:
    """A whole range is 2^24; errors of 3 and 4 EUR have the mean 3.5 and the root of the mean square 3.53553."""
    one = 1 << 24
    labels = np.array([[one // 2, 0], [one // 2, one]])
    predictions = labels + np.array([[round(0.03 * one), 0], [round(-0.04 * one), 0]])
    text = report(quantities_bundle(), labels, predictions, has_picture=True).decode()
    assert "| price \\| net [EUR] | 46.7 | 3.5 | 3.53553 | 4 |" in text
    assert "| age | 0.25 | 0 | 0 | 0 |" in text
    assert "(residuals.png)" in text


def test_deliver__layer_without_a_form_in_onnx__everything_else_and_a_word_about_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: Bundle) -> bytes:
        raise BadInput("layer 'l0' of type new has no form in ONNX; use `predict` with this model")

    monkeypatch.setattr("dataclient.delivery.onnx_file.onnx_file", refuse)
    bundle = flat()
    delivery = deliver(bundle, held_out(bundle), b"{}")
    assert "model.onnx" not in delivery.files
    assert delivery.remarks == [
        "no model.onnx: layer 'l0' of type new has no form in ONNX; use `predict` with this model"
    ]


# --- what has to be done before ---


def test_readme__columns_of_every_kind__says_what_each_becomes() -> None:
    columns: list[Column] = [
        Number(name="a|b", fill=1.0, offset=10**17),
        Boolean(name="paid", values=["no", "yes"], has_indicator=True),
        Category(name="colour", encoding="one_hot", values=["red", "green"]),
        Category(name="town", encoding="ordinal", values=["Rome", "Oslo"]),
        Date(name="when", format="ISO8601", parts=["days", "weekday"]),
    ]
    names = [name for column in columns for name in column.features]
    document = TablePreprocessing.model_validate({"columns": columns, "features": names})
    model = graph_of(linear(5))
    bundle = with_document(bundle_of(manifest_of(model, DenseMapping(vectors=4), (len(names),))), document)
    text = deliver(bundle, held_out(bundle), b"{}").files["README.md"].decode()
    assert "| a\\|b | itself less 100000000000000000 |" in text
    assert "| paid | 0 for no, 1 for yes, 0.5 for anything else; and 1 where it is missing, 0 where not |" in text
    assert "| colour | a feature for each of red, green: 1 where it is that, else 0 |" in text
    assert "| town | its place among Rome, Oslo, from 0; 2 for anything else |" in text
    assert "| when | days, weekday (days since 1970-01-01" in text
    assert "8 numbers in this order: a|b, paid, paid is missing, colour=red" in text


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (None, "No value may be missing."),
        (ArrayPreprocessing(shape=[5, 4, 3], is_channels_last=True), "`x.transpose(0, 3, 1, 2)`"),
        (ImagePreprocessing(channels=3, height=5, width=4, is_resized=True), "scaled to 5 x 4"),
        (
            TablePreprocessing(columns=[Number(name="a", fill=1.0)], features=["a"]),
            "but for numbers (NaN): the model fills in the usual one.",
        ),
        (TablePreprocessing(columns=[Number(name="a")], features=["a"]), "No value may be missing."),
    ],
)
def test_preparation__any_document__said_in_words(document: AnyPreprocessing | None, said: str) -> None:
    assert said in " ".join(preparation(document))
