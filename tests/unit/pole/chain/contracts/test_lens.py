"""The lens says what the other contracts' views say, and a role's reads go through it in few requests."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pole.chain.client import ChainClient
from pole.chain.contracts import Contracts
from pole.chain.deployment import Deployment
from pole.chain.profiles import LOCAL
from pole.chain.structs import TaskTerms
from pole.errors import TransactionReverted
from pole.journal.journal import Journal
from pole.storage.cid import cid_of
from testbed.chain import undone
from testbed.counting import CountingProxy, counted
from tests.unit.account_client import AccountClient

ETHER = 10**18
TERMS = TaskTerms(cid_of(b"manifest"), b"\1" * 32, 60, 700_000, 0, 1, 0)
NOBODY = "0x" + "11" * 20


@pytest.fixture
def chain_client(connect: Callable[..., AccountClient], web3: Any) -> Iterator[AccountClient]:
    with undone(web3):
        yield connect()


@pytest.fixture
def contracts(chain_client: AccountClient, journal: Journal) -> Contracts:
    return chain_client.contracts(journal)


@pytest.fixture
def proxy(anvil: str) -> Iterator[CountingProxy]:
    with counted(anvil) as counting:
        yield counting


def submit(contracts: Contracts, *rewards: int) -> list[int]:
    """Pending tasks of these rewards in ether; their ids."""
    for reward in rewards:
        key = f"submit/{contracts.task_market.task_count()}"
        contracts.task_market.submit(TERMS, value_wei=reward * ETHER + LOCAL.market.client_bond_wei, key=key)
    newest = contracts.task_market.task_count()
    return list(range(newest - len(rewards) + 1, newest + 1))


def test_pending_tasks__several__the_most_valuable_first_and_no_others(contracts: Contracts) -> None:
    ids = submit(contracts, 2, 5, 3, 5)
    contracts.task_market.cancel(ids[2])
    found = contracts.lens.pending_tasks()
    assert [each.task.task_id for each in found] == [ids[1], ids[3], ids[0]]
    assert [each.task for each in found] == [contracts.task_market.task(each.task.task_id) for each in found]
    assert found[0].value == found[1].value > found[2].value > 0
    assert found[0].task.task_id == contracts.task_market.most_valuable()


def test_pending_tasks__pages__are_the_list_once(contracts: Contracts) -> None:
    ids = submit(contracts, 1, 2, 3)
    pages = [contracts.lens.pending_tasks(behind, 2) for behind in (0, ids[1], ids[0])]
    assert [[each.task.task_id for each in page] for page in pages] == [ids[:0:-1], ids[:1], []]


def test_rounds__open_one_with_a_commit__as_the_chain_says(contracts: Contracts, chain_client: AccountClient) -> None:
    chain = contracts.learning_chain
    contracts.verifier_committee.stake(2 * ETHER, key="stake")
    submit(contracts, 2)
    chain.open_round(key="open")
    round_id = chain.round_count()
    (whole,) = contracts.lens.rounds(chain.address, [round_id])
    assert whole.round == chain.round(round_id)
    assert (whole.is_due, whole.submissions, whole.ballot, whole.outcome) == (False, [], None, [])
    pass_time(chain_client, LOCAL.chain.keys_window_s + 1)
    assert contracts.lens.rounds(chain.address, [round_id])[0].is_due
    assert contracts.lens.rounds(chain.address, []) == []


def test_seats__each_verifier__with_its_stake(contracts: Contracts, chain_client: AccountClient) -> None:
    contracts.verifier_committee.stake(3 * ETHER, key="stake")
    seats = contracts.lens.seats()
    assert list(seats) == contracts.verifier_committee.seated()
    assert seats[chain_client.address].stake_wei == 3 * ETHER


def test_votes__no_such_ballot__is_empty(contracts: Contracts) -> None:
    assert contracts.lens.votes(10**6) == {}


def test_position__verifier_and_stranger__all_that_they_have(contracts: Contracts, chain_client: AccountClient) -> None:
    contracts.verifier_committee.stake(3 * ETHER, key="stake")
    mine, nobodys = contracts.lens.position(chain_client.address), contracts.lens.position(NOBODY)
    assert mine.balance_wei == chain_client.balance_wei(chain_client.address)
    assert mine.verifier == contracts.verifier_committee.verifier(chain_client.address)
    assert [each.chain for each in mine.lanes] == [each.learning_chain.address for each in contracts.lanes]
    assert mine.lanes[0].round_id == contracts.learning_chain.round_count()
    assert (nobodys.balance_wei, nobodys.credit_wei, nobodys.tokens, nobodys.verifier.stake_wei) == (0, 0, 0, 0)
    assert {(each.place, each.member) for each in nobodys.lanes} == {(0, None)}


# --- a role's pass ---------------------------------------------------------------------------------------------------


def read_all(contracts: Contracts, client: ChainClient) -> list[Any]:
    """About what a pass reads."""
    chain, committee = contracts.learning_chain, contracts.verifier_committee
    return [
        chain.latest_round(),
        contracts.task_market.pending_count(),
        committee.seated(),
        [committee.verifier(each) for each in committee.seated()],
        committee.parameters(),
        contracts.reward_reservoir.credit_wei(NOBODY),
        contracts.block_ledger.header(0),
        contracts.gradient_chain.current(),
    ]


def test_viewing__second_pass__reads_the_same_in_one_request(
    contracts: Contracts, deployment: Deployment, proxy: CountingProxy
) -> None:
    contracts.verifier_committee.stake(2 * ETHER, key="stake")
    client = ChainClient.connect(proxy.url, deployment)
    viewed = Contracts.of(client)
    direct = read_all(viewed, client)
    for expected in (None, 1):
        before = proxy.requests
        with client.viewing():
            assert read_all(viewed, client) == direct
            assert client.block_time() >= direct[0].opened_at if direct[0] else True
            assert client.block_number() > 0
        assert expected is None or proxy.requests - before == expected


def test_viewing__call_that_reverts__raises_its_error(contracts: Contracts, chain_client: AccountClient) -> None:
    with chain_client.viewing(), pytest.raises(TransactionReverted) as caught:
        contracts.block_ledger.header(99)
    assert (caught.value.name, caught.value.arguments) == ("UnknownHeight", {"height": 99})


def test_viewing__own_transaction__is_seen_in_the_same_pass(contracts: Contracts, chain_client: AccountClient) -> None:
    with chain_client.viewing():
        assert not contracts.verifier_committee.verifier(chain_client.address).is_seated
        contracts.verifier_committee.stake(2 * ETHER, key="stake")
        assert contracts.verifier_committee.verifier(chain_client.address).is_seated


def pass_time(chain_client: AccountClient, seconds: int) -> None:
    for method, parameters in (("evm_increaseTime", [seconds]), ("evm_mine", [])):
        chain_client.web3.provider.make_request(method, parameters)  # type: ignore[arg-type]
