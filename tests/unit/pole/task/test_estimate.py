"""Scores on known values: exact, floored, and the same as the library's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pole.errors import BadInput, ModelInvalid
from pole.task.estimate import estimate_ppm
from pole.task.scores import Metric


class Answers(nn.Module):
    """A model that predicts the class written in its single feature."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.one_hot(x[:, 0].long(), self.classes).float()


class Constant(nn.Module):
    def __init__(self, value: float, shape: tuple[int, ...] = (3,)) -> None:
        super().__init__()
        self.value, self.shape = value, shape

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.full((len(x), *self.shape), self.value)


def score(predicted: list[int], labels: list[int], metric: Metric, classes: int = 3) -> int:
    x = np.array(predicted, dtype=np.float32)[:, None]
    return estimate_ppm(Answers(classes), x, np.array(labels, dtype=np.int64), metric)


def test_score__no_rows__refused() -> None:
    with pytest.raises(BadInput, match="0 rows against 0 labels"):
        score([], [], "accuracy")


def test_score__fewer_labels_than_rows__refused() -> None:
    with pytest.raises(BadInput, match="2 rows against 1 labels"):
        score([0, 1], [0], "accuracy")


@pytest.mark.parametrize("label", [-1, 3])
def test_score__label_that_the_model_does_not_know__refused(label: int) -> None:
    with pytest.raises(BadInput, match="there are 3 classes"):
        score([0, 1], [0, label], "accuracy")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_score__outputs_not_finite__model_invalid(value: float) -> None:
    with pytest.raises(ModelInvalid, match="not finite"):
        estimate_ppm(Constant(value), np.zeros((4, 1), np.float32), np.zeros(4, np.int64), "accuracy")


@pytest.mark.parametrize("shape", [(), (3, 2)])
def test_score__outputs_of_wrong_shape__model_invalid(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelInvalid, match=r"need \(4, outputs\)"):
        estimate_ppm(Constant(0.0, shape), np.zeros((4, 1), np.float32), np.zeros(4, np.int64), "accuracy")


@pytest.mark.parametrize(
    ("metric", "expected_ppm"),
    # Recalls 2/3, 1/1, 1/2; F1 scores 4/5, 2/4, 2/3.
    [("accuracy", 666_666), ("balanced_accuracy", 722_222), ("macro_f1", 655_555)],
)
def test_score__known_confusion__floored_ppm(metric: Metric, expected_ppm: int) -> None:
    assert score([0, 0, 1, 1, 1, 2], [0, 0, 0, 1, 2, 2], metric) == expected_ppm


def test_score__one_third__is_floored_not_rounded() -> None:
    assert score([0, 0, 0], [0, 0, 1], "accuracy") == 666_666


def test_score__many_batches__counts_every_row_once() -> None:
    labels = [i % 3 for i in range(1000)]
    predicted = [label if i != 700 else (label + 1) % 3 for i, label in enumerate(labels)]
    assert score(predicted, labels, "accuracy") == 999_000


def test_score__class_without_rows__is_left_out_of_the_balance() -> None:
    assert score([0, 0, 1, 2], [0, 0, 1, 1], "balanced_accuracy") == 750_000


def test_score__model_in_training_mode__is_judged_in_evaluation_mode_and_left_as_it_was() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 64), nn.Dropout(0.9), nn.Linear(64, 3)).train()
    x, y = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32), np.zeros(300, np.int64)
    assert len({estimate_ppm(model, x, y, "accuracy") for _ in range(5)}) == 1
    assert model.training


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=50))
def test_score__any_predictions__agree_with_the_libraries(pairs: list[tuple[int, int]]) -> None:
    from sklearn.metrics import recall_score
    from torchmetrics.functional.classification import multiclass_f1_score

    predicted, labels = [p for p, _ in pairs], [y for _, y in pairs]
    f1 = multiclass_f1_score(torch.tensor(predicted), torch.tensor(labels), num_classes=4, average="macro")
    assert score(predicted, labels, "macro_f1", 4) == pytest.approx(float(f1) * 1e6, abs=2)
    recall = recall_score(labels, predicted, labels=sorted(set(labels)), average="macro", zero_division=0)
    assert score(predicted, labels, "balanced_accuracy", 4) == pytest.approx(recall * 1e6, abs=2)


@pytest.mark.parametrize(
    ("metric", "expected_ppm"),
    # exp 1 / (exp 1 + 2) = 0.5761169 and 1 / (exp 1 + 2) = 0.2119416: two rows of the first, one of the second.
    [("log_loss", 412_805), ("top_2_accuracy", 666_666), ("brier", 743_850)],
)
def test_score__probabilities__of_the_models_outputs(metric: Metric, expected_ppm: int) -> None:
    assert score([0, 1, 0], [0, 1, 2], metric) == expected_ppm


def test_score__quantities__of_the_models_outputs() -> None:
    y = np.array([[0], [1 << 23], [1 << 24]], dtype=np.int64)
    x = np.zeros((3, 1), np.float32)
    assert estimate_ppm(Constant(0.5, (1,)), x, y, "r2") == 0
    assert estimate_ppm(nn.Linear(1, 1), x, np.full((3, 1), 7), "mae") == 0
