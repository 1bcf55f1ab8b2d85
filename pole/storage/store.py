"""The content store: everything large that a task, a miner or a verifier names by its CID.

Embedded by default (`FolderStore`), or IPFS (`IpfsStore`): the same content has the same name in both.
"""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

from pole.errors import BadInput
from pole.paths import expanded
from pole.settings import read_settings
from pole.storage.cid import Cid
from pole.storage.folder import FolderStore
from pole.urls import shown

_DAEMON_PREFIXES = ("/ip4/", "/ip6/", "/dns/", "/dns4/", "/dns6/", "/dnsaddr/", "/unix/", "http://", "https://")
# 127.0.0.1:5001, localhost:5001/api/v0, http:127.0.0.1:5001, user:word@host:5001, [::1]:5001, :5001
_HOST_AND_PORT = re.compile(
    r"(https?:/?|tcp:)?([^/@]*@)?(?P<host>\[[0-9a-f:.]+\]|[\w.-]*):(?P<port>\d{1,5})(/.*)?", re.IGNORECASE
)
# ip4/127.0.0.1/tcp/5001, /ipv4/127.0.0.1/tcp/5001, /IP4/..., 127.0.0.1/tcp/5001
_NEARLY_MULTIADDR = re.compile(r"(/?\w+/)?(?P<host>[\w.:-]+)/(tcp|udp)/(?P<port>\d{1,5})(/.*)?", re.IGNORECASE)


class Store(Protocol):
    """What the roles need of content-addressed storage. Putting also pins; raises StoreUnavailable if it is down.

    Several threads may use one store.
    """

    @property
    def location(self) -> str:
        """What `open_store` takes to open the same store, also in another process."""

    def put(self, content: bytes) -> Cid:
        """Keep content durably and return its name; putting it again changes nothing."""

    def put_file(self, path: Path) -> Cid:
        """Keep a copy of a file of any size, in memory of a few chunks."""

    def get(self, cid: Cid, max_bytes: int) -> bytes:
        """Verified content; raises ContentNotFound, ContentTooLarge (before reading) or ContentMismatch."""

    def open_file(self, cid: Cid, max_bytes: int) -> Path:
        """Path of a local, verified, read-only copy, for content too large for memory; raises as `get`."""

    def has(self, cid: Cid) -> bool:
        """Whether content of this name is kept here, not yet verified."""

    def pin(self, cid: Cid, within_s: float) -> None:
        """Keep what somebody else published, until `unpin`; raises ContentNotFound, and can then be tried again."""

    def unpin(self, cid: Cid) -> None:
        """Let go of content, which may be cleared away from now on; what is not pinned is fine."""

    def pinned(self) -> Iterator[Cid]:
        """Everything that is kept here."""


def open_store(location: str) -> Store:
    """The store at a location: a directory, created if missing, or the address of an IPFS daemon's API.

    A daemon is not contacted yet; what a location does not say of it is in the environment (`IpfsSettings`).
    """
    if not location.strip() or "\0" in location:
        raise BadInput("the store's location is empty or has a NUL in it; give a directory, such as ~/.pole/store")
    if location.startswith(_DAEMON_PREFIXES):
        from pole.storage.ipfs import IpfsSettings, IpfsStore  # its client library is an extra of the package

        return IpfsStore(location, IpfsSettings.of(read_settings()))
    if "://" in location:
        raise BadInput(
            f"store {shown(location)} is neither a directory, such as ~/.pole/store, nor an IPFS daemon, such as "
            "/ip4/127.0.0.1/tcp/5001"
        )
    _refuse_daemons(location)
    return FolderStore(expanded(location))


def _refuse_daemons(location: str) -> None:
    """A daemon's address written in another way must not become a folder of that name."""
    if found := _HOST_AND_PORT.fullmatch(location):
        host, port = found["host"].strip("[]"), found["port"]
    elif (found := _NEARLY_MULTIADDR.fullmatch(location)) and not (
        location.startswith("/") and Path(location).is_dir()
    ):
        host, port = found["host"], found["port"]
    elif _is_address(location.strip("[]")) or location.lower() == "localhost":
        host, port = location.strip("[]"), "5001"
    else:
        return
    host = host or "127.0.0.1"
    kind = "ip6" if ":" in host else "ip4" if host.replace(".", "").isdigit() else "dns"
    name = location.rpartition("@")[2]
    raise BadInput(
        f"store {name!r} looks like the address of an IPFS daemon; for the daemon give "
        f"/{kind}/{host}/tcp/{port}, for a directory of that name ./{name.lstrip('/')}"
    )


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
