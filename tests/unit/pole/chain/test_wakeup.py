"""A role is woken by what the contracts say, also what it may have missed, and by nothing else."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
from web3.types import RPCEndpoint
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from pole.chain.client import ChainClient
from pole.chain.deployment import Deployment
from pole.chain.wakeup import Wakeup
from pole.journal.journal import Journal
from testbed.chain import free_port, web3_at
from tests.unit.account_client import AccountClient

PATIENCE_S = 60.0
ADDRESSES = ["0x" + 40 * "1", "0x" + 40 * "2"]
SUBSCRIBED = json.dumps({"jsonrpc": "2.0", "id": 1, "result": "0x7"})
REFUSED = json.dumps({"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "no subscriptions"}})
EVENT = json.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": {"subscription": "0x7", "result": {}}})


class Node:
    """Subscribes whoever asks, with this answer; `push` sends to all, `drop` hangs up on all."""

    def __init__(self, answer: str = SUBSCRIBED) -> None:
        self.answer, self.asked = answer, list[object]()
        self._connections: list[ServerConnection] = []
        self.was_asked = threading.Semaphore(0)

    def handle(self, connection: ServerConnection) -> None:
        self.asked.append(json.loads(connection.recv()))
        self._connections.append(connection)  # before whoever asked knows: then it may push or drop
        connection.send(self.answer)
        self.was_asked.release()
        try:
            for _ in connection:
                pass
        except ConnectionClosed:
            pass

    def push(self) -> None:
        for connection in self._connections:
            connection.send(EVENT)

    def drop(self) -> None:
        while self._connections:
            self._connections.pop().close()


@contextmanager
def serving(node: Node, port: int = 0) -> Iterator[str]:
    server = serve(node.handle, "127.0.0.1", port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
    finally:
        node.drop()
        server.shutdown()
        thread.join(PATIENCE_S)


@contextmanager
def waking(url: str) -> Iterator[Wakeup]:
    with closing(Wakeup(url, ADDRESSES)) as made:
        made.start()
        yield made
    assert not made._thread.is_alive()


def until(is_reached: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not is_reached():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_wait__event__woken_once_for_each() -> None:
    node = Node()
    with serving(node) as url, waking(url) as wakeup:
        assert wakeup.wait(PATIENCE_S, 0)  # what was before the subscription
        assert not wakeup.wait(0.05, 0)
        node.push()
        assert wakeup.wait(PATIENCE_S, 0)
        assert not wakeup.wait(0.05, 0)
        assert wakeup.is_subscribed
    assert node.asked == [
        {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["logs", {"address": ADDRESSES}]}
    ]


def test_wait__many_events__one_look_and_not_before_the_least_time(monkeypatch: pytest.MonkeyPatch) -> None:
    node, slept = Node(), list[float]()
    with serving(node) as url, waking(url) as wakeup:
        assert wakeup.wait(PATIENCE_S, 0)
        monkeypatch.setattr("pole.chain.wakeup.time.sleep", slept.append)
        for _ in range(5):
            node.push()
        assert wakeup.wait(PATIENCE_S, 1000)
        monkeypatch.undo()
    assert len(slept) == 1
    assert 0 < slept[0] <= PATIENCE_S


def test_wait__connection_broken__subscribes_anew_and_wakes_for_what_it_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pole.chain.wakeup._FIRST_REST_S", 0.01)
    node = Node()
    with serving(node) as url, waking(url) as wakeup:
        assert wakeup.wait(PATIENCE_S, 0)
        node.drop()
        assert wakeup.wait(PATIENCE_S, 0)
        node.push()
        assert wakeup.wait(PATIENCE_S, 0)
    assert len(node.asked) == 2


def test_start__node_comes_later__subscribes_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pole.chain.wakeup._FIRST_REST_S", 0.01)
    monkeypatch.setattr("pole.chain.wakeup._LONGEST_REST_S", 0.02)
    port, node = free_port(), Node()
    with waking(f"ws://127.0.0.1:{port}") as wakeup:
        assert not wakeup.wait(0.1, 0)
        with serving(node, port):
            assert wakeup.wait(PATIENCE_S, 0)


@pytest.mark.parametrize("answer", [REFUSED, "[]", "no JSON"])
def test_start__no_subscription__never_wakes_and_closes(answer: str) -> None:
    node = Node(answer)
    with serving(node) as url, waking(url) as wakeup:
        assert node.was_asked.acquire(timeout=PATIENCE_S)
        assert not wakeup.wait(0.1, 0)
        assert not wakeup.is_subscribed


def test_wakeup__real_node__woken_by_the_contracts_and_not_by_blocks(
    anvil: str, deployment: Deployment, connect: Callable[..., AccountClient], journal: Journal
) -> None:
    chain_client = connect()
    client = ChainClient.connect([anvil, anvil.replace("http", "ws")], deployment)
    found = client.wakeup()
    assert found is not None
    with closing(found) as wakeup:
        wakeup.start()
        assert wakeup.wait(PATIENCE_S, 0)
        until(lambda: wakeup.is_subscribed)
        web3_at(anvil).provider.make_request(RPCEndpoint("evm_mine"), [])
        assert not wakeup.wait(1.5, 0)
        chain_client.transact(journal, "stake", "VerifierCommittee", "stake", value_wei=10**18)
        assert wakeup.wait(PATIENCE_S, 0)


def test_wakeup__only_http__there_is_none(anvil: str, deployment: Deployment) -> None:
    assert ChainClient.connect(anvil, deployment).wakeup() is None
