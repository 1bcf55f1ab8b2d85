"""Moving a round of the learning chain and its ballot on when they are due."""

from typing import TYPE_CHECKING

from pole.chain.client import Gateway
from pole.chain.contracts.learning_chain import Ledger
from pole.chain.structs import Ballot, Phase, Round
from pole.chain.turns import TURNS, is_my_turn, turns
from pole.errors import TransactionReverted
from pole.journal.journal import Journal

if TYPE_CHECKING:
    pass


def advance_due(gateway: Gateway, journal: Journal, ledger: Ledger, slots: int = TURNS) -> bool:
    """Move the current round and its ballot on if they are due; losing the race to somebody else is fine.

    An account takes its turn in one of at least `slots` consecutive blocks (see `turns`), so that not all roles pay for
    the same step. Returns whether something was advanced.
    """
    current = ledger.current_round()
    if current is None or not is_my_turn(gateway, slots):
        return False
    is_ballot_due = current.phase is Phase.VOTING and ledger.is_ballot_due(current.ballot_id)
    if not is_ballot_due and not ledger.is_round_due(current.round_id):
        return False
    if slots > 1 and not is_my_turn(gateway, turns(ledger, current)):
        return False
    if is_ballot_due:
        ballot = ledger.ballot(current.ballot_id)
        if not _try(gateway, journal, _ballot_key(ballot), "VerifierCommittee", ballot.ballot_id):
            return False
        if not ledger.is_round_due(current.round_id):
            return False
    return _try(gateway, journal, _round_key(current), "LearningChain", current.round_id)


def _round_key(current: Round) -> str:
    return f"advance/round/{current.round_id}/{current.phase.name}/{current.deadline}"


def _ballot_key(ballot: Ballot) -> str:
    return f"advance/ballot/{ballot.ballot_id}/{ballot.phase.name}/{ballot.deadline}/{ballot.extensions}"


def _try(gateway: Gateway, journal: Journal, key: str, contract: str, number: int) -> bool:
    try:
        if contract == "LearningChain":
            gateway.transact(journal, key, "LearningChain", "advance", number)
        else:
            gateway.transact(journal, key, "VerifierCommittee", "advance", number)
    except TransactionReverted:  # somebody was faster
        return False
    return True
