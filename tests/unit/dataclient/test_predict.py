"""Predicting with a bundle built by hand, so that every class is known beforehand.

The previous hash is all ones. z^1 then starts with the bits 100 000, so its weights are (4, 0): the one mapped feature
is four times the first plain feature. With mean 20 and scale 1 the model says "high" from a first feature of 6 on.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dataclient.bundle import Bundle, Description, Normalisation, Origin, read_bundle
from dataclient.predict import predict, read_new_rows, write_predictions
from pole.errors import BadInput, ManifestInvalid, ModelInvalid, PoleError
from pole.storage.cid import cid_of
from pole.task.manifest import (
    DataSet,
    DenseMapping,
    Discretisation,
    GraphModel,
    Linear,
    Manifest,
    NoEncryption,
    RowFile,
)
from pole.task.model import new_model
from pole.task.weights import save_model

NAMES = ["amount", "noise"]


def manifest() -> Manifest:
    return Manifest(
        name="by hand",
        model=GraphModel(layers=[Linear(name="classes", size=2)]),
        data=DataSet(
            shape=[2],
            class_names=["low", "high"],
            discretisation=Discretisation(bits=4, minimum=[0.0], maximum=[15.0]),
            training_set=[RowFile(cid=str(cid_of(b"rows")), rows=2, size_bytes=4)],
            test_rows=1,
            test_size_bytes=1,
        ),
        mapping=DenseMapping(vectors=1),
        encryption=NoEncryption(),
        max_model_bytes=10_000,
    )


def bundle(feature_names: list[str] | None = NAMES) -> Bundle:
    model = new_model(manifest())
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            tensor.copy_(torch.tensor([[-1.0], [1.0]] if name.endswith("weight") else [0.0, 0.0]))
    weights = save_model(model)
    description = Description(
        model=str(cid_of(weights)),
        manifest_cid=str(cid_of(manifest().to_bytes())),
        manifest=manifest(),
        previous_hash="ff" * 32,
        normalisation=Normalisation(mean=[20.0], scale=[1.0]),
        feature_names=feature_names,
        origin=Origin(
            chain_id=1,
            task_id=1,
            height=1,
            header_hash="00" * 32,
            winner="0x" + "11" * 20,
            voted_train_ppm=1,
            voted_test_ppm=1,
        ),
        own_train_ppm=1,
        own_test_ppm=1,
    )
    return Bundle(description, weights)


@pytest.mark.parametrize(
    ("content", "label", "message"),
    [
        ("amount,kind\n1,low\n", None, r"lacks column\(s\) noise; the model needs amount, noise"),
        ("amount,noise\n", None, "has no rows"),
        ("amount,noise\n1,\n", None, "line 2, column 'noise': the value is missing"),
        ("amount,noise\n1,x\n", None, "'x' is not a number"),
        ("amount,noise\n1,2\n", "kind", "no label column 'kind'"),
        ("amount,noise,kind\n1,2,medium\n", "kind", r"label\(s\) medium; the model knows low, high"),
    ],
)
def test_read_new_rows__unusable_csv__says_what_is_wrong(
    tmp_path: Path, content: str, label: str | None, message: str
) -> None:
    (tmp_path / "new.csv").write_text(content)
    with pytest.raises(BadInput, match=message):
        read_new_rows(tmp_path / "new.csv", bundle(), label)


def test_read_new_rows__wrong_width__is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "new.npz", x=np.zeros((3, 5)))
    with pytest.raises(BadInput, match="have 5 features, the model needs 2"):
        read_new_rows(tmp_path / "new.npz", bundle(), None)


def test_read_new_rows__nan_in_npz__names_the_row(tmp_path: Path) -> None:
    np.savez(tmp_path / "new.npz", x=np.array([[1.0, 2.0], [np.nan, 1.0]]))
    with pytest.raises(BadInput, match="first in row 2"):
        read_new_rows(tmp_path / "new.npz", bundle(), None)


def test_read_new_rows__missing_file__is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no file .*new\.csv"):
        read_new_rows(tmp_path / "new.csv", bundle(), None)


def test_predict__csv__finds_columns_by_name_and_scores(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("kind,noise,extra,amount\nhigh,0,a,6\nlow,15,b,4\nlow,3,c,99\n")
    bought = bundle()
    predictions = predict(bought, read_new_rows(tmp_path / "new.csv", bought, "kind"))
    assert predictions.classes.tolist() == [1, 0, 1]
    assert predictions.accuracy == pytest.approx(2 / 3)
    assert predictions.clipped_fraction == pytest.approx(1 / 6)
    # Logits are -4 and 4 for an amount of 6: the feature is 24 - 20.
    assert predictions.confidences[0] == pytest.approx(1 / (1 + np.exp(-8)))


def test_predict__npz_with_labels__scores(tmp_path: Path) -> None:
    np.savez(tmp_path / "new.npz", x=np.array([[15, 0], [0, 15]]), kind=np.array(["high", "low"]))
    bought = bundle()
    assert predict(bought, read_new_rows(tmp_path / "new.npz", bought, "kind")).accuracy == 1.0


def test_predict__csv_without_feature_names__goes_by_position(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("a,kind,b\n7,low,0\n5,low,0\n")
    bought = bundle(feature_names=None)
    predictions = predict(bought, read_new_rows(tmp_path / "new.csv", bought, "kind"))
    assert predictions.classes[0] == 1
    assert predictions.accuracy == 0.5


def test_write_predictions__has_class_names_and_row_numbers(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("amount,noise\n15,0\n0,0\n")
    bought = bundle()
    write_predictions(tmp_path / "out.csv", bought, predict(bought, read_new_rows(tmp_path / "new.csv", bought, None)))
    assert (tmp_path / "out.csv").read_text().splitlines() == ["row,class,confidence", "1,high,1.0000", "2,low,1.0000"]


# --- files ---


def write(folder: Path) -> None:
    for name, content in bundle().files().items():
        (folder / name).write_bytes(content)


def test_read_bundle__no_folder__says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="give a folder that fetch-model wrote"):
        read_bundle(tmp_path / "none")


def test_read_bundle__other_weights__are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(ModelInvalid, match=r"is not the model that model\.json describes"):
        read_bundle(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"scale":', '"skale":', r"damaged at normalisation\."),
        ("20.0", "NaN", "damaged at"),
        ("20.0", "20.0, 21.0", "2 means and 1 scales for 1 mapped features"),
        ('"ff', '"fg', "damaged at previous_hash"),
        ("{", "", "damaged"),
    ],
)
def test_read_bundle__damaged_description__is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    write(tmp_path)
    path = tmp_path / "model.json"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises((ManifestInvalid, PoleError), match=message):
        read_bundle(tmp_path)


def test_read_bundle__reads_back_what_was_written(tmp_path: Path) -> None:
    write(tmp_path)
    assert read_bundle(tmp_path) == bundle()


def test_predict_and_collect__without_torch__can_be_imported() -> None:
    program = """
import sys
from importlib.abc import MetaPathFinder
class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
import dataclient.collect, dataclient.predict, dataclient.serve, dataclient.status
"""
    subprocess.run([sys.executable, "-c", program], check=True)


# --- labels and quantities ---


def bought_for(metric: str, **targets: Any) -> Bundle:
    """The same weights; the outputs are -4 and 4, or what the rows make of them."""
    old = bundle()
    data = DataSet.model_validate(
        {**{k: v for k, v in manifest().data.model_dump().items() if k != "class_names"}, **targets}
    )
    other = manifest().model_copy(update={"data": data, "metric": metric})
    return Bundle(old.description.model_copy(update={"manifest": other}), old.weights)


QUANTITIES = [
    {"name": "price", "unit": "EUR", "minimum": 0.0, "maximum": 100.0},
    {"name": "age", "minimum": -1.0, "maximum": 1.0},
]


def test_read_new_rows__unknown_label_or_no_number__refused(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("amount,noise,tags\n6,0,red|huge\n")
    with pytest.raises(BadInput, match=r"label\(s\) huge; the model knows big, red"):
        read_new_rows(tmp_path / "new.csv", bought_for("multilabel_f1", label_names=["big", "red"]), "tags")
    with pytest.raises(BadInput, match=r"'red\|huge' is not a number"):
        read_new_rows(tmp_path / "new.csv", bought_for("r2", quantities=QUANTITIES[:1]), "tags")
    np.savez(tmp_path / "new.npz", x=np.zeros((2, 2)), y=np.zeros((2, 3)))
    with pytest.raises(BadInput, match="labels have 3 columns, the model predicts 2"):
        read_new_rows(tmp_path / "new.npz", bought_for("r2", quantities=QUANTITIES), "y")


def test_predict__labels__names_probabilities_and_score(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("amount,noise,tags\n6,0,red\n4,15,red\n")
    bought = bought_for("multilabel_accuracy", label_names=["big", "red"])
    found = predict(bought, read_new_rows(tmp_path / "new.csv", bought, "tags"))
    assert (found.classes.tolist(), found.score_ppm, found.accuracy) == ([[0, 1], [1, 0]], 500_000, None)
    write_predictions(tmp_path / "out.csv", bought, found)
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        "row,labels,big,red",
        "1,red,0.0180,0.9820",
        "2,big,0.9820,0.0180",
    ]


def test_predict__quantities__in_their_units_and_cut_off_at_the_range(tmp_path: Path) -> None:
    """The feature is 0.25 for an amount of 5 and a mean of 19.75, so the outputs are -0.25 and 0.25."""
    bought = bought_for("r2", quantities=QUANTITIES)
    normalisation = Normalisation(mean=[19.75], scale=[1.0])
    bought = Bundle(bought.description.model_copy(update={"normalisation": normalisation}), bought.weights)
    np.savez(tmp_path / "new.npz", x=np.array([[5, 0], [15, 0]]), y=np.array([[0.0, -0.5], [10.0, 1.0]]))
    found = predict(bought, read_new_rows(tmp_path / "new.npz", bought, "y"))
    write_predictions(tmp_path / "out.csv", bought, found)
    assert (tmp_path / "out.csv").read_text().splitlines() == ["row,price [EUR],age", "1,0,-0.5", "2,0,1"]
    assert found.score_ppm == 500_000  # price is no better than the mean, age without error


def test_predict__metric_of_probabilities__both_scores(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("amount,noise,kind\n6,0,high\n4,15,low\n")
    old = bundle()
    bought = Bundle(
        old.description.model_copy(update={"manifest": manifest().model_copy(update={"metric": "log_loss"})}),
        old.weights,
    )
    found = predict(bought, read_new_rows(tmp_path / "new.csv", bought, "kind"))
    assert found.accuracy == 1.0
    assert found.score_ppm == 999_664  # 1 / (1 + exp -8)
