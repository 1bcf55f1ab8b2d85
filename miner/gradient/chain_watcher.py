"""What the chain says, read beside the training loop, which must not wait for a node."""

import threading
from dataclasses import dataclass
from types import TracebackType

from pole.chain.client import Gateway
from pole.chain.contracts.gradient_chain import GradientLedger
from pole.chain.gradient_structs import Height
from pole.errors import ChainError


@dataclass(frozen=True)
class ChainView:
    """The height that is worked on, and what a sign digest must be below; 0 where nothing can be proposed."""

    height: Height
    threshold: int

    @classmethod
    def of(cls, ledger: GradientLedger) -> "ChainView":
        return cls(ledger.current(), ledger.threshold())


class ChainWatcher:
    """A thread that looks every `poll_s`; `view` is the newest look.

    Nobody else may use the gateway meanwhile. A node that does not answer is asked again.
    """

    def __init__(self, gateway: Gateway, ledger: GradientLedger, poll_s: float) -> None:
        self._gateway, self._ledger, self._poll_s = gateway, ledger, poll_s
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._seen_at_block = gateway.block_number()
        self.view = ChainView.of(ledger)

    def __enter__(self) -> "ChainWatcher":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def wait(self) -> None:
        """For as long as a look takes."""
        self._is_over.wait(self._poll_s)

    def _run(self) -> None:
        while not self._is_over.wait(self._poll_s):
            try:
                self._look()
            except ChainError:  # the loop meets it itself as soon as it needs the chain
                continue

    def _look(self) -> None:
        """Between two Ethereum blocks nothing changes, not even the time."""
        block = self._gateway.block_number()
        if block != self._seen_at_block:
            self.view = ChainView.of(self._ledger)
            self._seen_at_block = block
