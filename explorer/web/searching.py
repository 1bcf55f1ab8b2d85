"""Search by task, round, height, address, CID, transaction."""

import re
from dataclasses import dataclass

from explorer.site import Snapshot
from explorer.views.cells import address, is_address

_KINDS = ("task", "round", "block", "gradient_task", "gradient_block", "ballot")
_NUMBER = re.compile(r"(?:(?P<kind>[a-z ]+?)[ #]*)?(?P<number>\d{1,19})", re.ASCII)


@dataclass(frozen=True)
class Hit:
    text: str
    link: str


def find(snapshot: Snapshot, question: str) -> list[Hit]:
    """Everything of that name; empty for what names nothing."""
    text = question.strip()
    if is_address(text):
        account = address(text)
        return [Hit(f"account {account}", f"account/{account}")] if snapshot.read.has("account", account) else []
    if re.fullmatch(r"0x[0-9a-fA-F]{64}", text):
        lower = text.lower()
        hits = [Hit(f"transaction {lower}", f"tx/{lower}")] if snapshot.read.of_transaction(lower) else []
        return hits + ([Hit(f"hash {lower}", f"hash/{lower}")] if snapshot.read.has("hash", lower) else [])
    if re.fullmatch(r"b[a-z2-7]{58}", text):
        return [Hit(f"content {text}", f"cid/{text}")] if snapshot.read.has("cid", text) else []
    found = _NUMBER.fullmatch(text.lower())
    return _numbered(snapshot, found["kind"] or "", str(int(found["number"]))) if found else []


def _numbered(snapshot: Snapshot, wanted: str, number: str) -> list[Hit]:
    wanted = {"height": "block", "model": "round"}.get(wanted.strip(), wanted.strip()).replace(" ", "_")
    hits = []
    for kind in _KINDS:
        if (wanted and kind != wanted) or not snapshot.read.has(kind, number):
            continue
        if kind == "ballot":
            owners = [
                key
                for event in snapshot.read.events("ballot", number, limit=1)
                for key in snapshot.read.keys_of(event.id)
            ]
            hits += [
                Hit(f"ballot {number}, of round {value}", f"round/{value}") for name, value in owners if name == "round"
            ]
        else:
            hits.append(Hit(f"{kind.replace('_', ' ')} {number}", f"{kind.replace('_', '-')}/{number}"))
    return hits
