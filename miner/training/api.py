"""The miner's plug-in point: what a training method is given, what it must yield, and how it is driven.

See docs/miner-plugin.md for a method of your own. Source: PoLe, Algorithm 1, lines 6-23
"""

import importlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from torch import nn

from pole.errors import BadInput, ModelInvalid
from pole.exact.fast import prepare
from pole.exact.task import form_of_task, has_raw_features, task_score_ppm
from pole.learning.mapping import Statistics
from pole.task.manifest import Manifest
from pole.task.model import new_model
from pole.task.scores import Metric
from pole.task.weights import load_model, save_model

SAMPLE_ROWS = 256

log = structlog.get_logger()


@dataclass(frozen=True)
class TrainingProgress:
    """One line of news from a trainer: its own measurement of the train score, or (`is_held_out`) on rows held out."""

    epoch: int
    step: int
    loss: float
    train_ppm: int
    is_held_out: bool = False


@dataclass(frozen=True)
class TrainingJob:
    """Everything a trainer may use.

    train_x: float32 [n, *feature shape], normalised; train_y: int64 [n]; `target_ppm`: enough train accuracy;
    `checkpoint_path`: a file the trainer may write, to go on from after a crash; `seconds_left`: until the last moment
    to yield something, by block time; `is_over`: cheap, to be asked for every batch; `report`: takes progress;
    `previous_hash`, `statistics`: what the query vectors and the normalisation come from (None: unknown);
    `is_race`: commits close at the first qualified solutions, so the first model at the target is the one to commit.
    """

    manifest: Manifest
    train_x: NDArray[np.float32]
    train_y: NDArray[np.int64]
    target_ppm: int
    device: torch.device
    seed: int
    checkpoint_path: Path
    seconds_left: Callable[[], float]
    is_over: Callable[[], bool]
    report: Callable[[TrainingProgress], None]
    previous_hash: bytes | None = None
    statistics: Statistics | None = None
    is_race: bool = True

    @property
    def metric(self) -> Metric:
        return self.manifest.metric

    @property
    def feature_shape(self) -> tuple[int, ...]:
        return self.manifest.feature_shape

    def new_model(self) -> nn.Module:
        """An untrained model of the task's specification; reproducible after `torch.manual_seed(self.seed)`."""
        return new_model(self.manifest)


@dataclass(frozen=True)
class Trained:
    """A model with its trainer's opinion of it. `merit`: how well it does on rows held out; more is better."""

    model: nn.Module
    merit: float


class Trainer(Protocol):
    """Yields a model whenever one is worth judging: at the target, now and then, and once more when `is_over`.

    Models with a merit are preferred to those without. The caller stops asking when it has what it needs, so a trainer
    may loop for ever.
    """

    def __call__(self, job: TrainingJob, /) -> Iterator[nn.Module | Trained]: ...


@dataclass(frozen=True)
class Candidate:
    """A model file, the accuracy that any verifier will find for it, and its trainer's opinion (None: has none)."""

    content: bytes
    train_ppm: int
    merit: float | None = None

    def order(self, target_ppm: int) -> tuple[int, float, int]:
        """Qualified ones first; among those, what does best on rows held out; else the better train score."""
        return min(self.train_ppm, target_ppm), -math.inf if self.merit is None else self.merit, self.train_ppm


def judge(job: TrainingJob, model: nn.Module) -> Candidate:
    """Scores a model as a verifier will, to the row: written to a file, read back, and evaluated exactly.

    Raises ModelInvalid if the model does not fit the task's specification.
    """
    content = save_model(model)
    with torch.random.fork_rng(devices=[]):
        fresh = job.new_model()
    load_model(content, fresh)
    predictions = prepare(fresh, has_raw_features(job.manifest)).predict(job.train_x, form_of_task(job.manifest))
    return Candidate(content, task_score_ppm(job.manifest, predictions, job.train_y))


def best_candidate(
    trainer: Trainer, job: TrainingJob, known: Candidate | None, keep: Callable[[Candidate], None]
) -> Candidate | None:
    """Trains until the trainer ends, `job.is_over`, or in a race the target is reached; returns the best model seen,
    `known` included.

    `keep` is called with every new best, so that it survives a crash. None if no model came that fits the task.
    """
    best = known
    if job.is_race and best is not None and best.train_ppm >= job.target_ppm:
        return best
    for found in trainer(job):
        candidate = _judged(job, found)
        if candidate is not None and (best is None or candidate.order(job.target_ppm) > best.order(job.target_ppm)):
            best = candidate
            keep(best)
        if job.is_over() or (job.is_race and best is not None and best.train_ppm >= job.target_ppm):
            break
    return best


def _judged(job: TrainingJob, found: nn.Module | Trained) -> Candidate | None:
    """None, with a warning, for a model that no verifier would accept: the next one may be better."""
    try:
        if isinstance(found, Trained):
            return replace(judge(job, found.model), merit=found.merit)
        return judge(job, found)
    except ModelInvalid as exc:
        log.warning(f"the trainer yielded a model that cannot be submitted: {exc}")
        return None


def scoring_time_s(job: TrainingJob) -> float:
    """How long `judge` will take, extrapolated from a sample of the rows: time to keep in reserve at the end.

    Rounding the weights takes the same time for any number of rows, so only the rest grows with them.
    """
    with torch.random.fork_rng(devices=[]):
        model = job.new_model()
    sample = slice(0, SAMPLE_ROWS)
    start = time.monotonic()
    network = prepare(model, has_raw_features(job.manifest))
    prepared = time.monotonic()
    network.predict(job.train_x[sample])
    return prepared - start + (time.monotonic() - prepared) * max(1.0, len(job.train_x) / SAMPLE_ROWS)


def load_trainer(location: str) -> Trainer:
    """A trainer by "module:function". Raises BadInput if there is none. Runs the module's code, as `import` does."""
    module_name, separator, function_name = location.partition(":")
    if not (module_name and separator and function_name):
        raise BadInput(f"trainer {location!r} is not of the form module:function, e.g. miner.training.default:train")
    try:
        module = importlib.import_module(module_name)
    except ImportError as exc:
        raise BadInput(f"trainer module {module_name!r} cannot be imported: {exc}; is it on PYTHONPATH?") from exc
    trainer = getattr(module, function_name, None)
    if not callable(trainer):
        raise BadInput(f"trainer module {module_name!r} has no function {function_name!r}")
    return trainer  # type: ignore[no-any-return]


def choose_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one. Raises BadInput if CUDA was asked for and is not there."""
    has_cuda = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if has_cuda else "cpu")
    if name == "cuda" and not has_cuda:
        raise BadInput("no CUDA device is available; use --device cpu, or --device auto to take what there is")
    return torch.device(name)
