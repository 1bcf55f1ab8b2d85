"""The default trainer and what drives it, on real (small) data."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim import AdamW

from miner.training.api import (
    Candidate,
    TrainingJob,
    TrainingProgress,
    best_candidate,
    choose_device,
    judge,
    load_trainer,
)
from miner.training.checkpoint import load_checkpoint, save_checkpoint
from miner.training.default import Schedule, batch_rows, train
from pole.errors import BadInput, ModelInvalid
from pole.task.estimate import estimate_ppm
from pole.task.weights import load_model
from tests.paths import ROOT
from tests.unit.commission import Commission, commission_digits, commission_iris

PLENTY_S = 60.0


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Commission:
    return commission_iris(tmp_path_factory.mktemp("iris"))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class Clock:
    """Time that passes by a millisecond per look at it, however fast the machine trains."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def seconds_left(self) -> float:
        self._seconds -= 0.001
        return max(0.0, self._seconds)

    def is_over(self) -> bool:
        return self.seconds_left() <= 0


def job_for(commission: Commission, folder: Path, *, target_ppm: int, seconds: float = PLENTY_S) -> TrainingJob:
    features, clock = commission.features(folder), Clock(seconds)
    return TrainingJob(
        manifest=commission.manifest,
        train_x=features.train_x,
        train_y=features.train_y,
        target_ppm=target_ppm,
        device=torch.device("cpu"),
        seed=1,
        checkpoint_path=folder / "checkpoint.safetensors",
        seconds_left=clock.seconds_left,
        is_over=clock.is_over,
        report=lambda _: None,
    )


def forget(_: Candidate) -> None:
    """A `keep` for tests that do not look at what is kept."""


def first_model(job: TrainingJob) -> nn.Module:
    """The model with which the trainer reaches the target."""
    found = next(train(job))
    assert isinstance(found, nn.Module)
    return found


# --- plug-ins --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("location", ["", "miner.training.default", ":train", "miner.training.default:"])
def test_load_trainer__no_module_and_function__refused(location: str) -> None:
    with pytest.raises(BadInput, match="module:function"):
        load_trainer(location)


def test_load_trainer__unknown_module__says_so() -> None:
    with pytest.raises(BadInput, match="no_such_module"):
        load_trainer("no_such_module:train")


def test_load_trainer__unknown_function__says_so() -> None:
    with pytest.raises(BadInput, match="no function 'tarin'"):
        load_trainer("miner.training.default:tarin")


def test_load_trainer__default__is_found() -> None:
    assert load_trainer("miner.training.default:train") is train


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_choose_device__cuda_that_is_not_there__refused() -> None:
    with pytest.raises(BadInput, match="--device cpu"):
        choose_device("cuda")


def test_choose_device__cpu__is_cpu() -> None:
    assert choose_device("cpu") == torch.device("cpu")


def test_example_plugin__single_linear_layer__beats_chance_by_far(
    iris: Commission, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs" / "examples")
    layers = iris.manifest.model.model_copy(update={"layers": iris.manifest.model.layers[-1:]})  # type: ignore[union-attr]
    job = job_for(iris, tmp_path, target_ppm=700_000)
    job = replace(job, manifest=iris.manifest.model_copy(update={"model": layers}))
    best = best_candidate(load_trainer("nearest_mean:train"), job, None, forget)
    assert best is not None
    assert best.train_ppm > 800_000


# --- judging and choosing --------------------------------------------------------------------------------------------


def test_judge__model_that_does_not_fit__refused(iris: Commission, tmp_path: Path) -> None:
    with pytest.raises(ModelInvalid):
        judge(job_for(iris, tmp_path, target_ppm=1), nn.Linear(3, 3))


def test_judge__diverged_model__refused(iris: Commission, tmp_path: Path) -> None:
    model = iris.new_model()
    nn.init.constant_(next(model.parameters()), float("nan"))
    with pytest.raises(ModelInvalid, match="NaN"):
        judge(job_for(iris, tmp_path, target_ppm=1), model)


def test_best_candidate__trainer_gets_worse__keeps_the_best(iris: Commission, tmp_path: Path) -> None:
    job = job_for(iris, tmp_path, target_ppm=1_000_001)
    good = first_model(replace(job, target_ppm=900_000))
    worse = iris.new_model()
    kept: list[Candidate] = []
    best = best_candidate(lambda _: iter([worse, good, worse]), job, None, kept.append)
    assert best == judge(job, good)
    assert [candidate.train_ppm for candidate in kept] == [judge(job, worse).train_ppm, judge(job, good).train_ppm]


def test_best_candidate__trainer_yields_what_does_not_fit__is_passed_over(iris: Commission, tmp_path: Path) -> None:
    job = job_for(iris, tmp_path, target_ppm=1)
    best = best_candidate(lambda _: iter([nn.Linear(3, 3), iris.new_model()]), job, None, forget)
    assert best is not None
    assert best_candidate(lambda _: iter([nn.Linear(3, 3)]), job, None, forget) is None


def test_best_candidate__known_one_is_enough__does_not_train(iris: Commission, tmp_path: Path) -> None:
    def never(_: TrainingJob) -> Iterator[nn.Module]:
        raise AssertionError("trained")

    known = Candidate(b"", 950_000)
    assert best_candidate(never, job_for(iris, tmp_path, target_ppm=950_000), known, forget) is known


def test_best_candidate__endless_trainer__ends_when_time_is_up(iris: Commission, tmp_path: Path) -> None:
    job = job_for(iris, tmp_path, target_ppm=1_000_001, seconds=0.05)
    best = best_candidate(lambda _: itertools.repeat(iris.new_model()), job, None, forget)
    assert best is not None
    assert job.is_over()


# --- the default trainer ---------------------------------------------------------------------------------------------


def test_train__iris__reaches_the_target_within_seconds_as_a_verifier_sees_it(iris: Commission, tmp_path: Path) -> None:
    job = job_for(iris, tmp_path, target_ppm=950_000)
    best = best_candidate(train, job, None, forget)
    assert best is not None
    assert best.train_ppm >= 950_000
    model, features = iris.new_model(), iris.features(tmp_path)
    load_model(best.content, model)
    assert estimate_ppm(model, features.train_x, features.train_y, "accuracy") == best.train_ppm
    assert features.test_x is not None
    assert features.test_y is not None
    assert estimate_ppm(model, features.test_x, features.test_y, "accuracy") > 850_000


def test_train__digits__reaches_the_target(tmp_path: Path) -> None:
    digits = commission_digits(tmp_path / "store")
    best = best_candidate(train, job_for(digits, tmp_path, target_ppm=970_000), None, forget)
    assert best is not None
    assert best.train_ppm >= 970_000


def test_train__target_out_of_reach__yields_its_best_when_time_is_up(iris: Commission, tmp_path: Path) -> None:
    job = job_for(iris, tmp_path, target_ppm=1_000_001, seconds=1.5)
    best = best_candidate(train, job, None, forget)
    assert job.is_over()
    assert best is not None
    assert best.train_ppm > 900_000


def test_train__no_time_at_all__still_yields_a_model(iris: Commission, tmp_path: Path) -> None:
    job = job_for(iris, tmp_path, target_ppm=1_000_001, seconds=0.0)
    assert best_candidate(train, job, None, forget) is not None


def test_train__same_seed__same_model_and_other_seed_another(iris: Commission, tmp_path: Path) -> None:
    job = job_for(iris, tmp_path, target_ppm=900_000, seconds=1e6)
    first, again, other = (
        judge(each, first_model(replace(each, checkpoint_path=tmp_path / str(i))))
        for i, each in enumerate((job, job, replace(job, seed=2)))
    )
    assert first.content == again.content
    assert first.content != other.content


def test_train__reports__live_accuracy(iris: Commission, tmp_path: Path) -> None:
    news: list[TrainingProgress] = []
    next(train(replace(job_for(iris, tmp_path, target_ppm=900_000), report=news.append)))
    assert news[-1].train_ppm >= 900_000
    assert [each.step for each in news] == sorted(each.step for each in news)


def test_train__after_a_crash__goes_on_from_its_checkpoint(iris: Commission, tmp_path: Path) -> None:
    job = job_for(iris, tmp_path, target_ppm=940_000)
    next(train(job))
    news: list[TrainingProgress] = []
    next(train(replace(job, report=news.append)))
    assert len(news) == 1
    assert news[0].step > 28 * 2


@pytest.mark.parametrize("damage", [b"", b"\xff" * 64])
def test_load_checkpoint__damaged_file__starts_afresh(damage: bytes, iris: Commission, tmp_path: Path) -> None:
    model, path = iris.new_model(), tmp_path / "checkpoint"
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    path.write_bytes(damage)
    assert load_checkpoint(path, model, AdamW(model.parameters())) == 0
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_load_checkpoint__of_another_model__starts_afresh(iris: Commission, tmp_path: Path) -> None:
    model, other = iris.new_model(), nn.Linear(2, 2)
    save_checkpoint(tmp_path / "checkpoint", other, AdamW(other.parameters()), 7)
    assert load_checkpoint(tmp_path / "checkpoint", model, AdamW(model.parameters())) == 0


# --- optimizer and schedule ------------------------------------------------------------------------------------------


def adamw(model: nn.Module) -> AdamW:
    return AdamW(model.parameters(), lr=0.01, weight_decay=0.1, fused=True)


def descend(model: nn.Module, steps: int, optimizer: AdamW) -> None:
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32))
    for _ in range(steps):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()


def test_checkpoint__restored_half_way__goes_on_exactly(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole, halves = nn.Linear(4, 3), nn.Linear(4, 3)
    halves.load_state_dict(whole.state_dict())
    descend(whole, 20, adamw(whole))
    first = adamw(halves)
    descend(halves, 10, first)
    save_checkpoint(tmp_path / "checkpoint", halves, first, 10)
    resumed = nn.Linear(4, 3)
    second = adamw(resumed)
    assert load_checkpoint(tmp_path / "checkpoint", resumed, second) == 10
    descend(resumed, 10, second)
    assert torch.equal(resumed.weight, whole.weight)


def test_load_checkpoint__written_by_version_0_1__its_memory_of_gradients_is_taken_up(tmp_path: Path) -> None:
    model = nn.Linear(4, 3)
    tensors = {f"model.{name}": torch.ones_like(tensor) for name, tensor in model.state_dict().items()}
    for i, shape in enumerate([(3, 4), (3,)]):
        tensors |= {f"optimizer.average.{i}": torch.full(shape, 2.0), f"optimizer.square.{i}": torch.full(shape, 3.0)}
    save_file(tensors | {"optimizer.step": torch.tensor(7), "step": torch.tensor(9)}, tmp_path / "checkpoint")
    optimizer = adamw(model)
    assert load_checkpoint(tmp_path / "checkpoint", model, optimizer) == 9
    moments = optimizer.state[model.bias]
    assert (moments["step"].item(), moments["exp_avg"].tolist(), moments["exp_avg_sq"].tolist()) == (
        7,
        [2.0] * 3,
        [3.0] * 3,
    )


def test_load_checkpoint__memory_of_other_shapes__only_the_weights_are_taken_up(tmp_path: Path) -> None:
    model = nn.Linear(4, 3)
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    save_file(tensors | {"optimizer.average.0": torch.ones(2), "step": torch.tensor(9)}, tmp_path / "checkpoint")
    optimizer = adamw(model)
    assert load_checkpoint(tmp_path / "checkpoint", model, optimizer) == 9
    assert not optimizer.state


def test_schedule__within_a_cycle__falls_from_one_to_its_floor_and_restarts() -> None:
    schedule = Schedule(steps_per_epoch=10)
    shares = [schedule.share(step, 1e9) for step in range(402)]
    assert shares[0] == pytest.approx(1.0)
    assert shares[399] == pytest.approx(0.02, abs=1e-3)
    assert shares[:400] == sorted(shares[:400], reverse=True)
    assert shares[400] == pytest.approx(1.0, abs=1e-3)


def test_schedule__time_is_up__at_its_floor() -> None:
    assert Schedule(steps_per_epoch=10).share(0, 0.0) == pytest.approx(0.02, abs=1e-3)


@pytest.mark.parametrize(("rows", "expected"), [(1, 1), (10, 10), (120, 16), (1437, 119), (60_000, 128)])
def test_batch_rows__any_size__never_more_than_there_are(rows: int, expected: int) -> None:
    assert batch_rows(rows, torch.device("cpu")) == expected
