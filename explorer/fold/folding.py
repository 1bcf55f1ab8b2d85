"""How a view is folded: a table of functions by event name, each of which adds one event to the view."""

from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from typing import Any, TypeVar

from explorer.chain.events import Event

View = TypeVar("View")
Steps = Mapping[str, Callable[[View, Event], None]]


def fold(steps: Steps[View], view: View, events: Iterable[Event]) -> View:
    """The view after these events; events that no step is for change nothing."""
    for event in events:
        step = steps.get(event.name)
        if step is not None:
            step(view, event)
    return view


def into(name: str) -> Callable[[Any, Event], None]:
    """A step that adds the event to a list of the view."""

    def step(view: Any, event: Event) -> None:
        getattr(view, name).append(event)

    return step


def name_of(kind: type[IntEnum], value: Any) -> str:
    """The name of a member in words; what this version does not know, as a number."""
    try:
        return kind(value).name.lower().replace("_", " ")
    except ValueError:
        return f"number {value}"
