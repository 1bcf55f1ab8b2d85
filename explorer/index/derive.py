"""What events do not say: asked of views at the last block of the range, or read from calldata. One entry per event.

Terms of tasks never change, members of a ballot neither; the index keeps them with the event, so that they go with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from eth_abi.exceptions import DecodingError
from eth_utils.abi import abi_to_signature, function_signature_to_4byte_selector

from explorer.chain.calls import View, Views
from explorer.chain.codec import decoded
from explorer.chain.events import Event
from explorer.chain.node import Node

_TASKS = {"TaskSubmitted": "task", "GradientTaskSubmitted": "gradient_task"}


@dataclass(frozen=True)
class Question:
    """A view, and under which name its answer is kept with the event."""

    event: int
    name: str
    view: View


def derive(node: Node, views: Views, events: Sequence[Event], block: int) -> list[Event]:
    """The events, some with what calls at this block and calldata say of them."""
    found: dict[int, dict[str, Any]] = {}
    _answer(node, views, [question for event in events for question in _questions(event)], block, found)
    weights = [question for event in events for question in _weights(event, found.get(event.id, {}))]
    _answer(node, views, weights, block, found)
    _read_calldata(node, views, events, found)
    return [replace(event, derived=found[event.id]) if event.id in found else event for event in events]


def _questions(event: Event) -> list[Question]:
    if event.name in _TASKS:
        return [Question(event.id, "terms", View(event.contract, "task", (event.args["taskId"],), ("terms",)))]
    if event.name == "BallotOpened":
        return [Question(event.id, "members", View(event.contract, "members", (event.args["ballotId"],)))]
    return []


def _weights(event: Event, known: dict[str, Any]) -> list[Question]:
    """The stake behind each member of a ballot."""
    if event.name != "BallotOpened":
        return []
    ballot_id, members = event.args["ballotId"], known.get("members") or []
    views = {member: View(event.contract, "memberOf", (ballot_id, member), ("weightWei",)) for member in members}
    return [Question(event.id, f"weight {member}", view) for member, view in views.items()]


def _answer(
    node: Node, views: Views, questions: Sequence[Question], block: int, found: dict[int, dict[str, Any]]
) -> None:
    asked = [question for question in questions if views.has(question.view)]
    if not asked:
        return
    for question, answer in zip(asked, views.ask(node, [each.view for each in asked], block), strict=True):
        if answer is not None:
            found.setdefault(question.event, {})[question.name] = answer


def _read_calldata(node: Node, views: Views, events: Sequence[Event], found: dict[int, dict[str, Any]]) -> None:
    """The lists of votes that a tally was given, where its caller called the contract directly."""
    tallied = [event for event in events if event.name == "BallotTallied"]
    if not tallied:
        return
    hashes = list(dict.fromkeys(event.transaction for event in tallied))
    answers = dict(zip(hashes, node.batch([("eth_getTransactionByHash", [each]) for each in hashes]), strict=True))
    for event in tallied:
        lists = _lists_in(views, event, answers[event.transaction])
        if lists is not None:
            where = [views.deployment.chain_id, views.deployment.contracts[event.contract].address]
            found.setdefault(event.id, {}).update(lists=lists, chain=where)


def _lists_in(views: Views, event: Event, transaction: Any) -> list[list[int]] | None:
    abi = views.deployment.contracts[event.contract].abi
    entry = next((each for each in abi if each["type"] == "function" and each["name"] == "tally"), None)
    data = bytes.fromhex(transaction["input"][2:]) if isinstance(transaction, dict) else b""
    if entry is None or data[:4] != function_signature_to_4byte_selector(abi_to_signature(entry)):  # type: ignore[arg-type]
        return None
    types = [each["type"] for each in entry["inputs"]]
    if types != ["uint64", "uint256[][]"]:
        return None
    try:
        ballot, lists = decoded(types, data[4:])
    except DecodingError:
        return None
    return [list(words) for words in lists] if ballot == event.args["ballotId"] else None
