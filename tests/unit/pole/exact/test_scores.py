"""Scores by integers: refusals, vectors by hand, and the same as the scores of today."""

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pole.errors import BadInput
from pole.exact import score_ppm
from pole.exact.scores import Metric
from tests.paths import VECTORS

CASES = json.loads((VECTORS / "exact.json").read_text())["scores"]
METRICS: tuple[Metric, ...] = ("accuracy", "balanced_accuracy", "macro_f1")


def score(predictions: list[int], labels: list[int], metric: Metric = "accuracy", classes: int = 3) -> int:
    return score_ppm(np.array(predictions, np.int64), np.array(labels, np.int64), metric, classes)


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


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("case", CASES)
def test_score__worked_by_hand__equal(case: dict[str, object], metric: Metric) -> None:
    assert score(case["predictions"], case["labels"], metric, case["classes"]) == case[metric]  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40), st.sampled_from(METRICS))
def test_score__any_rows__fractions_floored(pairs: list[tuple[int, int]], metric: Metric) -> None:
    hits, labelled, predicted = ([0] * 5 for _ in range(3))
    for prediction, label in pairs:
        hits[label] += prediction == label
        labelled[label] += 1
        predicted[prediction] += 1
    if metric == "accuracy":
        parts = [Fraction(sum(hits), len(pairs))]
    elif metric == "balanced_accuracy":
        parts = [Fraction(hit, of) for hit, of in zip(hits, labelled, strict=True) if of]
    else:
        parts = [Fraction(2 * h, a + b) for h, a, b in zip(hits, labelled, predicted, strict=True) if a + b]
    expected = sum(parts, Fraction(0)) / len(parts) * 10**6
    found = score([p for p, _ in pairs], [label for _, label in pairs], metric, 5)
    assert found == expected.numerator // expected.denominator


def test_score__ten_thousand_classes_of_unlike_sizes__in_moments() -> None:
    """Fractions added one after another would take minutes."""
    sizes = np.arange(1, 10_001) % 1009 + 1
    labels = np.repeat(np.arange(10_000), sizes)
    predictions = np.where(np.arange(len(labels)) % 3 == 0, labels, 0)
    assert 300_000 < score_ppm(predictions, labels, "macro_f1", 10_000) < 700_000
