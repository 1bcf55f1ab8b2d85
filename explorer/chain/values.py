"""Between the ABI and what is stored and shown: structs become dictionaries by name, bytes hex, CIDs their text."""

from collections.abc import Sequence
from typing import Any

from pole.storage.cid import DAG_PB, RAW, Cid


def plain(entry: dict[str, Any], value: Any) -> Any:
    """A decoded value of an ABI entry: int, bool, str, list, dict by component name, CID as text, None for no CID."""
    kind = str(entry["type"])
    if kind.endswith("]"):
        inner = {**entry, "type": kind[: kind.rindex("[")]}
        return [plain(inner, each) for each in value]
    if kind == "tuple":
        fields = named(entry["components"], value)
        return _cid(fields) if fields.keys() == {"codec", "digest"} else fields
    return f"0x{value.hex()}" if isinstance(value, bytes) else value


def named(entries: Sequence[dict[str, Any]], values: Sequence[Any]) -> dict[str, Any]:
    """By parameter name; a nameless one by its position."""
    return {
        entry["name"] or str(position): plain(entry, value)
        for position, (entry, value) in enumerate(zip(entries, values, strict=True))
    }


def _cid(fields: dict[str, Any]) -> Any:
    """Its text; None where the struct is empty; the struct as it is where it names nothing that we could fetch."""
    digest = bytes.fromhex(fields["digest"][2:])
    if not any(digest):
        return None
    return str(Cid(fields["codec"], digest)) if fields["codec"] in (RAW, DAG_PB) else fields
