"""Roots over all predictions of a model: what a vote says besides a score. See docs/exact-evaluation.md, "Roots"."""

from enum import IntEnum
from hashlib import sha256

import numpy as np

from pole.storage.cid import Cid
from pole.task.scores import Integers

_CLASSES, _OUTPUTS = b"pole.predictions.v1", b"pole.outputs.v1"


class RowPart(IntEnum):
    """Which rows of a task were predicted."""

    TRAIN = 0
    TEST = 1


def predictions_root(previous_hash: bytes, model: Cid, part: RowPart, predictions: Integers) -> bytes:
    """32 bytes that nobody has without all that was scored.

    previous_hash: 32 bytes; predictions: in row order, classes [n], or whatever the metric looks at [n, outputs].
    """
    codec, digest = model.as_tuple()
    domain, dtype = (_CLASSES, "<i4") if predictions.ndim == 1 else (_OUTPUTS, "<i8")
    hashed = sha256(domain + previous_hash + bytes([codec]) + digest + bytes([part]))
    hashed.update(np.ascontiguousarray(predictions, dtype=dtype).data)
    return hashed.digest()
