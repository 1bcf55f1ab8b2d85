"""A home goes into an archive while its role writes, and comes out elsewhere with the same journal and secrets."""

import io
import json
import os
import sqlite3
import stat
import tarfile
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from pole.__main__ import cli
from pole.errors import BadInput, JournalError
from pole.journal.journal import Journal
from pole.node.backup import back_up, restore


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Of a role that has run: a journal with one transaction, a secret, a cache, what a dead process left."""
    folder = tmp_path / "home"
    (folder / "tasks" / "flowers").mkdir(parents=True)
    (folder / "tasks" / "flowers" / "prepared.json").write_text('{"salt": "00ff"}')
    (folder / "features@2").mkdir()
    (folder / "features@2" / "train.bin").write_bytes(bytes(100_000))
    (folder / ".status.json.12ab.tmp").write_text("half of")
    with Journal(folder / "journal-1.sqlite", is_exclusive=True) as journal:
        journal.bind("account", "0xAB")
        journal.transactions.plan("commit/7", "LearningChain.commit")
    return folder


def archive_of(folder: Path, entries: dict[str, bytes | tarfile.TarInfo]) -> Path:
    path = folder / "made.tar"
    with tarfile.open(path, "w") as file:
        for name, content in entries.items():
            if isinstance(content, tarfile.TarInfo):
                file.addfile(content)
                continue
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
    return path


def label(form: int = 1) -> bytes:
    return json.dumps({"form": form, "software": "0.3.0"}).encode()


# --- refused ---------------------------------------------------------------------------------------------------------


def test_back_up__no_home_or_archive_in_it_or_there__refused_and_nothing_changed(home: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a home: there is no such folder"):
        back_up(tmp_path / "none", tmp_path / "a.tar")
    with pytest.raises(BadInput, match=r"inside of .*home; give a path elsewhere"):
        back_up(home, home / "tasks" / "a.tar")
    (tmp_path / "a.tar").write_bytes(b"yesterday's")
    with pytest.raises(BadInput, match=r"a\.tar exists"):
        back_up(home, tmp_path / "a.tar")
    assert (tmp_path / "a.tar").read_bytes() == b"yesterday's"


def test_back_up__damaged_journal__refused_and_leaves_no_archive(home: Path, tmp_path: Path) -> None:
    journal = home / "journal-1.sqlite"
    damaged = bytearray(journal.read_bytes())
    damaged[4096:8192] = os.urandom(4096)
    journal.write_bytes(bytes(damaged))
    with pytest.raises(JournalError, match="it is damaged, so keep the backups that you have"):
        back_up(home, tmp_path / "a.tar")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]


def test_restore__folder_with_something_in_it__refused_and_left_alone(home: Path, tmp_path: Path) -> None:
    back_up(home, tmp_path / "a.tar")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "precious").touch()
    with pytest.raises(BadInput, match="other is not empty; restore into a new folder"):
        restore(tmp_path / "a.tar", tmp_path / "other")
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["precious"]


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "a/../../outside"])
def test_restore__entry_that_leads_elsewhere__refused(name: str, tmp_path: Path) -> None:
    archive = archive_of(tmp_path, {"pole-backup.json": label(), name: b"x"})
    with pytest.raises(BadInput, match="which no backup has"):
        restore(archive, tmp_path / "new" / "home")
    assert not list(tmp_path.rglob("outside"))
    assert not (tmp_path / "new" / "home").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_restore__link_or_device__refused(kind: bytes, tmp_path: Path) -> None:
    entry = tarfile.TarInfo("journal-1.sqlite")
    entry.type, entry.linkname = kind, "/etc/passwd"
    archive = archive_of(tmp_path, {"pole-backup.json": label(), "link": entry})
    with pytest.raises(BadInput, match="which no backup has"):
        restore(archive, tmp_path / "home")


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({}, "is not a backup of a home"),
        ({"README": b"hello"}, "is not a backup of a home"),
        ({"pole-backup.json": label(2)}, "has form 2, and version .* knows form 1"),
    ],
)
def test_restore__another_archive__refused(entries: dict[str, bytes], said: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=said):
        restore(archive_of(tmp_path, dict(entries)), tmp_path / "home")


def test_restore__half_an_archive__refused_and_makes_nothing(home: Path, tmp_path: Path) -> None:
    back_up(home, tmp_path / "a.tar")
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "half.tar").write_bytes(whole[: len(whole) // 3])
    with pytest.raises(BadInput, match="is no complete backup"):
        restore(tmp_path / "half.tar", tmp_path / "new")
    assert not (tmp_path / "new").exists()


# --- done ------------------------------------------------------------------------------------------------------------


def test_restore__elsewhere__same_journal_and_secrets_for_the_owner_only(home: Path, tmp_path: Path) -> None:
    assert back_up(home, tmp_path / "a.tar") == 2
    assert restore(tmp_path / "a.tar", tmp_path / "other" / "home") == 2
    restored = tmp_path / "other" / "home"
    assert (restored / "tasks" / "flowers" / "prepared.json").read_text() == '{"salt": "00ff"}'
    with Journal(restored / "journal-1.sqlite", is_exclusive=True) as journal:
        planned = journal.transactions.newest("commit/7")
        assert planned is not None
        assert planned.description == "LearningChain.commit"
    files = {str(path.relative_to(restored)) for path in restored.rglob("*") if path.is_file()}
    assert {"tasks/flowers/prepared.json", "journal-1.sqlite"} <= files
    assert not [name for name in files if "features" in name or name.endswith(".tmp")]
    for path in (tmp_path / "a.tar", restored / "tasks" / "flowers" / "prepared.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (restored, restored / "tasks", restored / "tasks" / "flowers"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_back_up__while_the_journal_is_written__is_of_one_moment(home: Path, tmp_path: Path) -> None:
    """Two rows that are always equal, changed in one transaction, again and again."""
    path = home / "journal-1.sqlite"
    with sqlite3.connect(path) as setting_up:
        setting_up.execute("CREATE TABLE pair (name TEXT PRIMARY KEY, value INTEGER, filling TEXT)")
        setting_up.executemany("INSERT INTO pair VALUES (?, 0, ?)", [("one", "x" * 100_000), ("other", "x" * 100_000)])
    setting_up.close()
    done = threading.Event()

    def write() -> None:
        connection = sqlite3.connect(path, timeout=30)
        while not done.is_set():
            with connection:
                connection.execute("UPDATE pair SET value = value + 1")
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            back_up(home, tmp_path / f"{number}.tar")
    finally:
        done.set()
        writer.join()
    for number in range(5):
        restore(tmp_path / f"{number}.tar", tmp_path / f"home-{number}")
        connection = sqlite3.connect(tmp_path / f"home-{number}" / "journal-1.sqlite")
        values = [value for (value,) in connection.execute("SELECT value FROM pair")]
        connection.close()
        assert values[0] == values[1]


def test_commands__from_home_to_home__say_what_they_did(home: Path, tmp_path: Path) -> None:
    archive, new = str(tmp_path / "a.tar"), str(tmp_path / "new")
    assert "2 files in" in CliRunner().invoke(cli, ["backup", str(home), archive]).output
    assert f"--home {new}" in CliRunner().invoke(cli, ["restore", archive, new]).output
