"""A ballot, folded from the committee's events."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from explorer.chain.events import Event
from explorer.fold.folding import Steps
from pole.chain.commitments import ballot_digest
from pole.chain.structs import BallotPhase, Verdict
from pole.chain.verdicts import unpack_verdict


@dataclass
class Vote:
    """What one member did; `slashed` holds the events, `returned` those of penalties that it got back."""

    verifier: str
    committed: Event | None = None
    revealed: Event | None = None
    slashed: list[Event] = field(default_factory=list)
    returned: list[Event] = field(default_factory=list)

    @property
    def digest(self) -> str | None:
        return None if self.revealed is None else self.revealed.args.get("digest")

    @property
    def slashed_wei(self) -> int:
        return sum(event.args["amountWei"] for event in self.slashed)

    @property
    def lost_wei(self) -> int:
        """What was slashed and not returned."""
        returned_wei: int = sum(event.args["amountWei"] for event in self.returned)
        return self.slashed_wei - returned_wei


@dataclass
class BallotView:
    """`members`: stake by verifier, from calls when it was opened; `lists`: packed words by digest, where known."""

    ballot_id: int
    opened: Event | None = None
    phase: int = 0
    deadline: int = 0
    extensions: int = 0
    members: dict[str, int] = field(default_factory=dict)
    votes: dict[str, Vote] = field(default_factory=dict)
    lists: dict[str, Sequence[int]] = field(default_factory=dict)
    tallied: Event | None = None

    def vote(self, verifier: str) -> Vote:
        return self.votes.setdefault(verifier, Vote(verifier))

    @property
    def entry_count(self) -> int:
        return 0 if self.opened is None else self.opened.args.get("entryCount", 0)

    @property
    def outcome(self) -> Sequence[int]:
        return () if self.tallied is None else self.tallied.args.get("outcome", ())

    @property
    def outcome_digest(self) -> str | None:
        return None if self.tallied is None else self.tallied.args.get("outcomeDigest")

    @property
    def verdicts(self) -> list[Verdict]:
        return [unpack_verdict(word) for word in self.outcome]

    @property
    def is_void(self) -> bool:
        return self.phase == BallotPhase.VOID

    def words_of(self, verifier: str) -> Sequence[int] | None:
        """What a member voted, where somebody opened it or the tally named it."""
        digest = self.votes[verifier].digest if verifier in self.votes else None
        if digest is None:
            return None
        return self.outcome if digest == self.outcome_digest and self.outcome else self.lists.get(digest)


def _opened(view: BallotView, event: Event) -> None:
    view.opened, view.phase, view.deadline = event, BallotPhase.COMMIT, event.args.get("deadline", 0)
    for member in event.derived.get("members") or ():
        view.members[member] = event.derived.get(f"weight {member}", 0)
        view.vote(member)


def _phase_changed(view: BallotView, event: Event) -> None:
    view.phase, view.deadline = event.args["phase"], event.args.get("deadline", 0)


def _extended(view: BallotView, event: Event) -> None:
    view.extensions, view.deadline = event.args["extensions"], event.args["deadline"]


def _committed(view: BallotView, event: Event) -> None:
    view.vote(event.args["verifier"]).committed = event


def _revealed(view: BallotView, event: Event) -> None:
    view.vote(event.args["verifier"]).revealed = event


def _vote_opened(view: BallotView, event: Event) -> None:
    view.lists[event.args["digest"]] = event.args["verdicts"]


def _tallied(view: BallotView, event: Event) -> None:
    view.tallied = event
    chain_id, committee = event.derived.get("chain", (None, None))
    for words in event.derived.get("lists") or ():
        if committee is not None:
            view.lists[f"0x{ballot_digest(chain_id, committee, view.ballot_id, words).hex()}"] = words


def _slashed(view: BallotView, event: Event) -> None:
    view.vote(event.args["verifier"]).slashed.append(event)


def _returned(view: BallotView, event: Event) -> None:
    view.vote(event.args["verifier"]).returned.append(event)


BALLOT: Steps[BallotView] = {
    "BallotOpened": _opened,
    "BallotPhaseChanged": _phase_changed,
    "BallotExtended": _extended,
    "VoteCommitted": _committed,
    "VoteRevealed": _revealed,
    "VoteOpened": _vote_opened,
    "BallotTallied": _tallied,
    "Slashed": _slashed,
    "PenaltyReturned": _returned,
}


def of_ballot(view: Any, event: Event) -> None:
    """A step of whatever has ballots: the event belongs to one of them."""
    ballot = view.ballots.setdefault(event.args["ballotId"], BallotView(event.args["ballotId"]))
    BALLOT[event.name](ballot, event)
