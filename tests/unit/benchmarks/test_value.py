"""What a run of the benchmark of value keeps, and what its sets and scores are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.value.bulk import MeasuredSplit, plain_network_rows, plain_scores
from benchmarks.value.results import Key, Results
from benchmarks.value.sets import SETS, regression_table, table
from dataclient.drafting.proposal import Wishes
from dataclient.sources.plain import PlainData, Split
from pole.task.scores import Target

pd = pytest.importorskip("pandas")

KEY = Key("iris", split=0, hash=1, seconds=30.0, protect="balanced", recipe=3)


def test_results__run_cut_short_in_a_line__go_on_with_what_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    Results(file).put(KEY, {"commissioned": 95.5})
    file.write_bytes(file.read_bytes() + b'{"key": {"set": "ir')
    results = Results(file)
    assert results.get(KEY) == {"commissioned": 95.5}
    assert results.put(replace(KEY, hash=None), {"linear": 90.0}) == {"linear": 90.0}
    again = Results(file)
    assert [again.get(key) for key in (KEY, replace(KEY, hash=None))] == [{"commissioned": 95.5}, {"linear": 90.0}]


@pytest.mark.parametrize(
    "other", [{"set": "wine"}, {"split": 1}, {"hash": None}, {"seconds": 60.0}, {"protect": "rows"}, {"recipe": 4}]
)
def test_results__anything_else_about_a_measurement__is_another_one(tmp_path: Path, other: dict[str, object]) -> None:
    results = Results()
    results.put(KEY, {"commissioned": 95.5})
    assert results.get(replace(KEY, **other)) is None  # type: ignore[arg-type]


def test_table__words_and_missing_numbers__become_columns() -> None:
    frame = pd.DataFrame({"sex": ["f", "m", "f"], "age": [1.0, None, 3.0], "same": [7, 7, 7], "label": ["b", "a", "b"]})
    found = table(frame, "label")
    assert found.feature_names == ("sex m", "age missing", "age")
    assert found.x.tolist() == [[0, 0, 1], [1, 1, 2], [0, 0, 3]]
    assert (found.class_names, found.labels.tolist()) == (("a", "b"), [1, 0, 1])


def test_regression_table__a_number_wanted__is_a_quantity() -> None:
    found = regression_table(pd.DataFrame({"size": [1, 2, 3], "price": [10, 20, 30]}), "price")
    assert (found.target, found.quantity_names, found.labels.tolist()) == (
        Target.QUANTITY,
        ("price",),
        [[10.0], [20.0], [30.0]],
    )


def test_plain_scores__straight_line__ridge_explains_all_of_it_and_boosting_most() -> None:
    x = np.linspace(0, 1, 200)
    data = regression_table(pd.DataFrame({"x": x, "y": 3 * x + 1}), "y")
    even = np.arange(0, 200, 2)
    linear, boosting = plain_scores(Split(data.take(even), data.take(even + 1)))
    assert linear > 99.9
    assert 95 < boosting < linear


def test_plain_network_rows__images_under_a_dense_mapping__are_flat_and_standardised() -> None:
    x = np.random.default_rng(1).integers(0, 256, size=(20, 1, 4, 4)).astype(np.uint8)
    data = PlainData(x, np.arange(20) % 2, ("a", "b"))
    measured = MeasuredSplit(data, seed=0, seconds=1.0, wishes=Wishes(vectors=3, required_train_ppm=500_000))
    rows = plain_network_rows(measured.task, measured.parts)
    assert (rows.train_x.shape, rows.test_x.shape) == ((16, 16), (4, 16))
    assert np.allclose(rows.train_x.std(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize("name", ["iris", "diabetes"])
def test_measured_split__class_or_quantity__scores_of_plain_and_commissioned_models(name: str) -> None:
    data = next(each for each in SETS if each.name == name).load(None)
    measured = MeasuredSplit(data, seed=0, seconds=0.5, wishes=Wishes(vectors=data.shape[0] - 1))
    plain, commissioned = measured.plain(), measured.commissioned(0)
    assert set(plain) == {"linear", "boosting", "network", "seconds"}
    assert commissioned["given_away"] == (data.shape[0] - 1) / data.shape[0]
    guessing = 100 / 3 if name == "iris" else 0.0
    assert min(plain["linear"], plain["network"], commissioned["commissioned"]) > guessing
