"""Manifests out of the content store, for pages: fetched beside the request, kept in memory, never trusted."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from pole.errors import PoleError
from pole.gradient.manifest import GradientManifest
from pole.storage.cid import Cid
from pole.storage.store import Store
from pole.task.manifest import MAX_MANIFEST_BYTES, Manifest

_KEPT = 256
_WAIT_S = 0.3
_Parse = Callable[[bytes], Any]


class Missing(Exception):
    """What a page says instead of the content."""


class Contents:
    """Manifests by CID. What could not be had is asked for again when somebody looks again."""

    def __init__(self, store: Store | None) -> None:
        self._store = store
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="contents")
        self._found: OrderedDict[tuple[str, str], Future[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def manifest(self, cid: Any) -> Manifest:
        """Raises Missing."""
        found = self._get("manifest", cid, Manifest.from_bytes)
        assert isinstance(found, Manifest)
        return found

    def gradient_manifest(self, cid: Any) -> GradientManifest:
        """Raises Missing."""
        found = self._get("gradient", cid, GradientManifest.from_bytes)
        assert isinstance(found, GradientManifest)
        return found

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _get(self, kind: str, cid: Any, parse: _Parse) -> Any:
        if self._store is None:
            raise Missing("this explorer was started without a content store; give --store")
        if not isinstance(cid, str):
            raise Missing("the task names no content that could be fetched")
        try:
            return self._future(kind, cid, parse).result(_WAIT_S)
        except FutureTimeout:
            raise Missing("it is being fetched; look again in a moment") from None
        except PoleError as exc:
            with self._lock:
                self._found.pop((kind, cid), None)
            raise Missing(str(exc)) from exc
        except Exception as exc:  # a hostile document must not end a page
            raise Missing(f"it cannot be read ({type(exc).__name__})") from exc

    def _future(self, kind: str, cid: str, parse: _Parse) -> "Future[Any]":
        with self._lock:
            found = self._found.get((kind, cid))
            if found is None:
                found = self._found[kind, cid] = self._pool.submit(self._fetch, cid, parse)
                while len(self._found) > _KEPT:
                    self._found.popitem(last=False)
            self._found.move_to_end((kind, cid))
        return found

    def _fetch(self, cid: str, parse: _Parse) -> Any:
        assert self._store is not None
        return parse(self._store.get(Cid.parse(cid), MAX_MANIFEST_BYTES))
