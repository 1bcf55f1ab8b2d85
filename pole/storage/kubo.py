"""The only module that knows the IPFS client library: the part of a Kubo daemon's API that the store needs.

ipfshttpclient refuses current daemons by their version, so the client is constructed without that check. Its sessions
read as much at once as the peer likes, so each transfer uses one of ours (`pole.storage.transfer`). See ADR 17.
"""

import io
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import ipfshttpclient
import multiaddr
import requests
from ipfshttpclient.http_requests import ClientSync
from urllib3.exceptions import HTTPError

from pole.errors import BadInput, ContentMismatch, ContentNotFound, StoreError, StoreUnavailable
from pole.storage.cid import CHUNK_BYTES, MAX_LINKS, Cid
from pole.storage.transfer import Transfer, TransferLimits
from pole.urls import keep_secret, scrub, shown

T = TypeVar("T")

_API = "api/v0"
_MAX_ANSWER_BYTES = 1 << 16
_MAX_LIST_BYTES = 8 << 20
_MAX_QUOTED = 200
_PIN = "recursive"
# The profile of `pole.storage.cid`, said in full: a daemon's own import settings may differ.
_PROFILE = {
    "chunker": f"size-{CHUNK_BYTES}",
    "max-file-links": str(MAX_LINKS),
    "hash": "sha2-256",
    "inline": "false",
    "preserve-mode": "false",
    "preserve-mtime": "false",
    "progress": "false",
}
# What the library and what it stands on raise for a broken or hostile answer.
_FAILURES = (
    ipfshttpclient.exceptions.Error,
    requests.RequestException,
    HTTPError,
    OSError,
    AssertionError,
    LookupError,
    TypeError,
    ValueError,
    RecursionError,
)


class Kubo:
    """A daemon's API at a multiaddr or URL; nothing is sent before the first call.

    Raises StoreUnavailable if nobody answers, ContentNotFound if the daemon finds nobody who has the content, and
    StoreError if it refuses. `authorization`: the value of the header of that name, e.g. `Bearer ...`.
    """

    def __init__(self, address: str, limits: TransferLimits, authorization: str | None = None) -> None:
        self.address, self.limits = address, limits
        self._multiaddr = _as_multiaddr(address)
        self._headers = {"Authorization": authorization} if authorization else {}
        for word in (authorization or "").split()[-1:]:  # the first is "Bearer" or "Basic"
            keep_secret(word)

    def add(self, content: bytes | Path) -> str:
        """Store and pin content; returns the CID that the daemon gave it, as it wrote it."""
        file = io.BytesIO(content) if isinstance(content, bytes) else str(content)

        def add(client: Any) -> str:
            return str(client.add(file, pin=True, raw_leaves=True, cid_version=1, opts={**_PROFILE})["Hash"])

        return self._ask("adding content", add)

    def cat(self, cid: Cid, max_bytes: int) -> Generator[bytes, None, None]:
        """The content piece by piece, not yet verified, to be closed. Raises ContentTooLarge in its course."""
        with self._transfer(f"fetching {cid}", self.limits, max_bytes, ContentNotFound) as transfer:
            # It asks for at most one byte too many, so that an honest daemon fetches no more than that either.
            pieces = self._client(transfer).cat(str(cid), length=max_bytes + 1, stream=True)
            with closing(pieces):
                yield from pieces

    def pin(self, cid: Cid, within_s: float) -> None:
        """Keep content, after fetching what is missing of it; what came until it was too late need not come again."""
        limits = TransferLimits(self.limits.connect_s, within_s, self.limits.bytes_per_s)
        with self._transfer(f"pinning {cid}", limits, _MAX_ANSWER_BYTES, ContentNotFound) as transfer:
            self._client(transfer).pin.add(str(cid))

    def unpin(self, cid: Cid) -> None:
        """Let the daemon drop content when it next clears up; one that it does not pin is fine."""
        try:
            self._ask(f"unpinning {cid}", lambda client: client.pin.rm(str(cid)))
        except _NotPinned:
            return

    def is_pinned(self, cid: Cid) -> bool:
        try:
            return self._ask(
                f"looking for {cid}", lambda client: str(cid) in client.pin.ls(str(cid), type=_PIN).as_json()["Keys"]
            )
        except _NotPinned:
            return False

    def pins(self) -> list[str]:
        """The roots that the daemon keeps, as it writes them, in order."""

        def listed(client: Any) -> list[str]:
            return sorted(str(key) for key in client.pin.ls(type=_PIN).as_json()["Keys"])

        return self._ask("listing pins", listed, max_bytes=_MAX_LIST_BYTES)

    def _ask(self, what: str, call: Callable[[Any], T], max_bytes: int = _MAX_ANSWER_BYTES) -> T:
        """What `call` makes of the answer; whatever is wrong with its form is the daemon's fault."""
        with self._transfer(what, self.limits, max_bytes) as transfer:
            return call(self._client(transfer))

    def _client(self, transfer: Transfer) -> Any:
        client = ipfshttpclient.Client(self._multiaddr, _API, chunk_size=1 << 16)
        transport = _Transport(self._multiaddr, _API, headers=self._headers, timeout=transfer.limits.timeouts_s)
        transport.transfer = transfer
        client._client = transport
        return client

    @contextmanager
    def _transfer(
        self, what: str, limits: TransferLimits, max_bytes: int, silence: type[StoreError] = StoreUnavailable
    ) -> Iterator[Transfer]:
        """A transfer whose failures become ours; `silence`: what it means if the daemon sends nothing."""
        peer = f"the IPFS daemon at {self.address}"
        with Transfer(what, peer, limits, max_bytes) as transfer:
            try:
                yield transfer
                transfer.check_rate(silence)
            except _FAILURES as exc:
                transfer.check_rate(silence)
                if isinstance(exc, ipfshttpclient.exceptions.ErrorResponse):
                    raise self._refusal(what, scrub(str(exc))) from None
                raise self._failure(what, exc) from None  # the libraries' errors show whole URLs and headers

    def _failure(self, what: str, exc: BaseException) -> StoreError:
        status = status_of(exc)
        if status in (401, 403):
            return StoreUnavailable(
                f"{what}: the IPFS daemon at {self.address} refuses this client (HTTP {status}); set "
                "POLE_IPFS_AUTHORIZATION or POLE_IPFS_AUTHORIZATION_FILE"
            )
        return StoreUnavailable(
            f"{what}: no proper answer from the IPFS daemon at {self.address} ({reason_of(exc)}); start it "
            "(`ipfs daemon`), or give another --store"
        )

    def _refusal(self, what: str, message: str) -> StoreError:
        """What a daemon's own words mean; they are quoted, not trusted."""
        said = f"{what}: the IPFS daemon at {self.address} says {message[:_MAX_QUOTED]!r}"
        if "not pinned" in message:
            return _NotPinned(said)
        if "is a directory" in message or "not a file" in message or "protobuf" in message:
            return ContentMismatch(f"{said}: this CID names no file")
        if "not find" in message or "not found" in message:
            return ContentNotFound(f"{said}; wait for its owner to publish it")
        return StoreError(f"{said}; see the daemon's own log")


class _NotPinned(StoreError):
    """The daemon does not pin the content."""


class _Transport(ClientSync):  # type: ignore[misc]
    """The library's requests, on a session that belongs to one transfer."""

    transfer: Transfer

    def _make_session(self) -> requests.Session:
        session = self.transfer.session()
        session.max_redirects = 0
        for name in ("headers", "params"):
            getattr(session, name).update(self._session_props.get(name) or {})
        return session

    def _request(self, *args: Any, data: Iterator[bytes] | None, **options: Any) -> Any:
        return super()._request(*args, data=None if data is None else self.transfer.sending(data), **options)


def status_of(exc: BaseException) -> int | None:
    """The HTTP status that an error is about, if any."""
    seen: BaseException | None = exc
    while seen is not None:
        if isinstance(seen, requests.HTTPError) and seen.response is not None:
            return int(seen.response.status_code)
        seen = seen.__cause__ or seen.__context__
    return None


def reason_of(exc: BaseException) -> str:
    """The system's words if it was the system, else the HTTP status or the kind of error."""
    status = status_of(exc)
    if status is not None:
        return f"HTTP {status}"
    seen: BaseException | None = exc
    while seen is not None:
        if isinstance(seen, OSError) and not isinstance(seen, requests.RequestException) and seen.strerror:
            return str(seen.strerror).lower()
        seen = seen.__cause__ or seen.__context__
    return type(exc).__name__


def _as_multiaddr(address: str) -> str:
    """What the library takes. Raises BadInput, also for addresses with a password in them."""
    if address.startswith("/"):
        try:
            multiaddr.Multiaddr(address)
            ClientSync(address, _API)
        except (ipfshttpclient.exceptions.Error, ValueError, LookupError, multiaddr.exceptions.Error) as exc:
            raise BadInput(f"store {address!r} is not the address of an IPFS daemon; {_EXAMPLES}") from exc
        return address
    try:
        url = urlsplit(address)
        host, port = url.hostname, url.port
    except ValueError:
        raise BadInput(f"store {shown(address)} is not a URL; {_EXAMPLES}") from None
    if url.username is not None or url.password is not None:
        raise BadInput("the store's URL has a user or password in it; set POLE_IPFS_AUTHORIZATION_FILE instead")
    if url.scheme not in ("http", "https") or not host or url.path.strip("/") or url.query or url.fragment:
        raise BadInput(f"store {shown(address)}, with what follows, is not the address of an IPFS daemon; {_EXAMPLES}")
    kind = "ip6" if ":" in host else "ip4" if host.replace(".", "").isdigit() else "dns"
    return f"/{kind}/{host}/tcp/{port or (443 if url.scheme == 'https' else 80)}/{url.scheme}"


_EXAMPLES = "give e.g. /ip4/127.0.0.1/tcp/5001 or http://127.0.0.1:5001"
