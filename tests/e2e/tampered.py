"""A role on a machine with faults: `python -m tampered NAME=VALUE... ROLE ARGUMENTS...`.

The role's own code knows nothing of this. `clock=SECONDS` sets its clock wrong, `full=FILE` makes its disk full while
the file exists.
"""

import errno
import os
import runpy
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pole.journal.journal import Journal
from pole.journal.transactions import TransactionJournal

JOURNAL_WRITES = {Journal: ("remember", "remember_once"), TransactionJournal: ("plan", "sign", "replace", "settle")}


def skew_clock(seconds: str) -> None:
    """All that tells wall clock time is off; the time that passes is not."""
    now, now_ns, offset_s = time.time, time.time_ns, int(seconds)
    time.time = lambda: now() + offset_s
    time.time_ns = lambda: now_ns() + offset_s * 10**9
    localtime, gmtime = time.localtime, time.gmtime
    time.localtime = lambda at=None: localtime(time.time() if at is None else at)
    time.gmtime = lambda at=None: gmtime(time.time() if at is None else at)


def fill_disk(flag: str) -> None:
    """No file and no journal entry reaches the disk while the flag is there."""
    fsync, path = os.fsync, Path(flag)

    def refusing(descriptor: Any) -> None:
        if path.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    os.fsync = refusing  # type: ignore[assignment]
    for kind, names in JOURNAL_WRITES.items():
        for name in names:
            setattr(kind, name, _refused_if_full(path, getattr(kind, name)))


def _refused_if_full(flag: Path, write: Callable[..., Any]) -> Callable[..., Any]:
    def refusing(journal: Any, *arguments: Any) -> Any:
        with journal._database.errors():
            if flag.exists():
                full = sqlite3.OperationalError("database or disk is full")
                full.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise full
        return write(journal, *arguments)

    return refusing


def run_role(role: str, arguments: list[str]) -> None:
    """As `python -m role` would; ends with SystemExit."""
    sys.argv = [role, *arguments]
    runpy.run_module(role, run_name="__main__", alter_sys=True)


TAMPERINGS: dict[str, Callable[[str], None]] = {"clock": skew_clock, "full": fill_disk}


def main(arguments: list[str]) -> None:
    while "=" in arguments[0]:
        name, _, value = arguments.pop(0).partition("=")
        TAMPERINGS[name](value)
    run_role(arguments[0], arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
