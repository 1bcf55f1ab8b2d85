"""Calls and exactly-once transactions against a real anvil, with deaths at the worst moments."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from eth_account.signers.local import LocalAccount
from hexbytes import HexBytes
from web3 import HTTPProvider, Web3
from web3.datastructures import AttributeDict
from web3.types import RPCEndpoint

from pole import __version__
from pole.chain.client import ChainClient, _event
from pole.chain.contracts import Contracts
from pole.chain.deployment import Deployment
from pole.chain.heads import LAG_PATIENCE_S
from pole.chain.pending import PendingTransactions
from pole.errors import BadInput, ChainError, InsufficientFunds, TransactionReverted, TransientChainError, WrongChain
from pole.journal.database import Database
from pole.journal.journal import Journal
from pole.journal.transactions import SignedTransaction, TransactionJournal
from testbed.chain import development_chain, free_port
from tests.e2e.proxy import Fault, Proxy
from tests.unit.account_client import AccountClient
from tests.unit.checking import http
from tests.unit.conftest import ETHER, funded, probe_deployment
from tests.unit.peer import Talk, peer
from tests.unit.sending import (
    CONTRACT,
    Died,
    DyingJournal,
    Manual,
    manual_chain,
    newest,
    nonce_of,
    send_directly,
    states,
)

JSON = {"Content-Type": "application/json"}
NOBODY = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def probe(web3: Web3, artifacts: dict[str, dict[str, Any]]) -> Deployment:
    return probe_deployment(web3, artifacts)


@pytest.fixture
def account(new_account: Callable[..., LocalAccount]) -> LocalAccount:
    return new_account()


@pytest.fixture
def chain_client(anvil: str, probe: Deployment, account: LocalAccount) -> AccountClient:
    return AccountClient.connect_as(account, anvil, probe)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


# --- connecting ------------------------------------------------------------------------------------------------------


def test_connect__nobody_listens__is_transient(probe: Deployment) -> None:
    with pytest.raises(TransientChainError, match="the node does not answer"):
        ChainClient.connect(f"http://127.0.0.1:{free_port()}", probe)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1:8545", "127.0.0.1:8545", ""])
def test_connect__no_address_of_a_node__refused(probe: Deployment, url: str) -> None:
    with pytest.raises(BadInput, match="is neither HTTP nor a WebSocket"):
        ChainClient.connect(url, probe)


def test_connect__no_address_at_all__refused(probe: Deployment) -> None:
    with pytest.raises(BadInput, match="no node to ask"):
        ChainClient.connect([], probe)


def test_connect__key_refused__is_not_worth_another_try(probe: Deployment) -> None:
    with peer(http("401 Unauthorized")) as node, pytest.raises(BadInput, match=r"refuses you \(HTTP 401"):
        ChainClient.connect(node.url, probe)


def test_connect__other_chain_id__refused_with_both(anvil: str, probe: Deployment) -> None:
    with pytest.raises(WrongChain, match=r"the node is chain 31337 .* describes chain 5 "):
        ChainClient.connect(anvil, probe.model_copy(update={"chain_id": 5}))


def test_connect__chain_started_anew__refused(anvil: str, probe: Deployment) -> None:
    with pytest.raises(WrongChain, match="a development chain that restarts is a new chain"):
        ChainClient.connect(anvil, probe.model_copy(update={"genesis_hash": "0x" + "00" * 32}))


def test_connect__no_code_at_an_address__refused(anvil: str, probe: Deployment) -> None:
    nowhere = probe.contracts["LearningChain"].model_copy(update={"address": "0x" + "11" * 20})
    contracts = probe.contracts | {"LearningChain": nowhere}
    with pytest.raises(WrongChain, match=r"no code at 0x1111.* \(LearningChain\)"):
        ChainClient.connect(anvil, probe.model_copy(update={"contracts": contracts}))


def test_block_number__another_chain_behind_the_address__refused(anvil: str, probe: Deployment) -> None:
    """As when a development chain is started anew while a role runs; two alike of one second would be one chain."""
    with closing(Proxy(anvil)) as proxy, development_chain("anvil", block_time_s=None, accounts=19) as fresh:
        chain_client = ChainClient.connect(proxy.url, probe)
        assert chain_client.block_number() > 0
        proxy.upstream = fresh.rpc_url
        with pytest.raises(WrongChain, match="a development chain that restarts is a new chain"):
            chain_client.block_number()
        proxy.upstream = anvil
        assert chain_client.block_number() > 0


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.LOST, Fault.BUSY])
def test_call__connection_lost_twice__is_repeated(anvil: str, probe: Deployment, fault: Fault) -> None:
    with closing(Proxy(anvil)) as proxy:
        chain_client, faults = ChainClient.connect(proxy.url, probe), iter([fault, fault])
        with proxy.choosing(lambda: next(faults, Fault.NONE)):
            chain_client.block_time()
        assert proxy.counts[fault] == 2
        with proxy.always(fault), pytest.raises(TransientChainError):
            chain_client.block_time()


def test_call__no_answer_in_time__is_asked_once(anvil: str, probe: Deployment) -> None:
    with closing(Proxy(anvil)) as proxy:
        chain_client = ChainClient.connect(proxy.url, probe, timeout_s=0.3)
        with proxy.always(Fault.HUNG), pytest.raises(TransientChainError, match="timed out"):
            chain_client.block_time()
        assert proxy.counts[Fault.HUNG] == 1


def test_block_number__node_that_lags_behind__transient_until_it_has_caught_up(anvil: str, probe: Deployment) -> None:
    chain_client = ChainClient.connect(anvil, probe)
    newest = chain_client.block_number()
    chain_client.heads.newest += 1
    chain_client.heads.timestamp += 12
    with pytest.raises(TransientChainError, match=f"at block {newest}, but block {newest + 1} was seen before"):
        chain_client.block_time()
    chain_client.heads.newest -= 1
    assert chain_client.block_number() == newest


def test_block_number__chain_that_stays_shorter__accepted_in_the_end(
    anvil: str, probe: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    chain_client = ChainClient.connect(anvil, probe)
    monkeypatch.setattr(chain_client.heads, "_now_s", lambda: now[0])
    newest = chain_client.block_number()
    chain_client.heads.newest += 5
    chain_client.heads.timestamp += 60
    with pytest.raises(TransientChainError):
        chain_client.block_number()
    now[0] += LAG_PATIENCE_S
    assert chain_client.block_number() == newest
    assert chain_client.newest_block == newest


@pytest.mark.parametrize("older_s", [0, 121])
def test_block_number__shorter_chain_that_no_lag_explains__accepted_at_once(
    anvil: str, probe: Deployment, older_s: int
) -> None:
    chain_client = ChainClient.connect(anvil, probe)
    newest = chain_client.block_number()
    chain_client.heads.newest += 5
    chain_client.heads.timestamp += older_s
    assert chain_client.block_number() == newest


def test_still_s__no_new_block__grows(anvil: str, probe: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    chain_client = ChainClient.connect(anvil, probe)
    monkeypatch.setattr(chain_client.heads, "_now_s", lambda: now[0])
    chain_client.heads.newest -= 1
    chain_client.block_number()
    now[0] += 130
    chain_client.block_number()
    assert chain_client.heads.still_s() == 130


# --- reading ---------------------------------------------------------------------------------------------------------


def test_call__unknown_function__is_a_chain_error(chain_client: AccountClient) -> None:
    with pytest.raises(ChainError, match="TaskMarket has no function missing"):
        chain_client.call(CONTRACT, "missing")


def test_logs__unknown_event__is_a_chain_error(chain_client: AccountClient) -> None:
    with pytest.raises(ChainError, match="TaskMarket has no event Missing"):
        chain_client.logs(CONTRACT, "Missing")


def test_logs__node_that_limits_the_range__asked_for_less_and_never_again_for_more(
    anvil: str, chain_client: AccountClient, journal: Journal, probe: Deployment
) -> None:
    receipt = chain_client.transact(journal, "k", CONTRACT, "add", 3)
    chain_client.web3.provider.make_request(RPCEndpoint("anvil_mine"), [hex(400)])
    first, last = receipt.block_number, receipt.block_number + 400
    (expected,) = chain_client.logs(CONTRACT, "Counted", first, last)
    for answers in ("a JSON-RPC error", "HTTP 413"):
        with limiting(anvil, 50, answers) as (url, ranges):
            limited = ChainClient.connect(url, probe)
            assert limited.logs(CONTRACT, "Counted", first, last) == [expected]
            assert ranges[:4] == [401, 200, 100, 50]
            limited.logs(CONTRACT, "Counted", first, last)
            assert all(size <= 50 for size in ranges[4:])


def test_logs__refused_for_one_block__raises(probe: Deployment, anvil: str) -> None:
    with limiting(anvil, 0, "a JSON-RPC error") as (url, ranges):
        with pytest.raises(TransientChainError, match="query exceeds max block range 0"):
            ChainClient.connect(url, probe).logs(CONTRACT, "Counted", 0, 1000)
        assert len(ranges) < 15


@contextmanager
def limiting(upstream: str, most_blocks: int, answers: str) -> Iterator[tuple[str, list[int]]]:
    """A node that looks for logs in so many blocks at most; yields its address and how many it was asked for."""
    ranges: list[int] = []

    def answer(talk: Talk) -> None:
        request = json.loads(talk.body)
        if request["method"] == "eth_getLogs":
            where = request["params"][0]
            ranges.append(int(where["toBlock"], 16) - int(where["fromBlock"], 16) + 1)
            if ranges[-1] > most_blocks:
                message = f"query exceeds max block range {most_blocks}"
                refusal = {"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32005, "message": message}}
                is_status = answers == "HTTP 413"
                talk.answer(*((b"", "413 Too Large") if is_status else (json.dumps(refusal).encode(),)))
                return
        talk.answer(requests.post(upstream, data=talk.body, headers=JSON, timeout=20).content)

    with peer(answer) as node:
        yield node.url, ranges


def test_call__custom_error__carries_name_and_arguments(chain_client: AccountClient) -> None:
    with pytest.raises(TransactionReverted, match=r"TaskMarket\.refuse was refused: Forbidden\(\)") as caught:
        chain_client.call(CONTRACT, "refuse")
    assert (caught.value.name, caught.value.arguments) == ("Forbidden", {})


def test_call__text_and_panic__are_named(chain_client: AccountClient) -> None:
    with pytest.raises(TransactionReverted, match="not today"):
        chain_client.call(CONTRACT, "refuseWithText")
    with pytest.raises(TransactionReverted, match="Division by zero") as caught:
        chain_client.call(CONTRACT, "panic", 0)
    assert caught.value.name == "Panic"


def test_call__node_gone__is_transient(anvil: str, probe: Deployment) -> None:
    chain_client = ChainClient(Web3(HTTPProvider(NOBODY, exception_retry_configuration=None)), probe)
    with pytest.raises(TransientChainError, match=r"TaskMarket\.count: the node does not answer"):
        chain_client.call(CONTRACT, "count")


def test_block_time__is_the_latest_blocks(chain_client: AccountClient, web3: Web3) -> None:
    before = web3.eth.get_block("latest")["timestamp"]
    assert before <= chain_client.block_time() <= before + 2


# --- sending: refusals -----------------------------------------------------------------------------------------------


def test_transact__without_account__says_how_to_give_one(anvil: str, probe: Deployment, journal: Journal) -> None:
    with pytest.raises(BadInput, match="give --account"):
        Contracts.of(ChainClient.connect(anvil, probe)).learning_chain.open_round(key="k")


def test_transact__simulation_refuses__stores_and_costs_nothing(chain_client: AccountClient, journal: Journal) -> None:
    with pytest.raises(TransactionReverted) as caught:
        chain_client.transact(journal, "k", CONTRACT, "refuse")
    assert caught.value.name == "Forbidden"
    assert journal.transactions.all_of("k") == []
    assert nonce_of(chain_client) == 0
    assert chain_client.balance_wei(chain_client.address) == 100 * ETHER


def test_transact__too_poor__says_how_much_is_missing(
    anvil: str, probe: Deployment, journal: Journal, new_account: Callable[..., LocalAccount]
) -> None:
    poor = AccountClient.connect_as(new_account(balance_wei=10**12), anvil, probe)
    with pytest.raises(InsufficientFunds, match=r"has 0\.000001; send it 0\.\d+ ether more"):
        poor.transact(journal, "k", CONTRACT, "add", 1)
    with pytest.raises(InsufficientFunds):
        poor.transact(journal, "k", CONTRACT, "add", 1, value_wei=ETHER)
    assert journal.transactions.outstanding() == []


# --- sending: exactly once -------------------------------------------------------------------------------------------


def test_transact__mined__gives_receipt_and_events(chain_client: AccountClient, journal: Journal) -> None:
    receipt = chain_client.transact(journal, "k", CONTRACT, "add", 3, value_wei=5)
    (event,) = chain_client.events_of(receipt, CONTRACT, "Counted")
    assert event.arguments["caller"] == chain_client.address
    assert event.arguments["amountWei"] == 5
    assert chain_client.events_of(receipt, CONTRACT, "Switched") == []
    found = chain_client.logs(CONTRACT, "Counted", from_block=receipt.block_number, caller=chain_client.address)
    assert found == [event]
    paid = 100 * ETHER - chain_client.balance_wei(chain_client.address)
    assert paid == receipt.fee_wei + 5


def test_transact__same_key_again__sends_nothing(chain_client: AccountClient, journal: Journal) -> None:
    first = chain_client.transact(journal, "k", CONTRACT, "add", 1)
    again = chain_client.transact(journal, "k", CONTRACT, "add", 1)
    assert (again.transaction_hash, nonce_of(chain_client)) == (first.transaction_hash, 1)
    chain_client.transact(journal, "other", CONTRACT, "add", 1)
    assert nonce_of(chain_client) == 2


@pytest.mark.parametrize("step", ["plan", "sign", "broadcast"])
def test_transact__killed_and_restarted__sends_exactly_one(chain_client: AccountClient, path: Path, step: str) -> None:
    before = chain_client.call(CONTRACT, "count")
    with DyingJournal(path, step) as dying, pytest.raises(Died):
        chain_client.transact(dying, "k", CONTRACT, "add", 1)
    with Journal(path) as journal:
        signed = newest(journal, "k").hash
        receipt = chain_client.transact(journal, "k", CONTRACT, "add", 1)
        assert signed in (None, receipt.transaction_hash)
        assert (signed is None) == (step == "plan")
        assert states(journal, "k") == ["mined"]
    assert nonce_of(chain_client) == 1
    assert chain_client.call(CONTRACT, "count") == before + 1


def test_transact__nonce_taken_while_dead__plans_anew(
    chain_client: AccountClient, account: LocalAccount, path: Path, web3: Web3
) -> None:
    with DyingJournal(path, "sign") as dying, pytest.raises(Died):
        chain_client.transact(dying, "k", CONTRACT, "add", 1)
    send_directly(web3, account, 0, account.address)
    with Journal(path) as journal:
        receipt = chain_client.transact(journal, "k", CONTRACT, "add", 1)
        assert states(journal, "k") == ["replaced", "mined"]
        assert newest(journal, "k").hash == receipt.transaction_hash
    assert nonce_of(chain_client) == 2


def test_transact__other_key_after_a_crash__sends_the_forgotten_one_first(
    chain_client: AccountClient, path: Path
) -> None:
    with DyingJournal(path, "sign") as dying, pytest.raises(Died):
        chain_client.transact(dying, "first", CONTRACT, "add", 1)
    with Journal(path) as journal:
        chain_client.transact(journal, "second", CONTRACT, "add", 1)
        assert (newest(journal, "first").nonce, newest(journal, "second").nonce) == (0, 1)
        chain_client.transact(journal, "first", CONTRACT, "add", 1)
        assert states(journal, "first") == ["mined"]
    assert nonce_of(chain_client) == 2


def test_transact__two_processes_with_one_key__both_get_through(
    anvil: str, probe: Deployment, account: LocalAccount, tmp_path: Path
) -> None:
    def work(amount: int) -> set[str]:
        chain_client = AccountClient.connect_as(account, anvil, probe)
        with Journal(tmp_path / str(amount)) as journal:
            receipts = [chain_client.transact(journal, f"{i}", CONTRACT, "add", amount) for i in range(3)]
        return {receipt.transaction_hash for receipt in receipts}

    with ThreadPoolExecutor() as pool:
        first, second = pool.map(work, [1, 2])
    assert len(first | second) == 6
    assert nonce_of(AccountClient.connect_as(account, anvil, probe)) == 6


class MeetingJournal(Journal):
    """Waits for the other process where both have found nothing under their key and are about to send."""

    def __init__(self, path: Path, meeting: threading.Barrier) -> None:
        super().__init__(path, is_exclusive=False)
        self.transactions = MeetingTransactions(self._database, meeting)


class MeetingTransactions(TransactionJournal):
    def __init__(self, database: Database, meeting: threading.Barrier) -> None:
        super().__init__(database)
        self._meeting = meeting

    @contextmanager
    def sending(self) -> Iterator[None]:
        self._meeting.wait(300)
        with super().sending():
            yield


def test_transact__two_commands_with_one_journal_and_key__send_once(
    anvil: str, probe: Deployment, account: LocalAccount, path: Path
) -> None:
    meeting = threading.Barrier(2)

    def work(_: int) -> str:
        chain_client = AccountClient.connect_as(account, anvil, probe)
        with MeetingJournal(path, meeting) as journal:
            return chain_client.transact(journal, "k", CONTRACT, "add", 1).transaction_hash

    with ThreadPoolExecutor() as pool:
        first, second = pool.map(work, range(2))
    assert first == second
    assert nonce_of(AccountClient.connect_as(account, anvil, probe)) == 1


# --- sending: a node that mines only when told to --------------------------------------------------------------------


@pytest.fixture
def manual(manual_rpc: str, artifacts: dict[str, dict[str, Any]], path: Path) -> Iterator[Manual]:
    yield from manual_chain(manual_rpc, artifacts, path)


def test_transact__fails_only_on_chain__raises_why_and_may_be_tried_again(manual: Manual) -> None:
    closer = funded(manual.web3)
    switch = manual.chain._function(CONTRACT, "setClosed", [True])._encode_transaction_data()
    reopen = manual.chain._function(CONTRACT, "setClosed", [False])._encode_transaction_data()
    address = manual.chain.deployment.address(CONTRACT)
    future = manual.transact("k")
    send_directly(manual.web3, closer, 0, address, switch, tip=50 * 10**9)  # a higher tip goes first
    manual.request("evm_mine")
    with pytest.raises(TransactionReverted) as caught:
        future.result(30)
    assert caught.value.name == "Closed"
    assert caught.value.arguments == {"caller": Web3.to_checksum_address(manual.chain.address).lower(), "count": 0}
    send_directly(manual.web3, closer, 1, address, reopen)
    manual.request("evm_mine")
    again = manual.transact("k")
    manual.request("evm_mine")
    again.result(30)
    with Journal(manual.path) as journal:
        assert states(journal, "k") == ["reverted", "mined"]


def test_transact__node_forgets_it__broadcasts_the_same_again(manual: Manual) -> None:
    future = manual.transact("k")
    (dropped,) = [entry["hash"] for entry in manual.request("txpool_content")["pending"].popitem()[1].values()]
    manual.request("anvil_dropTransaction", dropped)
    deadline = time.monotonic() + 20
    while not int(manual.request("txpool_status")["pending"], 16):
        assert time.monotonic() < deadline, "it was not sent again"
        time.sleep(0.05)
    manual.request("evm_mine")
    assert future.result(30).transaction_hash == dropped


def test_transact__block_reorganised_away__sends_the_same_again(manual: Manual) -> None:
    before = manual.request("evm_snapshot")
    future = manual.transact("k")
    manual.request("evm_mine")
    first = future.result(30)
    manual.request("evm_revert", before)
    again = manual.transact("k")
    manual.request("evm_mine")
    assert again.result(30).transaction_hash == first.transaction_hash
    with Journal(manual.path) as journal:
        assert states(journal, "k") == ["mined"]
    assert nonce_of(manual.chain) == 1


def test_transact__mined_while_another_key_looks__is_not_taken_for_replaced(
    manual: Manual, monkeypatch: pytest.MonkeyPatch
) -> None:
    manual.chain.patience_s = 0.3
    with pytest.raises(TransientChainError):
        manual.transact("k").result(30)
    looked_up = PendingTransactions.find_receipt

    def mined_meanwhile(
        pending: PendingTransactions, transaction: SignedTransaction
    ) -> tuple[SignedTransaction, dict[str, Any]] | None:
        receipt = looked_up(pending, transaction)
        manual.request("evm_mine")
        return receipt

    monkeypatch.setattr(PendingTransactions, "find_receipt", mined_meanwhile)
    with Journal(manual.path) as journal:
        manual.chain.transact(journal, "other", CONTRACT, "add", 1)
        monkeypatch.undo()
        manual.chain.transact(journal, "k", CONTRACT, "add", 1)
        assert states(journal, "k") == ["mined"]
    assert nonce_of(manual.chain) == 2


def test_transact__not_mined_in_time__is_transient_and_resumes(manual: Manual) -> None:
    manual.chain.patience_s = 0.3
    future = manual.transact("k")
    with pytest.raises(TransientChainError, match="is not mined after 0 s; waiting goes on"):
        future.result(30)
    again = manual.transact("k")
    manual.request("evm_mine")
    again.result(30)
    with Journal(manual.path) as journal:
        assert states(journal, "k") == ["mined"]


def test_check_code__another_contract_there__names_both_versions(anvil: str, deployment: Deployment) -> None:
    token = deployment.contracts["TaskMarket"].model_copy(update={"address": deployment.address("RewardToken")})
    contracts = {**deployment.contracts, "TaskMarket": token}
    for software, said in (("9.9.9", "version 9.9.9 deployed it"), ("", "a version before 0.3.0 deployed it")):
        other = deployment.model_copy(update={"contracts": contracts, "software": software})
        client = ChainClient.connect(anvil, other)
        with pytest.raises(WrongChain, match=f"code of TaskMarket is not that of version {__version__}.*{said}"):
            client.check_code()


def test_check_code__as_deployed__passes(anvil: str, deployment: Deployment) -> None:
    assert deployment.software == __version__
    ChainClient.connect(anvil, deployment).check_code()


def test_event__argument_named_as_a_method_of_dictionaries__is_read_like_any_other() -> None:
    entry = AttributeDict(
        {
            "event": "KeysPublished",
            "args": AttributeDict({"roundId": 3, "keys": (1, b"digest"), "items": 7}),
            "blockNumber": 12,
            "logIndex": 0,
            "transactionHash": HexBytes(bytes(32)),
        }
    )
    assert _event("LearningChain", entry).arguments == {"roundId": 3, "keys": (1, b"digest"), "items": 7}
