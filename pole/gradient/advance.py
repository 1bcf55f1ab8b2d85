"""Moves the gradient chain and its ballots on when they are due. Every role does it, since nobody is paid for it."""

from pole.chain.client import ChainClient
from pole.chain.contracts import Contracts
from pole.chain.gradient_structs import HeightPhase
from pole.chain.tally import OwnList, no_list
from pole.chain.turns import advance_ballot, is_ballot_due, is_done_by_me


def advance_gradient_due(
    client: ChainClient, contracts: Contracts, address: str, *, own: OwnList = no_list, is_hurried: bool = False
) -> bool:
    """Advance the current height and its ballot if they are due; returns whether something was advanced.

    As with `pole.learning.advance.advance_due`, an account waits for its turn unless it `is_hurried`, and `own` are the
    lists that it votes.
    """
    chain = contracts.gradient_chain
    current = chain.current()
    if current.phase is HeightPhase.IDLE:
        return False
    is_voting = current.phase is HeightPhase.VOTING
    ballot = contracts.verifier_committee.ballot(current.ballot_id) if is_voting else None
    is_counting = ballot is not None and is_ballot_due(contracts, ballot)
    if not is_counting and not chain.is_due():
        return False
    # A height may come to the same phase again, after its proposals were rejected.
    key = f"{current.height}/{current.phase.name}/{current.search_started_at}/{current.ballot_id}"
    if not is_hurried:
        counting = f"/{ballot.phase.name}/{ballot.deadline}" if ballot is not None and is_counting else ""
        seated, step = contracts.verifier_committee.seated(), f"{chain.address}/{key}{counting}"
        if not client.turns.is_mine(step, seated, address, client.block_number()):
            return False
    if ballot is not None and is_counting and not advance_ballot(contracts, ballot, own, client.block_time()):
        return False
    if not chain.is_due():
        return False
    return is_done_by_me(lambda: chain.advance(key=f"advance/height/{key}"))
