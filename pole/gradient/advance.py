"""Moves the gradient chain and its ballots on when they are due. Every role does it, since nobody is paid for it."""

from pole.chain.client import ChainClient
from pole.chain.contracts import Contracts
from pole.chain.gradient_structs import HeightPhase
from pole.chain.tally import OwnList, no_list
from pole.chain.turns import TURNS, advance_ballot, is_ballot_due, is_done_by_me, is_my_turn


def advance_gradient_due(
    client: ChainClient, contracts: Contracts, address: str, slots: int = TURNS, own: OwnList = no_list
) -> bool:
    """Advance the current height and its ballot if they are due; returns whether something was advanced.

    As with `pole.learning.advance.advance_due`, an account takes its turn in one of `slots` consecutive blocks, and
    `own` are the lists that it votes.
    """
    chain = contracts.gradient_chain
    current = chain.current()
    if current.phase is HeightPhase.IDLE or not is_my_turn(client, address, slots):
        return False
    if current.phase is HeightPhase.VOTING:
        ballot = contracts.verifier_committee.ballot(current.ballot_id)
        if is_ballot_due(contracts, ballot) and not advance_ballot(contracts, ballot, own, client.block_time()):
            return False
    if not chain.is_due():
        return False
    # A height may come to the same phase again, after its proposals were rejected.
    key = f"advance/height/{current.height}/{current.phase.name}/{current.search_started_at}/{current.ballot_id}"
    return is_done_by_me(lambda: chain.advance(key=key))
