"""Reads and writes safetensors files from strangers: named arrays, strict header, no code, bounded work.

Layout: header length (8 bytes, little-endian), header (JSON), data. Source: https://github.com/huggingface/safetensors.
"""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json
from safetensors import SafetensorError, deserialize

from pole.errors import PoleError

MAX_HEADER_BYTES = 1 << 20
MAX_TENSORS = 10_000
MAX_DIMENSIONS = 8

_LENGTH_BYTES = 8
_DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "U8": np.dtype("u1"),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}
_ORDER = ["BOOL", "U8", "F16", "I32", "F32", "F64", "I64"]  # the library's, narrow types first


@dataclass(frozen=True)
class TensorFile:
    """Contents of a safetensors file; the arrays are read-only."""

    tensors: dict[str, NDArray[Any]]
    metadata: dict[str, str]


def write_tensors(tensors: dict[str, NDArray[Any]], metadata: dict[str, str] | None = None) -> bytes:
    """Serialise; equal arrays give equal bytes (metadata: at most one entry, since their order is not kept).

    The bytes are those of the safetensors library, which needs two more copies of the data on the way: encrypted rows
    are large. Widest types come first, then names, so that every array is aligned.
    """
    if metadata is not None and len(metadata) > 1:
        raise ValueError(f"{len(metadata)} metadata entries have no fixed order; give one")
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    header: dict[str, Any] = {"__metadata__": metadata} if metadata is not None else {}
    parts, position = [], 0
    for name in sorted(arrays, key=lambda each: (-_ORDER.index(_CODES[arrays[each].dtype]), each)):
        array = arrays[name]
        end = position + array.nbytes
        header[name] = {"dtype": _CODES[array.dtype], "shape": list(array.shape), "data_offsets": [position, end]}
        parts.append(array.reshape(-1).view(np.uint8).data)
        position = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _LENGTH_BYTES)
    return b"".join([len(text).to_bytes(_LENGTH_BYTES, "little"), text, *parts])


def read_tensors(content: bytes, what: str, error: type[PoleError]) -> TensorFile:
    """Parse a whole file; raises `error`, with `what` as the subject of its message, for anything irregular.

    Our own checks of the header come first and are stricter than the format; that the arrays cover the data exactly is
    the library's to check. Shapes, dtypes and values are for the caller.
    """
    header, data_start = _header(content, what, error)
    metadata = _metadata(header.pop("__metadata__", {}), what, error)
    if len(header) > MAX_TENSORS:
        _refuse(f"holds {len(header)} tensors; at most {MAX_TENSORS} are allowed", what, error)
    for name, value in header.items():
        _check_entry(name, value, what, error)
    surplus = len(content) - data_start - max((value["data_offsets"][1] for value in header.values()), default=0)
    if surplus > 0:
        _refuse(f"has {surplus} bytes that belong to no tensor", what, error)
    try:
        found = deserialize(content)  # type: ignore[no-untyped-call]
    except SafetensorError as exc:
        problem = "".join(c if c.isprintable() else "?" for c in str(exc)[:200])
        raise error(f"{what} gives a data range that does not fit its shape or the file: {problem}") from exc
    if len(found) != len(header):
        _refuse(f"has {len(header)} tensors in its header and {len(found)} for the library", what, error)
    tensors = {name: np.frombuffer(part["data"], _DTYPES[part["dtype"]]).reshape(part["shape"]) for name, part in found}
    for array in tensors.values():
        array.flags.writeable = False
    return TensorFile(tensors, metadata)


def _header(content: bytes, what: str, error: type[PoleError]) -> tuple[dict[str, Any], int]:
    """The parsed header and where the data starts."""
    length = int.from_bytes(content[:_LENGTH_BYTES], "little")
    if len(content) < _LENGTH_BYTES or length > min(MAX_HEADER_BYTES, len(content) - _LENGTH_BYTES):
        _refuse(
            f"claims a header of {length} bytes in a file of {len(content)}; it is no safetensors file", what, error
        )
    try:
        # Not the standard library's parser: its recursion can overflow the C stack, and that kills the process.
        text = content[_LENGTH_BYTES : _LENGTH_BYTES + length]
        header = from_json(text, allow_inf_nan=False)
    except ValueError as exc:
        raise error(f"{what} has a header that is not JSON ({type(exc).__name__}); write it with safetensors") from exc
    if (name := _repeated_key(text)) is not None:
        _refuse(f"names {name!r:.100} twice in its header", what, error)
    if not isinstance(header, dict):
        _refuse("has a header that is not a JSON object", what, error)
    return header, _LENGTH_BYTES + length


def _repeated_key(text: bytes) -> str | None:
    """A key that an object of the header has twice: parsers differ in which value they take. The text is known to be
    JSON of bounded depth, which the standard library's parser can be given.
    """
    repeated: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        counts = Counter(key for key, _ in pairs)
        repeated.extend(key for key, count in counts.items() if count > 1)

    json.loads(text, object_pairs_hook=look)
    return repeated[0] if repeated else None


def _metadata(value: object, what: str, error: type[PoleError]) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(entry, str) for entry in value.values()):
        _refuse("has metadata that is not an object of strings", what, error)
    return value


def _check_entry(name: str, value: object, what: str, error: type[PoleError]) -> None:
    """Fields, dtype, shape and data range of one header entry, before the library sees whether they fit the file."""
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        _refuse(f"describes {name!r:.100} without exactly dtype, shape and data_offsets", what, error)
    if not isinstance(value["dtype"], str) or value["dtype"] not in _DTYPES:
        _refuse(f"gives {name!r:.100} the dtype {value['dtype']!r:.40}; need one of {', '.join(_DTYPES)}", what, error)
    shape, offsets = value["shape"], value["data_offsets"]
    if (
        not _are_sizes(shape)
        or 0 in shape
        or len(shape) > MAX_DIMENSIONS
        or not _are_sizes(offsets)
        or len(offsets) != 2
    ):
        _refuse(f"gives {name!r:.100} a malformed shape or data range", what, error)


def _are_sizes(value: object) -> bool:
    return isinstance(value, list) and all(type(size) is int and 0 <= size < 1 << 48 for size in value)


def _refuse(problem: str, what: str, error: type[PoleError]) -> NoReturn:
    raise error(f"{what} {problem}")
