"""One node behind one address, over HTTP or a WebSocket: a request goes out, and its parsed answer returns."""

import json
import threading
from abc import ABC, abstractmethod
from typing import Any

import requests
from requests.exceptions import RequestException
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from pole.chain.node_faults import NodeFault, fault_of, not_json, proxy_of, status_fault
from pole.errors import BadInput
from pole.urls import UNREADABLE, keep_secret, shown

HTTP_SCHEMES, SOCKET_SCHEMES = ("http://", "https://"), ("ws://", "wss://")
MAX_ANSWER_BYTES = 64 << 20
_HEADERS = {"Content-Type": "application/json", "User-Agent": "useful-proof-of-work"}


class Endpoint(ABC):
    """`address` may be shown; `url` may not."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self.url, self._timeout_s = url, timeout_s
        self.address = shown(url)
        self.failures = 0
        self.rests_until_s = 0.0
        self.fault: NodeFault | None = None
        self.is_checked = False
        """Whether it was seen to be the chain that it has to be."""

    @abstractmethod
    def ask(self, body: bytes) -> Any:
        """The answer to a JSON-RPC request, or to a batch of them; raises NodeFault."""

    @abstractmethod
    def close(self) -> None:
        """Ends this thread's connections; the next question opens another."""


class HttpEndpoint(Endpoint):
    """Follows no redirection: what was meant for one host must not be sent to another."""

    def __init__(self, url: str, timeout_s: float) -> None:
        super().__init__(url, timeout_s)
        self._local = threading.local()  # a session is not for several threads

    def ask(self, body: bytes) -> Any:
        try:
            response = self._session().post(
                self.url, data=body, headers=_HEADERS, timeout=self._timeout_s, allow_redirects=False
            )
        except (RequestException, OSError, ValueError) as exc:
            raise fault_of(exc, self.url) from None
        try:
            answer = json.loads(response.content)
        except ValueError:
            answer = None
        is_answer = _is_answer(answer)
        if (
            response.status_code in (401, 403, 429)
            or not (response.ok or is_answer)
            or 300 <= response.status_code < 400
        ):
            raise status_fault(response.status_code, response.headers, response.content, self.url)
        if not is_answer:
            raise not_json(self.url)
        return answer

    def close(self) -> None:
        self._session().close()

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
        session: requests.Session = self._local.session
        return session


class SocketEndpoint(Endpoint):
    """One connection, opened when it is needed and again when it broke; one request at a time."""

    def __init__(self, url: str, timeout_s: float) -> None:
        super().__init__(url, timeout_s)
        self._lock = threading.Lock()
        self._connection: ClientConnection | None = None

    def ask(self, body: bytes) -> Any:
        with self._lock:
            try:
                answer = self._exchange(body)
            except BaseException as exc:  # a signal too: an answer that nobody has read would pass for the next one's
                self._close()
                if isinstance(exc, InvalidStatus):
                    response = exc.response
                    if response.status_code < 300:  # a web page, say
                        raise not_json(self.url) from None
                    raise status_fault(response.status_code, response.headers, response.body or b"", self.url) from None
                if isinstance(exc, WebSocketException | OSError | EOFError | ValueError):
                    raise fault_of(exc, self.url) from None
                raise
        if not _is_answer(answer):
            raise not_json(self.url)
        return answer

    def close(self) -> None:
        with self._lock:
            self._close()

    def _exchange(self, body: bytes) -> Any:
        if self._connection is None:
            self._connection = open_socket(self.url, self._timeout_s)
        self._connection.send(body.decode())
        return json.loads(self._connection.recv(self._timeout_s))

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def open_socket(url: str, timeout_s: float) -> ClientConnection:
    """A connection to a node; raises what websockets raises."""
    return connect(
        url,
        proxy=proxy_of(url),
        open_timeout=timeout_s,
        close_timeout=1,
        max_size=MAX_ANSWER_BYTES,
        user_agent_header=_HEADERS["User-Agent"],
    )


def endpoint_at(url: str, timeout_s: float) -> Endpoint:
    """Raises BadInput for what is no address of a node."""
    address = shown(url)
    if address == UNREADABLE or not address.startswith(HTTP_SCHEMES + SOCKET_SCHEMES):
        raise BadInput(
            f"node address {address} is neither HTTP nor a WebSocket; give --rpc http://HOST:PORT or ws://HOST:PORT"
        )
    keep_secret(url)
    if proxy := proxy_of(url):
        keep_secret(proxy)
    return SocketEndpoint(url, timeout_s) if address.startswith(SOCKET_SCHEMES) else HttpEndpoint(url, timeout_s)


def _is_answer(answer: Any) -> bool:
    """Whether it has the form of JSON-RPC."""
    if isinstance(answer, list):
        return bool(answer) and all(_is_answer(each) for each in answer if not isinstance(each, list))
    return isinstance(answer, dict) and ("result" in answer or "error" in answer)
