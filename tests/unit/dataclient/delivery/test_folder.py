"""Folders that are there whole or not at all, and keep what is not ours."""

from pathlib import Path

import pytest

from dataclient.delivery import folder as module
from dataclient.delivery.folder import write_folder
from pole.errors import BadInput

KNOWN = frozenset(("a", "b", "c"))
FILES = {"a": b"first", "b": b"second"}


def write(folder: Path, files: dict[str, bytes], is_overwriting: bool = False) -> bool:
    return write_folder(folder, files, is_overwriting=is_overwriting, known=KNOWN)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_write_folder__of_another_model__is_kept_unless_forced(tmp_path: Path) -> None:
    write(tmp_path / "out", FILES)
    with pytest.raises(BadInput, match="holds another model already; say --force"):
        write(tmp_path / "out", {"a": b"other"})
    assert contents(tmp_path / "out") == FILES
    assert write(tmp_path / "out", {"a": b"other"}, is_overwriting=True)
    assert contents(tmp_path / "out") == {"a": b"other"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("is_overwriting", [False, True])
def test_write_folder__with_a_file_of_somebody_else__is_never_replaced(tmp_path: Path, is_overwriting: bool) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match=r"holds 'notes.txt', which is no part of a delivered model"):
        write(tmp_path, FILES, is_overwriting)
    assert contents(tmp_path) == {"notes.txt": b"mine"}


def test_write_folder__same_files__changes_nothing(tmp_path: Path) -> None:
    assert write(tmp_path / "new" / "out", FILES)
    before = (tmp_path / "new" / "out").stat().st_ino
    assert not write(tmp_path / "new" / "out", FILES)
    assert (tmp_path / "new" / "out").stat().st_ino == before


def test_write_folder__empty_folder__is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert write(tmp_path / "out", FILES)
    assert contents(tmp_path / "out") == FILES


def test_write_folder__name_of_a_file__says_so(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(BadInput, match=r"cannot write to .*out: Not a directory; choose another --out"):
        write(tmp_path / "out", FILES, is_overwriting=True)


class Killed(BaseException):
    """Stands for SIGINT at the worst moment."""


@pytest.mark.parametrize("at", ["write_atomically", "_exchange", "rename"])
def test_write_folder__killed_at_any_point__old_folder_whole_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    write(tmp_path / "out", FILES)

    def killed(*_: object) -> None:
        raise Killed

    if at == "rename":
        original = Path.rename
        monkeypatch.setattr(Path, "rename", lambda path, to: killed() if path.suffix == ".tmp" else original(path, to))
    else:
        monkeypatch.setattr(module, at, killed)
    for folder in ("out", "new"):
        with pytest.raises(Killed):
            write(tmp_path / folder, {"a": b"other", "c": b"third"}, is_overwriting=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert contents(tmp_path / "out") == FILES
