"""Passwords: what a file may hold, and that a new one is asked for twice."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from pole.__main__ import cli
from pole.errors import BadInput
from pole.node.keyfile import create_account, load_account
from pole.node.passwords import read_new_password, read_password

KEY = "0x" + "42" * 32


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "password"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"sesame\ntwo\n", "has a second line"),
        (b"sesame\r\ntwo", "has a second line"),
        (b"sesame\rtwo", "has a second line"),
        (b"\nsesame", "has a second line"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xef\xbb\xbf\r\n", "is empty"),
        ("sesame".encode("utf-16"), "is not UTF-8 text; save it as UTF-8"),
        ("sesame".encode("utf-16-le"), "is not UTF-8 text; save it as UTF-8"),
        ("sesäme".encode("latin-1"), "is not UTF-8 text; save it as UTF-8"),
    ],
)
def test_read_password__file_of_another_form__refused_without_quoting_it(
    content: bytes, message: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        read_password(written(tmp_path, content), "")
    assert "ses" not in str(caught.value).replace(str(tmp_path), "")


@pytest.mark.parametrize("read", [read_password, read_new_password])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\r", b"\n\n"])
def test_read_password__mark_and_line_end__are_no_part_of_it(
    read: Callable[[Path, str], str], start: bytes, end: bytes, tmp_path: Path
) -> None:
    assert read(written(tmp_path, start + " pässwörd ".encode() + end), "") == " pässwörd "


def typed(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Has these typed at the prompts of a terminal; returns what is not asked for."""
    waiting = list(answers)
    monkeypatch.delenv("POLE_PASSWORD", raising=False)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("getpass.getpass", lambda _: waiting.pop(0))
    return waiting


@pytest.mark.parametrize(("command", "first"), [("import", [KEY]), ("create", [])])
def test_account__new_password_mistyped__refused_and_nothing_written(
    command: str, first: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = typed(monkeypatch, *first, "right-word", "wrong-word")
    with pytest.raises(BadInput, match="the two passwords differ; nothing was written"):
        cli.main(["account", command, str(tmp_path / "key.json")], standalone_mode=False)
    assert (waiting, (tmp_path / "key.json").exists()) == ([], False)


def test_account_import__same_password_twice__written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, KEY, "right-word", "right-word")
    quick = partial(create_account, kdf_iterations=2)
    monkeypatch.setattr("pole.node.account_commands.create_account", quick)
    cli.main(["account", "import", str(tmp_path / "key.json")], standalone_mode=False)
    monkeypatch.setenv("POLE_PASSWORD", "right-word")
    assert bytes(load_account(str(tmp_path / "key.json")).key).hex() == KEY[2:]


def test_read_password__known_account__asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert typed(monkeypatch, "word", "more") == ["word", "more"]
    assert read_password(None, "") == "word"
