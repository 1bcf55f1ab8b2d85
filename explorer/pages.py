"""All pages by kind: what the web server, the proofs and the audit make them from."""

from collections.abc import Callable
from dataclasses import dataclass

from explorer.contents import Contents
from explorer.figures import Page
from explorer.site import Snapshot
from explorer.views.accounts import account_page, heights_page, rounds_page
from explorer.views.blocks import block_page
from explorer.views.cells import address, is_address
from explorer.views.gradient import gradient_page, gradient_task_page
from explorer.views.lists import (
    blocks_page,
    content_page,
    event_page,
    hash_page,
    rounds_list,
    tasks_page,
    transaction_page,
)
from explorer.views.now import now
from explorer.views.proposals import gradient_block_page
from explorer.views.rounds import round_page
from explorer.views.statistics import statistics_page
from explorer.views.tasks import task_page
from explorer.views.verifiers import verifiers_page


@dataclass(frozen=True)
class Place:
    """Which page: `before` is the event from which a long list goes on."""

    kind: str
    id: str = ""
    before: int | None = None


_Make = Callable[[Snapshot, Contents, Place], Page | None]
WHOLE: dict[str, _Make] = {
    "now": lambda snapshot, _contents, _place: now(snapshot),
    "tasks": lambda snapshot, _contents, place: tasks_page(snapshot, place.before),
    "rounds": lambda snapshot, _contents, place: rounds_list(snapshot, place.before),
    "blocks": lambda snapshot, _contents, place: blocks_page(snapshot, place.before),
    "verifiers": lambda snapshot, _contents, _place: verifiers_page(snapshot),
    "gradient": lambda snapshot, _contents, _place: gradient_page(snapshot),
    "statistics": lambda snapshot, _contents, _place: statistics_page(snapshot),
}
"""Pages without an id."""
SINGLE: dict[str, _Make] = {
    "task": lambda snapshot, contents, place: task_page(snapshot, contents, place.id),
    "round": lambda snapshot, _contents, place: round_page(snapshot, place.id),
    "block": lambda snapshot, _contents, place: block_page(snapshot, place.id),
    "account": lambda snapshot, _contents, place: account_page(snapshot, place.id, place.before),
    "account-rounds": lambda snapshot, _contents, place: rounds_page(snapshot, place.id, place.before),
    "account-heights": lambda snapshot, _contents, place: heights_page(snapshot, place.id, place.before),
    "gradient-task": lambda snapshot, contents, place: gradient_task_page(snapshot, contents, place.id),
    "gradient-block": lambda snapshot, _contents, place: gradient_block_page(snapshot, place.id),
    "tx": lambda snapshot, _contents, place: transaction_page(snapshot, place.id),
    "event": lambda snapshot, _contents, place: event_page(snapshot, place.id),
    "cid": lambda snapshot, _contents, place: content_page(snapshot, place.id),
    "hash": lambda snapshot, _contents, place: hash_page(snapshot, place.id),
}
"""Pages of one thing each."""


def make_page(snapshot: Snapshot, contents: Contents, place: Place) -> Page | None:
    """None if there is nothing of that name."""
    make = (SINGLE if place.id else WHOLE).get(place.kind)
    if make is None:
        return None
    if place.kind.startswith("account") and is_address(place.id):
        place = Place(place.kind, address(place.id), place.before)
    try:
        return make(snapshot, contents, place)
    except ValueError:  # an id that is none
        return None
