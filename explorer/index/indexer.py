"""Follows a chain: ranges of blocks into the index, back where the chain changed, forward again."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from explorer.chain.calls import Views
from explorer.chain.events import Decoder, Event
from explorer.chain.lanes import Kinds
from explorer.chain.node import Header, Node, RangeRefused
from explorer.index.derive import derive
from explorer.index.transactions import read_transactions
from explorer.index.writing import Cursor, Range, append, cut, read_cursor
from pole.chain.deployment import Deployment
from pole.errors import ChainError, WrongChain

MAX_SPAN, MAX_EVENTS = 5_000, 10_000
_LOOK_BACK = 50


@dataclass
class Progress:
    """For the metrics."""

    head: int = 0
    indexed: int = -1
    events: int = 0
    ranges: int = 0
    halved: int = 0
    read: int = 0
    """Transactions whose sender and gas were read."""
    reorganised: int = 0
    deepest: int = 0


@dataclass
class Indexer:
    """Of one deployment; it alone writes its index."""

    node: Node
    deployment: Deployment
    connection: sqlite3.Connection
    changed: Callable[[int | None], None] = lambda _cut: None
    """Called after every transaction, with the last block that was kept if the chain changed."""
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        self.kinds = Kinds.of(self.deployment)
        self.views = Views(self.deployment)
        self._decoder = Decoder(self.deployment)
        self._span = 500
        # A block before the first of ours, so that there is something to stand on if that one is replaced.
        self._first = max(0, min(each.block_number for each in self.deployment.contracts.values()) - 1)

    def check_chain(self) -> None:
        """Raise WrongChain unless the node is the deployment's chain."""
        chain_id = int(self.node.request("eth_chainId"), 16)
        genesis = self.node.header(0)
        if (chain_id, genesis and genesis.hash) != (self.deployment.chain_id, self.deployment.genesis_hash):
            raise WrongChain(
                f"the node at {self.node.shown} is chain {chain_id} with genesis {genesis and genesis.hash}, the "
                f"deployment file describes chain {self.deployment.chain_id} with genesis "
                f"{self.deployment.genesis_hash}; give another --rpc or --deployment"
            )

    def step(self) -> bool:
        """One range, or one step back; False if there was nothing to do."""
        latest = self.node.latest()
        cursor = read_cursor(self.connection)
        self.progress.head = latest.number
        if cursor is not None:
            self.progress.indexed = cursor.number
            if not self._stands(cursor):
                self._walk_back(cursor)
                return True
            if cursor.number >= latest.number:
                read = read_transactions(self.node, self.connection, self.deployment)
                self.progress.read += read
                return read > 0
        return self._forward(cursor, latest)

    def catch_up(self) -> None:
        """Everything there is at the moment."""
        while self.step():
            pass

    def _forward(self, cursor: Cursor | None, latest: Header) -> bool:
        first = self._first if cursor is None else cursor.number + 1
        if first > latest.number:
            return False
        last = min(latest.number, first + self._span - 1)
        try:
            found = self._read(cursor, first, last, latest.number)
        except RangeRefused as exc:
            if first == last:
                raise ChainError(f"{exc}; it refuses the single block {first}, use another node") from exc
            self.progress.halved += 1
            self._span = max(1, (last - first + 1) // 2)
            return True
        if found is not None:
            append(self.connection, found, self.kinds)
            self._wrote(found)
        return True

    def _wrote(self, found: Range) -> None:
        self._span = self._span // 2 if len(found.events) > MAX_EVENTS else min(MAX_SPAN, 2 * self._span)
        self._span = max(1, self._span)
        self.progress.indexed = found.last.number
        self.progress.events += len(found.events)
        self.progress.ranges += 1
        self.changed(None)

    def _read(self, cursor: Cursor | None, first: int, last: int, head: int) -> Range | None:
        """The range as one chain has it; None if the chain changed while it was read."""
        finalized = self.node.finalized(head)
        tip = self.node.header(last)
        numbers = sorted({first, *range(max(first, finalized), last + 1)})
        headers = {each.number: each for each in self.node.headers(numbers) if each is not None}
        if tip is None or len(headers) != len(numbers) or not _is_linked(headers, cursor):
            return None
        logs = [log for log in self.node.logs(self._decoder.addresses, first, last) if not log.get("removed")]
        headers = self._older(logs, headers) | headers
        if any(not _is_of(log, headers) for log in logs) or headers.get(last, tip).hash != tip.hash:
            return None
        events = derive(self.node, self.views, self._events(logs, headers), last)
        again = self.node.header(last)
        if again is None or again.hash != tip.hash:
            return None
        return Range(tip, head, finalized, list(headers.values()), events)

    def _older(self, logs: list[dict[str, Any]], known: dict[int, Header]) -> dict[int, Header]:
        """Headers of the finalised blocks with logs; many nodes say with a log all that we keep of them."""
        others = {number: log for log in logs if (number := int(log["blockNumber"], 16)) not in known}
        missing = sorted(number for number, log in others.items() if not log.get("blockTimestamp"))
        return {
            number: Header(number, log["blockHash"], "", int(log["blockTimestamp"], 16))
            for number, log in others.items()
            if log.get("blockTimestamp")
        } | {each.number: each for each in self.node.headers(missing) if each is not None}

    def _events(self, logs: list[dict[str, Any]], headers: dict[int, Header]) -> list[Event]:
        found = [self._decoder.decode(log, headers[int(log["blockNumber"], 16)].timestamp) for log in logs]
        return sorted((event for event in found if event is not None), key=lambda event: event.id)

    def _stands(self, cursor: Cursor) -> bool:
        found = self.node.header(cursor.number)
        return found is not None and found.hash == cursor.hash

    def _walk_back(self, cursor: Cursor) -> None:
        """To the newest block of which the chain still has the hash that was kept."""
        self.check_chain()
        below = cursor.number
        while True:
            kept = self.connection.execute(
                "SELECT number, hash, time FROM blocks WHERE number < ? ORDER BY number DESC LIMIT ?",
                (below, _LOOK_BACK),
            ).fetchall()
            headers = self.node.headers([number for number, _, _ in kept])
            for (number, hash_, time), header in zip(kept, headers, strict=True):
                if header is not None and header.hash == hash_:
                    self._cut(cursor, number, hash_, time)
                    return
            if not kept:
                self._cut(cursor, -1, self.deployment.genesis_hash, 0)
                return
            below = kept[-1][0]

    def _cut(self, cursor: Cursor, number: int, hash_: str, time: int) -> None:
        cut(self.connection, number, hash_, time)
        if number < 0:
            self.connection.execute("DELETE FROM cursor")
        self.progress.reorganised += 1
        self.progress.deepest = max(self.progress.deepest, cursor.number - number)
        self.progress.indexed = number
        self.changed(number)


def _is_linked(headers: dict[int, Header], cursor: Cursor | None) -> bool:
    """Whether each header names the one before it, and the first one the block at which the index stands."""
    for number, header in headers.items():
        before = headers.get(number - 1)
        if before is not None and before.hash != header.parent_hash:
            return False
        if cursor is not None and number == cursor.number + 1 and header.parent_hash != cursor.hash:
            return False
    return True


def _is_of(log: dict[str, Any], headers: dict[int, Header]) -> bool:
    header = headers.get(int(log["blockNumber"], 16))
    return header is not None and header.hash == log["blockHash"]
