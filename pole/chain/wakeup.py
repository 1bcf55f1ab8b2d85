"""Says when the contracts have said something, over a WebSocket of its own, so that a role need not ask."""

import json
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import structlog
from websockets.exceptions import WebSocketException
from websockets.sync.connection import Connection

from pole.chain.endpoints import open_socket
from pole.urls import shown

_TIMEOUT_S, _CLOSE_S = 20.0, 5.0
_FIRST_REST_S, _LONGEST_REST_S = 1.0, 60.0

log = structlog.get_logger()


class Wakeup:
    """One subscription to the events of these contracts; what may be missed while it is broken counts as an event.

    Nothing that the node pushes has to be true: a role then looks in vain. Where it pushes too little, a role learns of
    something a minute late at the worst (`pace.LONGEST_S`); the public profile's windows are two minutes and more.
    """

    def __init__(self, url: str, addresses: Sequence[str]) -> None:
        self._url = url
        request = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["logs", {"address": [*addresses]}]}
        self._request = json.dumps(request)
        self._connection: Connection | None = None
        self._is_told, self._is_closing = threading.Event(), threading.Event()
        self.is_subscribed = False
        self._thread = threading.Thread(target=self._run, name="wakeup", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._is_closing.set()
        if (connection := self._connection) is not None:
            connection.close()
        self._thread.join(_CLOSE_S)

    def wait(self, seconds: float, least_s: float) -> bool:
        """Returns when a contract has said something, but not within `least_s`; whether that was before `seconds`."""
        began = time.monotonic()
        if not self._is_told.wait(seconds):
            return False
        time.sleep(max(0.0, min(least_s, seconds) - (time.monotonic() - began)))
        self._is_told.clear()
        return True

    # --- in the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        rest_s = _FIRST_REST_S
        while not self._is_closing.is_set():
            try:
                with open_socket(self._url, _TIMEOUT_S) as connection:
                    self._connection = connection
                    if not self._subscribe(connection):
                        log.info(f"{shown(self._url)} offers no subscription: looking by the clock alone")
                        return
                    rest_s = _FIRST_REST_S
                    self._follow(connection)
            except (WebSocketException, OSError, EOFError, ValueError):
                pass  # who asks this node for something says what is wrong with it
            finally:
                self._connection, self.is_subscribed = None, False
            self._is_closing.wait(rest_s)
            rest_s = min(2 * rest_s, _LONGEST_REST_S)

    def _subscribe(self, connection: Connection) -> bool:
        connection.send(self._request)
        answer: Any = json.loads(connection.recv(_TIMEOUT_S))
        return isinstance(answer, dict) and isinstance(answer.get("result"), str)

    def _follow(self, connection: Connection) -> None:
        self.is_subscribed = True
        with suppress(WebSocketException):
            self._is_told.set()
            while not self._is_closing.is_set():
                connection.recv()
                self._is_told.set()
