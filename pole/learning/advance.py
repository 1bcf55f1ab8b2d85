"""Moves the learning chain's round and ballot on when they are due; every role does, since nobody is paid for it."""

from pole.chain.client import ChainClient
from pole.chain.contracts import Contracts
from pole.chain.structs import Phase
from pole.chain.turns import TURNS, advance_ballot, is_done_by_me, is_my_turn, turns


def advance_due(client: ChainClient, contracts: Contracts, address: str, slots: int = TURNS) -> bool:
    """Move the current round and its ballot on if they are due; losing the race to somebody else is fine.

    An account takes its turn in one of at least `slots` consecutive blocks (see `turns`), so that not all roles pay for
    the same step. Returns whether something was advanced.
    """
    chain = contracts.learning_chain
    current = chain.current_round()
    if current is None or not is_my_turn(client, address, slots):
        return False
    is_ballot_due = current.phase is Phase.VOTING and contracts.verifier_committee.is_due(current.ballot_id)
    if not is_ballot_due and not chain.is_due(current.round_id):
        return False
    if slots > 1 and not is_my_turn(client, address, turns(contracts, current)):
        return False
    if is_ballot_due and not (advance_ballot(contracts, current.ballot_id) and chain.is_due(current.round_id)):
        return False
    key = f"advance/round/{current.round_id}/{current.phase.name}/{current.deadline}"
    return is_done_by_me(lambda: chain.advance(current.round_id, key=key))
