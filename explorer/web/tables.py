"""The tables of the API: which event each row begins with, and what the row says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from explorer.chain.events import Event
from explorer.fold.ballots import BALLOT, BallotView
from explorer.fold.folding import fold, name_of
from explorer.fold.gradient import fold_gradient_task
from explorer.fold.money import flows
from explorer.fold.rounds import RoundView, fold_round
from explorer.fold.tasks import fold_task
from explorer.site import Snapshot
from pole.chain.gradient_structs import GradientTaskState
from pole.chain.structs import AbortReason, Phase, TaskState, VerdictKind

Row = dict[str, Any]
_BIG = 1 << 53
"""From here on, JSON's numbers are not exact everywhere."""


class TableName(StrEnum):
    """What can be asked for."""

    TASKS = "tasks"
    ROUNDS = "rounds"
    SUBMISSIONS = "submissions"
    BLOCKS = "blocks"
    OMMERS = "ommers"
    BALLOTS = "ballots"
    VOTES = "votes"
    GRADIENT_TASKS = "gradient_tasks"
    GRADIENT_BLOCKS = "gradient_blocks"
    PROPOSALS = "proposals"
    MONEY = "money"
    TRANSACTIONS = "transactions"
    EVENTS = "events"


@dataclass(frozen=True)
class Spec:
    """`begins`: the events that make a row each."""

    begins: tuple[str, ...]
    row: Callable[[Snapshot, Event], Row]


def plain_json(value: Any) -> Any:
    """Large integers as decimal strings."""
    if isinstance(value, dict):
        return {name: plain_json(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain_json(each) for each in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _BIG else value


def _where(event: Event) -> Row:
    return {"time": event.time, "block": event.block, "transaction": event.transaction, "event": str(event.id)}


def _task(snapshot: Snapshot, event: Event) -> Row:
    view = fold_task(snapshot.read.events("task", str(event.args["taskId"])))
    return {
        "task": view.task_id,
        "state": name_of(TaskState, view.state),
        "client": view.client,
        "manifest": view.manifest,
        "reward_wei": str(view.reward_wei),
        "verifier_fee_wei": str(view.verifier_fee_wei),
        "bond_wei": str(view.bond_wei),
        "rounds": len(view.rounds),
        "terms": view.terms,
        **_where(event),
    }


def _round_of(snapshot: Snapshot, event: Event) -> tuple[str, RoundView]:
    value = snapshot.site.kinds.value(event.contract, "round", event.args["roundId"])
    return value, fold_round(snapshot.read.events("round", value))


def _round(snapshot: Snapshot, event: Event) -> Row:
    value, view = _round_of(snapshot, event)
    return {
        "round": value,
        "task": view.task_id,
        "height": view.height,
        "phase": name_of(Phase, view.phase),
        "abort_reason": name_of(AbortReason, view.abort_reason),
        "deadline": view.deadline,
        "is_overtime": view.is_overtime,
        "previous_hash": view.previous_hash,
        "submissions": len(view.submissions),
        "revealed": len(view.revealed),
        "winner": view.winner,
        **_where(event),
    }


def _submission(snapshot: Snapshot, event: Event) -> Row:
    value, view = _round_of(snapshot, event)
    own = view.submissions[event.args["miner"]]
    verdict = own.verdict
    credited = [e for e in view.money if e.name == "Credited" and e.args["payee"] == own.miner]
    return {
        "round": value,
        "index": event.args["index"],
        "miner": own.miner,
        "claimed_ppm": event.args["claimedTrainPpm"],
        "is_revealed": own.revealed is not None,
        "model": own.model,
        "train": None if verdict is None else name_of(VerdictKind, verdict.train),
        "train_ppm": None if verdict is None else verdict.train_ppm,
        "test": None if verdict is None else name_of(VerdictKind, verdict.test),
        "test_ppm": None if verdict is None else verdict.test_ppm,
        "credited_wei": str(sum(e.args["amountWei"] for e in credited)),
        "lost_wei": str(sum(e.args["amountWei"] for e in own.forfeited)),
        **_where(event),
    }


def _block(snapshot: Snapshot, event: Event) -> Row:
    value = snapshot.site.kinds.value(event.contract, "block", event.args["height"])
    header, rest = event.args["header"], {"round": event.args["roundId"], "hash": event.args["headerHash"]}
    return {**header, **rest, "height": value, "body": event.args.get("body", []), **_where(event)}


def _arguments(_snapshot: Snapshot, event: Event) -> Row:
    return {**event.args, **_where(event)}


def _ballot_of(snapshot: Snapshot, event: Event) -> BallotView:
    events = snapshot.read.events("ballot", str(event.args["ballotId"]), list(BALLOT))
    return fold(BALLOT, BallotView(event.args["ballotId"]), events)


def _ballot(snapshot: Snapshot, event: Event) -> Row:
    view = _ballot_of(snapshot, event)
    return {
        "ballot": view.ballot_id,
        "entries": view.entry_count,
        "members": {member: str(weight) for member, weight in view.members.items()},
        "committed": sum(vote.committed is not None for vote in view.votes.values()),
        "revealed": sum(vote.revealed is not None for vote in view.votes.values()),
        "outcome_digest": view.outcome_digest,
        "outcome": [str(word) for word in view.outcome],
        "deadline": view.deadline,
        **_where(event),
    }


def _vote(snapshot: Snapshot, event: Event) -> Row:
    view = _ballot_of(snapshot, event)
    vote = view.votes[event.args["verifier"]]
    words = view.words_of(vote.verifier)
    return {
        "ballot": view.ballot_id,
        "verifier": vote.verifier,
        "is_revealed": vote.revealed is not None,
        "digest": vote.digest,
        "is_outcome": vote.digest is not None and vote.digest == view.outcome_digest,
        "verdicts": None if words is None else [str(word) for word in words],
        "slashed_wei": str(vote.slashed_wei),
        **_where(event),
    }


def _gradient_task(snapshot: Snapshot, event: Event) -> Row:
    value = snapshot.site.kinds.value(event.contract, "gradient_task", event.args["taskId"])
    view = fold_gradient_task(snapshot.read.events("gradient_task", value))
    return {
        "task": view.task_id,
        "client": view.client,
        "state": name_of(GradientTaskState, view.state),
        "manifest": view.manifest,
        "budget_wei": str(view.budget_wei),
        "blocks": len(view.blocks),
        "terms": view.terms,
        **_where(event),
    }


def _gradient_block(_snapshot: Snapshot, event: Event) -> Row:
    return {**event.args["header"], "hash": event.args["headerHash"], **_where(event)}


def _proposal(_snapshot: Snapshot, event: Event) -> Row:
    return {"height": event.args["height"], "index": event.args["index"], **event.args["proposal"], **_where(event)}


def _money(snapshot: Snapshot, event: Event) -> Row:
    [flow] = flows([event], snapshot.site.labels, snapshot.read.payers([event]))
    amount = {"amount": str(flow.amount), "unit": flow.unit, "for": flow.purpose}
    return {"from": flow.source, "to": flow.target, **amount, **_where(event)}


def _transaction(snapshot: Snapshot, event: Event) -> Row:
    found = snapshot.read.transactions([event.transaction]).get(event.transaction)
    return {
        "transaction": event.transaction,
        "sender": found and found.sender,
        "recipient": found and found.recipient,
        "step": found and found.step,
        "gas_used": found and found.gas_used,
        "gas_price_wei": None if found is None or found.gas_price is None else str(found.gas_price),
        "time": event.time,
        "block": event.block,
        "event": str(event.id),
    }


def _event(_snapshot: Snapshot, event: Event) -> Row:
    said = {"arguments": event.args, "derived": event.derived}
    return {"contract": event.contract, "name": event.name, **said, **_where(event)}


TABLES: Mapping[TableName, Spec] = {
    TableName.TASKS: Spec(("TaskSubmitted",), _task),
    TableName.ROUNDS: Spec(("RoundOpened",), _round),
    TableName.SUBMISSIONS: Spec(("SolutionCommitted",), _submission),
    TableName.BLOCKS: Spec(("BlockAppended",), _block),
    TableName.OMMERS: Spec(("OmmerAdded",), _arguments),
    TableName.BALLOTS: Spec(("BallotOpened",), _ballot),
    TableName.VOTES: Spec(("VoteCommitted",), _vote),
    TableName.GRADIENT_TASKS: Spec(("GradientTaskSubmitted",), _gradient_task),
    TableName.GRADIENT_BLOCKS: Spec(("GradientBlockAppended",), _gradient_block),
    TableName.PROPOSALS: Spec(("BlockProposed",), _proposal),
    TableName.MONEY: Spec(("Deposited", "SolutionCommitted", "Moved", "Credited", "Withdrawn", "Transfer"), _money),
    TableName.TRANSACTIONS: Spec((), _transaction),
    TableName.EVENTS: Spec((), _event),
}
