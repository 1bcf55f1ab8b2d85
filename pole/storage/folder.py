"""The embedded content store: a directory with one file per CID. The CIDs are IPFS's (`pole.storage.cid`)."""

import errno
import os
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO, NoReturn

from pole.errors import BadInput, ContentMismatch, ContentNotFound, ContentTooLarge, StoreError
from pole.storage.cid import CHUNK_BYTES, Cid, ContentHasher, cid_of, cid_of_stream

_INCOMING = ".incoming-"
_ABANDONED_AFTER_S = 24 * 3600


class FolderStore:
    """A directory with one file per CID; processes and threads may share it: it keeps no state but the files.

    A file appears under its name complete and synced, or not at all. Every read is checked against the name first.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            root.mkdir(parents=True, exist_ok=True)
            self._remove_abandoned()
        except OSError as exc:
            _refuse(exc, f"cannot use {root} as a content store")

    @property
    def location(self) -> str:
        return str(self.root.resolve())

    def put(self, content: bytes) -> Cid:
        cid = cid_of(content)
        if not self._holds(cid):
            with self._incoming() as file:
                file.write(content)
                self._publish(file, cid)
        return cid

    def put_file(self, path: Path) -> Cid:
        hasher = ContentHasher()
        with _source(path) as source, self._incoming() as file:
            while piece := source.read(CHUNK_BYTES):
                hasher.update(piece)
                file.write(piece)
            cid = hasher.finish()
            self._publish(file, cid)
        return cid

    def receive(self, cid: Cid, pieces: Iterable[bytes]) -> Path:
        """Keep what arrives piece by piece, if it is what the CID names; raises ContentMismatch."""
        hasher = ContentHasher()
        with self._incoming() as file:
            for piece in pieces:
                hasher.update(piece)
                file.write(piece)
            actual = hasher.finish()
            if actual != cid:
                raise ContentMismatch(f"what was sent for {cid} hashes to {actual}; ask somebody else for it")
            self._publish(file, cid)
        return self._path(cid)

    def get(self, cid: Cid, max_bytes: int) -> bytes:
        with self._open(cid, max_bytes) as (file, size):
            content = file.read(size)
        self._check(cid, cid_of(content))
        return content

    def open_file(self, cid: Cid, max_bytes: int) -> Path:
        with self._open(cid, max_bytes) as (file, _):
            self._check(cid, cid_of_stream(file))
        return self._path(cid)

    def has(self, cid: Cid) -> bool:
        with suppress(OSError):
            return stat.S_ISREG(self._path(cid).lstat().st_mode)
        return False

    def pin(self, cid: Cid, within_s: float) -> None:  # noqa: ARG002 - it takes no time
        """Everything here stays; raises ContentNotFound for what is not here."""
        if not self.has(cid):
            raise ContentNotFound(f"{cid} is not in {self.root}; wait for its owner to publish it")

    def unpin(self, cid: Cid) -> None:
        """Keeps the file: whoever shares the directory may need it, and a directory does not know who does."""

    def pinned(self) -> Iterator[Cid]:
        for path in sorted(self.root.iterdir()):
            with suppress(BadInput):
                yield Cid.parse(path.name)

    def mark_used(self, cid: Cid) -> None:
        """So that `remove_unused` spares it."""
        with suppress(OSError):
            os.utime(self._path(cid))

    def remove_unused(self, after_s: float) -> None:
        """For a directory of copies that can be fetched again: remove those that nobody used for so long."""
        for path in self.root.iterdir():
            with suppress(OSError):  # gone by now, or another user's
                if time.time() - path.stat().st_mtime > after_s:
                    path.unlink()

    def _path(self, cid: Cid) -> Path:
        """Only a parsed CID becomes a path: its text has no slash, no dot and a fixed length."""
        if not isinstance(cid, Cid):
            raise BadInput(f"{cid!r:.100} is not a parsed CID; use Cid.parse first")
        return self.root / str(cid)

    def _holds(self, cid: Cid) -> bool:
        """Whether the store has an intact copy; `put` then repairs a damaged one."""
        with suppress(StoreError):
            self.open_file(cid, max_bytes=1 << 62)
            return True
        return False

    @contextmanager
    def _open(self, cid: Cid, max_bytes: int) -> Iterator[tuple[BinaryIO, int]]:
        """The file under a name and its size, which is within the cap."""
        path = self._path(cid)
        try:
            # A link or a pipe under the name is not ours: do not follow the one, do not wait on the other.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                size = _size_within(path, os.fstat(descriptor), max_bytes)
                with os.fdopen(descriptor, "rb", closefd=False) as file:
                    yield file, size
            finally:
                os.close(descriptor)
        except FileNotFoundError as exc:
            raise ContentNotFound(f"{cid} is not in {self.root}; wait for its owner to publish it") from exc
        except OSError as exc:
            _refuse(exc, f"cannot read {path}")

    def _check(self, cid: Cid, actual: Cid) -> None:
        if actual != cid:
            raise ContentMismatch(
                f"the content of {self._path(cid)} hashes to {actual}: the file is damaged or was tampered with; "
                "delete it and put the content again"
            )

    @contextmanager
    def _incoming(self) -> Iterator[IO[bytes]]:
        """A new file on the same disk, removed unless it is published."""
        try:
            with tempfile.NamedTemporaryFile(prefix=_INCOMING, dir=self.root, delete=False) as file:
                try:
                    yield file.file
                finally:
                    Path(file.name).unlink(missing_ok=True)
        except OSError as exc:
            _refuse(exc, f"cannot write to the content store {self.root}")

    def _publish(self, file: IO[bytes], cid: Cid) -> None:
        """Give a complete file its name, durably: contents first, then the name, then the directory."""
        file.flush()
        os.fchmod(file.fileno(), 0o644)
        os.fsync(file.fileno())
        Path(file.name).replace(self._path(cid))
        _sync_directory(self.root)

    def _remove_abandoned(self) -> None:
        """Remove what killed writers left, but nothing that a living one may still be writing."""
        for path in self.root.glob(f"{_INCOMING}*"):
            with suppress(OSError):  # gone by now, or another user's
                if time.time() - path.stat().st_mtime > _ABANDONED_AFTER_S:
                    path.unlink()


@contextmanager
def _source(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except FileNotFoundError as exc:
        raise ContentNotFound(f"there is no file {path}; check the path") from exc
    except OSError as exc:
        _refuse(exc, f"cannot read {path}")
    with file:
        yield file


def _size_within(path: Path, status: os.stat_result, max_bytes: int) -> int:
    if not stat.S_ISREG(status.st_mode):
        raise StoreError(f"{path} is not a regular file; remove it and put the content again")
    if status.st_size > max_bytes:
        raise ContentTooLarge(f"{path.name} has {status.st_size} bytes, the cap is {max_bytes}; it was not read")
    return status.st_size


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse(exc: OSError, what: str) -> NoReturn:
    """Turn the system's refusal into ours, with what to do about the usual ones."""
    advice = {
        errno.ENOSPC: "free some space or choose another directory",
        errno.EDQUOT: "free some of your quota or choose another directory",
        errno.EACCES: "check the permissions",
        errno.EROFS: "choose a writable directory",
        errno.ENOTDIR: "choose a directory",
        errno.EEXIST: "choose a directory",
        errno.ELOOP: "it is a link; remove it",
        errno.EFBIG: "raise the limit on file sizes (ulimit -f)",
        errno.EMFILE: "raise the limit of open files (ulimit -n)",
    }.get(exc.errno or 0, "check the disk")
    raise StoreError(f"{what}: {exc.strerror or exc}; {advice}") from exc
