"""Scores by integers: refusals, vectors by hand, and libraries as oracles."""

import json
import math
import warnings
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
import torchmetrics.functional.classification as tm
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pole.errors import BadInput
from pole.exact import score_ppm
from pole.task.scores import METRICS, Form, Metric, form_of, predictions_of
from tests.paths import VECTORS

VECTOR = json.loads((VECTORS / "exact.json").read_text())
CASES, OUTPUT_CASES = VECTOR["scores"], VECTOR["output_scores"]
OF_CLASSES = [metric for metric, (form, _) in METRICS.items() if form is Form.CLASSES]
PAIRS = [
    (case, name) for case in OUTPUT_CASES for name in case if name not in ("about", "predictions", "labels", "working")
]


def score(predictions: list[int], labels: list[int], metric: Metric = "accuracy", classes: int = 3) -> int:
    return score_ppm(np.array(predictions, np.int64), np.array(labels, np.int64), metric, classes)


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("predictions", "labels"), [([], []), ([1], [1, 2]), ([1, 2], [1])])
def test_score__no_rows_or_unequal__refused(predictions: list[int], labels: list[int]) -> None:
    with pytest.raises(BadInput, match="need as many"):
        score(predictions, labels)


@pytest.mark.parametrize("wrong", [-1, 3])
def test_score__class_that_does_not_exist__refused(wrong: int) -> None:
    with pytest.raises(BadInput, match="labels run from"):
        score([0, 0], [0, wrong])
    with pytest.raises(BadInput, match="predictions run from"):
        score([0, wrong], [0, 0])
    with pytest.raises(BadInput, match="labels run from"):
        score_ppm(np.zeros((2, 3), np.int64), np.array([0, wrong]), "log_loss", 3)


@pytest.mark.parametrize(
    "metric", ["acuracy", "", "top_1_accuracy", "top_0_accuracy", "top_05_accuracy", "top_k_accuracy"]
)
def test_form_of__no_metric__refused_with_those_there_are(metric: str) -> None:
    with pytest.raises(BadInput, match=r"no metric .*balanced_accuracy"):
        form_of(metric)


@pytest.mark.parametrize(
    ("metric", "predictions", "labels"),
    [
        ("accuracy", (4, 3), (4,)),
        ("brier", (4,), (4,)),
        ("brier", (4, 2), (4,)),
        ("r2", (4, 3), (4,)),
        ("multilabel_f1", (4,), (4, 3)),
        ("top_2_accuracy", (4, 3), (4, 3)),
    ],
)
def test_score__shape_of_another_form__refused(
    metric: Metric, predictions: tuple[int, ...], labels: tuple[int, ...]
) -> None:
    with pytest.raises(BadInput, match="have shape"):
        score_ppm(np.zeros(predictions, np.int64), np.zeros(labels, np.int64), metric, 3)


@pytest.mark.parametrize(("metric", "largest"), [("multilabel_accuracy", 1), ("mae", 1 << 24)])
@pytest.mark.parametrize("beyond", [-1, 1])
def test_score__label_out_of_range__refused(metric: Metric, largest: int, beyond: int) -> None:
    wrong = np.array([[0], [-1 if beyond < 0 else largest + 1]])
    right = np.array([[0], [largest]])
    assert score_ppm(right, right, metric, 1) == 1_000_000
    with pytest.raises(BadInput, match="labels run from"):
        score_ppm(right, wrong, metric, 1)
    with pytest.raises(BadInput, match="predictions run from"):
        score_ppm(wrong, right, metric, 1)


# --- by hand ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", OF_CLASSES)
@pytest.mark.parametrize("case", CASES)
def test_score__worked_by_hand__equal(case: dict[str, Any], metric: Metric) -> None:
    assert score(case["predictions"], case["labels"], metric, case["classes"]) == case[metric]


@pytest.mark.parametrize(("case", "metric"), PAIRS, ids=[f"{case['about']}-{metric}" for case, metric in PAIRS])
def test_score__outputs_worked_by_hand__equal(case: dict[str, Any], metric: Metric) -> None:
    predictions, labels = (np.array(case[name], np.int64) for name in ("predictions", "labels"))
    assert score_ppm(predictions, labels, metric, predictions.shape[1]) == case[metric]


def test_vectors__every_metric__has_one() -> None:
    assert {metric for _, metric in PAIRS} | set(OF_CLASSES) == {*METRICS, "top_2_accuracy"}


def test_predictions_of__every_form__rounded_and_cut_off() -> None:
    logits = np.array([[0.25, 2.0**-18], [3.0, 3.0], [-5.0, 2e12], [2.0**-17, 2.0**-26]])
    assert predictions_of(logits, Form.CLASSES).tolist() == [0, 0, 1, 0]
    assert predictions_of(logits, Form.LABELS).tolist() == [[1, 1], [1, 1], [0, 1], [1, 1]]
    assert predictions_of(logits, Form.LOGITS).tolist() == [[16384, 0], [196608, 196608], [-327680, 1 << 40], [0, 0]]
    assert predictions_of(logits, Form.VALUES).tolist() == [[1 << 22, 64], [1 << 24, 1 << 24], [0, 1 << 24], [128, 0]]


# --- fractions and libraries as oracles ------------------------------------------------------------------------------

ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40)


@given(ROWS, st.sampled_from(["accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "cohen_kappa"]))
def test_score__any_rows__fractions_floored(pairs: list[tuple[int, int]], metric: Metric) -> None:
    n, (hits, labelled, predicted) = len(pairs), ([0] * 5 for _ in range(3))
    for prediction, label in pairs:
        hits[label] += prediction == label
        labelled[label] += 1
        predicted[prediction] += 1
    counts = list(zip(hits, labelled, predicted, strict=True))
    chance = Fraction(sum(a * b for _, a, b in counts), n * n)
    expected = {
        "accuracy": lambda: Fraction(sum(hits), n),
        "balanced_accuracy": lambda: _mean([Fraction(h, a) for h, a, _ in counts if a]),
        "macro_f1": lambda: _mean([Fraction(2 * h, a + b) for h, a, b in counts if a + b]),
        "weighted_f1": lambda: sum((Fraction(2 * h * a, (a + b) * n) for h, a, b in counts if a), Fraction(0)),
        "cohen_kappa": lambda: (
            Fraction(1, 2) if chance == 1 else (1 + (Fraction(sum(hits), n) - chance) / (1 - chance)) / 2
        ),
    }[metric]()
    assert score([p for p, _ in pairs], [label for _, label in pairs], metric, 5) == math.floor(expected * 10**6)


def _mean(parts: list[Fraction]) -> Fraction:
    return sum(parts, Fraction(0)) / len(parts)


@given(ROWS)
def test_score__any_rows__mcc_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    predictions, labels = zip(*pairs, strict=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a single class
        expected = (1 + sk.matthews_corrcoef(labels, predictions)) / 2
    assert score(list(predictions), list(labels), "mcc", 5) == pytest.approx(expected * 1e6, abs=1)


@pytest.mark.parametrize(
    ("metric", "oracle"),
    [
        ("mcc", lambda p, y: (1 + tm.multiclass_matthews_corrcoef(p, y, 4)) / 2),
        ("cohen_kappa", lambda p, y: (1 + tm.multiclass_cohen_kappa(p, y, 4)) / 2),
        ("weighted_f1", lambda p, y: tm.multiclass_f1_score(p, y, 4, average="weighted")),
        ("macro_f1", lambda p, y: tm.multiclass_f1_score(p, y, 4, average="macro")),
        ("balanced_accuracy", lambda p, y: tm.multiclass_accuracy(p, y, 4, average="macro")),
        ("accuracy", lambda p, y: tm.multiclass_accuracy(p, y, 4, average="micro")),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_score__classes__torchmetrics(metric: Metric, oracle: Callable[..., torch.Tensor], seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, 300)
    predictions = np.where(random.random(300) < 0.6, labels, random.integers(0, 4, 300))
    expected = float(oracle(torch.from_numpy(predictions), torch.from_numpy(labels)))
    assert score_ppm(predictions, labels, metric, 4) == pytest.approx(expected * 1e6, abs=2)


def softmax(logits: NDArray[np.int64]) -> NDArray[np.float64]:
    exponentials = np.exp((logits - logits.max(axis=1, keepdims=True)) / 65_536)
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def _rest(one: Callable[..., float], probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """One class against the rest, over the classes that have rows and others."""
    if probabilities.shape[1] == 2:
        return one(labels == 1, probabilities[:, 1])
    present = np.unique(labels)
    return float(np.mean([one(labels == label, probabilities[:, label]) for label in present]))


ORACLES: dict[Metric, Callable[[NDArray[np.float64], NDArray[np.int64]], float]] = {
    "log_loss": lambda p, y: math.exp(np.log(p[np.arange(len(y)), y]).mean()),
    "brier": lambda p, y: 1 - ((p - np.eye(p.shape[1])[y]) ** 2).sum(axis=1).mean() / 2,
    "roc_auc": lambda p, y: _rest(sk.roc_auc_score, p, y) if len(set(y)) > 1 else 0.5,
    "average_precision": lambda p, y: _rest(sk.average_precision_score, p, y),
}


@st.composite
def judged_rows(draw: st.DrawFn) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Logits, often with ties and equal rows, of 2 to 4 classes, some of which may have no row."""
    classes, rows = draw(st.integers(2, 4)), draw(st.integers(1, 25))
    value = st.sampled_from([-3, 0, 0, 1, 2, 9]).map(lambda v: v * 32_768) | st.integers(-(10**6), 10**6)
    logits = draw(st.lists(st.lists(value, min_size=classes, max_size=classes), min_size=rows, max_size=rows))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=rows, max_size=rows))
    return np.array(logits, np.int64), np.array(labels, np.int64)


@settings(deadline=None, max_examples=150)
@given(judged_rows(), st.sampled_from(sorted(ORACLES)))
def test_score__any_probabilities__scikit_learn(
    rows: tuple[NDArray[np.int64], NDArray[np.int64]], metric: Metric
) -> None:
    logits, labels = rows
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about classes without rows
        # Equal logits must stay equal, which libraries' exp does not promise for what is left of them.
        is_ranked = metric in ("roc_auc", "average_precision")
        expected = ORACLES[metric](np.round(softmax(logits), 9) if is_ranked else softmax(logits), labels)
    assert score_ppm(logits, labels, metric, logits.shape[1]) == pytest.approx(expected * 1e6, abs=2)


@given(judged_rows())
def test_score__binary_ranks__exact_fraction(rows: tuple[NDArray[np.int64], NDArray[np.int64]]) -> None:
    logits, labels = rows[0][:, :2], rows[1] % 2
    key = (logits[:, 1] - logits[:, 0]).tolist()
    positive = [k for k, y in zip(key, labels, strict=True) if y]
    negative = [k for k, y in zip(key, labels, strict=True) if not y]
    pairs = [Fraction(2 * (p > n) + (p == n), 2) for p in positive for n in negative]
    expected = _mean(pairs) if pairs else Fraction(1, 2)
    assert score_ppm(logits, labels, "roc_auc", 2) == math.floor(expected * 10**6)


@pytest.mark.parametrize("seed", range(3))
def test_score__probabilities__libraries(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, 500)
    logits = (random.normal(size=(500, 4)) * 65_536 + 60_000 * np.eye(4)[labels]).astype(np.int64)
    p, y = torch.from_numpy(softmax(logits)), torch.from_numpy(labels)
    found = {metric: score_ppm(logits, labels, metric, 4) for metric in (*ORACLES, "top_2_accuracy")}
    expected = {
        "log_loss": math.exp(-sk.log_loss(labels, softmax(logits))),
        "brier": 1 - sk.brier_score_loss(labels, softmax(logits), scale_by_half=True),
        "roc_auc": sk.roc_auc_score(labels, softmax(logits), multi_class="ovr"),
        "average_precision": float(tm.multiclass_average_precision(p, y, 4)),
        "top_2_accuracy": sk.top_k_accuracy_score(labels, logits, k=2),
    }
    assert found == {metric: pytest.approx(value * 1e6, abs=2) for metric, value in expected.items()}
    assert found["roc_auc"] == pytest.approx(float(tm.multiclass_auroc(p, y, 4)) * 1e6, abs=2)
    assert found["top_2_accuracy"] == pytest.approx(
        float(tm.multiclass_accuracy(p, y, 4, average="micro", top_k=2)) * 1e6, abs=2
    )


@pytest.mark.parametrize("size", [1 << 40, 700_000_000])
def test_score__hopeless_logits__zero_or_one(size: int) -> None:
    logits = np.array([[size, -size], [size, -size]])
    assert score_ppm(logits, np.array([0, 0]), "log_loss", 2) == 1_000_000
    assert score_ppm(logits, np.array([0, 1]), "log_loss", 2) == 0
    assert score_ppm(logits, np.array([0, 1]), "brier", 2) == 500_000


def test_score__many_rows_in_parts__as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(5)
    logits, labels = random.integers(-200_000, 200_000, (97, 3)), random.integers(0, 3, 97)
    whole = [score_ppm(logits, labels, metric, 3) for metric in (*ORACLES, "top_2_accuracy")]
    monkeypatch.setattr("pole.task.probability_scores._NUMBERS_AT_ONCE", 7)
    assert [score_ppm(logits, labels, metric, 3) for metric in (*ORACLES, "top_2_accuracy")] == whole


VALUES = st.lists(st.tuples(st.integers(0, 1 << 24), st.integers(0, 1 << 24)), min_size=1, max_size=30)


@given(VALUES | st.lists(st.tuples(st.integers(5, 7), st.integers(5, 6)), min_size=1, max_size=6))
def test_score__any_quantities__scikit_learn_and_fractions(pairs: list[tuple[int, int]]) -> None:
    p, y = (np.array(column, np.int64)[:, None] for column in zip(*pairs, strict=True))
    found = {metric: score_ppm(p, y, metric, 1) for metric in ("r2", "rmse", "mae")}
    mean = Fraction(int(y.sum()), len(y))
    errors, of_mean = p[:, 0] - y[:, 0], [v - mean for v in y[:, 0].tolist()]
    if not any(of_mean):
        assert set(found.values()) == {0 if errors.any() else 1_000_000}
        return
    squares = Fraction(int((errors**2).sum())) / sum(v * v for v in of_mean)
    absolute = Fraction(int(np.abs(errors).sum())) / sum(map(abs, of_mean))
    assert found["r2"] == max(0, math.floor((1 - squares) * 10**6))
    assert found["mae"] == max(0, math.floor((1 - absolute) * 10**6))
    missing = 10**6 - found["rmse"]  # the least whole number of millionths that is no smaller than the root
    assert found["rmse"] == 0 or (missing - 1) ** 2 < squares * 10**12 <= missing**2 or squares == missing == 0
    assert found["rmse"] > 0 or squares * 10**12 > (10**6 - 1) ** 2
    if len(y) > 1:
        assert found["r2"] == pytest.approx(max(0.0, sk.r2_score(y, p)) * 1e6, abs=1)


def test_score__several_quantities__mean_of_scikit_learns() -> None:
    random = np.random.default_rng(3)
    y = random.integers(0, 1 << 24, (400, 3))
    p = np.clip(y + random.normal(size=y.shape) * 2**21, 0, 1 << 24).astype(np.int64)
    assert score_ppm(p, y, "r2", 3) == pytest.approx(sk.r2_score(y, p) * 1e6, abs=2)
    rmse = sk.root_mean_squared_error(y, p, multioutput="raw_values") / y.std(axis=0)
    assert score_ppm(p, y, "rmse", 3) == pytest.approx((1 - rmse).mean() * 1e6, abs=2)
    mae = sk.mean_absolute_error(y, p, multioutput="raw_values") / np.abs(y - y.mean(axis=0)).mean(axis=0)
    assert score_ppm(p, y, "mae", 3) == pytest.approx((1 - mae).mean() * 1e6, abs=2)


@pytest.mark.parametrize("seed", range(3))
def test_score__labels__libraries(seed: int) -> None:
    random = np.random.default_rng(seed)
    y = (random.random((200, 5)) < 0.3).astype(np.int64)
    p = np.where(random.random(y.shape) < 0.8, y, 1 - y)
    assert score_ppm(p, y, "multilabel_accuracy", 5) == pytest.approx((1 - sk.hamming_loss(y, p)) * 1e6, abs=1)
    assert score_ppm(p, y, "multilabel_f1", 5) == pytest.approx(sk.f1_score(y, p, average="macro") * 1e6, abs=1)
    found = float(tm.multilabel_f1_score(torch.from_numpy(p), torch.from_numpy(y), 5, average="macro"))
    assert score_ppm(p, y, "multilabel_f1", 5) == pytest.approx(found * 1e6, abs=2)


def test_score__ten_thousand_classes_of_unlike_sizes__in_moments() -> None:
    """Fractions added one after another would take minutes."""
    sizes = np.arange(1, 10_001) % 1009 + 1
    labels = np.repeat(np.arange(10_000), sizes)
    predictions = np.where(np.arange(len(labels)) % 3 == 0, labels, 0)
    assert 300_000 < score_ppm(predictions, labels, "macro_f1", 10_000) < 700_000
