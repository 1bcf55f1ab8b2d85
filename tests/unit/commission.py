"""A small task as a client would commission it: real rows, real files, real keys.

Shared by the tests of miner and verifier.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits, load_iris
from torch import nn

from pole.encryption import MasterKey, backend
from pole.learning.features import Features, load_features
from pole.learning.functional_keys import FunctionalKeys, issue_keys
from pole.storage.cid import Cid
from pole.storage.folder import FolderStore
from pole.task.manifest import (
    Activation,
    AnyEncryption,
    DataSet,
    DenseMapping,
    Discretisation,
    GraphModel,
    InnerProductEncryption,
    Linear,
    Manifest,
    NoEncryption,
    RowFile,
)
from pole.task.model import new_model
from pole.task.rows import EncryptedRows, Rows, discretise, encrypted_rows_to_bytes, rows_to_bytes

PREVIOUS_HASH = bytes(range(1, 33))


@dataclass(frozen=True)
class Commission:
    """A manifest in a store, with the test set's CID and the client's master key (None: not encrypted)."""

    store: FolderStore
    manifest: Manifest
    manifest_cid: Cid
    test_set: Cid
    master: MasterKey | None

    def keys(self, previous_hash: bytes = PREVIOUS_HASH) -> FunctionalKeys | None:
        return issue_keys(self.master, self.manifest, previous_hash) if self.master else None

    def published_keys(self, previous_hash: bytes = PREVIOUS_HASH) -> Cid | None:
        keys = self.keys(previous_hash)
        return self.store.put(keys.to_bytes()) if keys else None

    def features(self, cache: Path, previous_hash: bytes = PREVIOUS_HASH) -> Features:
        keys = self.keys(previous_hash)
        return load_features(self.store, self.manifest, self.manifest_cid, previous_hash, keys, self.test_set, cache)

    def new_model(self) -> nn.Module:
        return new_model(self.manifest)


def commission_iris(root: Path, *, is_encrypted: bool = False) -> Commission:
    """Iris with 120 rows to train on and 30 to test with, three query vectors."""
    iris = load_iris()
    low, high = iris.data.min(axis=0), iris.data.max(axis=0)
    ranges = Discretisation(bits=6, minimum=low.tolist(), maximum=high.tolist())
    return _commission(root, discretise(iris.data, ranges), iris.target, ranges, 3, is_encrypted)


def commission_digits(root: Path) -> Commission:
    """The 8x8 digits with 400 rows, 80 of them to test with, sixteen query vectors, not encrypted."""
    digits = load_digits()
    ranges = Discretisation(bits=4, minimum=[0.0], maximum=[16.0])
    return _commission(root, discretise(digits.data[:400], ranges), digits.target[:400], ranges, 16, False)


def _commission(
    root: Path,
    x: NDArray[np.uint8],
    labels: NDArray[np.int64],
    ranges: Discretisation,
    vectors: int,
    is_encrypted: bool,
) -> Commission:
    store, order = FolderStore(root), np.random.default_rng(0).permutation(len(x))
    train_rows, test_rows = order[: len(x) * 4 // 5], order[len(x) * 4 // 5 :]
    labels = labels.astype(np.int64)
    master = MasterKey.generate(x.shape[1]) if is_encrypted else None
    train = _file(master, x[train_rows], labels[train_rows])
    test = rows_to_bytes(Rows(x[test_rows], labels[test_rows]))
    data = DataSet(
        shape=[x.shape[1]],
        class_names=[str(label) for label in np.unique(labels)],
        discretisation=ranges,
        training_set=[RowFile(cid=str(store.put(train)), rows=len(train_rows), size_bytes=len(train))],
        test_rows=len(test_rows),
        test_size_bytes=len(test),
    )
    manifest = _manifest(data, vectors, _encryption(store, master))
    return Commission(store, manifest, store.put(manifest.to_bytes()), store.put(test), master)


def train_quickly(model: nn.Module, x: NDArray[np.float32], y: NDArray[np.int64], seed: int = 0) -> nn.Module:
    """Good enough to be told from chance, in a fraction of a second."""
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02, weight_decay=0.0)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model


def _file(master: MasterKey | None, x: NDArray[np.uint8], labels: NDArray[np.int64]) -> bytes:
    if master is None:
        return rows_to_bytes(Rows(x, labels))
    return encrypted_rows_to_bytes(EncryptedRows(backend().encrypt(master, x), labels))


def _encryption(store: FolderStore, master: MasterKey | None) -> AnyEncryption:
    if master is None:
        return NoEncryption()
    public_key = store.put(backend().public_key(master).to_bytes())
    return InnerProductEncryption(public_key=str(public_key), rank_limit=3)


def _manifest(data: DataSet, vectors: int, encryption: AnyEncryption) -> Manifest:
    model = GraphModel(
        layers=[
            Linear(name="hidden", size=32),
            Activation(name="active", type="relu"),
            Linear(name="classes", size=len(data.class_names)),
        ]
    )
    return Manifest(
        name="small",
        model=model,
        data=data,
        mapping=DenseMapping(vectors=vectors),
        encryption=encryption,
        max_model_bytes=1 << 16,
    )
