"""The losses by hand, and that each goes down where its metric goes up."""

import pytest
import torch

from miner.training.losses import loss_for
from pole.errors import BadInput
from pole.task.scores import METRICS, Target, form_of, predictions_of, score_ppm

UNIT = 1 << 24
QUANTITIES = torch.tensor([[0], [UNIT // 4], [UNIT // 2], [UNIT]])


def test_loss_for__no_metric__refused() -> None:
    with pytest.raises(BadInput, match="no metric 'profit'"):
        loss_for("profit", torch.zeros(3, dtype=torch.int64), 2)


@pytest.mark.parametrize("metric", ["r2", "rmse", "mae"])
def test_loss__mean_of_the_quantity__one(metric: str) -> None:
    outputs = torch.full((4, 1), 0.4375)
    assert float(loss_for(metric, QUANTITIES, 1)(outputs, QUANTITIES)) == pytest.approx(1)
    exact = QUANTITIES.float() / UNIT
    assert float(loss_for(metric, QUANTITIES, 1)(exact, QUANTITIES)) == 0


def test_loss__quantity_that_never_changes__finite() -> None:
    labels = torch.full((3, 2), UNIT // 2)
    assert float(loss_for("r2", labels, 2)(torch.full((3, 2), 1.5), labels)) == 1


@pytest.mark.parametrize(("metric", "share"), [("accuracy", 3 / 4), ("balanced_accuracy", 1 / 2), ("macro_f1", 1 / 2)])
def test_loss__large_class_always_wrong__by_rows_or_by_class(metric: str, share: float) -> None:
    """Three rows of class 0 cost 30 each; the row of class 1 costs nothing."""
    labels = torch.tensor([0, 0, 0, 1])
    outputs = torch.tensor([[0.0, 30.0]]).repeat(4, 1)
    assert float(loss_for(metric, labels, 2)(outputs, labels)) == pytest.approx(30 * share)


def test_loss__balanced__absent_class_weighs_nothing() -> None:
    labels = torch.tensor([0, 0, 2])
    found = loss_for("macro_f1", labels, 4)(torch.zeros(3, 4), labels)
    assert float(found) == pytest.approx(float(torch.log(torch.tensor(4.0))))


@pytest.mark.parametrize("metric", [*METRICS, "top_2_accuracy"])
def test_loss__descended_on__metric_rises(metric: str) -> None:
    torch.manual_seed(0)
    target, x = form_of(metric).target, torch.randn(200, 4)
    truth = x @ torch.randn(4, 3)
    labels = {
        Target.CLASS: truth.argmax(dim=1),
        Target.LABELS: (truth > 0).long(),
        Target.QUANTITY: ((truth.clamp(-4, 4) + 4) / 8 * UNIT).long(),
    }[target]
    model, loss = torch.nn.Linear(4, 3), loss_for(metric, labels, 3)
    optimizer = torch.optim.AdamW(model.parameters(), 0.05)

    def score() -> int:
        outputs = model(x).detach().double().numpy()
        return score_ppm(predictions_of(outputs, form_of(metric)), labels.numpy(), metric, 3)

    before = score()
    for _ in range(150):
        optimizer.zero_grad()
        loss(model(x), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert score() > max(before, 700_000)
