"""A role that dies by SIGKILL at every step of its journal, once at each, and is started again every time.

`python -m restarted_role STEPS ROLE ARGUMENTS...`: STEPS is a file that lists the steps at which it was killed, in
order. Every run is forked from a process that has loaded the libraries, which takes longer than most runs.
"""

import ctypes
import importlib
import os
import re
import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pole.journal.journal import Journal
from pole.journal.transactions import SignedTransaction, TransactionJournal

_PR_SET_PDEATHSIG = 1
_WRITES = {Journal: ("remember", "remember_once"), TransactionJournal: ("plan", "sign", "replace", "settle")}
_LIBRARIES = {
    "miner": ["miner.learning.node", "miner.training.default"],
    "verifier": ["verifier.node"],
    "dataclient": ["dataclient.submit", "dataclient.serve"],
}


class Steps:
    """The steps so far; reaching a new one is deadly."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = set(path.read_text().splitlines()) if path.exists() else set()

    def reach(self, step: str) -> None:
        if step in self._known:
            return
        with self._path.open("a") as file:
            file.write(f"{step}\n")
        os.kill(os.getpid(), signal.SIGKILL)


def make_mortal(steps: Steps) -> None:
    """Before and after each write, and within those of several statements, lies a step of its own."""
    for kind, names in _WRITES.items():
        for name in names:
            setattr(kind, name, _deadly(name, getattr(kind, name), steps))


def _deadly(name: str, write: Callable[..., Any], steps: Steps) -> Callable[..., Any]:
    def deadly(journal: Any, what: Any, *arguments: Any, **named: Any) -> Any:
        state = f" {arguments[0]}" if name == "settle" else ""
        step = f"{name}{state} {_kind(what)}"
        steps.reach(f"before {step}")
        result = write(journal, what, *arguments, **named)
        steps.reach(f"after {step}")
        return result

    return deadly


def _kind(what: str | SignedTransaction) -> str:
    """The purpose without its numbers: "advance/round" of "advance/round/7/TRAINING/1700000000"."""
    key = what.key if isinstance(what, SignedTransaction) else what
    return re.sub(r"/[^/]*[0-9].*", "", key)


def live(path: Path, role: str, arguments: list[str]) -> int:
    """One life; returns the status that the process ended with, negative for a signal."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        make_mortal(Steps(path))
        sys.argv = [role, *arguments]
        runpy.run_module(role, run_name="__main__", alter_sys=True)
        os._exit(0)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def main(arguments: list[str]) -> int:
    path, role, rest = Path(arguments[0]), arguments[1], arguments[2:]
    for library in _LIBRARIES[role]:
        importlib.import_module(library)
    while (status := live(path, role, rest)) == -signal.SIGKILL:
        pass
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
