"""Forked commands behave as `python -m` would."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from testbed import forked
from testbed.forked import ForkedProcess

SPEAKS = """import os, sys
print(sys.argv[1:], os.getcwd(), sorted(os.environ))
print("trouble", file=sys.stderr)
sys.exit(3)
"""
SLEEPS = "import time\nprint('asleep', flush=True)\ntime.sleep(60)\n"


@pytest.fixture(autouse=True)
def no_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """These commands need none."""
    monkeypatch.setattr(forked, "_LIBRARIES", [])


@contextmanager
def started(folder: Path, source: str, *arguments: str) -> Iterator[ForkedProcess]:
    (folder / "program.py").write_text(source)
    process = ForkedProcess(["program", *arguments], folder, {"ONLY": "1"}, folder / "out", folder / "err")
    try:
        yield process
    finally:
        process.kill()
        process.wait(60)


def test_forked__error__status_1_and_its_traceback(tmp_path: Path) -> None:
    with started(tmp_path, "raise ValueError('so it is')") as process:
        assert process.wait(60) == 1
    assert "ValueError: so it is" in (tmp_path / "err").read_text()


def test_forked__ends_by_itself__status_output_arguments_folder_and_environment(tmp_path: Path) -> None:
    with started(tmp_path, SPEAKS, "--name", "x") as process:
        assert process.wait(60) == 3
        assert process.poll() == process.returncode == 3
    assert (tmp_path / "out").read_text() == f"['--name', 'x'] {tmp_path} ['ONLY']\n"
    assert (tmp_path / "err").read_text() == "trouble\n"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_forked__ended_by_a_signal__says_which(tmp_path: Path, number: signal.Signals) -> None:
    with started(tmp_path, SLEEPS) as process:
        while not (tmp_path / "out").exists() or "asleep" not in (tmp_path / "out").read_text():
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.1)
        assert process.poll() is None
        assert os.getsid(process.pid) == process.pid
        process.send_signal(number)
        assert process.wait(60) == -number
        process.terminate()  # nobody is there any more, which is no error
