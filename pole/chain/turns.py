"""Whose turn it is to do what anybody may do, so that not all pay for the same step."""

from collections.abc import Callable

from pole.chain.client import ChainClient
from pole.chain.contracts import Contracts
from pole.chain.structs import Ballot, BallotPhase, Round
from pole.chain.tally import OwnList, lists_to_tally
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


def is_ballot_due(contracts: Contracts, ballot: Ballot) -> bool:
    """Whether the ballot may be moved on; in `Opening` it can be counted at once, see `advance_ballot`."""
    return ballot.phase is BallotPhase.OPENING or contracts.verifier_committee.is_due(ballot.ballot_id)


def is_urgent(contracts: Contracts, ballot: Ballot, now_s: int) -> bool:
    """Whether a ballot has to be counted soon: what nobody opened or counted until the deadline is lost."""
    window_s = contracts.verifier_committee.parameters().vote_opening_window_s
    return ballot.phase is BallotPhase.OPENING and now_s >= ballot.deadline - window_s / 2


def advance_ballot(contracts: Contracts, ballot: Ballot, own: OwnList, now_s: int) -> bool:
    """Move a ballot on that is due, counting it if all lists are at hand; whether this account was the one to do it.

    `now_s`: block time. Votes that were all revealed are left to those who hold a list until the deadline: they can
    count them in one transaction.
    """
    committee, words = contracts.verifier_committee, own(ballot.ballot_id)
    key = f"ballot/{ballot.ballot_id}/{ballot.phase.name}/{ballot.deadline}/{ballot.extensions}"
    lists = lists_to_tally(committee, ballot, words, now_s)
    if lists is not None:
        return is_done_by_me(lambda: committee.tally(ballot.ballot_id, lists, key=f"tally/{key}"))
    is_late = now_s >= ballot.deadline
    if not is_late and (ballot.phase is BallotPhase.OPENING or (ballot.phase is BallotPhase.REVEAL and words is None)):
        return False
    return is_done_by_me(lambda: committee.advance(ballot.ballot_id, key=f"advance/{key}"))


def is_done_by_me(advance: Callable[[], object]) -> bool:
    """Whether `advance` succeeded; if it was reverted, somebody else was faster."""
    try:
        advance()
    except TransactionReverted:
        return False
    return True
