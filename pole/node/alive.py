"""Whether the process that wrote something is still there: its number alone may be another's by now."""

import os
from pathlib import Path


def process_mark(pid: int) -> str | None:
    """Tells a process from all others that had its number; None if it is gone, "" where the system does not say."""
    if not Path("/proc/self/stat").exists():
        return "" if _is_there(pid) else None
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if state in "ZX" else f"{boot}/{fields[18]}"  # field 22 of proc(5): when it started


def is_alive(pid: object, mark: object) -> bool:
    """Whether this is the process that `process_mark` was asked about then."""
    if not isinstance(pid, int) or pid <= 0:
        return False
    now = process_mark(pid)
    return now is not None and (mark in (None, "") or now == mark)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True
