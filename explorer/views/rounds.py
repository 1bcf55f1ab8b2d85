"""A round: its phases with every transaction, submissions, votes, and where each wei went."""

from collections.abc import Mapping, Sequence

from explorer.chain.calls import View
from explorer.chain.events import Event
from explorer.figures import Cell, Facts, Figure, InEvent, Page, Part, Picture, Rows, Said, Table, Words
from explorer.fold.ballots import BallotView
from explorer.fold.folding import name_of
from explorer.fold.money import amount_field, flows
from explorer.fold.rounds import RoundView, Submission, fold_round
from explorer.fold.tasks import TaskView, fold_task
from explorer.site import Snapshot
from explorer.views.cells import NOTHING, arg, time_of, viewed
from explorer.views.reasons import Paid, outcome_of, reasons
from pole.chain.structs import Phase, VerdictKind
from pole.chain.verdicts import unpack_verdict

_LISTED = ("RoundOpened", "PhaseChanged", "SolutionCommitted", "SolutionRevealed", "BlockAppended")
"""All that a row of a list is made of."""
ROUND_COLUMNS = ("round", "task", "height", "phase", "submissions", "revealed", "winner", "opened")


def task_of(snapshot: Snapshot, view: RoundView) -> TaskView | None:
    """The task that a round is about; None for an idle one."""
    if view.is_idle:
        return None
    return fold_task(snapshot.read.events("task", str(view.task_id)))


def round_page(snapshot: Snapshot, value: str) -> Page | None:
    view = fold_round(snapshot.read.events("round", value))
    if view.opened is None:
        return None
    task = task_of(snapshot, view)
    parts: list[Part] = [
        Words("In a sentence", [f"Round {view.round_id} {'' if view.is_over else 'is '}{outcome_of(view)}."]),
        _facts(snapshot, view, view.opened),
        _time_line(view),
        _submissions(snapshot, view),
        *(votes_table(snapshot, ballot) for _, ballot in sorted(view.ballots.items())),
        _why(view, task),
        *money_parts(snapshot, view),
    ]
    return Page(f"Round {value}", "round", value, parts, data={"phase": view.phase})


def round_row(snapshot: Snapshot, opened: Event) -> list[Cell]:
    """What lists of rounds say of one."""
    value = snapshot.site.kinds.value(opened.contract, "round", opened.args["roundId"])
    view = fold_round(snapshot.read.events("round", value, _LISTED))
    winner: Cell = NOTHING if view.block is None else arg(view.block, "header", "winner", unit="address")
    return [
        Figure(value, "round", InEvent(opened, ("roundId",))),
        arg(opened, "taskId", unit="task") if view.task_id else Said("idle"),
        arg(opened, "height", unit="count"),
        _part(snapshot, view, "phase", view.phase, "phase"),
        _part(snapshot, view, "submissionCount", len(view.submissions), "count"),
        _part(snapshot, view, "revealedCount", len(view.revealed), "count"),
        winner,
        time_of(opened),
    ]


def _part(snapshot: Snapshot, view: RoundView, field: str, value: object, unit: str) -> Cell:
    """A field of the contract's struct, as the events have it."""
    return viewed(snapshot.site, value, unit, View(view.contract, "round", (view.round_id,), (field,)))


def _facts(snapshot: Snapshot, view: RoundView, opened: Event) -> Facts:
    items: dict[str, Cell] = {
        "task": arg(opened, "taskId", unit="task") if view.task_id else Said("idle: the public task, for tokens alone"),
        "height": _part(snapshot, view, "height", view.height, "count"),
        "phase": _part(snapshot, view, "phase", view.phase, "phase"),
        "opened": time_of(opened),
        "submissions": _part(snapshot, view, "submissionCount", len(view.submissions), "count"),
        "revealed": _part(snapshot, view, "revealedCount", len(view.revealed), "count"),
    }
    if view.previous_hash is not None:
        items["previous hash"] = _part(snapshot, view, "previousHash", view.previous_hash, "hash")
    if view.deadline:
        items["until"] = _part(snapshot, view, "deadline", view.deadline, "time")
    if view.is_overtime:
        items["overtime"] = _part(snapshot, view, "isOvertime", True, "yes")
    if view.aborted is not None:
        items["aborted because"] = arg(view.aborted, "reason", unit="abort reason")
    if view.keys is not None:
        items["functional keys"] = _part(snapshot, view, "keys", view.keys.args["keys"], "cid")
    if view.released is not None:
        items["test set"] = _part(snapshot, view, "testSet", view.released.args["testSet"], "cid")
    if view.block is not None:
        value = snapshot.site.kinds.value(view.contract, "block", view.block.args["height"])
        items["block"] = Figure(value, "block", InEvent(view.block, ("height",)))
    return Facts("The round", items)


_SAID = {
    "RoundOpened": "the round was opened",
    "PreviousHashBound": "its previous hash was bound",
    "KeysPublished": "the client published the functional keys",
    "SolutionCommitted": "a miner committed",
    "TestSetReleased": "the client released the test set",
    "SolutionRevealed": "a miner revealed",
    "BallotOpened": "a ballot was opened",
    "VoteCommitted": "a verifier committed a vote",
    "VoteRevealed": "a verifier revealed a vote",
    "VoteOpened": "a contested vote was opened",
    "BallotTallied": "the votes were counted",
    "BallotExtended": "the ballot was extended",
    "Slashed": "a verifier was slashed",
    "PenaltyReturned": "a verifier got a penalty back",
    "BondForfeited": "a bond was lost",
    "BlockAppended": "a block was appended",
    "OmmerAdded": "an ommer was added",
    "OmmerReferenced": "an ommer was referenced",
    "RoundAborted": "the round was aborted",
}


def _time_line(view: RoundView) -> Table:
    rows = []
    for event in view.events:
        if event.name == "PhaseChanged":
            text = f"phase: {name_of(Phase, event.args['phase'])}"
        elif event.name in _SAID:
            text = _SAID[event.name]
        else:
            continue
        who = next(
            (arg(event, name, unit="address") for name in ("miner", "verifier", "owner") if name in event.args), None
        )
        rows.append([time_of(event), Said(text), who or NOTHING, Said(event.transaction, f"tx/{event.transaction}")])
    return Table("Time line", ("time", "what", "who", "transaction"), rows)


def _submissions(snapshot: Snapshot, view: RoundView) -> Table:
    columns = ("miner", "claim", "committed", "model", "training", "test", "credited", "lost")
    rows = [_submission(snapshot, view, each) for each in sorted(view.submissions.values(), key=lambda s: s.index)]
    return Table("Submissions", columns, rows)


def _submission(snapshot: Snapshot, view: RoundView, own: Submission) -> list[Cell]:
    claim = View(view.contract, "submission", (view.round_id, own.index), ("claimedTrainPpm",))
    paid = [event for event in view.money if event.name == "Credited" and event.args["payee"] == own.miner]
    value = snapshot.site.kinds.value(view.contract, "round", view.round_id)
    rows = Rows("paid to", ("Credited",), ("round", value), own.miner)
    return [
        arg(own.committed, "miner", unit="address"),
        viewed(snapshot.site, own.claimed_ppm, "ppm", claim, InEvent(own.committed, ("claimedTrainPpm",))),
        time_of(own.committed),
        NOTHING if own.revealed is None else arg(own.revealed, "model", unit="cid"),
        _verdict(snapshot, view, own, "train"),
        _verdict(snapshot, view, own, "test"),
        Figure(sum(event.args["amountWei"] for event in paid), "wei", rows),
        arg(own.forfeited[0], "amountWei", unit="wei") if own.forfeited else NOTHING,
    ]


def _verdict(snapshot: Snapshot, view: RoundView, own: Submission, part: str) -> Cell:
    """Kind or score of one part, which the committee's outcome says."""
    if own.verdict is None:
        return NOTHING
    kind = getattr(own.verdict, part)
    field, value, unit = (f"{part}Ppm", getattr(own.verdict, f"{part}_ppm"), "ppm")
    if kind != VerdictKind.SCORED:
        field, value, unit = part, int(kind), "verdict"
    opened = view.ballots[own.ballot_id].opened
    committee = "VerifierCommittee" if opened is None else opened.contract
    return viewed(snapshot.site, value, unit, View(committee, "outcome", (own.ballot_id,), (own.entry, field)))


def votes_table(snapshot: Snapshot, ballot: BallotView) -> Table:
    columns = ("verifier", "stake", "committed", "revealed", "vote", "lost", "returned")
    rows = [_vote(snapshot, ballot, verifier) for verifier in ballot.votes]
    return Table(f"Ballot {ballot.ballot_id}", columns, rows, note="Stakes and members: from calls when it was opened.")


def _vote(snapshot: Snapshot, ballot: BallotView, verifier: str) -> list[Cell]:
    vote, opened = ballot.votes[verifier], ballot.opened
    stake: Cell = NOTHING
    if opened is not None and verifier in ballot.members:
        view = View(opened.contract, "memberOf", (ballot.ballot_id, verifier), ("weightWei",))
        stake = viewed(snapshot.site, ballot.members[verifier], "wei", view)
    return [
        Said(verifier, f"account/{verifier}"),
        stake,
        time_of(vote.committed),
        time_of(vote.revealed),
        _vote_in_words(ballot, verifier),
        arg(vote.slashed[0], "amountWei", unit="wei") if vote.slashed else NOTHING,
        arg(vote.returned[0], "amountWei", unit="wei") if vote.returned else NOTHING,
    ]


def _vote_in_words(ballot: BallotView, verifier: str) -> Cell:
    digest, words = ballot.votes[verifier].digest, ballot.words_of(verifier)
    if digest is None:
        return NOTHING
    if digest == ballot.outcome_digest:
        return Said("the outcome")
    if words is None:
        return Said("not opened")
    return Said("; ".join(_word(word) for word in words[:8]) + ("; …" if len(words) > 8 else ""))


def _word(word: int) -> str:
    try:
        verdict = unpack_verdict(word)
    except ValueError:
        return "unreadable"
    if verdict.train != VerdictKind.SCORED:
        return name_of(VerdictKind, verdict.train)
    return f"{verdict.train_ppm / 10_000:g} % / {verdict.test_ppm / 10_000:g} %"


def _why(view: RoundView, task: TaskView | None) -> Table:
    accounts = dict.fromkeys(
        [
            *([task.client] if task is not None else []),
            *view.submissions,
            *(v for b in view.ballots.values() for v in b.votes),
        ]
    )
    return why_table({each: reasons(view, each, task) for each in accounts})


def why_table(sentences: Mapping[str, Sequence[str]]) -> Table:
    """What happened to each account."""
    rows = [[Said(each, f"account/{each}"), Said(f"{'; '.join(said)}.")] for each, said in sentences.items()]
    return Table("Who was paid, and why", ("account", "what its page says"), rows)


def money_parts(snapshot: Snapshot, view: Paid) -> Sequence[Part]:
    """A picture and a table of every movement."""
    found = flows(view.money, snapshot.site.labels, snapshot.read.payers(view.money))
    rows: list[Sequence[Cell]] = [
        [
            time_of(flow.event),
            Said(flow.source, _account_link(flow.source)),
            Said(flow.target, _account_link(flow.target)),
            arg(flow.event, amount_field(flow.event), unit=flow.unit),
            Said(flow.purpose),
        ]
        for flow in found
    ]
    widths: dict[tuple[str, str], int] = {}
    for flow in found:
        if flow.unit == "wei":
            widths[flow.source, flow.target] = widths.get((flow.source, flow.target), 0) + flow.amount
    data: Mapping[str, object] = {"flows": [(source, target, amount) for (source, target), amount in widths.items()]}
    return [
        Picture("Where the ether went", "flows", data, "The table below says the same."),
        Table("Every movement", ("time", "from", "to", "amount", "for"), rows),
    ]


def _account_link(place: str) -> str:
    return f"account/{place}" if place.startswith("0x") and len(place) == 42 else ""
