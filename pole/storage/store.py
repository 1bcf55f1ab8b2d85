"""The content store: everything large that a task, a miner or a verifier names by its CID.

Embedded by default (`FolderStore`), or IPFS (`IpfsStore`): the same content has the same name in both.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from pole.errors import BadInput
from pole.storage.cid import Cid
from pole.storage.folder import FolderStore

_DAEMON_PREFIXES = ("/ip4/", "/ip6/", "/dns", "/unix/", "http://", "https://")


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
    try:
        if location.startswith(_DAEMON_PREFIXES):
            from pole.storage.ipfs import IpfsSettings, IpfsStore  # its client library is an extra of the package

            return IpfsStore(location, IpfsSettings.from_environment())
        if "://" in location:
            raise BadInput(
                f"store {location!r} is neither a directory, such as ~/.pole/store, nor an IPFS daemon, such as "
                "/ip4/127.0.0.1/tcp/5001"
            )
        return FolderStore(Path(location).expanduser())
    except RuntimeError as exc:
        raise BadInput(f"store {location!r}: {exc}; give the directory in full") from exc
