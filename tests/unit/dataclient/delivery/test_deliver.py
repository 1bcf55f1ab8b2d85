"""What is in a delivered folder, used as its README says, and what is said where a library is missing."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataclient.answers import FORMS, answers_of
from dataclient.bundle import Bundle
from dataclient.delivery.agreement import undiscretised
from dataclient.delivery.deliver import FILES, Delivery, HeldOut, deliver
from dataclient.delivery.pictures import confusion_picture, residual_picture
from dataclient.delivery.report import confusion
from pole.task.manifest import ConvolutionalMapping, DenseMapping, Discretisation, Quantity
from pole.task.rows import discretise
from pole.task.scores import Target, predictions_of
from tests.unit.dataclient.delivery.bundles import bundle_of, manifest_of, rows_of
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
    data = bundle.description.manifest.data
    x = discretise(rows_of(bundle.description.manifest, rows), data.discretisation)
    predictions = predictions_of(bundle.logits(undiscretised(x, data.discretisation)), FORMS[data.target])
    labels = np.arange(rows) % data.outputs
    if data.target is not Target.CLASS:
        labels = np.eye(data.outputs, dtype=np.int64)[labels] * (1 << 24 if data.quantities else 1)
    return HeldOut(x, labels, predictions)


def flat() -> Bundle:
    return bundle_of(manifest_of(graph_of(linear(5)), DenseMapping(vectors=4), (6,)))


def images() -> Bundle:
    mapping = ConvolutionalMapping(filters=2, kernel=3)
    return bundle_of(manifest_of(graph_of(conv(8, 3), GLOBAL, linear(5)), mapping, (2, 5, 4)))


def with_labels() -> Bundle:
    names = ["red", "b|g", "€", "large"]
    manifest = manifest_of(
        graph_of(linear(4)), DenseMapping(vectors=4), (6,), metric="multilabel_f1", label_names=names
    )
    return bundle_of(manifest)


def with_quantities(quantities: int = 3) -> Bundle:
    ranges = [
        {"name": f"price {i}", "unit": "€/m²" if i else "", "minimum": 1e6 * i - 7.7, "maximum": 1e6 * i + 20.0}
        for i in range(quantities)
    ]
    manifest = manifest_of(graph_of(linear(quantities)), DenseMapping(vectors=4), (6,), metric="r2", quantities=ranges)
    return bundle_of(manifest)


def ranked() -> Bundle:
    return bundle_of(manifest_of(graph_of(linear(5)), DenseMapping(vectors=4), (6,), metric="roc_auc"))


def run_readme(folder: Path, delivery: Delivery) -> str:
    """What the README's code prints, where nothing of this project can be imported."""
    for name, content in delivery.files.items():
        (folder / name).write_bytes(content)
    text = (folder / "README.md").read_text()
    assert len(text.splitlines()) <= 40
    [code] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    alone = WITHOUT.format(missing=("dataclient", "pole", "torch", "onnx")) + code
    done = subprocess.run([sys.executable, "-c", alone], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.mark.parametrize("bundle", [flat(), images(), ranked()], ids=["flat", "images", "ranked"])
def test_deliver__its_readme_s_code__runs_without_this_project(tmp_path: Path, bundle: Bundle) -> None:
    printed = run_readme(tmp_path, deliver(bundle, held_out(bundle), b"{}"))
    name, share = printed.rsplit(maxsplit=1)
    assert name in bundle.description.manifest.data.class_names
    assert 0.2 <= float(share) <= 1


def test_deliver__label_sets__readme_s_code_and_report_by_label(tmp_path: Path) -> None:
    bundle = with_labels()
    delivery = deliver(bundle, held_out(bundle), b"{}")
    assert set(delivery.files) == FILES - {"confusion-matrix.png", "residuals.png"}
    assert delivery.remarks == ["model.onnx gives the labels that predict gives on 60 of 60 test rows"]
    middle = np.array([[(low + low + 2.3) / 2 for low in bundle.description.manifest.data.discretisation.minimum]])
    found, shares = answers_of(bundle.logits(middle), bundle.description.manifest.data)
    names = [name for name, is_found in zip(["red", "b|g", "€", "large"], found[0], strict=True) if is_found]
    printed = run_readme(tmp_path, delivery)
    assert printed.startswith(f"{names} [")
    assert np.allclose([float(text) for text in re.findall(r"\d\.\d*", printed)], shares[0], atol=2e-3)


def test_deliver__quantities__readme_s_code_gives_them_in_their_units(tmp_path: Path) -> None:
    bundle = with_quantities()
    delivery = deliver(bundle, held_out(bundle), b"{}")
    assert set(delivery.files) == FILES - {"confusion-matrix.png"}
    [remark] = delivery.remarks
    share = re.fullmatch(
        r"model.onnx gives the values that predict gives to within (\S+) % of their range on 60 test rows", remark
    )
    assert share is not None
    assert 0 < float(share[1]) < 0.01
    lines = run_readme(tmp_path, delivery).splitlines()
    assert [line.split()[:2] for line in lines] == [["price", "0"], ["price", "1"], ["price", "2"]]
    assert -7.7 <= float(lines[0].split()[2]) <= 20
    assert lines[2].endswith(" €/m²")
    with Image.open(tmp_path / "residuals.png") as picture:
        assert min(picture.size) > 200
    assert "![Errors over predicted values](residuals.png)" in delivery.files["report.md"].decode()


def test_deliver__dozens_of_quantities__no_picture_and_a_word_about_it() -> None:
    bundle = with_quantities(17)
    delivery = deliver(bundle, held_out(bundle), b"{}")
    assert "residuals.png" not in delivery.files
    assert delivery.remarks[-1].startswith("no residuals.png: 17 quantities are too many to draw")
    assert b"| price 16 [\xe2\x82\xac/m\xc2\xb2] | " in delivery.files["report.md"]


def test_deliver__metric_of_probabilities__classes_in_the_report() -> None:
    bundle = ranked()
    delivery = deliver(bundle, held_out(bundle), b"{}")
    assert set(delivery.files) == FILES - {"residuals.png"}
    text = delivery.files["report.md"].decode()
    assert "The metric of the task is roc auc." in text
    assert "## By class, on the 60 test rows" in text


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


def test_report__label_sets__by_hand() -> None:
    labels = np.array([[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])
    predictions = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    test = HeldOut(np.zeros((3, 6), np.uint8), labels, predictions)
    text = deliver(with_labels(), test, b"{}").files["report.md"].decode()
    assert "1 of 3 rows (33.3 %) get exactly the labels that they have." in text
    assert "| red | 1 | 2 | 1 | 50.0 % | 100.0 % | 66.7 % |" in text
    assert "| b\\|g | 2 | 1 | 1 | 100.0 % | 50.0 % | 66.7 % |" in text
    assert "| € | 1 | 0 | 0 | - | 0.0 % | 0.0 % |" in text
    assert "| large | 0 | 0 | 0 | - | - | - |" in text


def test_report__quantities__by_hand() -> None:
    """Ranges are 27.7 wide; the errors of the first are 0 and a half of that, those of the third are 0."""
    half, end = 1 << 23, 1 << 24
    labels, predictions = np.array([[0, 0, end], [half, 0, end]]), np.array([[0, 0, end], [end, half, end]])
    test = HeldOut(np.zeros((2, 6), np.uint8), labels, predictions)
    text = deliver(with_quantities(), test, b"{}").files["report.md"].decode()
    assert "| price 0 | -7.7 to 20 | 6.925 | 9.793 | 6.925 | 13.85 | -1.0000 |" in text
    assert "| price 1 [€/m²] | 999992.3 to 1000020 | 6.925 | 9.793 | 6.925 | 13.85 | - |" in text
    assert "| price 2 [€/m²] | 1999992.3 to 2000020 | 0 | 0 | 0 | 0 | - |" in text


def test_confusion__rows_are_true_classes() -> None:
    assert confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 3).tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize("names", [["$x^{$", "b\\frac"], ["日本", "a" * 100], [str(i) for i in range(40)]])
def test_confusion_picture__any_class_names__draws_them(tmp_path: Path, names: list[str]) -> None:
    (tmp_path / "picture.png").write_bytes(confusion_picture(names, np.eye(len(names), dtype=np.int64)))
    with Image.open(tmp_path / "picture.png") as picture:
        assert min(picture.size) > 200


@pytest.mark.parametrize("quantities", [1, 5])
def test_residual_picture__any_names_and_units__draws_them(tmp_path: Path, quantities: int) -> None:
    given = [Quantity(name=f"$x^{{$ 日{i}", unit="\\frac", minimum=0.0, maximum=1.0) for i in range(quantities)]
    values = np.zeros((3, quantities))
    (tmp_path / "picture.png").write_bytes(residual_picture(given, values, values))
    with Image.open(tmp_path / "picture.png") as picture:
        assert min(picture.size) > 200


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_undiscretised__discretises_to_what_it_came_from(bits: int) -> None:
    ranges = Discretisation(bits=bits, minimum=[-1.1, 0.0, 1e-9], maximum=[4.7, 255.0, 3e-9])
    x = np.repeat(np.arange(1 << bits, dtype=np.uint8)[:, None], 3, axis=1)
    assert (discretise(undiscretised(x, ranges), ranges) == x).all()
