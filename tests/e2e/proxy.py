"""A proxy between the roles and a real node that misbehaves on command."""

import random
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from urllib.error import URLError

from testbed.forwarding import Answer, Forwarder

_UPSTREAM_TIMEOUT_S = 30.0
_HANG_POLL_S = 0.05


class Fault(Enum):
    """What happens to one request."""

    NONE = auto()
    REFUSED = auto()  # the connection is closed before the node hears of it
    LOST = auto()  # the node does it, but the answer never arrives
    SLOW = auto()
    BUSY = auto()  # HTTP 503
    FAILED = auto()  # a JSON-RPC error
    GARBAGE = auto()
    HUNG = auto()  # no answer while the fault lasts


class Proxy:
    """Forwards JSON-RPC requests to `upstream`, unless `choose` says otherwise for one."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.choose: Callable[[], Fault] = lambda: Fault.NONE
        self.delay_s = 0.5
        self.counts = dict.fromkeys(Fault, 0)
        self._forwarder = Forwarder(self._answer)

    @property
    def url(self) -> str:
        return self._forwarder.url

    def close(self) -> None:
        self.choose = lambda: Fault.NONE
        self._forwarder.close()

    @contextmanager
    def always(self, fault: Fault) -> Iterator[None]:
        with self.choosing(lambda: fault):
            yield

    @contextmanager
    def sometimes(self, faults: dict[Fault, float], seed: int = 1) -> Iterator[None]:
        """Each fault with its probability; the rest goes through."""
        generator, lock = random.Random(seed), threading.Lock()

        def choose() -> Fault:
            with lock:
                drawn = generator.random()
            for fault, share in faults.items():
                drawn -= share
                if drawn < 0:
                    return fault
            return Fault.NONE

        with self.choosing(choose):
            yield

    @contextmanager
    def choosing(self, choose: Callable[[], Fault]) -> Iterator[None]:
        self.choose = choose
        try:
            yield
        finally:
            self.choose = lambda: Fault.NONE

    def _answer(self, body: bytes) -> Answer | None:
        fault = self.choose()
        self.counts[fault] += 1
        while fault is Fault.HUNG and self.choose() is Fault.HUNG:
            time.sleep(_HANG_POLL_S)
        if fault is Fault.SLOW:
            time.sleep(self.delay_s)
        if fault in (Fault.REFUSED, Fault.HUNG):
            return None
        answer = _answer(self.upstream, body, fault)
        return None if fault is Fault.LOST else answer


def _answer(upstream: str, body: bytes, fault: Fault) -> Answer | None:
    """None if the node does not answer."""
    if fault is Fault.BUSY:
        return 503, b"overloaded"
    if fault is Fault.GARBAGE:
        return 200, b"<html>sign in to this network</html>"
    if fault is Fault.FAILED:
        return 200, b'{"jsonrpc": "2.0", "id": 1, "error": {"code": -32005, "message": "limit exceeded"}}'
    request = urllib.request.Request(upstream, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=_UPSTREAM_TIMEOUT_S) as response:
            return response.status, response.read()
    except (URLError, OSError):
        return None
