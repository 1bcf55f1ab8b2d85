"""Predictions that verifiers publish when they reveal a vote, so that anybody can check a verdict row by row."""

import base64
import binascii
import math
import zlib
from collections.abc import Sequence

import numpy as np

from pole.document import Document, canonical_json, parse_document
from pole.errors import ContentMismatch
from pole.task.scores import Integers

_ITEM = np.dtype("<i8")


class EntryRows(Document):
    """One entry's predictions on both parts, as `pack_rows` writes them; empty where there was no score."""

    train: str = ""
    test: str = ""


class PublishedPredictions(Document):
    """What one verifier found on a ballot, in entry order; believed only as far as it hashes to the voted root."""

    ballot_id: int
    entries: list[EntryRows]

    def to_bytes(self) -> bytes:
        return canonical_json(self)


def most_published_bytes(entries: int, numbers: int) -> int:
    """No honest file is larger. `numbers`: of one entry, both parts together.

    Compression may gain nothing, and base64 costs a third.
    """
    return (entries + 1) * (numbers * _ITEM.itemsize * 3 // 2 + 1024)


def read_published(content: bytes) -> PublishedPredictions:
    """Raises ContentMismatch for anything else."""
    return parse_document(
        PublishedPredictions,
        content,
        what="the file of published predictions",
        max_bytes=len(content),  # the store has refused what is too large
        error=ContentMismatch,
        see="docs/exact-evaluation.md",
    )


def pack_rows(predictions: Integers) -> str:
    """Predictions [n] or [n, outputs] as text: little-endian int64, compressed, in base64."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(predictions, dtype=_ITEM).tobytes())).decode()


def unpack_rows(text: str, shape: Sequence[int]) -> Integers:
    """Inverse of `pack_rows` for a known shape, in the memory that it needs; raises ContentMismatch."""
    size = math.prod(shape) * _ITEM.itemsize
    unpacking = zlib.decompressobj()
    try:
        content = unpacking.decompress(base64.b64decode(text, validate=True), size + 1)
    except (binascii.Error, ValueError, zlib.error) as exc:
        raise ContentMismatch(f"published predictions cannot be unpacked: {exc}") from exc
    if len(content) != size:
        raise ContentMismatch(f"published predictions do not have the shape {tuple(shape)}")
    return np.frombuffer(content, dtype=_ITEM).astype(np.int64).reshape(shape)
