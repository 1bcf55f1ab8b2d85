"""Functional keys of a round: their file, issuing them without giving the secret away, checking what was issued.

The scheme is timed release, not privacy. Keys of full rank reveal s, and far fewer let lattice reduction recover
small-integer features: measured on 8x8 digits, 32 of 64 keys recover all rows, 24 keys 67 %, 20 keys 16 %, 16 none.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, ValidationError

from pole.document import Document
from pole.encryption.backend import Backend, backend
from pole.encryption.group import ORDER
from pole.encryption.keycheck import all_keys_match
from pole.encryption.keys import HEADER_ALLOWANCE_BYTES, MasterKey, PublicKey, Scalar, scalar_to_text
from pole.errors import BadInput, KeyRefused
from pole.learning.conditioning import rank
from pole.learning.mapping import key_queries
from pole.storage.cid import Cid, cid_of
from pole.task.manifest import DenseMapping, InnerProductEncryption, Manifest

WARNING_FRACTION = 4
_BYTES_PER_SCALAR = 67  # 64 digits, two quotation marks, a comma


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
            etas=[[scalar_to_text(eta) for eta in segment] for segment in self.etas],
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
    return segments * (vectors * _BYTES_PER_SCALAR + 3) + HEADER_ALLOWANCE_BYTES


def keys_shape(manifest: Manifest) -> tuple[int, int]:
    """Segments and vectors per segment of the task's functional keys."""
    mapping = manifest.mapping
    if not isinstance(mapping, DenseMapping):
        return manifest.data.dimension, 1
    return manifest.data.dimension // mapping.segment_width(tuple(manifest.data.shape)), mapping.vectors


class _FunctionalKeysDocument(Document):
    version: Literal[1] = 1
    manifest: Annotated[str, Field(max_length=128)]
    previous_hash: Scalar
    etas: Annotated[list[Annotated[list[Scalar], Field(min_length=1)]], Field(min_length=1)]


def issue_keys(
    master: MasterKey, manifest: Manifest, previous_hash: bytes, already_issued: Iterable[bytes] = ()
) -> FunctionalKeys:
    """Keys of a round, given the previous hashes of all rounds that this task got keys for before.

    Raises KeyRefused when the rank of everything ever issued would pass the manifest's rank limit.
    """
    encryption = manifest.encryption
    if not isinstance(encryption, InnerProductEncryption):
        raise KeyRefused("the task is not encrypted; there are no keys to issue")
    if master.dimension != manifest.data.dimension:
        raise KeyRefused(
            f"the master key has {master.dimension} features, the task {manifest.data.dimension}; wrong file"
        )
    if isinstance(manifest.mapping, DenseMapping):
        issued = issued_rank(manifest, [*already_issued, previous_hash])
        if issued > encryption.rank_limit:
            raise KeyRefused(
                f"keys of rank {issued} would be out, the task's limit is {encryption.rank_limit} of "
                f"{manifest.mapping.segment_width(tuple(manifest.data.shape))}; submit the data again, under a new key"
            )
    queries = key_queries(manifest.mapping, previous_hash, tuple(manifest.data.shape))
    return FunctionalKeys(_canonical_cid(manifest), previous_hash, _etas(master, queries.tolist()))


def issued_rank(manifest: Manifest, previous_hashes: Iterable[bytes]) -> int:
    """Rank, per segment, of the functional keys of all these rounds together; a convolutional round gives all away."""
    distinct = sorted(set(previous_hashes))
    if not distinct:
        return 0
    shape = tuple(manifest.data.shape)
    if not isinstance(manifest.mapping, DenseMapping):
        return manifest.data.dimension
    return rank(np.concatenate([key_queries(manifest.mapping, each, shape) for each in distinct]))


def warning_rank(manifest: Manifest) -> int:
    """Keys of a higher rank deserve a warning: at about twice this rank the data can be recovered outright."""
    shape = tuple(manifest.data.shape)
    width = manifest.mapping.segment_width(shape) if isinstance(manifest.mapping, DenseMapping) else 0
    return width // WARNING_FRACTION


def check_keys(
    public_key: PublicKey,
    keys: FunctionalKeys,
    manifest: Manifest,
    previous_hash: bytes,
    compute: Backend | None = None,
) -> None:
    """Raise KeyRefused unless the keys are the right ones of this task and round: g^eta == prod h_j^(z_j) for each.

    All at once; only if that fails, one by one to name the wrong ones.
    """
    if keys.manifest != _canonical_cid(manifest) or keys.previous_hash != previous_hash:
        raise KeyRefused(
            f"the keys are for the manifest {keys.manifest} and previous hash 0x{keys.previous_hash.hex()}, "
            f"not {_canonical_cid(manifest)} and 0x{previous_hash.hex()}; the client published those of another round"
        )
    segments, vectors = keys_shape(manifest)
    if len(keys.etas) != segments or any(len(segment) != vectors for segment in keys.etas):
        raise KeyRefused(f"there are not {segments} x {vectors} functional keys; the client's mistake")
    queries = key_queries(manifest.mapping, previous_hash, tuple(manifest.data.shape))
    if all_keys_match(public_key, queries, keys.etas):
        return
    is_right = (compute or backend()).verify_keys(public_key, queries, keys.etas)
    if not is_right.all():
        segment, vector = np.argwhere(~is_right)[0]
        raise KeyRefused(
            f"the functional key of segment {segment}, vector {vector} does not match the public key "
            f"({np.count_nonzero(~is_right)} of {is_right.size} do not); the client's mistake or an attack"
        )


def _canonical_cid(manifest: Manifest) -> Cid:
    return cid_of(manifest.to_bytes())


def _etas(master: MasterKey, queries: list[list[int]]) -> tuple[tuple[int, ...], ...]:
    width = len(queries[0])
    segments = [master.secret[start : start + width] for start in range(0, master.dimension, width)]
    return tuple(tuple(_inner_product(segment, query) for query in queries) for segment in segments)


def _inner_product(secret: tuple[int, ...], query: list[int]) -> int:
    return sum(scalar * weight for scalar, weight in zip(secret, query, strict=True)) % ORDER
