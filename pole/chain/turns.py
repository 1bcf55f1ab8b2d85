"""What anybody may do for all, and who of them does it; see `pole.chain.order`."""

from collections.abc import Callable

from pole.chain.contracts import Contracts
from pole.chain.structs import Ballot, BallotPhase, Round
from pole.chain.tally import OwnList, lists_to_tally
from pole.errors import TransactionReverted


def those_who_advance(contracts: Contracts, current: Round) -> list[str]:
    """The verifiers, who are always there; while there is none, the miners of the round."""
    seated = contracts.verifier_committee.seated()
    return seated or [each.miner for each in contracts.learning_chain.submissions(current.round_id)]


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
