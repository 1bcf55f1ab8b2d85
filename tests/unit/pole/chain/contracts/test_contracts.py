"""The read model against the real contracts."""

from collections.abc import Callable
from typing import Any

import pytest
from eth_account.signers.local import LocalAccount

from pole.chain.commitments import header_hash, test_set_commitment
from pole.chain.contracts import Contracts
from pole.chain.deploy import idle_task
from pole.chain.profiles import LOCAL
from pole.chain.structs import Member, Pot, TaskState, TaskTerms, Verifier
from pole.errors import TransactionReverted, TransientChainError
from pole.journal.journal import Journal
from pole.storage.cid import cid_of
from testbed.chain import undone
from tests.unit.account_client import AccountClient

ETHER = 10**18
NOBODY = "0x" + "11" * 20
ZERO_ADDRESS = "0x" + "00" * 20


@pytest.fixture
def chain_client(connect: Callable[..., AccountClient]) -> AccountClient:
    return connect()


@pytest.fixture
def contracts(chain_client: AccountClient, journal: Journal) -> Contracts:
    return chain_client.contracts(journal)


def test_header__beyond_the_newest__reverts_with_its_height(contracts: Contracts) -> None:
    with pytest.raises(TransactionReverted) as caught:
        contracts.block_ledger.header(99)
    assert (caught.value.name, caught.value.arguments) == ("UnknownHeight", {"height": 99})


def test_parameters__of_every_contract__are_the_profiles(contracts: Contracts) -> None:
    assert contracts.task_market.parameters() == LOCAL.market
    assert contracts.verifier_committee.parameters() == LOCAL.committee
    assert contracts.learning_chain.parameters() == LOCAL.chain
    assert contracts.learning_chain.idle_task() == idle_task(LOCAL, cid_of(b"idle manifest"))


def test_header__genesis__hashes_to_what_the_contract_says(contracts: Contracts) -> None:
    header = contracts.block_ledger.header(0)
    assert (header.height, header.task_id, header.winner) == (0, 0, "0x" + "00" * 20)
    assert header.model == cid_of(b"idle manifest")
    assert header_hash(header) == contracts.block_ledger.header_hash(0)
    assert contracts.block_ledger.ommers(0) == []


def test_verifier__unknown_and_staked__are_told_apart(chain_client: AccountClient, contracts: Contracts) -> None:
    assert contracts.verifier_committee.verifier(chain_client.address) == Verifier(0, 0, 0, False, ZERO_ADDRESS)
    staked_before = contracts.reward_reservoir.total_wei(Pot.STAKE)
    contracts.verifier_committee.stake(2 * ETHER, key="stake")
    assert contracts.verifier_committee.verifier(chain_client.address) == Verifier(2 * ETHER, 0, 0, True, ZERO_ADDRESS)
    assert chain_client.address in contracts.verifier_committee.seated()
    assert contracts.reward_reservoir.total_wei(Pot.STAKE) == staked_before + 2 * ETHER


def test_task__none_of_this_number__may_come_back_after_a_reorganisation(contracts: Contracts) -> None:
    for market in (contracts.task_market, contracts.gradient_chain):
        with pytest.raises(TransientChainError, match="task 999 is not on this chain, or not any more"):
            market.task(999)


def test_task__submitted_and_cancelled__is_read_back_as_it_was_sent(
    chain_client: AccountClient, contracts: Contracts
) -> None:
    market = chain_client.deployment.address("TaskMarket")
    salt, test_set = bytes([7]) * 32, cid_of(b"test set")
    commitment = test_set_commitment(chain_client.deployment.chain_id, market, chain_client.address, test_set, salt)
    terms = TaskTerms(cid_of(b"manifest"), commitment, 60, 900_000, 500_000, 2, 0)
    paid_wei = LOCAL.market.client_bond_wei + ETHER
    receipt = contracts.task_market.submit(terms, value_wei=paid_wei, key="submit")
    (event,) = chain_client.events_of(receipt, "TaskMarket", "TaskSubmitted")
    task = contracts.task_market.task(event.arguments["taskId"])
    assert (task.terms, task.client, task.state) == (terms, chain_client.address, TaskState.PENDING)
    assert (task.reward_wei, task.verifier_fee_wei) == (ETHER * 9 // 10, ETHER // 10)
    assert contracts.task_market.most_valuable() == task.task_id == contracts.task_market.task_count()
    contracts.task_market.cancel(task.task_id, key="cancel")
    assert contracts.task_market.task(task.task_id).state is TaskState.CANCELLED
    assert contracts.task_market.most_valuable() is None
    assert contracts.reward_reservoir.credit_wei(chain_client.address) == paid_wei


def test_submit__list_has_moved_on_since_it_was_read__is_placed_anew(
    contracts: Contracts, web3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seventeen tasks came in front of it; the first look knew none of them."""
    with undone(web3):
        market = contracts.task_market
        terms = TaskTerms(cid_of(b"manifest"), bytes([1]) * 32, 60, 900_000, 0, 1, 0)
        for place in range(17):
            market.submit(
                terms, value_wei=LOCAL.market.client_bond_wei + (20 + place) * ETHER // 20, key=f"better/{place}"
            )
        stale, hint = [0, 0], market.hint
        monkeypatch.setattr(market, "hint", lambda *given: stale.pop() if stale else hint(*given))
        market.submit(terms, value_wei=LOCAL.market.client_bond_wei + ETHER // 2, key="late")
        assert [task_id for task_id, _ in market.pending()][-1] == market.task_count()
        monkeypatch.setattr(market, "hint", lambda *_: 0)
        with pytest.raises(TransactionReverted, match="StaleHint"):
            market.submit(terms, value_wei=LOCAL.market.client_bond_wei + ETHER // 2, key="later")


def test_counts__of_nothing__are_zero_or_none(
    contracts: Contracts, new_account: Callable[..., LocalAccount], chain_client: AccountClient
) -> None:
    stranger: Any = new_account().address
    assert contracts.reward_reservoir.credit_wei(stranger) == 0
    assert contracts.reward_token.balance(stranger) == 0
    assert contracts.block_ledger.height() == 0
    assert contracts.verifier_committee.ballot_count() == 0
    assert contracts.verifier_committee.member(1, stranger) == Member(0, 0, bytes(32), bytes(32), 0)
    assert chain_client.balance_wei(NOBODY) == 0
