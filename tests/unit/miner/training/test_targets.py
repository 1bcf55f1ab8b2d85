"""The default trainer and a judge on tasks of labels and quantities: the claim is what a verifier finds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from miner.training.api import TrainingJob, best_candidate
from miner.training.default import train
from pole.exact.task import form_of_task, model_of, task_score_ppm
from pole.learning.features import load_features
from pole.storage.folder import FolderStore
from pole.task.manifest import (
    Activation,
    AnyLayer,
    DataSet,
    DenseMapping,
    Discretisation,
    GraphModel,
    Linear,
    Manifest,
    NoEncryption,
    Quantity,
    RowFile,
)
from pole.task.rows import Rows, rows_to_bytes, to_units

PREVIOUS_HASH = bytes(range(180, 212))  # its query vectors see every feature
ROWS, TRAINED = 260, 200


def commissioned(root: Path, metric: str) -> tuple[FolderStore, Manifest, Any, Any]:
    """Four small whole numbers; two quantities or labels that are linear in them."""
    x = np.random.default_rng(1).integers(0, 16, (ROWS, 4)).astype(np.uint8)
    sums = np.stack([x @ [3.0, 1.0, 0.0, -2.0], x @ [0.0, 2.0, 2.0, 1.0]], axis=1)
    targets: dict[str, Any] = {"label_names": ["first", "second"]}
    labels = (sums > np.median(sums, axis=0)).astype(np.int64)
    if metric in ("r2", "rmse", "mae"):
        targets = {"quantities": [Quantity(name=str(i), minimum=-40.0, maximum=120.0) for i in range(2)]}
        labels = to_units(sums, targets["quantities"])
    store = FolderStore(root)
    train_part, test_part = (
        rows_to_bytes(Rows(x[part], labels[part])) for part in (slice(TRAINED), slice(TRAINED, None))
    )
    data = DataSet(
        shape=[4],
        **targets,
        discretisation=Discretisation(bits=4, minimum=[0.0], maximum=[15.0]),
        training_set=[RowFile(cid=str(store.put(train_part)), rows=TRAINED, size_bytes=len(train_part))],
        test_rows=ROWS - TRAINED,
        test_size_bytes=len(test_part),
    )
    layers: list[AnyLayer] = [Linear(name="a", size=32), Activation(name="b", type="relu"), Linear(name="c", size=2)]
    manifest = Manifest(
        name="small",
        model=GraphModel(layers=layers),
        metric=metric,
        data=data,
        mapping=DenseMapping(vectors=8),
        encryption=NoEncryption(),
        max_model_bytes=10_000,
    )
    return store, manifest, store.put(manifest.to_bytes()), store.put(test_part)


def stopping_after(steps: int) -> Callable[[], bool]:
    left = iter(range(steps))
    return lambda: next(left, None) is None


@pytest.mark.parametrize("metric", ["r2", "rmse", "mae", "multilabel_accuracy", "multilabel_f1"])
def test_train__labels_or_quantities__reaches_the_target_and_claims_the_verdict(tmp_path: Path, metric: str) -> None:
    store, manifest, cid, test_set = commissioned(tmp_path / "store", metric)
    features = load_features(store, manifest, cid, PREVIOUS_HASH, None, test_set, tmp_path / "cache")
    assert features.train_y.shape == (TRAINED, 2)
    target_ppm = 800_000 if metric in ("rmse", "mae") else 950_000
    job = TrainingJob(
        manifest=manifest,
        train_x=features.train_x,
        train_y=features.train_y,
        target_ppm=target_ppm,
        device=torch.device("cpu"),
        seed=1,
        checkpoint_path=tmp_path / "checkpoint",
        seconds_left=lambda: 600.0,
        is_over=stopping_after(3_000),
        report=lambda _: None,
    )
    best = best_candidate(train, job, None, lambda _: None)
    assert best is not None
    assert best.train_ppm >= target_ppm
    model, form = model_of(manifest, best.content), form_of_task(manifest)
    assert task_score_ppm(manifest, model.predict(features.train_x, form), features.train_y) == best.train_ppm
    assert features.test_x is not None
    assert features.test_y is not None
    assert task_score_ppm(manifest, model.predict(features.test_x, form), features.test_y) > target_ppm - 100_000
