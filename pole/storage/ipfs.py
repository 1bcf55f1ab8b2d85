"""The content store over IPFS: a Kubo daemon, optionally a web gateway to fall back on, and verified local copies.

Peers, daemon and gateway are not trusted: nothing is returned, parsed or kept that does not hash to the CID that was
asked for.
"""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

import requests
import structlog
from urllib3.exceptions import HTTPError

from pole.errors import (
    BadInput,
    ContentMismatch,
    ContentNotFound,
    ContentTooLarge,
    StoreError,
    StoreUnavailable,
)
from pole.paths import expanded
from pole.settings import Settings, variable
from pole.storage.cid import Cid, cid_of, cid_of_file
from pole.storage.folder import FolderStore
from pole.storage.kubo import Kubo, reason_of
from pole.storage.transfer import Transfer, TransferLimits
from pole.urls import keep_secret, shown

T = TypeVar("T")


_UNUSED_AFTER_S = 24 * 3600
_SWEEP_EVERY_S = 3600.0
_NOTHING = cid_of(b"")
_ABSENT = (404, 410, 504)

_log = structlog.get_logger(__name__)


class Source(Protocol):
    """Where bytes come from; whether they are the right ones is for the caller to find out."""

    address: str

    def cat(self, cid: Cid, max_bytes: int) -> Generator[bytes, None, None]:
        """Content piece by piece, to be closed; raises StoreError in its course."""


@dataclass(frozen=True)
class IpfsSettings:
    """What a location does not say."""

    cache_folder: Path
    gateway: str | None = field(default=None, repr=False)
    authorization: str | None = field(default=None, repr=False)
    limits: TransferLimits = field(default_factory=TransferLimits)

    @classmethod
    def of(cls, given: Settings) -> "IpfsSettings":
        """As the environment says; raises BadInput."""
        gateway = given.ipfs_gateway.get_secret_value() if given.ipfs_gateway else None
        limits = TransferLimits(first_s=given.ipfs_patience_s)
        return cls(expanded(given.ipfs_cache), gateway, _authorization(given), limits)


class IpfsStore:
    """One daemon, which pins what is put here, and a folder with verified copies of what was fetched.

    Copies that nobody used for a day are removed. Processes may share the folder, and threads the store: every request
    brings its own connection.
    """

    def __init__(self, address: str, settings: IpfsSettings) -> None:
        self._daemon = Kubo(address, settings.limits, settings.authorization)
        self._sources: list[Source] = [self._daemon]
        if settings.gateway is not None:
            self._sources.append(WebGateway(settings.gateway, settings.limits))
        self._cache_folder = settings.cache_folder
        self._opened_cache: FolderStore | None = None
        self._swept_s = float("-inf")
        self._cache_lock = threading.Lock()

    @property
    def location(self) -> str:
        return self._daemon.address

    def put(self, content: bytes) -> Cid:
        return self._check_name(cid_of(content), self._daemon.add(content))

    def put_file(self, path: Path) -> Cid:
        return self._check_name(cid_of_file(path), self._daemon.add(path))

    def get(self, cid: Cid, max_bytes: int) -> bytes:
        cached = self._cached(cid, lambda cache: cache.get(cid, max_bytes))
        if cached is not None:
            return cached
        content = self._fetch(cid, max_bytes, lambda pieces: _verified(cid, pieces))
        try:
            self._cache().put(content)
        except StoreError as exc:  # the content was fetched all the same
            _log.debug(f"{cid} is not kept: {exc}")
        return content

    def open_file(self, cid: Cid, max_bytes: int) -> Path:
        cached = self._cached(cid, lambda cache: cache.open_file(cid, max_bytes))
        return cached or self._fetch(cid, max_bytes, lambda pieces: self._cache().receive(cid, pieces))

    def has(self, cid: Cid) -> bool:
        """Whether the daemon pins it: what is only cached may be gone tomorrow."""
        return self._daemon.is_pinned(cid)

    def pin(self, cid: Cid, within_s: float) -> None:
        self._daemon.pin(cid, within_s)

    def unpin(self, cid: Cid) -> None:
        self._daemon.unpin(cid)

    def pinned(self) -> Iterator[Cid]:
        for text in self._daemon.pins():
            with suppress(BadInput):  # somebody else's, in another form
                yield Cid.parse(text)

    def _check_name(self, cid: Cid, named: str) -> Cid:
        if named != str(cid):
            raise StoreError(
                f"the IPFS daemon at {self.location} names the content {named[:100]!r}, not {cid}; it does not add as "
                "it was told to, or the content changed meanwhile: try again, or use another daemon"
            )
        return cid

    def _fetch(self, cid: Cid, max_bytes: int, take: Callable[[Iterator[bytes]], T]) -> T:
        """The first source's answer that holds; if there is none, the failure that says most about the content."""
        if cid == _NOTHING:  # daemons do not pass an empty block on to each other
            return take(iter(()))
        failures: list[StoreError] = []
        for source in self._sources:
            try:
                with closing(source.cat(cid, max_bytes)) as pieces:
                    return take(pieces)
            except StoreError as exc:
                failures.append(exc)
        failures.sort(key=_significance)
        raise failures[0]

    def _cache(self) -> FolderStore:
        with self._cache_lock:
            if self._opened_cache is None:
                self._opened_cache = FolderStore(self._cache_folder)
            if time.monotonic() > self._swept_s + _SWEEP_EVERY_S:
                self._swept_s = time.monotonic()
                self._opened_cache.remove_unused(_UNUSED_AFTER_S)
            return self._opened_cache

    def _cached(self, cid: Cid, read: Callable[[FolderStore], T]) -> T | None:
        """None if there is no copy, or none that is intact."""
        try:
            found = read(self._cache())
            self._cache().mark_used(cid)
            return found
        except ContentTooLarge:
            raise
        except StoreError as exc:
            if not isinstance(exc, ContentNotFound):
                _log.warning(f"the copy of {cid} cannot be used and is fetched again: {exc}")
            return None


class WebGateway:
    """A trustless use of an HTTP gateway: it is asked for bytes and believed nothing."""

    def __init__(self, address: str, limits: TransferLimits) -> None:
        try:
            url = urlsplit(address)
            is_readable = bool(url.hostname) and (url.port is None or url.port > 0)
        except ValueError:
            is_readable = False
        if not is_readable or url.scheme not in ("http", "https") or url.query or url.fragment or "@" in url.netloc:
            raise BadInput(f"{variable('ipfs_gateway')} is no gateway's address; give e.g. http://127.0.0.1:8080")
        keep_secret(address)
        self.address, self.limits = address.rstrip("/"), limits

    def cat(self, cid: Cid, max_bytes: int) -> Generator[bytes, None, None]:
        what, peer = f"fetching {cid}", f"the gateway {shown(self.address)}"
        with Transfer(what, peer, self.limits, max_bytes) as transfer, transfer.session() as session:
            try:
                with session.get(f"{self.address}/ipfs/{cid}", stream=True, timeout=self.limits.timeouts_s) as answer:
                    if answer.status_code in _ABSENT:
                        raise ContentNotFound(f"{what}: {peer} does not have it; wait for its owner to publish it")
                    answer.raise_for_status()
                    yield from answer.iter_content(None)
                transfer.check_rate(ContentNotFound)
            except ContentTooLarge as exc:  # a stranger's word, on which no model may be called too large
                raise ContentMismatch(str(exc)) from exc
            except (requests.RequestException, HTTPError, OSError, ValueError) as exc:
                transfer.check_rate(ContentNotFound)
                raise StoreUnavailable(f"{what}: no proper answer from {peer} ({reason_of(exc)})") from None


def _verified(cid: Cid, pieces: Iterator[bytes]) -> bytes:
    content = b"".join(pieces)
    actual = cid_of(content)
    if actual != cid:
        raise ContentMismatch(f"what was sent for {cid} hashes to {actual}; ask another daemon or gateway")
    return content


def _significance(failure: StoreError) -> int:
    """Smaller says more: of a source that answered wrongly one learns more than of one that did not answer."""
    kinds = (ContentTooLarge, ContentMismatch, ContentNotFound)
    if isinstance(failure, StoreUnavailable):
        return len(kinds) + 1
    return next((place for place, kind in enumerate(kinds) if isinstance(failure, kind)), len(kinds))


def _authorization(given: Settings) -> str | None:
    """The header's value: a credential, so no message may show it."""
    path = given.ipfs_authorization_file
    if path:
        try:
            value = expanded(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise BadInput(f"cannot read {variable('ipfs_authorization_file')} {path}; check it") from exc
    else:
        value = given.ipfs_authorization.get_secret_value().strip() if given.ipfs_authorization else ""
    if not value.isprintable() or not value.isascii():
        raise BadInput(f"the authorization for IPFS is not one line of ASCII; give e.g. 'Bearer ...' in {path or 'it'}")
    return value or None
