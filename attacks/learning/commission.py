"""A very small task, prepared by the data client's own code, with its keys, salt and files."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from torch import nn

from dataclient.prepare import prepare
from dataclient.sources.load import SourceOptions
from dataclient.task_file import Encryption, TaskFile, TermsSection
from dataclient.task_folder import Prepared, TaskHome
from pole.encryption import MasterKey
from pole.learning.features import Features, load_features
from pole.learning.functional_keys import FunctionalKeys, issue_keys
from pole.learning.round_files import fetch_manifest
from pole.storage.store import Store, open_store
from pole.task.manifest import Activation, DenseMapping, Discretisation, GraphModel, Linear, Manifest
from pole.task.model import new_model
from pole.task.rows import Rows, rows_from_bytes
from verifier.learning.messages import RoundInputs

PREVIOUS_HASH = bytes(range(1, 33))
TEST_ROWS = 10
_ROWS, _FEATURES, _VECTORS, _HIDDEN = 40, 6, 2, 4


@dataclass(frozen=True)
class Commission:
    """The task, the client's private folder, the store that everybody reads, and what the client would submit."""

    task: TaskFile
    home: TaskHome
    store: Store
    prepared: Prepared

    @property
    def manifest(self) -> Manifest:
        return fetch_manifest(self.store, self.prepared.manifest_cid)

    def test_rows(self) -> Rows:
        """In the clear; only the client has them before the release."""
        return rows_from_bytes(self.home.test_rows.read_bytes(), self.manifest.data, TEST_ROWS)

    def keys(self, previous_hash: bytes = PREVIOUS_HASH) -> FunctionalKeys:
        return issue_keys(MasterKey.load(self.home.master_key), self.manifest, previous_hash)

    def features(self, keys: FunctionalKeys | None, cache: Path) -> Features:
        """What a miner trains on, from what the client published."""
        cid = self.prepared.manifest_cid
        return load_features(self.store, self.manifest, cid, PREVIOUS_HASH, keys, None, cache)

    def inputs(self, folder: Path, manifest: str | None = None) -> RoundInputs:
        """The round as a verifier's judging process is told of it."""
        return RoundInputs(
            store=self.store.location,
            cache_dir=str(folder / "cache"),
            manifest=manifest or self.prepared.manifest,
            previous_hash=PREVIOUS_HASH.hex(),
            keys=None,
            test_set=str(self.prepared.test_set_cid) if self.store.has(self.prepared.test_set_cid) else None,
        )

    def new_model(self) -> nn.Module:
        """Untrained: valid, if not accurate."""
        return new_model(self.manifest)


def commission(folder: Path, scheme: Literal["none", "ipfe-secp256k1"] = "none") -> Commission:
    """Two classes in six features; ten of forty rows are the test set."""
    home, store = TaskHome(folder / "client"), open_store(str(folder / "store"))
    home.folder.mkdir()
    task = TaskFile(
        name="tiny",
        data=SourceOptions(source=str(_write_rows(folder / "rows.csv")), label="kind", test_fraction=TEST_ROWS / _ROWS),
        discretisation=Discretisation(bits=4, minimum=[-4.0], maximum=[4.0]),
        mapping=DenseMapping(vectors=_VECTORS),
        model=graph(),
        encryption=Encryption(scheme=scheme, rank_limit=None if scheme == "none" else _VECTORS),
        terms=TermsSection(reward_ether="1", time_limit_s=600, required_train_ppm=900_000),
    )
    return Commission(task, home, store, prepare(task, home, store))


def graph() -> GraphModel:
    return GraphModel(
        layers=[
            Linear(name="hidden", size=_HIDDEN),
            Activation(name="active", type="relu"),
            Linear(name="classes", size=2),
        ]
    )


def _write_rows(path: Path) -> Path:
    rng = np.random.default_rng(1)
    labels = np.arange(_ROWS) % 2
    x = rng.normal(0, 1, (_ROWS, _FEATURES)) + np.where(labels[:, None], 1.5, -1.5)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"x{i}" for i in range(_FEATURES)), "kind"])
        writer.writerows(
            [*(f"{value:.3f}" for value in row), "ab"[label]] for row, label in zip(x, labels, strict=True)
        )
    return path
