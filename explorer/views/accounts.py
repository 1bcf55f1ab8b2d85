"""An account: what it holds, why it was paid or not in each round, and every wei in and out."""

from explorer.chain.calls import View
from explorer.figures import Cell, Facts, Figure, Page, Part, Rows, Said, Table
from explorer.fold.money import flows
from explorer.fold.rounds import fold_round
from explorer.fold.totals import Account
from explorer.site import Snapshot
from explorer.views.cells import arg, counted, summed, time_of, viewed
from explorer.views.reasons import outcome_of, reasons
from explorer.views.rounds import task_of

ROUNDS, MOVEMENTS = 10, 30
_LOST = {"Slashed": "stake slashed", "BondForfeited": "bond lost", "MinerSlashed": "bond lost"}
_BACK = {"PenaltyReturned": "penalty returned to the stake"}
_MONEY = ("Deposited", "Credited", "Withdrawn", "Transfer", *_LOST, *_BACK)


def account_page(snapshot: Snapshot, account: str, before: int | None = None) -> Page | None:
    if not snapshot.read.has("account", account):
        return None
    parts: list[Part] = [_holdings(snapshot, account)] if before is None else []
    if before is None:
        parts.append(_rounds(snapshot, account))
    parts.append(_movements(snapshot, account, before))
    return Page(f"Account {account}", "account", account, parts, feed=f"account/{account}/feed.atom")


def rounds_page(snapshot: Snapshot, account: str, before: int | None = None) -> Page | None:
    """Only the rounds, further back."""
    if not snapshot.read.has("account", account):
        return None
    return Page(f"Rounds of {account}", "account-rounds", account, [_rounds(snapshot, account, before)])


def _holdings(snapshot: Snapshot, account: str) -> Facts:
    site, found = snapshot.site, snapshot.totals.accounts.get(account, Account())
    key = ("account", account)
    owed = found.credited_wei - found.withdrawn_wei
    items: dict[str, Cell] = {
        "credit to withdraw": viewed(site, owed, "wei", View("RewardReservoir", "creditOf", (account,))),
        "credited in all": Figure(found.credited_wei, "wei", Rows("paid to", ("Credited",), key, account)),
        "withdrawn": summed(("Withdrawn",), "amountWei", found.withdrawn_wei, "wei", key),
        "tokens": viewed(site, found.token, "token", View("RewardToken", "balanceOf", (account,))),
        "blocks won": Figure(found.blocks, "count", Rows("won", ("BlockAppended",), key, account)),
    }
    if found.stake_wei or found.ballots or found.slashed_wei:
        stake = View("VerifierCommittee", "verifier", (account,), ("stakeWei",))
        items["stake"] = viewed(site, found.stake_wei, "wei", stake)
        items["slashed in all"] = summed(("Slashed",), "amountWei", found.slashed_wei, "wei", key)
        items["votes committed"] = counted(("VoteCommitted",), found.votes_committed, key)
        items["votes revealed"] = counted(("VoteRevealed",), found.votes_revealed, key)
    return Facts("Holdings", items)


def _rounds(snapshot: Snapshot, account: str, before: int | None = None) -> Table:
    found = snapshot.read.rounds_of(account, ROUNDS + 1, before)
    rows: list[list[Cell]] = []
    for value, _ in found[:ROUNDS]:
        view = fold_round(snapshot.read.events("round", value))
        said = "; ".join(reasons(view, account, task_of(snapshot, view)))
        rows.append([Said(f"round {value}", f"round/{value}"), Said(outcome_of(view)), Said(f"{said}.")])
    more = f"account/{account}/rounds?before={found[ROUNDS - 1][1]}" if len(found) > ROUNDS else ""
    return Table("Rounds, and why", ("round", "outcome", "what happened to you"), rows, more=more)


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
        amount = arg(event, "value" if unit == "token" else "amountWei", unit=unit)
        link = Said(event.transaction, f"tx/{event.transaction}")
        rows.append([time_of(event), Said(direction), amount, Said(purpose), link])
    more = f"account/{account}?before={shown[-1].id}" if len(found) > MOVEMENTS else ""
    note = "In and out as the reservoir and the token have it; what is in the wallet itself, and gas, is not here."
    return Table("Every wei in and out", ("time", "direction", "amount", "for", "transaction"), rows, note, more)
