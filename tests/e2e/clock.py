"""Blocks that come by themselves on a node that mines transactions at once."""

import threading

from web3 import Web3
from web3.types import RPCEndpoint


class Clock:
    """Mines a block every so often, until closed. Whoever waits for the next block waits no longer than that."""

    def __init__(self, web3: Web3, interval_s: float) -> None:
        self._web3, self._interval_s = web3, interval_s
        self._stopped, self._mining = threading.Event(), threading.Lock()
        self._is_paused = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def pause(self) -> None:
        """No block comes from now on."""
        with self._mining:  # one may be on its way
            self._is_paused = True

    def resume(self) -> None:
        self._is_paused = False

    def close(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._interval_s):
            with self._mining:
                if not self._is_paused:
                    self._web3.provider.make_request(RPCEndpoint("evm_mine"), [])
