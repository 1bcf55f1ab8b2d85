"""Short ways to make the figures that pages are full of."""

from typing import Any

from explorer.chain.calls import View
from explorer.chain.codec import checksummed
from explorer.chain.events import Event
from explorer.figures import Figure, InEvent, Proof, Rows, Said
from explorer.site import Site

NOTHING = Said("—")
_SHOWN_UNITS = ("id", "wei", "s")
_WORDS = {"ppm": "score"}


def arg(event: Event, *path: str | int, unit: str = "text") -> Figure:
    """What stands in an event."""
    value: Any = event.args
    for step in path:
        value = value[step]
    return Figure(value, unit, InEvent(event, path))


def time_of(event: Event | None) -> Figure | Said:
    return NOTHING if event is None else Figure(event.time, "time", InEvent(event, ()))


def viewed(site: Site, value: Any, unit: str, view: View, otherwise: Proof | None = None) -> Figure | Said:
    """A figure from events that a view says as well; where this version of the contract has none, `otherwise`."""
    if site.views.has(view):
        return Figure(value, unit, view)
    return Said(str(value)) if otherwise is None else Figure(value, unit, otherwise)


def summed(names: tuple[str, ...], argument: str, value: int, unit: str, key: tuple[str, str] | None = None) -> Figure:
    return Figure(value, unit, Rows("sum", names, key, argument))


def counted(names: tuple[str, ...], value: int, key: tuple[str, str] | None = None) -> Figure:
    return Figure(value, "count", Rows("count", names, key))


def words_of(name: str) -> str:
    """A field's name in words, without the units that its figure shows."""
    words = "".join(f" {c.lower()}" if c.isupper() else c for c in name).split(" ")
    return " ".join(_WORDS.get(word, word) for word in words if word not in _SHOWN_UNITS)


def is_address(text: str) -> bool:
    """An account as our pages' addresses have it, checksummed or not."""
    return len(text) == 42 and text.startswith("0x") and all(c in "0123456789abcdefABCDEF" for c in text[2:])


def address(text: str) -> str:
    return checksummed(text.lower())


def clock(at: int) -> str:
    """Time of day, UTC."""
    return f"{at // 3600 % 24:02d}:{at // 60 % 60:02d}:{at % 60:02d} UTC"
