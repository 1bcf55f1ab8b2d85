"""`~` stands for a home folder, or for one clear error; no role asks in another way."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from pole.errors import BadInput
from pole.paths import expanded

PRODUCT = ("pole", "miner", "verifier", "dataclient", "explorer", "testbed", "scripts")


@pytest.mark.parametrize("path", ["~", "~/key.json", "~no-such-user-here/key.json"])
def test_expanded__nobodys_home__says_what_to_set(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: object) -> None:
        raise KeyError("no such user")

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(BadInput, match="set HOME, or give the path in full"):
        expanded(path)
    assert expanded("/srv/~/key.json") == Path("/srv/~/key.json")


def test_source__home_folders__are_asked_for_in_one_place() -> None:
    root = Path(__file__).parents[3]
    files = [path for name in PRODUCT for path in (root / name).rglob("*.py")]
    asking = [path for path in files if any(f in path.read_text() for f in ("expanduser", "Path.home", '["HOME"]'))]
    assert asking == [root / "pole" / "paths.py"]


# The system says that it does not know this process's user.
HOMELESS = """
import pwd, runpy, sys
def unknown(_): raise KeyError("no such user")
pwd.getpwuid = unknown
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["pole", "account", "show", "nobody"],
        ["pole", "account", "show", "~/key.json"],
        ["dataclient", "init", "~/rows.csv", "--label=x"],
    ],
)
def test_command__user_without_a_home__one_line_and_no_traceback(arguments: list[str]) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", HOMELESS, *arguments],
        env={name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 1, finished.stderr
    assert finished.stderr.startswith("error: "), finished.stderr
    assert len(finished.stderr.splitlines()) == 1
