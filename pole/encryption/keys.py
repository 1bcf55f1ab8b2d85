"""The three kinds of keys of inner-product encryption, and their files."""

import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from pole.atomicfile import write_atomically
from pole.document import Document
from pole.encryption.group import ORDER, load_points, new_points
from pole.encryption.points import POINT_BYTES
from pole.errors import BadInput, DataInvalid
from pole.storage.tensorfile import read_tensors, write_tensors

Scalar = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

_OWNER_ONLY = 0o600
HEADER_ALLOWANCE_BYTES = 4096


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
        content = _MasterKeyDocument(secret=[scalar_to_text(scalar) for scalar in self.secret]).model_dump_json()
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
    return dimension * POINT_BYTES + HEADER_ALLOWANCE_BYTES


class _MasterKeyDocument(Document):
    version: Literal[1] = 1
    secret: Annotated[list[Scalar], Field(min_length=1, max_length=1 << 20)]


def scalar_to_text(scalar: int) -> str:
    return f"{scalar:064x}"
