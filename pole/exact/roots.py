"""Roots over all predictions of a model: what a vote says besides a score. See docs/exact-evaluation.md, "Roots"."""

from enum import IntEnum
from hashlib import sha256

import numpy as np

from pole.storage.cid import Cid
from pole.task.scores import Integers

_DOMAIN = b"pole.predictions.v1"


class RowPart(IntEnum):
    """Which rows of a task were predicted."""

    TRAIN = 0
    TEST = 1


def predictions_root(previous_hash: bytes, model: Cid, part: RowPart, predictions: Integers) -> bytes:
    """32 bytes that nobody has without the predictions; `previous_hash`: 32 bytes, `predictions`: [n], in row order."""
    codec, digest = model.as_tuple()
    rows = np.ascontiguousarray(predictions, dtype="<i4")
    return sha256(_DOMAIN + previous_hash + bytes([codec]) + digest + bytes([part]) + rows.tobytes()).digest()
