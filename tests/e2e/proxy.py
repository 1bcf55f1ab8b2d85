"""A proxy between the roles and a real node that misbehaves on command."""

import random
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import URLError

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
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self.choose = lambda: Fault.NONE
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

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


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            fault = proxy.choose()
            proxy.counts[fault] += 1
            while fault is Fault.HUNG and proxy.choose() is Fault.HUNG:
                time.sleep(_HANG_POLL_S)
            if fault is Fault.SLOW:
                time.sleep(proxy.delay_s)
            if fault in (Fault.REFUSED, Fault.HUNG):
                self.close_connection = True
                return
            status, content = _answer(proxy.upstream, body, fault)
            if fault is Fault.LOST or not status:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def handle(self) -> None:
            with suppress(BrokenPipeError, ConnectionResetError):  # the role gave up, or was killed
                super().handle()

    return Handler


def _answer(upstream: str, body: bytes, fault: Fault) -> tuple[int, bytes]:
    """Status and content; 0 if the node does not answer."""
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
        return 0, b""
