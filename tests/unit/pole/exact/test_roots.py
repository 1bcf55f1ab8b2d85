"""What a root binds, byte by byte."""

from hashlib import sha256

import numpy as np
import pytest

from pole.exact.roots import RowPart, predictions_root
from pole.storage.cid import cid_of

MODEL, HASH = cid_of(b"model"), bytes(range(32))


def expected(domain: bytes, part: int, rows: bytes) -> bytes:
    codec, digest = MODEL.as_tuple()
    return sha256(domain + HASH + bytes([codec]) + digest + bytes([part]) + rows).digest()


def test_root__classes__four_bytes_each() -> None:
    rows = b"\1\0\0\0" + b"\0\1\0\0"
    found = predictions_root(HASH, MODEL, RowPart.TEST, np.array([1, 256]))
    assert found == expected(b"pole.predictions.v1", 1, rows)


def test_root__outputs__eight_bytes_each_row_by_row() -> None:
    rows = b"".join(value.to_bytes(8, "little", signed=True) for value in (1, -2, 1 << 40, 3))
    outputs = np.array([[1, 1 << 40], [-2, 3]]).T  # not contiguous
    assert outputs.tolist() == [[1, -2], [1 << 40, 3]]
    assert predictions_root(HASH, MODEL, RowPart.TRAIN, outputs) == expected(b"pole.outputs.v1", 0, rows)


@pytest.mark.parametrize("change", [1, -1])
def test_root__one_unit_of_one_output__another_root(change: int) -> None:
    outputs = np.arange(12).reshape(4, 3)
    other = outputs.copy()
    other[2, 1] += change
    roots = [predictions_root(HASH, MODEL, RowPart.TEST, rows) for rows in (outputs, other)]
    assert roots[0] != roots[1]
