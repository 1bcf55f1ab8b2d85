"""The task of idle rounds: small, public, unencrypted, and the same bytes whoever builds it.

Anyone can rebuild it from scikit-learn and compare CIDs with the deployment. Source: PoLe, section 3.3 ("degrade to
PoW" when nobody pays)
"""

import numpy as np
from sklearn.datasets import load_digits

from pole.storage.cid import Cid
from pole.storage.store import Store
from pole.task.manifest import (
    Activation,
    DataSet,
    DenseMapping,
    Discretisation,
    GraphModel,
    Linear,
    Manifest,
    NoEncryption,
    RowFile,
)
from pole.task.rows import Rows, discretise, rows_to_bytes

_VECTORS = 32
_HIDDEN = 64
_CLASSES = 10
_MAX_MODEL_BYTES = 1 << 16


def publish_idle_task(store: Store) -> Cid:
    """Put the task's rows and manifest into the store; returns the manifest's CID."""
    content, rows = _rows()
    manifest = _manifest(RowFile(cid=str(store.put(content)), rows=rows, size_bytes=len(content)))
    return store.put(manifest.to_bytes())


def _rows() -> tuple[bytes, int]:
    """All 1,797 digits of scikit-learn, 8x8 pixels of 0 to 16; idle rounds rank by train accuracy, so none are kept."""
    digits = load_digits()
    x = discretise(digits.data, _discretisation())
    return rows_to_bytes(Rows(x, digits.target.astype(np.int64))), len(x)


def _discretisation() -> Discretisation:
    return Discretisation(bits=4, minimum=[0.0], maximum=[16.0])


def _manifest(file: RowFile) -> Manifest:
    return Manifest(
        name="idle: scikit-learn digits",
        model=GraphModel(
            layers=[
                Linear(name="hidden", size=_HIDDEN),
                Activation(name="activation", type="relu"),
                Linear(name="output", size=_CLASSES),
            ]
        ),
        data=DataSet(
            shape=[64],
            class_names=[str(digit) for digit in range(_CLASSES)],
            discretisation=_discretisation(),
            training_set=[file],
            test_rows=0,
            test_size_bytes=0,
        ),
        mapping=DenseMapping(vectors=_VECTORS),
        encryption=NoEncryption(),
        max_model_bytes=_MAX_MODEL_BYTES,
    )
