"""Predictions that verifiers publish when they reveal a vote, so that anybody can check a verdict row by row."""

import base64
import binascii
import zlib

import numpy as np

from pole.document import Document, canonical_json, parse_document
from pole.errors import ContentMismatch
from pole.task.scores import Integers

MAX_PUBLISHED_BYTES = 1 << 30
_ITEM = np.dtype("<i4")


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


def read_published(content: bytes) -> PublishedPredictions:
    """Raises ContentMismatch for anything else."""
    return parse_document(
        PublishedPredictions,
        content,
        what="the file of published predictions",
        max_bytes=MAX_PUBLISHED_BYTES,
        error=ContentMismatch,
        see="docs/exact-evaluation.md",
    )


def pack_rows(predictions: Integers) -> str:
    """Predictions [n] as text: little-endian int32, compressed, in base64."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(predictions, dtype=_ITEM).tobytes())).decode()


def unpack_rows(text: str, rows: int) -> Integers:
    """Inverse of `pack_rows` for a known number of rows, in the memory that these need; raises ContentMismatch."""
    unpacking = zlib.decompressobj()
    try:
        content = unpacking.decompress(base64.b64decode(text, validate=True), rows * _ITEM.itemsize + 1)
    except (binascii.Error, ValueError, zlib.error) as exc:
        raise ContentMismatch(f"published predictions cannot be unpacked: {exc}") from exc
    if len(content) != rows * _ITEM.itemsize:
        raise ContentMismatch(f"published predictions are not of {rows} rows")
    return np.frombuffer(content, dtype=_ITEM).astype(np.int64)
