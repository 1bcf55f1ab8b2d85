"""Checks at the end of every test of a fault: accounts add up, and everybody was paid or refunded exactly once."""

from collections.abc import Sequence
from typing import Any

from hexbytes import HexBytes
from web3.exceptions import TransactionNotFound

from pole.chain.contracts import Contracts
from pole.chain.structs import Pot, Round
from pole.journal.journal import Journal
from pole.journal.transactions import SignedTransaction
from testbed.processes import Actor
from tests.e2e.world import World


def check_settled(world: World, since_block: int, actors: Sequence[Actor]) -> None:
    """No round is open, so nothing may be left in escrow or bond; nobody was slashed; nobody sent anything twice."""
    world.check_processes()
    assert world.contracts.learning_chain.current_round() is None, f"a round is still open: {world.summary()}"
    assert world.contracts.task_market.pending_count() == 0
    world.held_wei()
    left = {pot.name: world.contracts.reward_reservoir.total_wei(pot) for pot in (Pot.ESCROW, Pot.BOND)}
    assert left == {"ESCROW": 0, "BOND": 0}, "somebody was neither paid nor refunded"
    assert world.slashed_since(since_block) == {}
    for actor in actors:
        check_sent_once(world, actor)


def fees_wei(contracts: Contracts, ended: Round) -> int:
    """What the verifiers earn in a round of a task: their fee, and the judging fees of all submissions."""
    judging_wei = ended.submission_count * contracts.learning_chain.judging_fee_wei(ended.round_id)
    return contracts.task_market.task(ended.task_id).verifier_fee_wei + judging_wei


def check_sent_once(world: World, actor: Actor) -> None:
    """Every transaction of the account is in its journal, and none served a purpose that another had served."""
    successes: list[str] = []
    nonces: list[int] = []
    for attempt in signed(actor):
        receipt = receipt_of(world, attempt)
        if receipt is not None:
            nonces.append(int(attempt.nonce or 0))
            successes += [attempt.key] if receipt["status"] == 1 else []
    address: Any = actor.address
    assert sorted(nonces) == list(range(world.chain.web3.eth.get_transaction_count(address))), actor.name
    assert sorted(successes) == sorted(set(successes)), f"{actor.name} sent something twice"


def signed(actor: Actor) -> list[SignedTransaction]:
    """All that the actor ever signed, on whatever chain."""
    found: list[SignedTransaction] = []
    for path in sorted(actor.home.glob("journal-*.sqlite")):
        with Journal(path, is_exclusive=False) as journal:
            found += journal.transactions._select("WHERE raw IS NOT NULL ORDER BY nonce")
    return found


def receipt_of(world: World, attempt: SignedTransaction) -> Any:
    """None if the transaction is in no block."""
    try:
        return world.chain.web3.eth.get_transaction_receipt(HexBytes(str(attempt.hash)))
    except TransactionNotFound:
        return None
