"""The search: what it proposes, what it gives up, and that it ends when time is up."""

from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

optuna = pytest.importorskip("optuna")

from miner.training.api import TrainingJob, best_candidate  # noqa: E402
from miner.training.careful import FEWEST_EPOCHS  # noqa: E402
from miner.training.recipes import recipes_for  # noqa: E402
from miner.training.search import SearchingTrainer, train  # noqa: E402
from tests.unit.commission import PREVIOUS_HASH, Commission, commission_iris  # noqa: E402
from tests.unit.miner.training.test_default import Clock, job_for  # noqa: E402

RATE, LOSS = 3e-3, nn.functional.cross_entropy
LOOKS_LEFT = 1.0  # each look at the clock takes a thousandth of it


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Commission:
    return commission_iris(tmp_path_factory.mktemp("iris"))


@pytest.fixture
def job(iris: Commission, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingJob:
    monkeypatch.setattr("miner.training.careful.MOST_EPOCHS", 12)
    told = job_for(iris, tmp_path, target_ppm=700_000)
    told = replace(told, previous_hash=PREVIOUS_HASH, statistics=iris.features(tmp_path).statistics, is_race=False)
    clock = Clock(LOOKS_LEFT)
    return replace(told, seconds_left=lambda: 1e6, is_over=clock.is_over)


def test_search__time_is_up_at_once__yields_nothing_and_says_so_to_the_study(job: TrainingJob) -> None:
    trainer = SearchingTrainer(replace(job, is_over=lambda: True), RATE, LOSS)
    assert list(trainer.run()) == []
    assert [trial.state.name for trial in trainer.study.trials if trial.state.is_finished()] == ["FAIL"]


def test_search__iris__begins_with_the_known_recipes_and_goes_on_until_time_is_up(job: TrainingJob) -> None:
    trainer = SearchingTrainer(job, RATE, LOSS)
    found = list(trainer.run())
    assert [each.merit for each in found] == sorted(each.merit for each in found)
    known = recipes_for(job.manifest.model, has_augmentation=False)
    tried = [trial for trial in trainer.study.trials if trial.state.is_finished()]
    assert [trial.params["rate"] for trial in tried[: len(known)]] == [recipe.rate for recipe in known]
    assert len(tried) > len(known) + 3
    assert all(0.1 <= trial.params["rate"] <= 3.0 for trial in tried)
    assert trainer.job.is_over()


def test_search__trials_that_fall_behind__end_before_the_others(job: TrainingJob) -> None:
    trainer = SearchingTrainer(job, RATE, LOSS)
    list(trainer.run())
    pruned = [trial for trial in trainer.study.trials if trial.state.name == "PRUNED"]
    complete = [trial for trial in trainer.study.trials if trial.state.name == "COMPLETE"]
    assert pruned
    assert complete
    assert min(max(trial.intermediate_values) for trial in pruned) < max(max(t.intermediate_values) for t in complete)
    assert all(max(trial.intermediate_values) >= FEWEST_EPOCHS for trial in pruned)


def test_search__same_seed__same_proposals(job: TrainingJob) -> None:
    studies = []
    for _ in range(2):
        trainer = SearchingTrainer(replace(job, is_over=Clock(LOOKS_LEFT).is_over), RATE, LOSS)
        list(trainer.run())
        studies.append([trial.params for trial in trainer.study.trials])
    assert studies[0][:8] == studies[1][:8]


def test_train__commits_stay_open__has_a_model_with_merit_at_the_target(job: TrainingJob) -> None:
    best = best_candidate(train, job, None, lambda _: None)
    assert best is not None
    assert best.merit is not None
    assert best.train_ppm >= job.target_ppm
