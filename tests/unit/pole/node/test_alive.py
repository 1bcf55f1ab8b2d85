"""`status` tells a process that is there from one that is gone or has the number of another."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pole.node.alive import is_alive, process_mark
from pole.node.commands import last_status


def write_status(home: Path, **changed: object) -> None:
    said = {"state": "retrying", "what": "the node", "then": "try again", "pid": os.getpid()}
    (home / "status.json").write_text(json.dumps({**said, "process": process_mark(os.getpid()), **changed}))


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("pid", [0, -1, None, "7", 1 << 40])
def test_is_alive__no_process__is_not(pid: object) -> None:
    assert not is_alive(pid, None)


def test_is_alive__process_without_its_parents_notice__is_not() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    while process_mark(process.pid) is not None:  # a zombie as soon as it has ended
        pass
    assert not is_alive(process.pid, None)
    process.wait()


def test_last_status__process_gone__says_what_it_said_last(tmp_path: Path) -> None:
    write_status(tmp_path, pid=ended_process())
    assert last_status(tmp_path) == "not running (last said: retrying, waiting for the node; then it will try again)"


def test_last_status__number_is_another_processs_by_now__not_running(tmp_path: Path) -> None:
    write_status(tmp_path, process="another boot/1")
    assert last_status(tmp_path).startswith("not running (last said: retrying")


def test_last_status__process_there__says_what_it_does(tmp_path: Path) -> None:
    write_status(tmp_path)
    assert last_status(tmp_path).endswith(f"then it will try again (process {os.getpid()})")


def test_last_status__farewell__stays(tmp_path: Path) -> None:
    write_status(tmp_path, state="stopped", pid=ended_process())
    assert last_status(tmp_path).startswith("stopped, waiting for the node")


@pytest.mark.parametrize("content", ["", "[]", "{}", "7"])
def test_last_status__no_status__says_that_nothing_ran(content: str, tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text(content)
    assert last_status(tmp_path) == "has not run from this --home yet"
