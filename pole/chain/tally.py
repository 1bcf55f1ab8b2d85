"""Which lists the tally of a ballot has to be given, and whether they are at hand."""

from collections.abc import Callable, Sequence

from pole.chain.contracts.verifier_committee import VerifierCommittee
from pole.chain.structs import Ballot, BallotPhase

OwnList = Callable[[int], Sequence[int] | None]
"""The words that an account votes on a ballot, if it does; see `pole.chain.verdicts`."""


def no_list(ballot_id: int) -> None:
    """Of a role that does not vote."""


def lists_to_tally(
    committee: VerifierCommittee, ballot: Ballot, own: Sequence[int] | None, now_s: int
) -> list[Sequence[int]] | None:
    """What `tally` takes at this block time; None if not all lists are at hand, or if there is none to count.

    Until the deadline these are the lists of all digests that were revealed, opened or not; then all that were opened.
    """
    if ballot.phase not in (BallotPhase.REVEAL, BallotPhase.OPENING):
        return None
    is_in_time = ballot.phase is BallotPhase.REVEAL or now_s < ballot.deadline
    # In the order of the members: a tally of the same lists is the same transaction, whoever sends it.
    needed = list(dict.fromkeys(committee.digests(ballot.ballot_id).values()))
    known: dict[bytes, Sequence[int]] = {} if own is None else {committee.digest(ballot.ballot_id, own): own}
    if not is_in_time:
        needed = [digest for digest in needed if committee.is_opened(ballot.ballot_id, digest)]
    missing = [digest for digest in needed if digest not in known]
    if missing and ballot.phase is BallotPhase.OPENING:
        known |= committee.opened_lists(ballot.ballot_id, missing)
    if not needed or any(digest not in known for digest in needed):
        return None
    return [known[digest] for digest in needed]
