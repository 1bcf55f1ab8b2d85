"""Yields several files from the store in order, and fetches the next ones while the caller works."""

import threading
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from pole.storage.cid import Cid
from pole.storage.store import Store
from pole.storage.transfer import hung_up_when

FILES_AT_ONCE = 4
"""Under way or in use; a single peer seldom fills the line."""

BYTES_AT_ONCE = 320 << 20
"""By the caps of the files; one alone may be larger."""


@dataclass(frozen=True)
class Wanted:
    """A file and its cap; `position` tells equal files apart, and says what comes first."""

    position: int
    cid: Cid
    max_bytes: int


@dataclass(frozen=True)
class _Fetch:
    """A file under way in a thread of its own."""

    file: Wanted
    thread: threading.Thread
    content: Future[bytes]


class FetchAhead:
    """Use as a context, and `take` the files; on leaving it, running fetches are stopped and waited for."""

    def __init__(self, store: Store, files: Iterable[Wanted]) -> None:
        self._store = store
        self._waiting, self._begun = deque(files), deque[_Fetch]()
        self._in_use: Wanted | None = None
        self._unwanted = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        self._unwanted.set()
        for fetch in self._begun:
            fetch.thread.join()

    def take(self, file: Wanted) -> bytes:
        """Content, waited for; the caller has let go of what it took before. Raises what the store raises.

        Files are taken in order. One that was not announced is fetched now, one that is passed over is forgotten.
        """
        self._in_use = None
        self._forget_before(file)
        self._begin()
        if not self._begun or self._begun[0].file != file:
            return self._store.get(file.cid, file.max_bytes)
        content = self._begun[0].content.result()
        self._begun.popleft().thread.join()
        self._in_use = file
        return content

    def _forget_before(self, file: Wanted) -> None:
        while self._waiting and self._waiting[0].position < file.position:
            self._waiting.popleft()
        while self._begun and self._begun[0].file.position < file.position:
            self._begun.popleft().thread.join()

    def _begin(self) -> None:
        """As many of the next files as there is room for; a large one waits until it is alone."""
        while self._waiting:
            held = [fetch.file for fetch in self._begun] + ([self._in_use] if self._in_use else [])
            held_bytes = sum(file.max_bytes for file in held)
            if held and (len(held) == FILES_AT_ONCE or held_bytes + self._waiting[0].max_bytes > BYTES_AT_ONCE):
                return
            file, content = self._waiting.popleft(), Future[bytes]()
            thread = threading.Thread(target=self._fetch, args=(file, content), name="fetch", daemon=True)
            self._begun.append(_Fetch(file, thread, content))
            thread.start()

    def _fetch(self, file: Wanted, content: Future[bytes]) -> None:
        try:
            with hung_up_when(self._unwanted):
                content.set_result(self._store.get(file.cid, file.max_bytes))
        except BaseException as exc:  # for the thread that takes the file
            content.set_exception(exc)
