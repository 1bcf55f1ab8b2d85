"""Content identifiers: the name of every file off chain, computed as IPFS computes it.

Profile: `ipfs add --cid-version=1` with Kubo's long-standing import settings: CIDv1, sha2-256, lower-case base32, raw
leaves, fixed chunks of 262,144 bytes, a balanced tree of dag-pb nodes with at most 174 links, no mode or mtime. Content
of at most one chunk is one raw block. Kubo's profile `unixfs-v1-2025` (larger chunks, wider nodes) gives other CIDs.
Source: https://specs.ipfs.tech/unixfs/ and https://ipld.io/specs/codecs/dag-pb/spec/
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pole.errors import BadInput, ContentNotFound, StoreError

RAW = 0x55
DAG_PB = 0x70
CHUNK_BYTES = 262_144
MAX_LINKS = 174

_SHA2_256 = 0x12
_DIGEST_BYTES = 32
_TEXT_LENGTH = 59  # "b" and 36 bytes in base32 without padding
_UNIXFS_FILE = 2
_VARINT, _BYTES = 0, 2  # protobuf wire types


@dataclass(frozen=True)
class Cid:
    """A CIDv1 of sha2-256, on chain as the pair (codec, digest)."""

    codec: int
    digest: bytes

    def __post_init__(self) -> None:
        if self.codec not in (RAW, DAG_PB):
            raise BadInput(f"CID codec {self.codec:#x} is not supported; use raw (0x55) or dag-pb (0x70)")
        if len(self.digest) != _DIGEST_BYTES:
            raise BadInput(f"CID digest has {len(self.digest)} bytes; a sha2-256 digest has {_DIGEST_BYTES}")

    @classmethod
    def parse(cls, text: str) -> "Cid":
        """Read the one canonical text form; raises BadInput for every other spelling, version, hash or codec."""
        content = _decode_base32(text)
        if content[0] != 1:
            raise BadInput(f"CID {text} is of version {content[0]}; need version 1 (`ipfs cid format -v 1 -b base32`)")
        if content[2:4] != bytes((_SHA2_256, _DIGEST_BYTES)):
            raise BadInput(
                f"CID {text} does not use sha2-256 with {_DIGEST_BYTES} bytes; add the content with the default hash"
            )
        return cls(content[1], content[4:])

    @classmethod
    def from_tuple(cls, codec: int, digest: bytes) -> "Cid":
        """Inverse of `as_tuple`; raises BadInput, since anybody may write anything on chain."""
        return cls(codec, bytes(digest))

    def as_tuple(self) -> tuple[int, bytes]:
        """(codec, digest): the struct `Cid` of the contracts."""
        return self.codec, self.digest

    def to_bytes(self) -> bytes:
        """The 36 bytes of the binary form: version, codec, hash, digest length, digest."""
        return bytes((1, self.codec, _SHA2_256, _DIGEST_BYTES)) + self.digest

    def __str__(self) -> str:
        return "b" + base64.b32encode(self.to_bytes()).decode().lower().rstrip("=")


def cid_of(content: bytes) -> Cid:
    """CID of content in memory."""
    hasher = ContentHasher()
    hasher.update(content)
    return hasher.finish()


def cid_of_file(path: Path) -> Cid:
    """CID of a file, in memory of a few chunks; raises StoreError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return cid_of_stream(file)
    except FileNotFoundError as exc:
        raise ContentNotFound(f"there is no file {path}; check the path") from exc
    except OSError as exc:
        raise StoreError(f"cannot read {path}: {exc.strerror}; check its permissions and the disk") from exc


def cid_of_stream(stream: BinaryIO) -> Cid:
    """CID of what is left in a binary stream."""
    hasher = ContentHasher()
    while piece := stream.read(CHUNK_BYTES):
        hasher.update(piece)
    return hasher.finish()


class _Link(NamedTuple):
    """A child in the tree: `size` bytes of content below it, `total_bytes` with the tree's own blocks."""

    cid: Cid
    size: int
    total_bytes: int


class ContentHasher:
    """Computes the CID of content that arrives piece by piece, in memory of one chunk and 174 links per level.

    Other chunk sizes than the profile's serve only to compare with vectors published for them.
    """

    def __init__(self, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._chunk_bytes = chunk_bytes
        self._rest = bytearray()
        self._levels: list[list[_Link]] = [[]]

    def update(self, piece: bytes) -> None:
        """Append content."""
        view = memoryview(piece)
        while view:
            taken = min(len(view), self._chunk_bytes - len(self._rest))
            self._rest += view[:taken]
            view = view[taken:]
            if len(self._rest) == self._chunk_bytes:
                self._close_chunk()

    def finish(self) -> Cid:
        """The CID of all content so far; the hasher is spent."""
        if self._rest or not any(self._levels):
            self._close_chunk()
        depth = 0
        while depth + 1 < len(self._levels) or len(self._levels[depth]) > 1:
            self._close_node(depth)
            depth += 1
        return self._levels[depth][0].cid

    def _close_chunk(self) -> None:
        leaf = Cid(RAW, hashlib.sha256(self._rest).digest())
        self._add(0, _Link(leaf, len(self._rest), len(self._rest)))
        self._rest.clear()

    def _add(self, depth: int, link: _Link) -> None:
        """A full node is closed only when its next sibling comes, so that a tree of 174 leaves has one level."""
        if len(self._levels[depth]) == MAX_LINKS:
            self._close_node(depth)
        self._levels[depth].append(link)

    def _close_node(self, depth: int) -> None:
        links = self._levels[depth]
        block = _file_node(links)
        node = _Link(
            Cid(DAG_PB, hashlib.sha256(block).digest()),
            sum(link.size for link in links),
            sum(link.total_bytes for link in links) + len(block),
        )
        self._levels[depth] = []
        if depth + 1 == len(self._levels):
            self._levels.append([])
        self._add(depth + 1, node)


def _file_node(links: list[_Link]) -> bytes:
    """The dag-pb block of a UnixFS file node: links first, then data, as the canonical form asks."""
    unixfs = _field(1, _UNIXFS_FILE) + _field(3, sum(link.size for link in links))
    unixfs += b"".join(_field(4, link.size) for link in links)
    return b"".join(_field(2, _link_message(link)) for link in links) + _field(1, unixfs)


def _link_message(link: _Link) -> bytes:
    return _field(1, link.cid.to_bytes()) + _field(2, b"") + _field(3, link.total_bytes)


def _field(number: int, value: int | bytes) -> bytes:
    """One protobuf field: a varint, or bytes with their length."""
    if isinstance(value, int):
        return _varint(number << 3 | _VARINT) + _varint(value)
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    """Unsigned LEB128."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _decode_base32(text: str) -> bytes:
    shown = repr(text if len(text) <= 2 * _TEXT_LENGTH else text[: 2 * _TEXT_LENGTH] + "…")
    if len(text) != _TEXT_LENGTH or not text.startswith("b") or not text.isascii() or text != text.lower():
        raise BadInput(f"{shown} is not a CID; need CIDv1 in base32: {_TEXT_LENGTH} characters that start with 'b'")
    try:
        content = base64.b32decode(text[1:].upper() + "=" * (-(len(text) - 1) % 8))
    except binascii.Error as exc:
        raise BadInput(f"{shown} is not a CID: {exc}; need base32 (a-z, 2-7)") from exc
    if base64.b32encode(content).decode().lower().rstrip("=") != text[1:]:
        raise BadInput(f"{shown} is not a canonical CID: its last character carries unused bits; copy it again")
    return content
