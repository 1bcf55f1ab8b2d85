"""Between the ABI and our structs: what web3 decodes becomes records, and records what it encodes."""

import dataclasses
import types
import typing
from enum import IntEnum

from pole.storage.cid import Cid


def from_abi(record: type[typing.Any], values: typing.Sequence[typing.Any], **ids: int) -> typing.Any:
    """Build `record` from a decoded struct (values in the struct's order) and the ids that are not in it."""
    hints = typing.get_type_hints(record)
    names = [field.name for field in dataclasses.fields(record) if field.name not in ids]
    converted = {name: _convert(hints[name], value) for name, value in zip(names, values, strict=True)}
    return record(**ids, **converted)


def to_abi(value: typing.Any) -> typing.Any:
    """What web3 takes for a record, a CID, an enum, or a list of them: tuples in the struct's order."""
    if isinstance(value, Cid):
        return value.as_tuple()
    if value is None:
        return (0, bytes(32))
    if isinstance(value, list | tuple):
        return [to_abi(part) for part in value]
    if dataclasses.is_dataclass(value):
        return tuple(to_abi(getattr(value, field.name)) for field in dataclasses.fields(value))
    return int(value) if isinstance(value, IntEnum) else value


def _convert(hint: typing.Any, value: typing.Any) -> typing.Any:
    if isinstance(hint, types.UnionType):  # a CID that may not be there yet
        return None if not any(value[1]) else Cid.from_tuple(value[0], bytes(value[1]))
    if hint is Cid:
        return Cid.from_tuple(value[0], bytes(value[1]))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_abi(hint, value)
    return hint(value) if hint in (bytes, int) or issubclass(hint, IntEnum) else value
