"""Predicting with a bundle built by hand, so that every class is known beforehand.

It is of version 1, so that its previous hash, all ones, is the mapping's. z^1 then starts with the bits 100 000, so its
weights are (4, 0): the one mapped feature is four times the first plain feature. With mean 20 and scale 1 the model
says "high" from a first feature of 6 on.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from dataclient.bundle import Bundle, Description, Normalisation, Origin, read_bundle
from dataclient.newrows.read import new_rows
from dataclient.newrows.rows import NewRows, Wanted
from dataclient.predict import Predictions, Tally, predict
from dataclient.predictions import check_out, write_predictions
from dataclient.preprocessing.document import AnyPreprocessing, Labels, Number, TablePreprocessing
from pole.errors import BadInput, ManifestInvalid, ModelInvalid, PoleError
from pole.learning.mapping import mapping_hash
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


def read(path: Path, bought: Bundle, label: str | None = None, identity: str | None = None) -> list[NewRows]:
    return list(new_rows(path, bought, Wanted(label=label, identity=identity)))


def predicted(path: Path, bought: Bundle, label: str | None = None) -> tuple[Predictions, Tally]:
    """Of a file of one piece."""
    tally = Tally()
    [found] = predict(bought, read(path, bought, label), tally)
    return found, tally


def bundle(feature_names: list[str] | None = NAMES, preprocessing: AnyPreprocessing | None = None) -> Bundle:
    model = new_model(manifest())
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            tensor.copy_(torch.tensor([[-1.0], [1.0]] if name.endswith("weight") else [0.0, 0.0]))
    weights = save_model(model)
    description = Description(
        model=str(cid_of(weights)),
        manifest_cid=str(cid_of(manifest().to_bytes())),
        manifest=manifest(),
        version=1,
        previous_hash="ff" * 32,
        normalisation=Normalisation(mean=[20.0], scale=[1.0]),
        feature_names=feature_names,
        preprocessing=preprocessing,
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
        ("amount,noise\n1,x\n", None, "line 2, column 'noise': 'x' is not a number"),
        ("amount,noise\n\n1,2\n\n\n1,x\n", None, "line 6, column 'noise': 'x' is not a number"),
        ("amount,noise\n1,2\n", "kind", "no label column 'kind'"),
        ("amount,noise,kind\n1,2,medium\n", "kind", r"label\(s\) medium; the model knows low, high"),
    ],
)
def test_read_new_rows__unusable_csv__says_what_is_wrong(
    tmp_path: Path, content: str, label: str | None, message: str
) -> None:
    (tmp_path / "new.csv").write_text(content)
    with pytest.raises(BadInput, match=message):
        read(tmp_path / "new.csv", bundle(), label)


def test_read_new_rows__wrong_width__is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "new.npz", x=np.zeros((3, 5)))
    with pytest.raises(BadInput, match="have 5 features, the model needs 2"):
        read(tmp_path / "new.npz", bundle())


def test_read_new_rows__nan_in_npz__names_the_row(tmp_path: Path) -> None:
    np.savez(tmp_path / "new.npz", x=np.array([[1.0, 2.0], [np.nan, 1.0]]))
    with pytest.raises(BadInput, match="row 2, column 'amount': the value is missing"):
        read(tmp_path / "new.npz", bundle())


def test_read_new_rows__missing_file__is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no file .*new\.csv"):
        read(tmp_path / "new.csv", bundle())


def test_predict__csv__finds_columns_by_name_and_scores(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("kind,noise,extra,amount\nhigh,0,a,6\nlow,15,b,4\nlow,3,c,99\n")
    bought = bundle()
    predictions, tally = predicted(tmp_path / "new.csv", bought, "kind")
    assert predictions.predicted.tolist() == [1, 0, 1]
    assert tally.accuracy == pytest.approx(2 / 3)
    assert tally.clipped_fraction == pytest.approx(1 / 6)
    assert predictions.far.tolist() == [[False, False], [False, False], [True, False]]
    assert tally.notes == ["columns that the model does not use are ignored: extra"]
    # Logits are -4 and 4 for an amount of 6: the feature is 24 - 20.
    assert predictions.values[0, 1] == pytest.approx(1 / (1 + np.exp(-8)))


def test_predict__npz_with_labels__scores(tmp_path: Path) -> None:
    np.savez(tmp_path / "new.npz", x=np.array([[15, 0], [0, 15]]), kind=np.array(["high", "low"]))
    bought = bundle()
    assert predicted(tmp_path / "new.npz", bought, "kind")[1].accuracy == 1.0


def test_predict__csv_without_feature_names__goes_by_position(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("a,kind,b\n7,low,0\n5,low,0\n")
    bought = bundle(feature_names=None)
    predictions, tally = predicted(tmp_path / "new.csv", bought, "kind")
    assert predictions.predicted[0] == 1
    assert tally.accuracy == 0.5


def test_new_rows__headerless_csv_without_names__keeps_its_first_row(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("7,0\n5,0\n")
    predictions, _ = predicted(tmp_path / "new.csv", bundle(feature_names=None))
    assert predictions.predicted.tolist() == [1, 0]


def test_new_rows__headerless_csv_for_named_columns__is_refused(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("7,0\n5,0\n")
    with pytest.raises(BadInput, match=r"lacks column\(s\) amount, noise"):
        read(tmp_path / "new.csv", bundle())


def test_new_rows__unknown_label_that_nobody_asked_for__is_not_scored(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("amount,noise,kind\n7,0,medium\n")
    _, tally = predicted(tmp_path / "new.csv", named())
    assert tally.accuracy is None
    assert "not scored by column 'kind'" in tally.notes[0]


def named() -> Bundle:
    """A model that knows its label column, decimal commas and what to fill in."""
    columns = [Number(name="amount", decimal=",", fill=4.0, maximum=15.0), Number(name="noise", fill=2.0)]
    document = TablePreprocessing.model_validate(
        {"columns": columns, "features": NAMES, "labels": Labels(column="kind")}
    )
    return bundle(preprocessing=document)


def test_predict__as_the_training_rows_were_read__scores_unasked_and_fills_in(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("noise;kind;amount\n1;high;7,5\n1;low;NA\n1;high;900,0\n")
    found, tally = predicted(tmp_path / "new.csv", named())
    assert found.rows.x.tolist() == [[7.5, 1.0], [4.0, 1.0], [15.0, 1.0]]
    assert found.rows.unclipped[2, 0] == 900.0
    assert found.far[:, 0].tolist() == [False, False, True]
    assert tally.accuracy == 1.0
    assert "column 'amount' has 1 missing value(s)" in tally.notes[0]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_write_predictions__id_and_far_values__are_carried_through_in_order(tmp_path: Path, suffix: str) -> None:
    rows = [f"{i},0,n{999 - i}" for i in range(1000)]
    (tmp_path / "new.csv").write_text("\n".join(["amount,noise,name", *rows]))
    bought, out = bundle(), tmp_path / f"out.{suffix}"
    found = predict(bought, read(tmp_path / "new.csv", bought, identity="name"), Tally())
    write_predictions(out, bought, found, is_overwriting=False)
    frame = pd.read_csv(out, keep_default_na=False) if suffix == "csv" else pd.read_parquet(out)
    assert frame["name"].tolist() == [f"n{999 - i}" for i in range(1000)]
    assert frame["row"].tolist() == list(range(1, 1001))
    assert frame["class"].tolist() == ["low" if i < 6 else "high" for i in range(1000)]
    assert frame["far_outside"].tolist() == ["" if i < 17 else "amount" for i in range(1000)]
    assert np.allclose(frame["probability low"] + frame["probability high"], 1, atol=2e-4)


def test_new_rows__table_in_several_pieces__is_read_whole_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataclient.sources.tables.CELLS_AT_ONCE", 14)
    (tmp_path / "new.csv").write_text("amount,noise\n" + "".join(f"{i},1\n\n" for i in range(20)))
    pieces = read(tmp_path / "new.csv", bundle())
    assert [len(piece.x) for piece in pieces] == [7, 7, 6]
    assert np.concatenate([piece.x for piece in pieces])[:, 0].tolist() == list(range(20))
    (tmp_path / "new.csv").write_text("amount,noise\n" + "".join(f"{i},1\n\n" for i in range(20)) + "x,1\n")
    with pytest.raises(BadInput, match="line 42, column 'amount': 'x' is not a number"):
        read(tmp_path / "new.csv", bundle())


@pytest.mark.parametrize(("out", "message"), [("rows.csv", "is the file with the rows"), ("old.csv", "say --force")])
def test_check_out__existing_file__is_kept(tmp_path: Path, out: str, message: str) -> None:
    for name in ("rows.csv", "old.csv"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(BadInput, match=message):
        check_out(tmp_path / out, tmp_path / "rows.csv", is_overwriting=out == "rows.csv")
    check_out(tmp_path / "old.csv", tmp_path / "rows.csv", is_overwriting=True)


def test_write_predictions__rows_that_turn_out_broken__leave_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("mine")
    (tmp_path / "new.csv").write_text("amount,noise\n1,x\n")
    bought = bundle()
    found = predict(bought, new_rows(tmp_path / "new.csv", bought, Wanted()), Tally())
    with pytest.raises(BadInput, match="'x' is not a number"):
        write_predictions(tmp_path / "out.csv", bought, found, is_overwriting=True)
    assert (tmp_path / "out.csv").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.csv", "out.csv"]


def test_write_predictions__has_class_names_and_row_numbers(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("amount,noise\n15,0\n0,0\n")
    bought = bundle()
    found = predict(bought, read(tmp_path / "new.csv", bought), Tally())
    write_predictions(tmp_path / "out.csv", bought, found, is_overwriting=False)
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        "row,class,confidence,far_outside,probability low,probability high",
        "1,high,1.0000,,0.0000,1.0000",
        "2,low,1.0000,,1.0000,0.0000",
    ]


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
        ('"scale":', '"skale":', r"damaged: normalisation\."),
        ("20.0", "NaN", "damaged: "),
        ("20.0", "20.0, 21.0", "2 means and 1 scales for 1 mapped features"),
        ('"ff', '"fg', "damaged: previous_hash"),
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


def test_predict_and_collect__without_torch_and_what_reads_tables__can_be_imported() -> None:
    program = """
import sys
from importlib.abc import MetaPathFinder
class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "pandas", "pyarrow", "openpyxl", "sklearn", "PIL"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
import dataclient.collect, dataclient.predict, dataclient.serve, dataclient.status
"""
    subprocess.run([sys.executable, "-c", program], check=True)


# --- labels and quantities ---


def bought_for(metric: str, preprocessing: AnyPreprocessing | None = None, **targets: Any) -> Bundle:
    """The same weights; the outputs are -4 and 4, or what the rows make of them."""
    old = bundle(preprocessing=preprocessing)
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
        read(tmp_path / "new.csv", bought_for("multilabel_f1", label_names=["big", "red"]), "tags")
    with pytest.raises(BadInput, match=r"line 2, column 'tags': 'red\|huge' is not a number"):
        read(tmp_path / "new.csv", bought_for("r2", quantities=QUANTITIES[:1]), "tags")
    np.savez(tmp_path / "new.npz", x=np.zeros((2, 2)), y=np.zeros((2, 3)))
    with pytest.raises(BadInput, match="y has 3 columns, the model predicts 2"):
        read(tmp_path / "new.npz", bought_for("r2", quantities=QUANTITIES), "y")


def test_predict__labels__names_probabilities_and_score(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("amount,noise,tags\n6,0,red\n4,15,red\n")
    bought = bought_for("multilabel_accuracy", label_names=["big", "red"])
    found, tally = predicted(tmp_path / "new.csv", bought, "tags")
    assert found.predicted.tolist() == [[0, 1], [1, 0]]
    assert (tally.score_ppm(bought.description.manifest), tally.accuracy) == (500_000, None)
    write_predictions(tmp_path / "out.csv", bought, [found], is_overwriting=False)
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        "row,labels,far_outside,probability big,probability red",
        "1,red,,0.0180,0.9820",
        "2,big,,0.9820,0.0180",
    ]


def test_predict__quantities__in_their_units_and_cut_off_at_the_range(tmp_path: Path) -> None:
    """The feature is 0.25 for an amount of 5 and a mean of 19.75, so the outputs are -0.25 and 0.25."""
    bought = bought_for("r2", quantities=QUANTITIES)
    normalisation = Normalisation(mean=[19.75], scale=[1.0])
    bought = Bundle(bought.description.model_copy(update={"normalisation": normalisation}), bought.weights)
    np.savez(tmp_path / "new.npz", x=np.array([[5, 0], [15, 0]]), y=np.array([[0.0, -0.5], [10.0, 1.0]]))
    found, tally = predicted(tmp_path / "new.npz", bought, "y")
    write_predictions(tmp_path / "out.csv", bought, [found], is_overwriting=False)
    assert (tmp_path / "out.csv").read_text().splitlines() == ["row,price [EUR],age,far_outside", "1,0,-0.5,", "2,0,1,"]
    # Price is no better than the mean, age without error.
    assert tally.score_ppm(bought.description.manifest) == 500_000
    write_predictions(tmp_path / "out.parquet", bought, [found], is_overwriting=False)
    frame = pd.read_parquet(tmp_path / "out.parquet")
    assert frame["age"].tolist() == [-0.5, 1.0]


def test_predict__labels_of_training__scored_unasked_by_their_own_marks(tmp_path: Path) -> None:
    columns = [Number(name="amount"), Number(name="noise")]
    read_as = Labels(column="price", decimal=",", groups=True)
    document = TablePreprocessing.model_validate({"columns": columns, "features": NAMES, "labels": read_as})
    bought = bought_for("r2", document, quantities=[{**QUANTITIES[0], "maximum": 2000.0}, QUANTITIES[1]][:1])
    (tmp_path / "new.csv").write_text("amount;noise;price\n5;0;1.000,5\n15;0;2\n")
    [rows] = read(tmp_path / "new.csv", bought)
    assert rows.labels is not None
    assert rows.labels[:, 0].tolist() == [round(1000.5 / 2000 * 2**24), round(2 / 2000 * 2**24)]


def test_write_predictions__names_that_meet__replace_nothing(tmp_path: Path) -> None:
    quantities = [{**QUANTITIES[0], "name": "row", "unit": ""}, {**QUANTITIES[1], "name": "far_outside"}]
    bought = bought_for("r2", quantities=quantities)
    (tmp_path / "new.csv").write_text("amount,noise,row\n5,0,a\n")
    found = list(predict(bought, read(tmp_path / "new.csv", bought, identity="row"), Tally()))
    write_predictions(tmp_path / "out.csv", bought, found, is_overwriting=False)
    header, cells = (tmp_path / "out.csv").read_text().splitlines()
    assert header == "row,row (3),row (2),far_outside,far_outside (2)"
    assert cells.split(",")[:2] == ["1", "a"]


def test_predict__metric_of_probabilities__both_scores(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("amount,noise,kind\n6,0,high\n4,15,low\n")
    old = bundle()
    log_loss = manifest().model_copy(update={"metric": "log_loss"})
    bought = Bundle(old.description.model_copy(update={"manifest": log_loss}), old.weights)
    _, tally = predicted(tmp_path / "new.csv", bought, "kind")
    assert tally.accuracy == 1.0
    assert tally.score_ppm(log_loss) == 999_664  # 1 / (1 + exp -8)


def test_predict__in_pieces__scored_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mean over pieces would be another r2 than that of all rows."""
    bought = bought_for("r2", quantities=QUANTITIES[1:] + QUANTITIES[:1])
    rng = np.random.default_rng(0)
    y = rng.uniform(-1, 1, (40, 2)) * [1, 50]
    np.savez(tmp_path / "new.npz", x=rng.uniform(0, 15, (40, 2)), y=y)
    scores = []
    for rows in (7, 40):
        monkeypatch.setattr("dataclient.newrows.arrays.ARRAY_ROWS_AT_ONCE", rows)
        tally = Tally()
        pieces = list(predict(bought, read(tmp_path / "new.npz", bought, "y"), tally))
        scores.append(tally.score_ppm(bought.description.manifest))
    assert (len(pieces), scores[0]) == (1, scores[1])


def test_mapping_hash__previous_hash_that_rounds_refuse__is_replaced_since_version_2() -> None:
    """The first bits of all ones make vectors that see only one of the features."""
    old = bundle()
    new = Bundle(old.description.model_copy(update={"version": 2}), old.weights)
    assert old.mapping_hash == b"\xff" * 32
    assert new.mapping_hash == mapping_hash(manifest().mapping, b"\xff" * 32, (2,)) != old.mapping_hash
    rows = np.array([[6.0, 0.0], [0.0, 6.0]])
    assert old.features(rows)[:, 0].tolist() == [4.0, -20.0]
    assert new.features(rows)[1, 0] != -20.0
