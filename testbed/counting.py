"""A proxy that counts: what a role asks of its node, and how many bytes that takes."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

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


@contextmanager
def counted(upstream: str) -> Iterator[CountingProxy]:
    """A proxy before a node."""
    proxy = CountingProxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()
