"""Shared by the tests of sending: a crash at any step, and a node that mines only when told to."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from eth_account.signers.local import LocalAccount
from web3 import Web3

from pole.chain.client import Receipt
from pole.chain.deployment import ContractName, Deployment
from pole.journal.database import Database
from pole.journal.journal import Journal
from pole.journal.transactions import SignedTransaction, TransactionJournal, TransactionState
from testbed.chain import web3_at
from tests.unit.account_client import AccountClient
from tests.unit.conftest import funded, probe_deployment

CONTRACT: ContractName = "TaskMarket"  # every contract of the probe deployment is a Probe


class Died(BaseException):
    """Stands for kill -9: nothing in the code under test may catch it."""


class DyingJournal(Journal):
    """Dies right before or after one of the steps of a transaction, once it is durable."""

    def __init__(self, path: Path, step: str) -> None:
        super().__init__(path)
        self.transactions = DyingTransactions(self._database, step)


class DyingTransactions(TransactionJournal):
    def __init__(self, database: Database, step: str) -> None:
        super().__init__(database)
        self._step = step

    def plan(self, key: str, description: str) -> SignedTransaction:
        planned = super().plan(key, description)
        self._die_after("plan")
        return planned

    def sign(self, planned: SignedTransaction, nonce: int, transaction_hash: str, raw: bytes) -> SignedTransaction:
        signed = super().sign(planned, nonce, transaction_hash, raw)
        self._die_after("sign")
        return signed

    def replace(self, transaction: SignedTransaction, transaction_hash: str, raw: bytes) -> SignedTransaction:
        replacement = super().replace(transaction, transaction_hash, raw)
        self._die_after("replace")
        return replacement

    def settle(self, transaction: SignedTransaction, state: TransactionState, block_number: int | None = None) -> None:
        self._die_after("broadcast")
        super().settle(transaction, state, block_number)

    def _die_after(self, step: str) -> None:
        if step == self._step:
            raise Died(step)


def nonce_of(chain_client: AccountClient) -> int:
    return chain_client.web3.eth.get_transaction_count(chain_client.web3.to_checksum_address(chain_client.address))


def states(journal: Journal, key: str) -> list[str]:
    return [transaction.state.value for transaction in journal.transactions.all_of(key)]


def newest(journal: Journal, key: str) -> SignedTransaction:
    transaction = journal.transactions.newest(key)
    assert transaction is not None
    return transaction


def send_directly(web3: Web3, account: LocalAccount, nonce: int, to: str, data: str = "0x", tip: int = 10**9) -> None:
    """A transaction that the journal knows nothing of."""
    fee = 100 * 10**9
    transaction: dict[str, Any] = {
        "to": to,
        "data": data,
        "value": 0,
        "gas": 100_000,
        "nonce": nonce,
        "chainId": web3.eth.chain_id,
    }
    signed = account.sign_transaction(transaction | {"maxFeePerGas": fee, "maxPriorityFeePerGas": tip, "type": 2})
    web3.eth.send_raw_transaction(signed.raw_transaction)


class Manual:
    """An anvil that mines on demand, and one pending `transact` in another thread."""

    def __init__(self, rpc_url: str, probe: Deployment, path: Path) -> None:
        self.rpc_url, self.probe, self.path = rpc_url, probe, path
        self.web3 = web3_at(rpc_url)
        self.account = funded(self.web3)
        self.chain = self.connect()
        self._pool = ThreadPoolExecutor(1)

    def connect(self, **options: float) -> AccountClient:
        """Another client of the same account."""
        return AccountClient.connect_as(self.account, self.rpc_url, self.probe, **options)

    def request(self, method: str, *parameters: object) -> Any:
        response = self.web3.provider.make_request(method, list(parameters))  # type: ignore[arg-type]
        assert "error" not in response, response
        return response["result"]

    def transact(self, key: str) -> "Future[Receipt]":
        """Start sending in another thread and wait until the node has the transaction."""

        def send() -> Receipt:
            with Journal(self.path) as journal:
                return self.chain.transact(journal, key, CONTRACT, "add", 1)

        future = self._pool.submit(send)
        self.wait_for_pending(future)
        return future

    def wait_for_pending(self, future: "Future[Receipt]") -> None:
        for _ in range(200):
            if future.done() or int(self.request("txpool_status")["pending"], 16):
                return
            threading.Event().wait(0.05)
        raise AssertionError("nothing became pending")


def manual_chain(rpc_url: str, artifacts: dict[str, dict[str, Any]], path: Path) -> Iterator[Manual]:
    """For a fixture: a chain with a probe on it that mines per transaction again afterwards."""
    web3 = web3_at(rpc_url)
    prepared = Manual(rpc_url, probe_deployment(web3, artifacts), path)
    prepared.request("evm_setAutomine", False)
    yield prepared
    prepared.request("anvil_dropAllTransactions")
    prepared.request("evm_setAutomine", True)
