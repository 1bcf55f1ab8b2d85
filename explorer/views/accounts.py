"""An account: what it holds, why it was paid or not in each round, and every wei in and out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from explorer.chain.calls import View
from explorer.figures import Cell, Facts, Figure, Page, Part, Rows, Said, Table
from explorer.fold.gradient import fold_height
from explorer.fold.money import amount_field, flows
from explorer.fold.rounds import fold_round
from explorer.fold.totals import Account
from explorer.site import Snapshot
from explorer.views.cells import arg, counted, summed, time_of, viewed
from explorer.views.heights import height_reasons, outcome_of_height
from explorer.views.reasons import outcome_of, reasons
from explorer.views.rounds import task_of

ROUNDS, MOVEMENTS, TASKS = 10, 30, 10
_LOST = {"Slashed": "stake slashed", "BondForfeited": "bond lost", "MinerSlashed": "bond lost"}
_BACK = {"PenaltyReturned": "penalty returned to the stake"}
_ACTS = (
    "TaskSubmitted",
    "GradientTaskSubmitted",
    "SolutionCommitted",
    "SolutionRevealed",
    "BlockProposed",
    "MinerEnrolled",
    "Staked",
    "VoteCommitted",
    "VoteRevealed",
    "Withdrawn",
)
"""What an account does itself, so that it was there."""
_MONEY = ("Deposited", "SolutionCommitted", "Credited", "Withdrawn", "Transfer", *_LOST, *_BACK)


def account_page(snapshot: Snapshot, account: str, before: int | None = None) -> Page | None:
    if not snapshot.read.has("account", account):
        return None
    parts: list[Part] = []
    if before is None:
        parts = [_holdings(snapshot, account), _share(snapshot, account, _IN_ROUNDS), *_others(snapshot, account)]
    parts.append(_movements(snapshot, account, before))
    return Page(f"Account {account}", "account", account, parts, feed=f"account/{account}/feed.atom")


def rounds_page(snapshot: Snapshot, account: str, before: int | None = None) -> Page | None:
    """Only the rounds, further back."""
    return _only(snapshot, account, _IN_ROUNDS, before)


def heights_page(snapshot: Snapshot, account: str, before: int | None = None) -> Page | None:
    """Only the heights of the gradient chain, further back."""
    return _only(snapshot, account, _IN_HEIGHTS, before)


@dataclass(frozen=True)
class _Share:
    """What accounts take part in: `kind` of key, and the words of its table."""

    kind: str
    page: str
    title: str
    column: str
    said: Callable[[Snapshot, str, str], tuple[str, list[str]]]
    """Of one of them, how it stands, and what happened to an account."""


def _said_of_round(snapshot: Snapshot, value: str, account: str) -> tuple[str, list[str]]:
    view = fold_round(snapshot.read.events("round", value))
    return outcome_of(view), reasons(view, account, task_of(snapshot, view))


def _said_of_height(snapshot: Snapshot, value: str, account: str) -> tuple[str, list[str]]:
    view = fold_height(snapshot.read.events("gradient_block", value))
    return outcome_of_height(view), height_reasons(view, account)


_IN_ROUNDS = _Share("round", "round", "Rounds, and why", "round", _said_of_round)
_IN_HEIGHTS = _Share("gradient_block", "gradient-block", "Gradient blocks, and why", "height", _said_of_height)


def _only(snapshot: Snapshot, account: str, share: _Share, before: int | None) -> Page | None:
    if not snapshot.read.has("account", account):
        return None
    parts = [_share(snapshot, account, share, before)]
    return Page(f"{share.column.capitalize()}s of {account}", f"account-{share.column}s", account, parts)


def _others(snapshot: Snapshot, account: str) -> Iterator[Part]:
    """What only some accounts have: heights of the gradient chain, and tasks."""
    heights = _share(snapshot, account, _IN_HEIGHTS)
    if heights.rows:
        yield heights
    tasks = snapshot.read.newest("account", account, TASKS, names=("TaskSubmitted", "GradientTaskSubmitted"))
    rows: list[list[Cell]] = []
    for event in tasks:
        unit = "gradient_task" if event.name == "GradientTaskSubmitted" else "task"
        kind = Said("a chain of gradient steps" if unit == "gradient_task" else "a model")
        rows.append([arg(event, "taskId", unit=unit), kind, arg(event, "manifest", unit="cid"), time_of(event)])
    if rows:
        note = f"The newest {TASKS}." if len(rows) == TASKS else ""
        yield Table("Tasks it commissioned", ("task", "for", "manifest", "submitted"), rows, note)


def _holdings(snapshot: Snapshot, account: str) -> Facts:
    site, found = snapshot.site, snapshot.totals.accounts.get(account, Account())
    key = ("account", account)
    owed = found.credited_wei - found.withdrawn_wei
    items: dict[str, Cell] = {
        "credit to withdraw": viewed(site, owed, "wei", View("RewardReservoir", "creditOf", (account,))),
        "credited in all": Figure(found.credited_wei, "wei", Rows("paid to", ("Credited",), key, account)),
        "withdrawn": summed(("Withdrawn",), "amountWei", found.withdrawn_wei, "wei", key),
        "tokens": viewed(site, found.token, "token", View("RewardToken", "balanceOf", (account,))),
        "last act": time_of(next(iter(snapshot.read.newest(*key, 1, names=_ACTS)), None)),
        "blocks won": Figure(found.blocks, "count", Rows("won", ("BlockAppended",), key, account)),
    }
    if found.stake_wei or found.ballots or found.slashed_wei:
        stake = View("VerifierCommittee", "verifier", (account,), ("stakeWei",))
        items["stake"] = viewed(site, found.stake_wei, "wei", stake)
        items["slashed in all"] = summed(("Slashed",), "amountWei", found.slashed_wei, "wei", key)
        items["votes committed"] = counted(("VoteCommitted",), found.votes_committed, key)
        items["votes revealed"] = counted(("VoteRevealed",), found.votes_revealed, key)
    return Facts("Holdings", items)


def _share(snapshot: Snapshot, account: str, share: _Share, before: int | None = None) -> Table:
    found = snapshot.read.parts_of(account, share.kind, ROUNDS + 1, before)
    rows: list[list[Cell]] = []
    for value, _ in found[:ROUNDS]:
        outcome, sentences = share.said(snapshot, value, account)
        link = Said(f"{share.column} {value}", f"{share.page}/{value}")
        rows.append([link, Said(outcome), Said(f"{'; '.join(sentences)}.")])
    more = f"account/{account}/{share.column}s?before={found[ROUNDS - 1][1]}" if len(found) > ROUNDS else ""
    return Table(share.title, (share.column, "outcome", "what happened to you"), rows, more=more)


def _movements(snapshot: Snapshot, account: str, before: int | None) -> Table:
    found = snapshot.read.newest("account", account, MOVEMENTS + 1, before, _MONEY)
    shown = found[:MOVEMENTS]
    payers = {event.id: account for event in shown}
    by_event = {flow.event.id: flow for flow in flows(shown, snapshot.site.labels, payers)}
    rows: list[list[Cell]] = []
    for event in shown:
        flow = by_event.get(event.id)
        unit = "token" if event.name == "Transfer" else "wei"
        is_in = event.name in _BACK or (flow is not None and flow.target == account)
        purpose = (_LOST | _BACK).get(event.name, "") if flow is None else flow.purpose
        direction = "in" if is_in else "out" if flow is not None else "lost"
        amount = arg(event, amount_field(event), unit=unit)
        link = Said(event.transaction, f"tx/{event.transaction}")
        rows.append([time_of(event), Said(direction), amount, Said(purpose), link])
    more = f"account/{account}?before={shown[-1].id}" if len(found) > MOVEMENTS else ""
    note = "In and out as the reservoir and the token have it; what is in the wallet itself, and gas, is not here."
    return Table("Every wei in and out", ("time", "direction", "amount", "for", "transaction"), rows, note, more)
