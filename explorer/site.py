"""One deployment as the explorer holds it: its index, its indexer, and the totals in memory."""

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from explorer.chain.calls import Views
from explorer.chain.events import id_from
from explorer.chain.lanes import Kinds
from explorer.chain.node import Node
from explorer.fold.totals import Totals, add
from explorer.index.indexer import Indexer
from explorer.index.reading import Reader, reading
from explorer.index.schema import open_index
from pole.chain.deployment import Deployment
from pole.errors import PoleError, TransientChainError
from pole.storage.store import Store

_WAIT_AFTER_ERROR_S = 2.0


@dataclass
class Snapshot:
    """One state of the index, and the totals that belong to it."""

    site: "Site"
    read: Reader
    totals: Totals


@dataclass
class Site:
    """`store`: where manifests are read; None: nowhere. Its index is `<folder>/index-<identity>.sqlite`."""

    deployment: Deployment
    node: Node
    folder: Path
    store: Store | None = None
    poll_s: float = 0.5
    trouble: str = ""
    version: int = 0
    """Counts what changed, for pages that wait for it."""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.kinds, self.views = Kinds.of(self.deployment), Views(self.deployment)
        self.path = self.folder / f"index-{self.deployment.identity}.sqlite"
        self.labels = dict(self.kinds.contracts)
        connection = open_index(self.path)
        self.indexer = Indexer(self.node, self.deployment, connection, self._changed)
        self._base, self._totals = Totals(self.kinds), Totals(self.kinds)
        self._stopping = threading.Event()
        self._changed(-1)

    @property
    def name(self) -> str:
        """In addresses: chain id and the start of the identity."""
        return f"{self.deployment.chain_id}-{self.deployment.identity[:6]}"

    @property
    def windows_s(self) -> int:
        """What a round can take besides its time limit."""
        return self.deployment.parameters["market"]["round_windows_s"]

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """A state of the index with its totals; the indexer waits with its next transaction meanwhile."""
        with self.lock, reading(self.path) as reader:
            yield Snapshot(self, reader, self._totals)

    def follow(self) -> None:
        """Index until `stop`; a node that does not answer is asked again."""
        log = structlog.get_logger().bind(deployment=self.name)
        while not self._stopping.is_set():
            try:
                is_busy = self.step()
                self.trouble = ""
            except PoleError as exc:
                is_busy, self.trouble = False, str(exc)
                log.warning(str(exc))
                self._stopping.wait(0 if isinstance(exc, TransientChainError) else _WAIT_AFTER_ERROR_S)
            if not is_busy:
                self._stopping.wait(self.poll_s)

    def step(self) -> bool:
        """One range; False if there was nothing to do."""
        return self.indexer.step()

    def stop(self) -> None:
        self._stopping.set()

    def close(self) -> None:
        self.indexer.connection.close()

    def _changed(self, cut: int | None) -> None:
        """Bring the totals up to date; `cut`: all above this block is gone."""
        with self.lock, reading(self.path) as reader:
            if cut is not None:
                if self._base.last_event >= id_from(cut + 1):
                    self._base = Totals(self.kinds)
                self._totals = copy.deepcopy(self._base)
            for event in reader.after(self._totals.last_event):
                add(self._totals, event)
            self._settle(reader)
            self.version += 1

    def _settle(self, reader: Reader) -> None:
        """Take what can no longer change into the state that reorganisations start again from."""
        cursor = reader.cursor()
        if cursor is None:
            return
        end = id_from(min(cursor.finalized, cursor.number) + 1)
        for event in reader.after(self._base.last_event):
            if event.id >= end:
                break
            add(self._base, event)
