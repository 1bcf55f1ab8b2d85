"""Why somebody was paid or not: one sentence for each part that an account had in a round. Pure."""

from collections.abc import Iterator
from typing import Protocol

from explorer.chain.events import Event
from explorer.fold.ballots import BallotView
from explorer.fold.folding import name_of
from explorer.fold.rounds import RoundView, Submission
from explorer.fold.tasks import TaskView
from explorer.views.cells import clock
from explorer.views.text import ether, percent, tokens
from pole.chain.structs import AbortReason, BallotPhase, Phase, Verdict, VerdictKind

_ENDED = {
    AbortReason.KEYS_MISSING: "the client published no keys in time",
    AbortReason.NO_SOLUTION: "nobody committed a solution",
    AbortReason.NOTHING_REVEALED: "nobody revealed a model",
    AbortReason.QUORUM_LOST: "too few verifiers voted",
    AbortReason.NO_VALID_SOLUTION: "no model was found valid",
    AbortReason.BELOW_FLOOR: "the best model stayed under the least test score of the task",
    AbortReason.UNDECIDED: "the verifiers could not decide about any model",
}


class Paid(Protocol):
    """A round, or a height of the gradient chain."""

    money: list[Event]


def reasons(view: RoundView, account: str, task: TaskView | None) -> list[str]:
    """What happened to this account in this round."""
    return list(_reasons(view, account, task)) or ["you took part in a transaction of this round"]


def outcome_of(view: RoundView) -> str:
    """How the round stands, in a few words."""
    if view.phase == Phase.FINALISED:
        return "ended with a block"
    if view.phase == Phase.ABORTED:
        return f"ended without a block: {_ended(view)}"
    until = f", until {clock(view.deadline)}" if view.deadline else ""
    return f"in phase {name_of(Phase, view.phase)}{until}"


def _reasons(view: RoundView, account: str, task: TaskView | None) -> Iterator[str]:
    if task is not None and task.client == account:
        yield _of_client(view, task, account)
    submission = view.submissions.get(account)
    if submission is not None:
        yield _of_miner(view, submission, task)
    elif any(event.args["miner"] == account for event in view.displaced):
        yield f"a higher bond took your place in the full round{back(view, account)}"
    for ballot in view.ballots.values():
        if account in ballot.votes:
            yield of_verifier(view, ballot, account)
    for event in view.references:
        if event.args.get("miner") == account:
            paid = tokens(event.args["ommerReward"])
            yield f"your ommer of height {event.args['ommerHeight']} was referenced: {paid}"
    if account not in view.submissions and not any(account in each.votes for each in view.ballots.values()):
        paid_wei = credited_wei(view, account)
        if paid_wei and (task is None or task.client != account):
            yield f"you were credited {ether(paid_wei)}, a share of what others lost"


def _ended(view: RoundView) -> str:
    try:
        return _ENDED.get(AbortReason(view.abort_reason), "no reason was given")
    except ValueError:
        return f"reason {view.abort_reason}"


def credited_wei(view: Paid, account: str) -> int:
    events = [event for event in view.money if event.name == "Credited"]
    return sum(event.args["amountWei"] for event in events if event.args["payee"] == account)


def _minted(view: RoundView, account: str) -> int:
    events = [event for event in view.money if event.name == "Transfer"]
    return sum(event.args["value"] for event in events if event.args["to"] == account)


def _lost(view: RoundView, account: str) -> str:
    lost_wei = sum(event.args["amountWei"] for event in view.forfeited if event.args["owner"] == account)
    return f" and lost {ether(lost_wei)}" if lost_wei else ""


def back(view: Paid, account: str) -> str:
    paid_wei = credited_wei(view, account)
    return f"; you were credited {ether(paid_wei)}" if paid_wei else ""


def _occupancy(view: RoundView) -> str:
    if view.occupied is None:
        return ""
    return f"; the time that it took cost you {ether(view.occupied.args['amountWei'])} of its reward"


def _of_client(view: RoundView, task: TaskView, account: str) -> str:
    if view.abort_reason == AbortReason.KEYS_MISSING:
        until = clock(view.deadline_of(Phase.KEYS))
        return f"you did not publish the keys by {until}{_lost(view, account)}{_occupancy(view)}{back(view, account)}"
    if view.phase == Phase.ABORTED:
        return f"your task has no model: {_ended(view)}{_occupancy(view)}{back(view, account)}{_lost(view, account)}"
    if view.block is not None:
        header = view.block.args["header"]
        scored = f"{percent(header['testPpm'])} on your test set" if view.released else "by its training score"
        withheld = "" if not _lost(view, account) else ", you did not release the test set" + _lost(view, account)
        return f"your task was solved, {scored}{withheld}{back(view, account)}"
    return f"your task {task.task_id} is {outcome_of(view)}"


def _of_miner(view: RoundView, own: Submission, task: TaskView | None) -> str:
    required = (task.terms if task is not None else {}).get("requiredTrainPpm")
    committed = f"you committed {percent(own.claimed_ppm)}"
    if own.revealed is None:
        if view.phase < Phase.VOTING and not own.forfeited:
            below = required is not None and own.claimed_ppm < required
            needed = f", the requirement is {percent(required)}" if required is not None and below else ""
            return f"{committed}{needed}; the round is {outcome_of(view)}"
        if view.phase == Phase.ABORTED and not own.forfeited:
            return f"{committed}; the round {outcome_of(view)}{back(view, own.miner)}"
        return f"you did not reveal by {clock(view.deadline_of(Phase.REVEAL))}{_lost(view, own.miner)}"
    if own.verdict is None:
        stands = outcome_of(view) if view.is_over else f"is {outcome_of(view)}"
        return f"you revealed in time; the round {stands}{back(view, own.miner)}"
    return _of_judged(view, own, own.verdict, required)


def _of_judged(view: RoundView, own: Submission, verdict: Verdict, required: int | None) -> str:
    miner = own.miner
    if verdict.train == VerdictKind.INVALID:
        return f"the verifiers found your model invalid{_lost(view, miner)}"
    if verdict.train == VerdictKind.UNAVAILABLE:
        return f"more than half of the verifiers could not get your model{_lost(view, miner)}"
    if verdict.train != VerdictKind.SCORED:
        return f"the verifiers could not decide about your model{back(view, miner)}{_lost(view, miner)}"
    if required is not None and not view.is_overtime and verdict.train_ppm < required:
        claimed = f"you committed {percent(own.claimed_ppm)}, the verifiers measured {percent(verdict.train_ppm)}, "
        return f"{claimed}the requirement was {percent(required)}: not valid{_lost(view, miner)}"
    scored = (
        f"{percent(verdict.test_ppm)} on the test set"
        if verdict.test == VerdictKind.SCORED
        else (f"{percent(verdict.train_ppm)} in training")
    )
    if view.winner == miner:
        issued = f" and {tokens(_minted(view, miner))}" if _minted(view, miner) else ""
        return f"your model won with {scored}{back(view, miner)}{issued}"
    if view.phase == Phase.ABORTED:
        return f"your model was valid with {scored}, but {_ended(view)}{back(view, miner)}"
    if view.block is None:
        return f"your model was judged valid with {scored}; the round is {outcome_of(view)}"
    header = view.block.args["header"]
    best = (
        f"{percent(header['testPpm'])} on the test set"
        if verdict.test == VerdictKind.SCORED
        else (f"{percent(header['trainPpm'])} in training")
    )
    return f"your model was valid with {scored}, the winner had {best}{back(view, miner)}"


def of_verifier(view: Paid, ballot: BallotView, verifier: str) -> str:
    vote = ballot.votes[verifier]
    lost = f" and lost {ether(vote.lost_wei)}" if vote.lost_wei else ""
    where = f"in ballot {ballot.ballot_id} "
    if vote.committed is None:
        if ballot.phase == BallotPhase.COMMIT and not lost:
            return f"{where}you have not voted yet; votes are committed until {clock(ballot.deadline)}"
        return f"{where}you did not vote in time{lost}"
    if vote.revealed is None:
        if ballot.phase <= BallotPhase.REVEAL and not lost:
            return f"{where}you committed a vote; the ballot is in phase {name_of(BallotPhase, ballot.phase)}"
        return f"{where}you did not reveal your vote in time{lost}"
    if ballot.is_void:
        return f"{where}you voted, but too few others did{lost}"
    if ballot.tallied is None:
        return f"{where}you revealed your vote; it is not counted yet"
    paid = back(view, verifier)
    if vote.digest == ballot.outcome_digest:
        return f"{where}your vote was the outcome{lost}{paid}"
    return f"{where}{_difference(ballot, verifier)}{lost}{paid}"


def _difference(ballot: BallotView, verifier: str) -> str:
    """Where a vote differs from the outcome; which row of the data it was is not on the chain."""
    words = ballot.words_of(verifier)
    if words is None:
        return "nobody opened what you voted, so it did not count"
    for entry, (given, decided) in enumerate(zip(words, ballot.outcome, strict=False), start=1):
        for part, is_train in (("training", True), ("test", False)):
            ours, theirs = _part(given, is_train), _part(decided, is_train)
            if ours != theirs and theirs[0] != VerdictKind.UNDECIDED:
                said = f"{part} {_said(*ours)}, decided {_said(*theirs)}"
                return f"your vote on model {entry} differed from the outcome: {said}"
    return "your vote differed from the outcome where nothing was decided"


def _part(word: int, is_train: bool) -> tuple[int, int, int]:
    part = word >> 96 if is_train else word & ((1 << 96) - 1)
    return part >> 88 & 0xFF, part >> 64 & 0xFFFFFF, part & ((1 << 64) - 1)


def _said(kind: int, ppm: int, fingerprint: int) -> str:
    if kind != VerdictKind.SCORED:
        return name_of(VerdictKind, kind)
    return f"{percent(ppm)} (predictions {fingerprint:016x})"
