"""The read model against the real contracts."""

from collections.abc import Callable
from typing import Any

import pytest
from eth_account.signers.local import LocalAccount

from pole.chain.client import Gateway
from pole.chain.commitments import header_hash, test_set_commitment
from pole.chain.contracts.learning_chain import Ledger
from pole.chain.deploy import idle_task
from pole.chain.profiles import LOCAL
from pole.chain.structs import Pot, TaskState, TaskTerms, Verifier
from pole.errors import TransactionReverted
from pole.journal.journal import Journal
from pole.storage.cid import cid_of

ETHER = 10**18
NOBODY = "0x" + "11" * 20


@pytest.fixture
def gateway(connect: Callable[..., Gateway]) -> Gateway:
    return connect()


@pytest.fixture
def ledger(gateway: Gateway) -> Ledger:
    return Ledger(gateway)


def test_header__beyond_the_newest__reverts_with_its_height(ledger: Ledger) -> None:
    with pytest.raises(TransactionReverted) as caught:
        ledger.header(99)
    assert (caught.value.name, caught.value.arguments) == ("UnknownHeight", {"height": 99})


def test_parameters__of_every_contract__are_the_profiles(ledger: Ledger) -> None:
    assert ledger.market_parameters() == LOCAL.market
    assert ledger.committee_parameters() == LOCAL.committee
    assert ledger.chain_parameters() == LOCAL.chain
    assert ledger.idle_task() == idle_task(LOCAL, cid_of(b"idle manifest"))


def test_header__genesis__hashes_to_what_the_contract_says(ledger: Ledger) -> None:
    header = ledger.header(0)
    assert (header.height, header.task_id, header.winner) == (0, 0, "0x" + "00" * 20)
    assert header.model == cid_of(b"idle manifest")
    assert header_hash(header) == ledger.header_hash(0)
    assert ledger.ommers(0) == []


def test_verifier__unknown_and_staked__are_told_apart(gateway: Gateway, ledger: Ledger, journal: Journal) -> None:
    assert ledger.verifier(gateway.address) == Verifier(0, 0, 0, False)
    staked_before = ledger.total_wei(Pot.STAKE)
    gateway.transact(journal, "stake", "VerifierCommittee", "stake", value_wei=2 * ETHER)
    assert ledger.verifier(gateway.address) == Verifier(2 * ETHER, 0, 0, True)
    assert gateway.address in ledger.seated()
    assert ledger.total_wei(Pot.STAKE) == staked_before + 2 * ETHER


def test_task__submitted_and_cancelled__is_read_back_as_it_was_sent(
    gateway: Gateway, ledger: Ledger, journal: Journal
) -> None:
    market = gateway.deployment.address("TaskMarket")
    salt, test_set = bytes([7]) * 32, cid_of(b"test set")
    commitment = test_set_commitment(gateway.deployment.chain_id, market, gateway.address, test_set, salt)
    terms = TaskTerms(cid_of(b"manifest"), commitment, 60, 900_000, 500_000, 5_000, 2)
    paid_wei = LOCAL.market.client_bond_wei + ETHER
    receipt = gateway.transact(journal, "submit", "TaskMarket", "submit", terms, value_wei=paid_wei)
    (event,) = gateway.events_of(receipt, "TaskMarket", "TaskSubmitted")
    task = ledger.task(event.arguments["taskId"])
    assert (task.terms, task.client, task.state) == (terms, gateway.address, TaskState.PENDING)
    assert (task.reward_wei, task.verifier_fee_wei) == (ETHER * 9 // 10, ETHER // 10)
    assert ledger.most_valuable() == task.task_id == ledger.task_count()
    gateway.transact(journal, "cancel", "TaskMarket", "cancel", task.task_id)
    assert ledger.task(task.task_id).state is TaskState.CANCELLED
    assert ledger.most_valuable() is None
    assert ledger.credit_wei(gateway.address) == paid_wei


def test_counts__of_nothing__are_zero_or_none(
    ledger: Ledger, new_account: Callable[..., LocalAccount], gateway: Gateway
) -> None:
    stranger: Any = new_account().address
    assert ledger.credit_wei(stranger) == 0
    assert ledger.token_balance(stranger) == 0
    assert ledger.height() == 0
    assert ledger.ballot_count() == 0
    assert ledger.weight_wei(1, stranger) == 0
    assert ledger.vote_commitment(1, stranger) == bytes(32)
    assert gateway.balance_wei(NOBODY) == 0
