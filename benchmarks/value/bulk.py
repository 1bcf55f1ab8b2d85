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
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

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
from pole.task.rows import discretise
from pole.task.weights import load_model

TEST_FRACTION = 0.2
LARGE_MODEL_BYTES = 1 << 32
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Cell:
    """One split under one hash; scores in per cent. `given_away`: share of a row's numbers that a round opens."""

    linear: float
    boosting: float
    network: float
    commissioned: float
    given_away: float
    seconds: float

    @property
    def gap(self) -> float:
        return self.commissioned - max(self.linear, self.boosting)


@dataclass(frozen=True)
class Mapped:
    """Features of both parts under one previous hash."""

    train_x: Floats
    test_x: Floats
    statistics: Statistics | None
    previous_hash: bytes | None


def cells_of(data: PlainData, seed: int, hashes: int, seconds: float, wishes: Wishes) -> list[Cell]:
    """All cells of one split: baselines and the plain network once, the commissioned model under every hash."""
    parts = split(data, test_fraction=TEST_FRACTION, seed=seed)
    linear, boosting = plain_scores(parts)
    task = propose(parts.training, SourceOptions(source="sklearn:bulk"), wishes).task
    network = trained_score(task, parts, plain_network_rows(parts), seconds)[0]
    found = []
    for number in range(hashes):
        previous_hash = hashlib.sha256(f"bulk {seed} {number}".encode()).digest()
        score, took_s = trained_score(task, parts, mapped_rows(task, parts, previous_hash), seconds)
        found.append(Cell(linear, boosting, network, score, given_away(task, parts.training.x[0].size), took_s))
    return found


def given_away(task: TaskFile, features: int) -> float:
    if not isinstance(task.mapping, DenseMapping):
        return 1.0
    return min(1.0, task.mapping.vectors * task.mapping.segments / features)


def plain_scores(parts: Split) -> tuple[float, float]:
    """Test accuracy in per cent of logistic regression and of gradient boosting on the rows as they are."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, test = (part.x.reshape(part.rows, -1) for part in (parts.training, parts.test))
    models = (
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000)),
        HistGradientBoostingClassifier(random_state=0),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an optimiser that stops early is a client's laptop, too
        linear, boosting = (
            100 * model.fit(x, parts.training.labels).score(test, parts.test.labels) for model in models
        )
    return linear, boosting


def plain_network_rows(parts: Split) -> Mapped:
    """The rows themselves, standardised as their features would be."""
    x = parts.training.x.astype(np.float64)
    axes: Any = 0 if x.ndim == 2 else (0, 2, 3)
    mean, deviation = x.mean(axis=axes, keepdims=True), x.std(axis=axes, keepdims=True)
    scale = np.where(deviation > 0, deviation, 1.0)
    scaled = [((part.x - mean) / scale).astype(np.float32) for part in (parts.training, parts.test)]
    return Mapped(scaled[0], scaled[1], None, None)


def mapped_rows(task: TaskFile, parts: Split, previous_hash: bytes) -> Mapped:
    x, test = (
        project(task.mapping, previous_hash, discretise(part.x, task.discretisation))
        for part in (parts.training, parts.test)
    )
    constants = statistics(task.mapping, [x])
    return Mapped(constants.apply(x), constants.apply(test), constants, previous_hash)


def trained_score(task: TaskFile, parts: Split, rows: Mapped, seconds: float) -> tuple[float, float]:
    """Test score in per cent, evaluated exactly, of what the default trainer makes; and the seconds it took."""
    start = time.monotonic()
    manifest = manifest_of(task, parts, rows)
    with tempfile.TemporaryDirectory() as folder:
        job = TrainingJob(
            manifest=manifest,
            train_x=rows.train_x,
            train_y=parts.training.labels,
            target_ppm=task.terms.required_train_ppm,
            device=torch.device("cpu"),
            seed=1,
            checkpoint_path=Path(folder) / "checkpoint",
            seconds_left=clock(start, seconds),
            is_over=lambda: time.monotonic() - start >= seconds,
            report=lambda _: None,
            previous_hash=rows.previous_hash,
            statistics=rows.statistics,
            is_race=False,
        )
        best = best_candidate(train, job, None, lambda _: None)
    assert best is not None
    return score(manifest, best, rows.test_x, parts.test.labels), time.monotonic() - start


def clock(start: float, seconds: float) -> Callable[[], float]:
    return lambda: max(0.0, start + seconds - time.monotonic())


def score(manifest: Manifest, candidate: Candidate, x: Floats, y: npt.NDArray[np.int64]) -> float:
    model = new_model(manifest)
    load_model(candidate.content, model)
    return 100 * float((prepare(model).predict(x) == y).mean())


def manifest_of(task: TaskFile, parts: Split, rows: Mapped) -> Manifest:
    """A manifest whose features have the shape of `rows`; with plain rows, a mapping that keeps their shape."""
    cid = str(cid_of(b"bulk"))
    is_plain = rows.previous_hash is None
    shape = list(rows.train_x.shape[1:]) if is_plain else list(parts.training.shape)
    data = DataSet(
        shape=shape,
        class_names=list(parts.training.class_names),
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


def _keeping(task: TaskFile, shape: list[int]) -> Any:
    if isinstance(task.mapping, DenseMapping):
        return DenseMapping(vectors=int(np.prod(shape)), bits_per_weight=1)
    return task.mapping.model_copy(update={"filters": 1})
