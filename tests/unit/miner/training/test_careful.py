"""Training for rows that nobody has seen: what is chosen, and that the submitted model takes plain features."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from miner.training.api import Candidate, Trained, TrainingJob, best_candidate, judge
from miner.training.careful import CarefulTrainer, careful_batch_rows, fold_numbers, loss_weight, smoothed
from miner.training.default import train
from miner.training.recipes import RECIPES, Apprentice, Recipe, Rows, Ways, recipes_for
from miner.training.stacked import can_be_stacked, clip_each, stacked
from miner.training.whitening import unmixing_of
from pole.learning.mapping import Statistics
from pole.task.manifest import (
    Activation,
    AnyLayer,
    Dropout,
    GraphModel,
    Linear,
    Normalisation,
    Shape,
    TorchvisionModel,
)
from tests.unit.commission import PREVIOUS_HASH, Commission, commission_iris
from tests.unit.miner.training.test_default import job_for

RATE, LOSS = 3e-3, nn.functional.cross_entropy


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Commission:
    return commission_iris(tmp_path_factory.mktemp("iris"))


@pytest.fixture
def job(iris: Commission, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingJob:
    """As in a round whose commits stay open, with epochs for a test."""
    monkeypatch.setattr("miner.training.careful.MOST_EPOCHS", 40)
    features = iris.features(tmp_path)
    told = replace(job_for(iris, tmp_path, target_ppm=700_000), previous_hash=PREVIOUS_HASH, is_race=False)
    return replace(told, statistics=features.statistics)


def nothing(_: Candidate) -> None:
    """A `keep` for tests that do not look at what is kept."""


# --- folds and curves ------------------------------------------------------------------------------------------------


def test_fold_numbers__classes_of_any_size__are_spread_over_all_folds() -> None:
    y = np.repeat([0, 1, 2], [50, 25, 5])
    number = fold_numbers(y, 5, seed=3)
    assert np.bincount(number).tolist() == [16] * 5
    assert [np.bincount(number[y == label], minlength=5).tolist() for label in range(3)] == [[10] * 5, [5] * 5, [1] * 5]
    assert not np.array_equal(number, fold_numbers(y, 5, seed=4))


def test_fold_numbers__quantities__every_fold_has_small_and_large_ones() -> None:
    y = np.stack([np.arange(100), np.arange(100)], axis=1)
    number = fold_numbers(y, 5, seed=1)
    assert (
        [int((number[:5] == i).sum()) for i in range(5)] == [int((number[-5:] == i).sum()) for i in range(5)] == [1] * 5
    )


def test_smoothed__ends__average_what_is_there() -> None:
    assert smoothed([]) == []
    assert smoothed([1.0]) == [1.0]
    assert smoothed([0.0, 0.0, 5.0, 0.0, 0.0]) == pytest.approx([5 / 3, 5 / 4, 1.0, 5 / 4, 5 / 3])


@pytest.mark.parametrize(("rows", "expected"), [(2, 32), (2_000, 32), (2_001, 64), (10_001, 128)])
def test_careful_batch_rows__grow_with_the_set(rows: int, expected: int) -> None:
    assert careful_batch_rows(rows) == expected


# --- recipes ---------------------------------------------------------------------------------------------------------


def test_recipes_for__graph_without_dropout__none_twice() -> None:
    found = recipes_for(GraphModel(layers=[Linear(name="only", size=3)]), has_augmentation=False)
    assert len(found) == len(set(found)) == 3
    assert {each.dropout for each in found} == {0.0}
    assert recipes_for(TorchvisionModel(architecture="resnet18"), has_augmentation=True)[0].is_augmented


def test_recipes_for__graph_with_dropout__that_of_every_recipe() -> None:
    layers: list[AnyLayer] = [Dropout(name="dropout", probability=0.4), Linear(name="last", size=3)]
    assert recipes_for(GraphModel(layers=layers), has_augmentation=True) == list(RECIPES)


def test_apprentice__average__is_of_the_last_epochs_and_leaves_the_model_in_training_alone() -> None:
    torch.manual_seed(0)
    rows = Rows(torch.randn(20, 3), torch.arange(20) % 2)
    model = nn.Linear(3, 2)
    apprentice = Apprentice(model, rows, torch.arange(20), Recipe(1.0, 0.0, 0.0), Ways(0.1, LOSS, None), seed=1)
    seen = []
    for _ in range(7):
        apprentice.learn(batch_rows=8)
        seen.append(model.weight.detach().clone())
    averaged = apprentice.averaged()
    assert isinstance(averaged, nn.Linear)
    assert torch.allclose(averaged.weight, torch.stack(seen[-5:]).mean(dim=0))
    assert torch.equal(model.weight, seen[-1])


# --- the trainer -----------------------------------------------------------------------------------------------------


def test_careful__iris__yields_better_and_better_models_on_plain_features(job: TrainingJob) -> None:
    found = list(CarefulTrainer(job, RATE, LOSS).run())
    assert found
    assert [each.merit for each in found] == sorted(each.merit for each in found)
    assert judge(job, found[-1].model).train_ppm > 900_000


def test_careful__unmixed_and_folded__is_the_model_that_was_trained(job: TrainingJob) -> None:
    trainer = CarefulTrainer(job, RATE, LOSS)
    assert trainer._rows.x.shape == (120, 4)  # three inner products, estimates of four features
    apprentice = trainer._apprentice(trainer._model(0), torch.arange(120), RECIPES[0], 0)
    apprentice.learn(32)
    trained = apprentice.averaged()
    folded = trainer._folded(trained)
    with torch.inference_mode():
        expected, found = trained(trainer._rows.x), folded(torch.from_numpy(job.train_x))
    assert torch.allclose(expected, found, atol=1e-3 * float(expected.abs().max()))


def test_careful__no_time__yields_nothing(job: TrainingJob) -> None:
    assert list(CarefulTrainer(replace(job, seconds_left=lambda: 0.0), RATE, LOSS).run()) == []
    assert list(CarefulTrainer(replace(job, is_over=lambda: True), RATE, LOSS).run()) == []


def test_unmixing_of__all_features_constant__there_is_none(iris: Commission) -> None:
    constants = Statistics(np.zeros(3, np.float32), np.ones(3, np.float32))
    x = np.zeros((10, 3), np.float32)
    assert unmixing_of(x, True, iris.manifest, PREVIOUS_HASH, constants) is None


def test_train__commits_stay_open__goes_on_beyond_the_target_and_prefers_what_was_held_out(job: TrainingJob) -> None:
    best = best_candidate(train, job, None, nothing)
    assert best is not None
    assert best.merit is not None
    assert best.train_ppm >= job.target_ppm


def test_train__race__stops_at_the_target(job: TrainingJob) -> None:
    best = best_candidate(train, replace(job, is_race=True), None, nothing)
    assert best is not None
    assert best.merit is None
    assert best.train_ppm >= job.target_ppm


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (Candidate(b"", 800_000, None), Candidate(b"", 600_000, 0.9)),  # only one of them qualifies
        (Candidate(b"", 710_000, 0.8), Candidate(b"", 990_000, 0.7)),
        (Candidate(b"", 710_000, -3.0), Candidate(b"", 990_000, None)),
        (Candidate(b"", 990_000, 0.8), Candidate(b"", 710_000, 0.8)),
    ],
)
def test_candidates__order__qualified_then_held_out_then_train_score(better: Candidate, worse: Candidate) -> None:
    assert better.order(700_000) > worse.order(700_000)


def test_best_candidate__later_model_of_less_merit__is_passed_over(job: TrainingJob) -> None:
    good, other = (each.model for each in (list(CarefulTrainer(job, RATE, LOSS).run()) * 2)[:2])
    kept: list[Candidate] = []
    best = best_candidate(lambda _: iter([Trained(good, 0.9), Trained(other, 0.5)]), job, None, kept.append)
    assert best is not None
    assert best.merit == 0.9
    assert len(kept) == 1


# --- folds side by side ----------------------------------------------------------------------------------------------


def layers_of(job: TrainingJob, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return job.new_model()


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([Linear(name="a", size=3), Activation(name="b", type="gelu"), Dropout(name="c", probability=0.1)], True),
        ([Linear(name="a", size=3), Normalisation(name="b", type="batch_norm")], False),
        ([Linear(name="a", size=3), Shape(name="b", type="concat", inputs=["a", "a"])], False),
    ],
)
def test_can_be_stacked__layers_that_treat_all_rows_alike__only_those(layers: list[AnyLayer], expected: bool) -> None:
    assert can_be_stacked(GraphModel(layers=layers)) is expected


def test_can_be_stacked__not_a_graph__no() -> None:
    assert not can_be_stacked(TorchvisionModel(architecture="resnet18"))


def test_stacked__networks_of_one_graph__each_yields_what_it_yields_alone(job: TrainingJob) -> None:
    models = [layers_of(job, seed) for seed in range(3)]
    x = torch.randn(3, 7, 3)
    together = stacked(models)(x)
    for model, rows, found in zip(models, x, together, strict=True):
        assert torch.allclose(model(rows), found, atol=1e-6)


def test_clip_each__one_gradient_too_long__that_of_no_other_network_is_cut() -> None:
    layer = stacked([nn.Sequential(nn.Linear(2, 2)), nn.Sequential(nn.Linear(2, 2))])
    (4 * layer(torch.tensor([[[3.0, 4.0]], [[0.01, 0.0]]])).sum()).backward()
    before = [parameter.grad.clone() for parameter in layer.parameters() if parameter.grad is not None]
    clip_each(layer, norm=6.0)
    after = [parameter.grad for parameter in layer.parameters() if parameter.grad is not None]
    lengths = torch.stack([each.square().sum(dim=(1, 2)) for each in after]).sum(dim=0).sqrt()
    assert float(lengths[0]) == pytest.approx(6.0, rel=1e-5)
    assert all(torch.equal(a[1], b[1]) for a, b in zip(before, after, strict=True))


def test_apprentice__several_networks__learn_their_own_rows_and_answer_for_what_each_is_asked() -> None:
    """Rows 0 to 9 say the opposite of rows 10 to 19."""
    torch.manual_seed(0)
    x = torch.cat([torch.randn(10, 2)] * 2)
    y = (x[:, 0] > 0).long()
    rows = Rows(x, torch.cat([y[:10], 1 - y[:10]]))
    model = stacked([nn.Sequential(nn.Linear(2, 2)), nn.Sequential(nn.Linear(2, 2))])
    learned = torch.arange(20).reshape(2, 10)
    apprentice = Apprentice(model, rows, learned, Recipe(1.0, 0.0, 0.0), Ways(0.1, LOSS, None), seed=1)
    for _ in range(60):
        apprentice.learn(batch_rows=5)
    first, second = apprentice.outputs([torch.arange(10), torch.arange(4)])
    assert first.argmax(dim=1).tolist() == y[:10].tolist()
    assert second.argmax(dim=1).tolist() == (1 - y[:4]).tolist()


def test_loss_weight__many_rows__the_metric_counts() -> None:
    assert loss_weight(100) == 6.0
    assert loss_weight(1_000_000) == 0.1


def test_held_out__network_that_is_sure_of_itself__is_no_worse_for_it(job: TrainingJob) -> None:
    trainer = CarefulTrainer(job, RATE, LOSS)
    y = torch.tensor([0, 1, 2, 0])
    outputs = torch.nn.functional.one_hot(torch.tensor([0, 1, 2, 1]), 3).float()
    score, *losses = trainer._scored(3 * outputs, y)
    assert score == 0.75
    assert losses.index(min(losses)) == 1
    assert min(trainer._scored(6 * outputs, y)[1:]) == pytest.approx(min(losses))


@pytest.mark.parametrize(("metric", "losses"), [("log_loss", 1), ("brier", 1), ("accuracy", 5), ("roc_auc", 5)])
def test_held_out__metric_of_confidence__no_temperature_helps(job: TrainingJob, metric: str, losses: int) -> None:
    other = replace(job, manifest=job.manifest.model_copy(update={"metric": metric}))
    scored = CarefulTrainer(other, RATE, LOSS)._scored(torch.eye(3), torch.tensor([0, 1, 2]))
    assert len(scored) == 1 + losses
    assert scored[1] == pytest.approx(math.log(1 + 2 / math.e))


def test_held_out__outputs_that_overflow__end_the_trial_without_a_score(job: TrainingJob) -> None:
    trainer = CarefulTrainer(job, RATE, LOSS)
    score, *losses = trainer._scored(torch.full((2, 3), torch.inf), torch.tensor([0, 1]))
    assert score == 0.0
    assert set(losses) == {torch.inf}
