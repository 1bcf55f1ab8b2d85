"""A task: terms, what its manifest says, its rounds, and what it cost so far."""

from explorer.chain.calls import View
from explorer.contents import Contents
from explorer.figures import Cell, Facts, Figure, Page, Part, Rows, Table
from explorer.fold.tasks import TaskView, fold_task
from explorer.site import Snapshot
from explorer.views.cells import arg, summed, time_of, viewed
from explorer.views.manifests import describe
from explorer.views.rounds import ROUND_COLUMNS, round_row

_TERMS = {
    "timeLimitS": ("time limit", "seconds"),
    "minTimeS": ("least time", "seconds"),
    "requiredTrainPpm": ("training score required", "ppm"),
    "minTestPpm": ("least test score in overtime", "ppm"),
    "solutionsWanted": ("solutions wanted", "count"),
    "testSetCommitment": ("test set's commitment", "hash"),
}


def task_page(snapshot: Snapshot, contents: Contents, value: str) -> Page | None:
    view = fold_task(snapshot.read.events("task", value))
    if view.submitted is None:
        return None
    parts: list[Part] = [_facts(snapshot, view), *describe(contents, view.manifest, len(view.rounds))]
    opened = list(reversed(view.rounds))[:50]
    parts.append(Table("Rounds", ROUND_COLUMNS, [round_row(snapshot, event) for event in opened]))
    parts.append(_cost(view))
    return Page(f"Task {value}", "task", value, parts, feed=f"task/{value}/feed.atom")


def _facts(snapshot: Snapshot, view: TaskView) -> Facts:
    site, event = snapshot.site, view.submitted
    assert event is not None
    one = (view.task_id,)
    items: dict[str, Cell] = {
        "client": arg(event, "client", unit="address"),
        "state": viewed(site, view.state, "task state", View(view.contract, "task", one, ("state",))),
        "manifest": arg(event, "manifest", unit="cid"),
        "submitted": time_of(event),
    }
    for name, label in (("rewardWei", "reward"), ("verifierFeeWei", "verifiers' fee"), ("bondWei", "client's bond")):
        if name in event.args:
            items[label] = arg(event, name, unit="wei")
    for name, term in view.terms.items():
        if name in _TERMS:
            label, unit = _TERMS[name]
            items[label] = viewed(site, term, unit, View(view.contract, "task", one, ("terms", name)))
    if view.closed is not None:
        items["closed"] = time_of(view.closed)
    note = "" if view.terms else "The node did not say what the terms are."
    return Facts("Terms", items, note or "Time limit, scores and commitment: from a call when it was submitted.")


def _cost(view: TaskView) -> Facts:
    """To the client, gas apart."""
    paid = sum(event.args["amountWei"] for event in view.money if event.name == "Deposited")
    back = [event for event in view.money if event.name == "Credited" and event.args["payee"] == view.client]
    key = ("task", str(view.task_id))
    returned = sum(event.args["amountWei"] for event in back)
    items: dict[str, Cell] = {
        "paid in": summed(("Deposited",), "amountWei", paid, "wei", key),
        "came back": Figure(returned, "wei", Rows("paid to", ("Credited",), key, view.client)),
        "cost so far": Figure(paid - returned, "wei", Rows("cost", ("Deposited", "Credited"), key, view.client)),
    }
    return Facts("Cost so far", items, "To the client, gas apart; while a round runs, what it holds counts as spent.")
