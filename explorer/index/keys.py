"""What each event concerns: a task, a round, a ballot, an account. Pure: from the events of one transaction."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from explorer.chain.events import Event
from explorer.chain.lanes import Kinds
from pole.storage.cid import Cid

Key = tuple[str, str]
OwnerOf = Callable[[Key], Sequence[Key]]
"""What a ballot was opened for, or which gradient task a height works on, from earlier on the chain."""

NO_ACCOUNT = "0x0000000000000000000000000000000000000000"
PARTS = ("round", "gradient_block")
"""What an account takes part in, and what ballots are opened for."""
_INHERITED = ("round", "gradient_block", "task", "gradient_task", "ballot")
_ACTORS = ("by", "client", "miner", "verifier")
"""Who acts: `by` displaces the verifier or miner that the event names beside it."""


def keys_of(events: Sequence[Event], kinds: Kinds, owner_of: OwnerOf) -> list[set[Key]]:
    """The keys of the events of one transaction, which are in the order of the chain.

    An event that names no round, as those of the reservoir, belongs to the round of the event before it, or of the one
    after it: contracts say what happens, and then move the money.
    """
    explicit = [set(_explicit(event, kinds)) for event in events]
    opened = _owners(events, explicit, kinds)
    for keys in explicit:
        for ballot in [value for kind, value in keys if kind == "ballot"]:
            keys.update(opened.get(ballot) or owner_of(("ballot", ballot)))
    inherited = _inherited(explicit)
    payers = _payers(events, kinds)
    found = [keys | more | paid for keys, more, paid in zip(explicit, inherited, payers, strict=True)]
    for keys in found:
        keys.update(_task_of(keys, owner_of))
    return found


def owned_by(event: Event, keys: set[Key]) -> dict[Key, list[Key]]:
    """What later events that name less than this one can be told from it."""
    found = {}
    if event.name == "BallotOpened":
        found.update({key: [each for each in keys if each[0] in PARTS] for key in keys if key[0] == "ballot"})
    tasks = [key for key in keys if key[0] == "gradient_task"]
    if event.name == "HeightPhaseChanged" and tasks:
        found.update({key: tasks for key in keys if key[0] == "gradient_block"})
    return found


def _task_of(keys: set[Key], owner_of: OwnerOf) -> list[Key]:
    """Of a height of the gradient chain that is named without its task, as when proposals are rejected."""
    heights = [key for key in keys if key[0] == "gradient_block"]
    has_task = any(key[0] == "gradient_task" for key in keys)
    return [] if has_task else [task for height in heights for task in owner_of(height)]


def accounts_of(keys: set[Key]) -> set[str]:
    return {value for kind, value in keys if kind == "account"}


def _explicit(event: Event, kinds: Kinds) -> Iterator[Key]:
    """What the event itself names."""
    for name, value in event.args.items():
        kind = kinds.key_of(event.contract, name)
        if kind and not (kind == "task" and value == 0):
            yield kind, kinds.value(event.contract, kind, value)
        yield from _leaves(name, value, kinds)


def _leaves(name: str, value: Any, kinds: Kinds) -> Iterator[Key]:
    """Accounts and contents, however deep."""
    if isinstance(value, dict):
        for inner, each in value.items():
            yield from _leaves(inner, each, kinds)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(name, each, kinds)
    elif isinstance(value, str) and len(value) == 42 and value.startswith("0x"):
        if value != NO_ACCOUNT and value not in kinds.contracts:
            yield "account", value
    elif isinstance(value, str) and _is_cid(value):
        yield "cid", value
    elif isinstance(value, str) and name.lower().endswith("hash") and value.strip("0x"):
        yield "hash", value


def _is_cid(text: str) -> bool:
    if len(text) != 59 or not text.startswith("b"):
        return False
    return isinstance(Cid.parse(text), Cid)


def _owners(events: Sequence[Event], explicit: Sequence[set[Key]], kinds: Kinds) -> Mapping[str, list[Key]]:
    """Of the ballots that this transaction opens: the round or the gradient block that it works on."""
    found: dict[str, list[Key]] = {}
    for event, keys in zip(events, explicit, strict=True):
        if event.name != "BallotOpened":
            continue
        opener = kinds.contracts.get(str(event.args.get("chain")))
        named = [theirs for other, theirs in zip(events, explicit, strict=True) if other.contract == opener]
        owner = next((_owner(theirs) for theirs in named if _owner(theirs)), [])
        found.update({value: owner for kind, value in keys if kind == "ballot"})
    return found


def _owner(keys: set[Key]) -> list[Key]:
    return [key for key in keys if key[0] in PARTS]


def _inherited(explicit: Sequence[set[Key]]) -> list[set[Key]]:
    """For each event what it does not name itself: from the nearest one before it, else from the first one after it."""
    found: list[set[Key]] = [set() for _ in explicit]
    for kind in _INHERITED:
        own = [{key for key in keys if key[0] == kind} for keys in explicit]
        first = next((keys for keys in own if keys), None)
        if first is None:
            continue
        near = first
        for position, keys in enumerate(own):
            if keys:
                near = keys
            else:
                found[position] |= near
    return found


def _payers(events: Sequence[Event], kinds: Kinds) -> list[set[Key]]:
    """A deposit names no account: it is paid by whom the event before it, of the same contract, is about."""
    found: list[set[Key]] = [set() for _ in events]
    for position, event in enumerate(events):
        if event.name != "Deposited":
            continue
        contract = kinds.contracts.get(str(event.args.get("keeper")))
        for before in reversed(events[:position]):
            actor = next((before.args[name] for name in _ACTORS if name in before.args), None)
            if before.contract == contract and actor is not None:
                found[position].add(("account", actor))
                break
    return found
