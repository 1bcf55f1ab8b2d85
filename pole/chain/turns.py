"""Whose turn it is to do what anybody may do, so that not all pay for the same step."""

from collections.abc import Callable

from pole.chain.client import ChainClient
from pole.chain.contracts import Contracts
from pole.chain.structs import Round
from pole.errors import TransactionReverted

TURNS = 3


def turns(contracts: Contracts, latest: Round | None) -> int:
    """Over how many blocks so many participants spread what only one of them can do; a multiple of TURNS.

    Whoever loses a race pays for a transaction in vain, and the node runs each of them: about three a block is enough.
    """
    participants = len(contracts.verifier_committee.seated()) + (latest.submission_count if latest else 0)
    return TURNS * max(1, participants // TURNS**2)


def is_my_turn(client: ChainClient, address: str, slots: int = TURNS) -> bool:
    """Whether this block is the account's turn to do what anybody may do; see `advance_due`."""
    return slots <= 1 or (client.block_number() + int(address, 16)) % slots == 0


def advance_ballot(contracts: Contracts, ballot_id: int) -> bool:
    """Move a ballot on that is due; whether this account was the one to do it."""
    ballot = contracts.verifier_committee.ballot(ballot_id)
    key = f"advance/ballot/{ballot.ballot_id}/{ballot.phase.name}/{ballot.deadline}/{ballot.extensions}"
    return is_done_by_me(lambda: contracts.verifier_committee.advance(ballot_id, key=key))


def is_done_by_me(advance: Callable[[], object]) -> bool:
    """Whether `advance` succeeded; if it was reverted, somebody else was faster."""
    try:
        advance()
    except TransactionReverted:
        return False
    return True
