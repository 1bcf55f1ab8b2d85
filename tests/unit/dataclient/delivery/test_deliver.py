"""What is in a delivered folder, used as its README says, and what is said where a library is missing."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataclient.bundle import Bundle
from dataclient.delivery.deliver import FILES, HeldOut, deliver, undiscretised
from dataclient.delivery.report import confusion, confusion_picture
from pole.task.manifest import ConvolutionalMapping, DenseMapping, Discretisation
from pole.task.rows import discretise
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
    x = rows_of(bundle.description.manifest, rows)
    labels = np.arange(rows) % bundle.description.manifest.outputs
    predictions = bundle.logits(x).argmax(axis=1).astype(np.int64)
    return HeldOut(discretise(x, bundle.description.manifest.data.discretisation), labels, predictions)


def flat() -> Bundle:
    return bundle_of(manifest_of(graph_of(linear(5)), DenseMapping(vectors=4), (6,)))


def images() -> Bundle:
    mapping = ConvolutionalMapping(filters=2, kernel=3)
    return bundle_of(manifest_of(graph_of(conv(8, 3), GLOBAL, linear(5)), mapping, (2, 5, 4)))


@pytest.mark.parametrize("bundle", [flat(), images()], ids=["flat", "images"])
def test_deliver__its_readme_s_code__runs_without_this_project(tmp_path: Path, bundle: Bundle) -> None:
    delivery = deliver(bundle, held_out(bundle), b"{}")
    for name, content in delivery.files.items():
        (tmp_path / name).write_bytes(content)
    text = (tmp_path / "README.md").read_text()
    assert len(text.splitlines()) <= 40
    [code] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    alone = WITHOUT.format(missing=("dataclient", "pole", "torch", "onnx")) + code
    done = subprocess.run([sys.executable, "-c", alone], cwd=tmp_path, check=True, capture_output=True, text=True)
    name, share = done.stdout.rsplit(maxsplit=1)
    assert name in bundle.description.manifest.data.class_names
    assert 0.2 <= float(share) <= 1


def test_deliver__everything_installed__all_files_and_how_well_onnx_agrees() -> None:
    bundle = flat()
    delivery = deliver(bundle, held_out(bundle), b"{}")
    assert set(delivery.files) == FILES
    assert delivery.remarks == ["model.onnx gives the class that predict gives on 60 of 60 test rows"]


def test_deliver__without_the_extra__says_what_is_left_out_and_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = ("onnx", "onnxruntime", "matplotlib")
    for name in [*extra, *(name for name in sys.modules if name.partition(".")[0] in extra)]:
        monkeypatch.setitem(sys.modules, name, None)
    bundle = flat()
    delivery = deliver(bundle, held_out(bundle), b"{}")
    assert set(delivery.files) == FILES - {"model.onnx", "confusion-matrix.png"}
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
