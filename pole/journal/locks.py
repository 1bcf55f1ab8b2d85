"""Locks between processes of one machine; the kernel frees them when a process dies, however it dies."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pole.errors import JournalError, refused_write
from pole.paths import expanded
from pole.settings import read_settings

_MAX_NOTE_BYTES = 4096


def take_or_refuse(path: Path, note: str, refusal: Callable[[str], str]) -> int:
    """File descriptor that holds the lock, until it is closed; `note` tells others who has it.

    Raises JournalError with `refusal` of the holder's note, and OSError as the file system does.
    """
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        holder = _note(handle)
        os.close(handle)
        raise JournalError(refusal(holder)) from exc
    os.truncate(handle, 0)
    os.pwrite(handle, f"{note}\n".encode(), 0)
    return handle


def holder_of(path: Path) -> str | None:
    """The note of whoever holds a lock; None if nobody does. Takes it for a moment, shared, and writes nothing."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _note(handle)
    finally:
        os.close(handle)
    return None


def account_lock_path(address: str, chain_id: int, genesis_hash: str) -> Path:
    """Where the lock on an account of a chain is."""
    folder = expanded(read_settings().locks)
    return folder / f"{chain_id}-{genesis_hash[2:10]}-{address}.lock"


@contextmanager
def account_lock(address: str, chain_id: int, genesis_hash: str, home: Path) -> Iterator[None]:
    """One long-running process of this user for an account on a chain, whatever its --home.

    Two would sign different transactions with the same nonce. On different machines nobody can know; see
    docs/threat-model.md.
    """
    path = account_lock_path(address, chain_id, genesis_hash)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = take_or_refuse(
            path,
            f"process {os.getpid()} with --home {home}",
            lambda holder: (
                f"account {address} is in use on this chain by {holder} ({path}); two processes would take each "
                "other's nonces: stop that one first, or give this one an account of its own"
            ),
        )
    except OSError as exc:
        raise refused_write(exc, f"cannot lock account {address} with {path}") from exc
    try:
        yield
    finally:
        os.close(handle)


def _note(handle: int) -> str:
    return os.read(handle, _MAX_NOTE_BYTES).decode(errors="replace").strip() or "unknown"
