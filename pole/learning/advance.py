"""Moves the learning chain's round and ballot on when they are due; every role does, since nobody is paid for it."""

from pole.chain.client import ChainClient
from pole.chain.contracts import Contracts
from pole.chain.structs import Phase, Round
from pole.chain.tally import OwnList, no_list
from pole.chain.turns import advance_ballot, is_ballot_due, is_done_by_me, is_urgent, those_who_advance


def advance_due(
    client: ChainClient, contracts: Contracts, address: str, *, own: OwnList = no_list, is_hurried: bool = False
) -> bool:
    """Move the current round and its ballot on if they are due; losing the race to somebody else is fine.

    An account waits for its turn (see `Turns`) unless it `is_hurried`. `own`: the lists that this account votes.
    Returns whether something was advanced.
    """
    chain = contracts.learning_chain
    current = chain.current_round()
    if current is None:
        return False
    contracts.expect_round(current, address)
    ballot = contracts.verifier_committee.ballot(current.ballot_id) if current.phase is Phase.VOTING else None
    is_counting = ballot is not None and is_ballot_due(contracts, ballot)
    if not is_counting and not chain.is_due(current.round_id):
        return False
    now_s, key = client.block_time(), f"{current.round_id}/{current.phase.name}/{current.deadline}"
    if ballot is not None:
        key += f"/{current.ballot_id}"  # a ballot may be repeated
    if not is_hurried and not (ballot is not None and is_urgent(contracts, ballot, now_s)):
        counting = f"/{ballot.phase.name}/{ballot.deadline}" if ballot is not None and is_counting else ""
        step = f"{chain.address}/{key}{counting}"
        if not client.turns.is_mine(step, those_who_advance(contracts, current), address, client.block_number()):
            return False
    if ballot is not None and is_counting and not advance_ballot(contracts, ballot, own, now_s):
        return False
    if not chain.is_due(current.round_id):
        return False
    return is_done_by_me(lambda: chain.advance(current.round_id, key=f"advance/round/{key}"))


def keep_anchor(client: ChainClient, contracts: Contracts, current: Round) -> bool:
    """Write down what PHS of this round comes from, where the deployment's source has to be written down.

    Returns whether this account was the one to do it. For rounds that nobody can begin before that, so nobody waits
    for another: where somebody was faster, the simulation says so before anything is sent.
    """
    ledger = contracts.block_ledger
    if current.is_bound or not ledger.parameters().anchor.is_kept or client.block_number() <= current.anchor_block:
        return False
    return is_done_by_me(lambda: ledger.keep_anchor(current.anchor_block))
