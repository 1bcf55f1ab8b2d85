"""Moves the learning chain's round and ballot on when they are due; every role does, since nobody is paid for it."""

from pole.chain.client import ChainClient
from pole.chain.contracts import Contracts
from pole.chain.structs import Phase, Round
from pole.chain.tally import OwnList, no_list
from pole.chain.turns import TURNS, advance_ballot, is_ballot_due, is_done_by_me, is_my_turn, is_urgent, turns


def advance_due(
    client: ChainClient, contracts: Contracts, address: str, slots: int = TURNS, own: OwnList = no_list
) -> bool:
    """Move the current round and its ballot on if they are due; losing the race to somebody else is fine.

    An account takes its turn in one of at least `slots` consecutive blocks (see `turns`), so that not all roles pay for
    the same step. `own`: the lists that this account votes. Returns whether something was advanced.
    """
    chain = contracts.learning_chain
    current = chain.current_round()
    if current is None or not is_my_turn(client, address, slots):
        return False
    ballot = contracts.verifier_committee.ballot(current.ballot_id) if current.phase is Phase.VOTING else None
    is_counting = ballot is not None and is_ballot_due(contracts, ballot)
    if not is_counting and not chain.is_due(current.round_id):
        return False
    now_s = client.block_time()
    is_hurried = slots <= 1 or (ballot is not None and is_urgent(contracts, ballot, now_s))
    if not is_hurried and not is_my_turn(client, address, turns(contracts, current)):
        return False
    if ballot is not None and is_counting and not advance_ballot(contracts, ballot, own, now_s):
        return False
    if not chain.is_due(current.round_id):
        return False
    key = f"advance/round/{current.round_id}/{current.phase.name}/{current.deadline}"
    if current.phase is Phase.VOTING:
        key += f"/{current.ballot_id}"  # a ballot may be repeated
    return is_done_by_me(lambda: chain.advance(current.round_id, key=key))


def keep_anchor(client: ChainClient, contracts: Contracts, address: str, current: Round, slots: int = TURNS) -> bool:
    """Write down what PHS of this round comes from, where the deployment's source has to be written down.

    Returns whether this account was the one to do it. For rounds that nobody can begin before that.
    """
    ledger = contracts.block_ledger
    if current.is_bound or not ledger.parameters().anchor.is_kept or client.block_number() <= current.anchor_block:
        return False
    return is_my_turn(client, address, slots) and is_done_by_me(lambda: ledger.keep_anchor(current.anchor_block))
