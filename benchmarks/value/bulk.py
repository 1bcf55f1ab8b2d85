"""What a commissioned model reaches, on features in bulk: no chain and no encryption, else as in a round.

The proposal, the features and the trainer are the product's own. Decrypted features are the same integers, so a real
round differs in its hash and in its time only.
"""

import hashlib
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.value.results import Scores
from dataclient.drafting.proposal import Wishes, propose
from dataclient.sources.load import SourceOptions
from dataclient.sources.plain import PlainData, Split, split
from dataclient.task_file import TaskFile
from miner.training.api import Candidate, TrainingJob, best_candidate
from miner.training.default import train
from pole.exact.fast import prepare
from pole.learning.mapping import Statistics, project, statistics
from pole.storage.cid import cid_of
from pole.task.manifest import DataSet, DenseMapping, Manifest, NoEncryption, RowFile
from pole.task.model import new_model
from pole.task.rows import discretise, from_units, to_units
from pole.task.scores import Target, form_of
from pole.task.weights import load_model

TEST_FRACTION = 0.2
LARGE_MODEL_BYTES = 1 << 32
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Mapped:
    """Features of both parts under one previous hash."""

    train_x: Floats
    test_x: Floats
    statistics: Statistics | None
    previous_hash: bytes | None


class MeasuredSplit:
    """One split of a set: its rows, and the task that is proposed for them once a score needs it."""

    def __init__(self, data: PlainData, seed: int, seconds: float, wishes: Wishes) -> None:
        self.seed, self.seconds, self._wishes = seed, seconds, wishes
        self.parts = split(data, test_fraction=TEST_FRACTION, seed=seed)

    @cached_property
    def task(self) -> TaskFile:
        return propose(self.parts.training, SourceOptions(source="sklearn:bulk"), self._wishes).task

    def plain(self) -> Scores:
        """Baselines, and the commissioned network, on plain rows."""
        linear, boosting = plain_scores(self.parts)
        network, took_s = trained_score(self.task, self.parts, plain_network_rows(self.task, self.parts), self.seconds)
        return {"linear": linear, "boosting": boosting, "network": network, "seconds": took_s}

    def commissioned(self, number: int) -> Scores:
        """Under the previous hash of this number."""
        previous_hash = hashlib.sha256(f"bulk {self.seed} {number}".encode()).digest()
        rows = mapped_rows(self.task, self.parts, previous_hash)
        score, took_s = trained_score(self.task, self.parts, rows, self.seconds)
        share = given_away(self.task, self.parts.training.x[0].size)
        return {"commissioned": score, "given_away": share, "seconds": took_s}


def given_away(task: TaskFile, features: int) -> float:
    if not isinstance(task.mapping, DenseMapping):
        return 1.0
    return min(1.0, task.mapping.vectors * task.mapping.segments / features)


def plain_scores(parts: Split) -> tuple[float, float]:
    """Test score in per cent of a linear model and of gradient boosting on the rows as they are."""
    x, test = (part.x.reshape(part.rows, -1) for part in (parts.training, parts.test))
    y, wanted = (part.labels for part in (parts.training, parts.test))
    if parts.training.target is Target.QUANTITY:
        y, wanted = y[:, 0], wanted[:, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an optimiser that stops early is a client's laptop, too
        linear, boosting = (100 * model.fit(x, y).score(test, wanted) for model in _baselines(parts.training.target))
    return linear, boosting


def _baselines(target: Target) -> tuple[Any, Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if target is Target.QUANTITY:
        ridge = RidgeCV(np.logspace(-2, 4, 13))
        return make_pipeline(StandardScaler(), ridge), HistGradientBoostingRegressor(random_state=0)
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))
    return linear, HistGradientBoostingClassifier(random_state=0)


def plain_network_rows(task: TaskFile, parts: Split) -> Mapped:
    """The rows themselves in the shape of their features, and standardised as those would be."""
    x, test = (part.x.astype(np.float64) for part in (parts.training, parts.test))
    if isinstance(task.mapping, DenseMapping):
        x, test = (part.reshape(len(part), -1) for part in (x, test))
    axes: Any = 0 if x.ndim == 2 else (0, 2, 3)
    mean, deviation = x.mean(axis=axes, keepdims=True), x.std(axis=axes, keepdims=True)
    scale = np.where(deviation > 0, deviation, 1.0)
    scaled = [((part - mean) / scale).astype(np.float32) for part in (x, test)]
    return Mapped(scaled[0], scaled[1], None, None)


def mapped_rows(task: TaskFile, parts: Split, previous_hash: bytes) -> Mapped:
    x, test = (
        project(task.mapping, previous_hash, discretise(part.x, task.discretisation))
        for part in (parts.training, parts.test)
    )
    constants = statistics(task.mapping, [x])
    return Mapped(constants.apply(x), constants.apply(test), constants, previous_hash)


def trained_score(task: TaskFile, parts: Split, rows: Mapped, seconds: float) -> tuple[float, float]:
    """Test score in per cent, evaluated exactly, of what the default trainer makes; and the seconds it took.

    Seconds are the processor's, of this process: on a busy machine they buy the same model as on an idle one.
    """
    start = time.process_time()
    manifest = manifest_of(task, parts, rows)
    with tempfile.TemporaryDirectory() as folder:
        job = TrainingJob(
            manifest=manifest,
            train_x=rows.train_x,
            train_y=targets(task, parts.training),
            target_ppm=task.terms.required_train_ppm,
            device=torch.device("cpu"),
            seed=1,
            checkpoint_path=Path(folder) / "checkpoint",
            seconds_left=clock(start, seconds),
            is_over=lambda: time.process_time() - start >= seconds,
            report=lambda _: None,
            previous_hash=rows.previous_hash,
            statistics=rows.statistics,
            is_race=False,
        )
        best = best_candidate(train, job, None, lambda _: None)
    assert best is not None
    return score(manifest, best, rows.test_x, parts.test), time.process_time() - start


def clock(start: float, seconds: float) -> Callable[[], float]:
    return lambda: max(0.0, start + seconds - time.process_time())


def targets(task: TaskFile, part: PlainData) -> npt.NDArray[np.int64]:
    return to_units(part.labels, task.quantities) if task.quantities else part.labels


def score(manifest: Manifest, candidate: Candidate, x: Floats, test: PlainData) -> float:
    """Accuracy, or R2 of one quantity in its own unit, also outside its public range."""
    model = new_model(manifest)
    load_model(candidate.content, model)
    predictions = prepare(model).predict(x, form_of(manifest.metric))
    if test.target is Target.CLASS:
        return 100 * float((predictions == test.labels).mean())
    errors = test.labels - from_units(predictions, manifest.data.quantities)
    return 100 * (1 - float(np.sum(errors**2) / np.sum((test.labels - test.labels.mean()) ** 2)))


def manifest_of(task: TaskFile, parts: Split, rows: Mapped) -> Manifest:
    """A manifest whose features have the shape of `rows`; with plain rows, a mapping that keeps their shape."""
    cid = str(cid_of(b"bulk"))
    is_plain = rows.previous_hash is None
    shape = list(rows.train_x.shape[1:]) if is_plain else list(parts.training.shape)
    data = DataSet(
        shape=shape,
        **_outputs(task, parts.training),
        discretisation=task.discretisation,
        training_set=[RowFile(cid=cid, rows=parts.training.rows, size_bytes=1)],
        test_rows=parts.test.rows,
        test_size_bytes=0,
    )
    return Manifest(
        name=task.name,
        model=task.model,
        metric=task.metric,
        data=data,
        mapping=_keeping(task, shape) if is_plain else task.mapping,
        encryption=NoEncryption(),
        max_model_bytes=LARGE_MODEL_BYTES,
    )


def _outputs(task: TaskFile, training: PlainData) -> dict[str, Any]:
    if training.target is Target.QUANTITY:
        return {"quantities": task.quantities}
    return {"class_names": list(training.class_names)}


def _keeping(task: TaskFile, shape: list[int]) -> Any:
    if isinstance(task.mapping, DenseMapping):
        return DenseMapping(vectors=int(np.prod(shape)), bits_per_weight=1)
    return task.mapping.model_copy(update={"filters": 1})
