"""Reads the chain in a thread beside the training loop, which must not wait for a node."""

import threading
from dataclasses import dataclass
from types import TracebackType

from pole.chain.client import ChainClient
from pole.chain.contracts import GradientChain
from pole.chain.gradient_structs import Height
from pole.errors import ChainError


@dataclass(frozen=True)
class ChainView:
    """The height that is worked on, and what a sign digest must be below; 0 where nothing can be proposed."""

    height: Height
    threshold: int

    @classmethod
    def of(cls, gradient_chain: GradientChain) -> "ChainView":
        return cls(gradient_chain.current(), gradient_chain.threshold())


class ChainWatcher:
    """A thread that looks every `poll_s`; `view` is the newest look.

    Nobody else may use the client meanwhile. A node that does not answer is asked again.
    """

    def __init__(self, client: ChainClient, gradient_chain: GradientChain, poll_s: float) -> None:
        self._client, self._gradient_chain, self._poll_s = client, gradient_chain, poll_s
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._seen_at_block = client.block_number()
        self.view = ChainView.of(gradient_chain)

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
        block = self._client.block_number()
        if block != self._seen_at_block:
            self.view = ChainView.of(self._gradient_chain)
            self._seen_at_block = block
