"""Moves the gradient chain and its ballots on when they are due; every role does, since nobody is paid for it."""

from pole.chain.client import Gateway
from pole.chain.contracts.gradient_chain import GradientLedger
from pole.chain.contracts.learning_chain import Ledger
from pole.chain.gradient_structs import Height, HeightPhase
from pole.chain.structs import Ballot
from pole.chain.turns import is_my_turn
from pole.errors import TransactionReverted
from pole.journal.journal import Journal


def advance_gradient_due(gateway: Gateway, journal: Journal, ledger: Ledger, slots: int = 3) -> bool:
    """Advance the current height and its ballot if they are due; returns whether something was advanced.

    As with `pole.learning.advance.advance_due`, an account takes its turn in one of `slots` consecutive blocks.
    """
    gradient = GradientLedger(gateway)
    current = gradient.current()
    if current.phase is HeightPhase.IDLE or not is_my_turn(gateway, slots):
        return False
    if current.phase is HeightPhase.VOTING and ledger.is_ballot_due(current.ballot_id):
        ballot = ledger.ballot(current.ballot_id)
        if not _try(gateway, journal, _ballot_key(ballot), current.ballot_id):
            return False
    if not gradient.is_due():
        return False
    return _try(gateway, journal, _height_key(current), None)


def _height_key(current: Height) -> str:
    """A height may come to the same phase again, after its proposals were rejected."""
    return f"advance/height/{current.height}/{current.phase.name}/{current.search_started_at}/{current.ballot_id}"


def _ballot_key(ballot: Ballot) -> str:
    return f"advance/ballot/{ballot.ballot_id}/{ballot.phase.name}/{ballot.deadline}/{ballot.extensions}"


def _try(gateway: Gateway, journal: Journal, key: str, ballot_id: int | None) -> bool:
    try:
        if ballot_id is None:
            gateway.transact(journal, key, "GradientChain", "advance")
        else:
            gateway.transact(journal, key, "VerifierCommittee", "advance", ballot_id)
    except TransactionReverted:  # somebody was faster
        return False
    return True
