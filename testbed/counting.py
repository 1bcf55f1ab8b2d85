"""A proxy that counts: what a role asks of its node, and how many bytes that takes."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

_JSON = {"Content-Type": "application/json"}
_TIMEOUT_S = 30.0


class CountingProxy:
    """`requests` are HTTP requests, a batch is one of them; `methods` counts what is in them."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.requests = self.bytes = 0
        self.methods: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def count(self, body: bytes, answer: bytes) -> None:
        asked: Any = json.loads(body)
        with self._lock:
            self.requests += 1
            self.bytes += len(body) + len(answer)
            self.methods.update(each["method"] for each in (asked if isinstance(asked, list) else [asked]))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def counted(upstream: str) -> Iterator[CountingProxy]:
    """A proxy before a node."""
    proxy = CountingProxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()


def _handler(proxy: CountingProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            content = requests.post(proxy.upstream, body, headers=_JSON, timeout=_TIMEOUT_S).content
            proxy.count(body, content)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def handle(self) -> None:
            with suppress(ConnectionError):  # the role has stopped
                super().handle()

    return Handler
