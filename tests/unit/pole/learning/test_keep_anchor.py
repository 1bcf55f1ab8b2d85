"""Writing down what PHS comes from: not before it is there, by one account, and not where nobody has to."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.types import RPCEndpoint

from pole.chain.contracts import Contracts
from pole.chain.profiles import LOCAL
from pole.chain.structs import AnchorSource, Round
from pole.journal.journal import Journal
from pole.learning.advance import keep_anchor
from pole.storage.cid import cid_of
from testbed.chain import undone, web3_at
from testbed.deployer import deploy_with_web3
from tests.unit.account_client import AccountClient
from tests.unit.conftest import funded

KEPT = [AnchorSource.KEPT_BLOCK_HASH, AnchorSource.PREV_RANDAO]
Join = Callable[[AnchorSource], list[tuple[AccountClient, Contracts]]]


@pytest.fixture
def chain(manual_rpc: str) -> Iterator[Web3]:
    web3 = web3_at(manual_rpc)
    with undone(web3):
        yield web3


@pytest.fixture
def join(chain: Web3, manual_rpc: str, tmp_path: Path) -> Iterator[Join]:
    """`join(source)`: two accounts on a deployment with that source."""
    journals: list[Journal] = []

    def participants(source: AnchorSource) -> list[tuple[AccountClient, Contracts]]:
        deployment = deploy_with_web3(chain, funded(chain), LOCAL.with_anchor(source), cid_of(b"idle"))
        joined = []
        for index in range(2):
            account: LocalAccount = funded(chain)
            client = AccountClient.connect_as(account, manual_rpc, deployment)
            journals.append(Journal(tmp_path / f"{index}.sqlite", is_exclusive=False))
            joined.append((client, client.contracts(journals[-1])))
        return joined

    yield participants
    for journal in journals:
        journal.close()


def mine_to(web3: Web3, number: int) -> None:
    while web3.eth.block_number < number:
        web3.provider.make_request(RPCEndpoint("evm_mine"), [])


def opened(contracts: Contracts) -> Round:
    contracts.learning_chain.open_idle_round(key="open")
    return contracts.learning_chain.round(1)


@pytest.mark.parametrize("source", KEPT)
def test_keep_anchor__before_its_block__sends_nothing(source: AnchorSource, chain: Web3, join: Join) -> None:
    [(client, contracts), _] = join(source)
    current = opened(contracts)
    mine_to(chain, current.anchor_block)
    nonce = chain.eth.get_transaction_count(client.account.address)
    assert not keep_anchor(client, contracts, current)
    assert chain.eth.get_transaction_count(client.account.address) == nonce


def test_keep_anchor__block_hash__nobody_sends_anything(chain: Web3, join: Join) -> None:
    [(client, contracts), _] = join(AnchorSource.BLOCK_HASH)
    current = opened(contracts)
    mine_to(chain, current.anchor_block + 1)
    nonce = chain.eth.get_transaction_count(client.account.address)
    assert not keep_anchor(client, contracts, current)
    assert chain.eth.get_transaction_count(client.account.address) == nonce
    assert contracts.learning_chain.round(1).is_bound


@pytest.mark.parametrize("source", KEPT)
def test_keep_anchor__once_it_is_there__one_account_does_it_and_the_hash_stays(
    source: AnchorSource, chain: Web3, join: Join
) -> None:
    [(client, contracts), (other, others)] = join(source)
    current = opened(contracts)
    mine_to(chain, current.anchor_block + 1)
    assert not contracts.learning_chain.round(1).is_bound
    assert keep_anchor(client, contracts, current)
    bound = contracts.learning_chain.round(1)
    assert bound.is_bound
    nonce = chain.eth.get_transaction_count(other.account.address)
    assert not keep_anchor(other, others, current)  # as it saw the round before
    assert chain.eth.get_transaction_count(other.account.address) == nonce
    mine_to(chain, current.anchor_block + 300)
    assert contracts.learning_chain.round(1).previous_hash == bound.previous_hash
