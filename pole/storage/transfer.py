"""HTTP with peers that may be slow, endless or hostile: every transfer has a deadline and a size cap.

A peer that sends one byte a minute never runs into a read timeout. So each transfer has to keep up a rate: its deadline
moves on with the bytes transferred, and a thread closes the connection when it is missed, in whichever phase that is.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from pole.errors import ContentTooLarge, StoreError, StoreUnavailable

_PIECE_BYTES = 1 << 16
_LOOK_EVERY_S = 0.1
_CURRENT: ContextVar["Transfer | None"] = ContextVar("transfer", default=None)
_UNWANTED: ContextVar[threading.Event | None] = ContextVar("unwanted", default=None)


@contextmanager
def hung_up_when(unwanted: threading.Event) -> Iterator[None]:
    """Transfers that this thread begins meanwhile count as late as soon as the event is set."""
    token = _UNWANTED.set(unwanted)
    try:
        yield
    finally:
        _UNWANTED.reset(token)


@dataclass(frozen=True)
class TransferLimits:
    """How long a transfer may take: `first_s`, and a second more for every `bytes_per_s` that it moved."""

    connect_s: float = 5.0
    first_s: float = 20.0
    bytes_per_s: int = 32 << 10

    @property
    def timeouts_s(self) -> tuple[float, float]:
        """For connecting and for each read. Silence from the start is for the transfer's own deadline to end."""
        return self.connect_s, self.first_s + 5.0


class Transfer:
    """A request and its answer, of at most `max_bytes`; use as a context, in one thread.

    `what` is fetched, and `peer` is asked for it: for messages.
    """

    def __init__(self, what: str, peer: str, limits: TransferLimits, max_bytes: int) -> None:
        self.what, self.peer, self.limits, self.max_bytes = what, peer, limits, max_bytes
        self.received_bytes = 0
        self.is_late = False
        self._sent_bytes = 0
        self._started_s = time.monotonic()
        self._sockets: list[socket.socket] = []
        self._unwanted = _UNWANTED.get()
        self._is_over = threading.Event()
        self._watch = threading.Thread(target=self._hang_up_when_late, name="transfer", daemon=True)

    def __enter__(self) -> "Transfer":
        self._token = _CURRENT.set(self)
        self._watch.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        self._is_over.set()
        self._watch.join()
        _CURRENT.reset(self._token)

    def attach(self, connected: socket.socket) -> None:
        """A connection of this transfer, to be closed when it misses its deadline."""
        self._sockets.append(connected)

    def sending(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The same pieces, counted as they are sent."""
        for piece in pieces:
            self._sent_bytes += len(piece)
            yield piece

    def receive(self, piece: bytes) -> bytes:
        """Count what came. Raises ContentTooLarge as soon as it is more than was to be expected."""
        self.received_bytes += len(piece)
        if self.received_bytes > self.max_bytes:
            raise ContentTooLarge(
                f"{self.what}: {self.peer} sent more than the cap of {self.max_bytes} bytes; the rest was not read"
            )
        return piece

    def check_rate(self, silence: type[StoreError] = StoreUnavailable) -> None:
        """After a missed deadline, raises `silence` if the peer sent nothing, else StoreUnavailable."""
        if not self.is_late:
            return
        if not self.received_bytes:
            raise silence(
                f"{self.what}: {self.peer} sent nothing within {self.limits.first_s:.0f} s; connection closed"
            )
        raise StoreUnavailable(
            f"{self.what}: {self.peer} sent {self.received_bytes} bytes, more slowly than {self.limits.bytes_per_s} "
            "a second; connection closed"
        )

    def session(self) -> requests.Session:
        """A session whose requests belong to this transfer.

        No proxies, no .netrc: the environment must neither reroute a local daemon nor replace its authorization.
        """
        session = requests.Session()
        session.trust_env = False
        adapter = _WatchedAdapter()
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        return session

    def _deadline_s(self) -> float:
        if self._unwanted is not None and self._unwanted.is_set():
            return self._started_s
        moved_bytes = self.received_bytes + self._sent_bytes
        return self._started_s + self.limits.first_s + moved_bytes / self.limits.bytes_per_s

    def _hang_up_when_late(self) -> None:
        longest_s = float("inf") if self._unwanted is None else _LOOK_EVERY_S
        while not self._is_over.wait(max(0.0, min(longest_s, self._deadline_s() - time.monotonic()))):
            if time.monotonic() >= self._deadline_s():
                self.is_late = True
                for connected in self._sockets:
                    with suppress(OSError):
                        # Not SSLSocket's own method, which would pull the session from under the reading thread.
                        socket.socket.shutdown(connected, socket.SHUT_RDWR)
                self._is_over.wait(_LOOK_EVERY_S)  # a connection that is only now made gets its turn


class _WatchedHTTP(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _attach(self)


class _WatchedHTTPS(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        _attach(self)


def _attach(connection: HTTPConnection) -> None:
    transfer = _CURRENT.get()
    if transfer is not None and connection.sock is not None:
        transfer.attach(connection.sock)


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _WatchedHTTP


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedHTTPS


class _WatchedAdapter(HTTPAdapter):
    """Connections that attach themselves to the transfer, answers that are counted."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        manager: PoolManager = self.poolmanager
        manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        response = super().send(*args, **kwargs)
        transfer = _CURRENT.get()
        assert transfer is not None, "a request outside of its transfer"
        response.raw = _CountedBody(response.raw, transfer)
        return response


class _CountedBody:
    """In place of an answer's body: read a piece at a time and not decompressed, whatever its headers announce."""

    def __init__(self, body: Any, transfer: Transfer) -> None:
        self._body, self._transfer = body, transfer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)

    def stream(self, *_args: object, **_options: object) -> Iterator[bytes]:
        """Takes the place of urllib3's, which reads as much at once as the peer likes."""
        while piece := self._body.read1(_PIECE_BYTES, decode_content=False):
            yield self._transfer.receive(piece)
