"""Several nodes behind one provider: who is asked, how often, and how long a node is left alone."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import structlog
from web3 import Web3
from websockets.sync.server import Server, ServerConnection, serve

from pole.chain.client import ChainClient
from pole.chain.deployment import Deployment
from pole.chain.node_faults import NodeFault
from pole.chain.provider import PATIENCE_S, NodeProvider
from testbed.chain import development_chain
from tests.e2e.proxy import Fault, Proxy
from tests.unit.checking import http, rpc_error, rpc_result
from tests.unit.conftest import probe_deployment
from tests.unit.peer import Answer, nobody, peer


def assert_newest(chain_client: ChainClient, web3: Web3) -> None:
    """The chain goes on meanwhile."""
    before = web3.eth.block_number
    assert before <= chain_client.block_number() <= web3.eth.block_number


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now_s += seconds


def provider_of(*urls: str, **options: Any) -> tuple[NodeProvider, Clock]:
    clock = Clock()
    return NodeProvider(urls, 5, sleep=clock.sleep, now_s=lambda: clock.now_s, **options), clock


def ask(provider: NodeProvider, method: str = "eth_blockNumber") -> Any:
    return provider.make_request(method, [])["result"]  # type: ignore[arg-type]


def in_turn(*answers: Answer) -> Answer:
    """One answer per connection; the last one for ever."""
    left = list(answers)
    return lambda talk: (left.pop(0) if len(left) > 1 else left[0])(talk)


FIVE, LIMIT = rpc_result("0x5"), "429 Too Many Requests"


# --- one node --------------------------------------------------------------------------------------------------------


def test_ask__limit_that_ends_soon__waits_as_long_as_asked() -> None:
    with peer(in_turn(http(LIMIT, headers="Retry-After: 4\r\n"), FIVE)) as node:
        provider, clock = provider_of(node.url)
        assert ask(provider) == "0x5"
    assert clock.slept == [4]


def test_ask__limit_that_lasts__raises_and_leaves_the_node_alone() -> None:
    with peer(in_turn(http(LIMIT, headers="Retry-After: 90\r\n"), FIVE)) as node:
        provider, clock = provider_of(node.url)
        for _ in range(2):
            with pytest.raises(NodeFault, match="fewer requests than you send") as caught:
                ask(provider)
            assert caught.value.wait_s == 90
        assert (len(node.talks), clock.slept) == (1, [])
        clock.now_s += 90
        assert ask(provider) == "0x5"


def test_ask__limit_without_a_time__waits_longer_each_time() -> None:
    with peer(rpc_error(-32005, "too many requests")) as node:
        provider, clock = provider_of(node.url)
        with pytest.raises(NodeFault, match="JSON-RPC error -32005"):
            ask(provider)
        assert clock.slept == [1, 2]
        assert len(node.talks) == 3
    assert sum(clock.slept) <= PATIENCE_S


def test_ask__only_node_down__asked_three_times_and_again_at_once_the_next_time() -> None:
    with peer(lambda talk: None) as node:
        provider, clock = provider_of(node.url)
        with pytest.raises(NodeFault, match="hung up"):
            ask(provider)
        assert clock.slept == [0.1, 0.2]
        assert len(node.talks) == 3


@pytest.mark.parametrize("status", ["401 No", "403 No", "404 No", "301 Elsewhere"])
def test_ask__nothing_that_waiting_helps__asked_once(status: str) -> None:
    with peer(http(status)) as node:
        provider, clock = provider_of(node.url)
        with pytest.raises(NodeFault) as caught:
            ask(provider)
        assert (caught.value.is_lasting, len(node.talks), clock.slept) == (True, 1, [])


def test_ask__impatient__asks_once() -> None:
    with peer(http(LIMIT)) as node:
        provider, clock = provider_of(node.url, is_patient=False)
        with pytest.raises(NodeFault):
            ask(provider)
        assert (len(node.talks), clock.slept) == (1, [])


# --- several nodes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [LIMIT, "401 No", "502 Bad"])
def test_ask__first_refuses__second_answers_without_a_pause(status: str) -> None:
    with peer(http(status)) as first, peer(FIVE) as second:
        provider, clock = provider_of(first.url, second.url)
        assert ask(provider) == "0x5"
        assert (provider.address, clock.slept) == (second.url, [])


def test_ask__first_is_back__asked_again_after_its_rest() -> None:
    with peer(in_turn(http("502 Bad"), rpc_result("0x7"))) as first, peer(FIVE) as second:
        provider, clock = provider_of(first.url, second.url)
        assert [ask(provider), ask(provider)] == ["0x5", "0x5"]
        clock.now_s += 0.2
        assert ask(provider) == "0x7"
    assert provider.address == first.url


def test_ask__all_down__the_first_ones_fault_is_told() -> None:
    with peer(http("401 No")) as second:
        provider, _ = provider_of(nobody(), second.url)
        with pytest.raises(NodeFault, match="nobody listens there"):
            ask(provider)


def test_ask__second_is_another_chain__not_believed(anvil: str, web3: Web3, artifacts: dict[str, Any]) -> None:
    probe = probe_deployment(web3, artifacts)
    with closing(Proxy(anvil)) as first, development_chain(block_time_s=None, genesis_time_s=1_700_000_000) as other:
        chain_client = ChainClient.connect([first.url, other.rpc_url], probe)
        with first.always(Fault.BUSY), pytest.raises(Exception, match="the node answers HTTP 503"):
            chain_client.block_number()
        assert_newest(chain_client, web3)


def test_ask__second_is_the_same_chain__takes_over(anvil: str, web3: Web3, artifacts: dict[str, Any]) -> None:
    probe = probe_deployment(web3, artifacts)
    with closing(Proxy(anvil)) as first:
        chain_client = ChainClient.connect([first.url, anvil], probe)
        with first.always(Fault.BUSY), structlog.testing.capture_logs() as logs:
            assert_newest(chain_client, web3)
    assert [entry["event"] for entry in logs] == [f"asking {anvil} now: {first.url}: the node answers HTTP 503"]


# --- WebSockets ------------------------------------------------------------------------------------------------------


@contextmanager
def socket_node(drop_after: int | None = None) -> Iterator[tuple[str, list[Any]]]:
    """A node behind a WebSocket that hangs up after so many answers on a connection."""
    asked: list[Any] = []

    def handle(connection: ServerConnection) -> None:
        for count, message in enumerate(connection, start=1):
            request = json.loads(message)
            asked.append(request)
            replies = [{"jsonrpc": "2.0", "id": each["id"], "result": hex(len(asked))} for each in _listed(request)]
            connection.send(json.dumps(replies if isinstance(request, list) else replies[0]))
            if count == drop_after:
                return

    server: Server = serve(handle, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}", asked
    finally:
        server.shutdown()
        thread.join(20)


def _listed(request: Any) -> list[Any]:
    return request if isinstance(request, list) else [request]


def test_socket__requests_and_batches__answered_over_one_connection() -> None:
    with socket_node() as (url, asked):
        provider, _ = provider_of(url)
        with closing(provider):
            assert [ask(provider), ask(provider)] == ["0x1", "0x2"]
            batch = provider.make_batch_request([("eth_chainId", []), ("eth_blockNumber", [])])  # type: ignore[list-item]
            assert [each["result"] for each in batch] == ["0x3", "0x3"]  # type: ignore[index]
    assert len(asked) == 3


def test_socket__connection_lost__opened_again() -> None:
    with socket_node(drop_after=1) as (url, _):
        provider, _ = provider_of(url)
        with closing(provider):
            assert [ask(provider) for _ in range(3)] == ["0x1", "0x2", "0x3"]


@pytest.mark.parametrize(("status", "text"), [("401 No", "refuses you"), (LIMIT, "fewer requests than you send")])
def test_socket__refused_at_the_door__named(status: str, text: str) -> None:
    with peer(http(status)) as node:
        provider, _ = provider_of(node.url.replace("http", "ws"))
        with pytest.raises(NodeFault, match=text):
            ask(provider)


def test_socket__real_node__a_role_reads_and_the_address_stays_hidden(
    anvil: str, web3: Web3, artifacts: dict[str, Any]
) -> None:
    probe: Deployment = probe_deployment(web3, artifacts)
    chain_client = ChainClient.connect(anvil.replace("http", "ws"), probe)
    with closing(chain_client.web3.provider):  # type: ignore[type-var]
        assert_newest(chain_client, web3)
        assert chain_client.call("TaskMarket", "count") == 0
