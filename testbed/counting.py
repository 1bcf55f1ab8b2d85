"""A proxy that counts: what a role asks of its node, and how many bytes that takes."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from testbed.forwarding import Answer, Forwarder

_JSON = {"Content-Type": "application/json"}
_TIMEOUT_S = 30.0


class CountingProxy:
    """`requests` are HTTP requests, a batch is one of them; `methods` counts what is in them."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.requests = self.bytes = 0
        self.methods: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._forwarder = Forwarder(self._answer)

    @property
    def url(self) -> str:
        return self._forwarder.url

    def _answer(self, body: bytes) -> Answer:
        content = requests.post(self.upstream, body, headers=_JSON, timeout=_TIMEOUT_S).content
        self.count(body, content)
        return 200, content

    def count(self, body: bytes, answer: bytes) -> None:
        asked: Any = json.loads(body)
        with self._lock:
            self.requests += 1
            self.bytes += len(body) + len(answer)
            self.methods.update(each["method"] for each in (asked if isinstance(asked, list) else [asked]))

    def close(self) -> None:
        self._forwarder.close()


class CountingSocketProxy(CountingProxy):
    """The same for a WebSocket; what the node pushes counts as bytes."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream.replace("http", "ws", 1)
        self.requests = self.bytes = 0
        self.methods = Counter()
        self._lock = threading.Lock()
        self._server = serve(self._serve, "127.0.0.1", 0, max_size=None)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def _serve(self, connection: ServerConnection) -> None:
        with connect(self.upstream, max_size=None, proxy=None) as node:
            threading.Thread(target=self._push, args=(node, connection), daemon=True).start()
            with suppress(ConnectionClosed):
                for message in connection:
                    body = message.encode() if isinstance(message, str) else message
                    self.count(body, b"")
                    node.send(message)

    def _push(self, node: ClientConnection, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            for message in node:
                with self._lock:
                    self.bytes += len(message)
                connection.send(message)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()


@contextmanager
def counted(upstream: str, *, is_socket: bool = False) -> Iterator[CountingProxy]:
    """A proxy before a node, over HTTP or a WebSocket."""
    proxy = CountingSocketProxy(upstream) if is_socket else CountingProxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()
