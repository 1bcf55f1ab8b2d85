"""The three kinds of keys of inner-product encryption, and their files."""

import json
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from pole.atomicfile import write_atomically
from pole.cid import Cid
from pole.dataset import POINT_BYTES
from pole.encryption.group import ORDER, load_points, new_points
from pole.errors import BadInput, DataInvalid, KeyRefused
from pole.manifest import Document, Manifest
from pole.mapping import key_queries
from pole.tensorfile import read_tensors, write_tensors

Scalar = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

_OWNER_ONLY = 0o600
_BYTES_PER_SCALAR = 67  # 64 digits, two quotation marks, a comma
_HEADER_ALLOWANCE_BYTES = 4096


@dataclass(frozen=True)
class MasterKey:
    """s, the client's secret: one scalar per feature. Whoever has it reads every row of the task."""

    secret: tuple[int, ...] = field(repr=False)

    @property
    def dimension(self) -> int:
        return len(self.secret)

    @classmethod
    def generate(cls, dimension: int) -> "MasterKey":
        """A fresh key from the operating system's randomness; every task needs its own."""
        return cls(tuple(1 + secrets.randbelow(ORDER - 1) for _ in range(dimension)))

    def save(self, path: Path) -> None:
        """Write the key, readable by its owner only; refuses to replace a file, which may be the only copy of a key."""
        content = _MasterKeyDocument(secret=[_to_text(scalar) for scalar in self.secret]).model_dump_json()
        try:
            write_atomically(path, content.encode(), _OWNER_ONLY, replace=False)
        except FileExistsError as exc:
            raise BadInput(f"{path} exists; keep it (it may be the key of a running task) and choose another") from exc
        except OSError as exc:
            raise BadInput(f"cannot write the master key to {path}: {exc.strerror}") from exc

    @classmethod
    def load(cls, path: Path) -> "MasterKey":
        """Read a key back; raises BadInput, never with the content in the message."""
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            content = path.read_bytes()
        except OSError as exc:
            raise BadInput(f"cannot read the master key {path}: {exc.strerror}") from exc
        if mode & 0o077:
            raise BadInput(f"the master key {path} has mode {mode:o}, open to other users; run chmod 600 on it")
        try:
            document = _MasterKeyDocument.model_validate_json(content)
        except ValidationError:
            raise BadInput(f"{path} is not a master key file") from None
        scalars = tuple(int(text, 16) for text in document.secret)
        if not all(0 < scalar < ORDER for scalar in scalars):
            raise BadInput(f"{path} is not a master key file: a scalar is outside 1..order-1")
        return cls(scalars)


@dataclass(frozen=True, eq=False)
class PublicKey:
    """h, points uint8 [D, 64] with h_j = g^(s_j): what functional keys are checked against."""

    points: NDArray[np.uint8]

    @property
    def dimension(self) -> int:
        return len(self.points)

    def to_bytes(self) -> bytes:
        return write_tensors({"h": self.points})

    @classmethod
    def from_bytes(cls, content: bytes, dimension: int) -> "PublicKey":
        """Read the key for so many features; raises DataInvalid, also for points off the curve."""
        tensors = read_tensors(content, "public key", DataInvalid).tensors
        points = tensors.get("h")
        if len(tensors) != 1 or points is None or points.dtype != np.uint8 or points.shape != (dimension, POINT_BYTES):
            raise DataInvalid(f"public key must hold exactly h, uint8 [{dimension}, {POINT_BYTES}]")
        load_points(new_points(dimension), points)
        return cls(points)


def max_public_key_bytes(dimension: int) -> int:
    """The cap to fetch a public key with."""
    return dimension * POINT_BYTES + _HEADER_ALLOWANCE_BYTES


@dataclass(frozen=True)
class FunctionalKeys:
    """eta[segment][vector] = <s of the segment, z^vector>: opens these inner products of every row, nothing else.

    Bound to one manifest (the CID of its canonical bytes) and one previous hash. A convolutional task's keys are s
    itself, written as one segment per feature with the single vector (1).
    """

    manifest: Cid
    previous_hash: bytes
    etas: tuple[tuple[int, ...], ...] = field(repr=False)

    def to_bytes(self) -> bytes:
        """JSON, the same bytes for equal keys."""
        document = _FunctionalKeysDocument(
            manifest=str(self.manifest),
            previous_hash=self.previous_hash.hex(),
            etas=[[_to_text(eta) for eta in segment] for segment in self.etas],
        )
        return json.dumps(document.model_dump(), sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> "FunctionalKeys":
        """Read published keys; raises KeyRefused. Size is capped by the caller's fetch (max_keys_bytes)."""
        try:
            document = _FunctionalKeysDocument.model_validate_json(content)
            manifest = Cid.parse(document.manifest)
        except (ValidationError, BadInput, RecursionError) as exc:
            raise KeyRefused("the functional keys are not a document of the agreed form; the client's mistake") from exc
        etas = tuple(tuple(int(eta, 16) for eta in segment) for segment in document.etas)
        if any(eta >= ORDER for segment in etas for eta in segment):
            raise KeyRefused("a functional key is not below the group order; the client's mistake")
        return cls(manifest, bytes.fromhex(document.previous_hash), etas)


def max_keys_bytes(manifest: Manifest) -> int:
    """The cap to fetch functional keys with."""
    segments, vectors = keys_shape(manifest)
    return segments * (vectors * _BYTES_PER_SCALAR + 3) + _HEADER_ALLOWANCE_BYTES


def keys_shape(manifest: Manifest) -> tuple[int, int]:
    """Segments and vectors per segment of the task's functional keys."""
    vectors, width = key_queries(manifest.mapping, b"\0" * 32, tuple(manifest.data.shape)).shape
    return manifest.data.dimension // width, vectors


class _MasterKeyDocument(Document):
    version: Literal[1] = 1
    secret: Annotated[list[Scalar], Field(min_length=1, max_length=1 << 20)]


class _FunctionalKeysDocument(Document):
    version: Literal[1] = 1
    manifest: Annotated[str, Field(max_length=128)]
    previous_hash: Scalar
    etas: Annotated[list[Annotated[list[Scalar], Field(min_length=1)]], Field(min_length=1)]


def _to_text(scalar: int) -> str:
    return f"{scalar:064x}"
