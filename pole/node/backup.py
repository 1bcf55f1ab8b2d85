"""A role's home in one archive, taken while the role runs, and the home again from it, on another machine.

Journals are read at one moment each, and before the other files: whatever a journal speaks of was on disk first, so it
is in the archive too, unless its round is over.
"""

import io
import json
import os
import secrets
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from pole import __version__
from pole.errors import BadInput, JournalError, refused_write
from pole.paths import make_private

_LABEL = "pole-backup.json"
_FORM = 1
_JOURNALS = "*.sqlite"
# Made again from the store when they are needed, and large.
_CACHES = ("features",)


def back_up(home: Path, archive: Path) -> int:
    """Write `archive`, readable by its owner only; returns the number of files in it.

    Raises BadInput, JournalError (a journal is damaged) or what a full disk raises. An archive that is there is kept.
    """
    if not home.is_dir():
        raise BadInput(f"{home} is not a home: there is no such folder")
    if archive.resolve().is_relative_to(home.resolve()):
        raise BadInput(f"{archive} is inside of {home}; give a path elsewhere, best on another disk")
    if archive.exists():
        raise BadInput(f"{archive} exists; give another name")
    unfinished = archive.with_name(f".{archive.name}.{secrets.token_hex(8)}.tmp")
    try:
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                count = _write(home, file)
                file.flush()
                os.fsync(file.fileno())
            os.link(unfinished, archive)
        finally:
            unfinished.unlink()
    except OSError as exc:
        raise refused_write(exc, f"cannot write {archive}") from exc
    return count


def restore(archive: Path, home: Path) -> int:
    """Make `home` from an archive; returns the number of files. Raises BadInput, and makes nothing then."""
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise BadInput(f"{home} is not empty; restore into a new folder, and look at what is in this one")
    unfinished = home.with_name(f".{home.name}.{secrets.token_hex(8)}.tmp")
    try:
        with tarfile.open(archive) as file:
            members = _members(file, archive)
            make_private(unfinished)
            for member in members:
                _extract(file, member, unfinished / member.name)
        if home.exists():
            home.rmdir()
        unfinished.rename(home)
    except (tarfile.TarError, EOFError) as exc:
        raise BadInput(f"{archive} is no complete backup: {exc}; use another one") from exc
    except OSError as exc:
        raise refused_write(exc, f"cannot restore {archive} to {home}") from exc
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return len(members)


def _write(home: Path, to: io.BufferedWriter) -> int:
    with tarfile.open(fileobj=to, mode="w") as file:
        _add(file, _LABEL, json.dumps({"form": _FORM, "software": __version__}).encode())
        journals = sorted(home.rglob(_JOURNALS))
        for path in journals:
            _add(file, str(path.relative_to(home)), _snapshot(path))
        others = [path for path in _files(home) if path not in journals]
        for path in others:
            try:
                content = path.read_bytes()
            except FileNotFoundError:  # its round has just ended
                continue
            _add(file, str(path.relative_to(home)), content)
        return len(file.getmembers()) - 1


def _add(file: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o600
    file.addfile(entry, io.BytesIO(content))


def _snapshot(journal: Path) -> bytes:
    """The database as of one moment, whatever its owner writes meanwhile."""
    try:
        with (
            closing(sqlite3.connect(f"file:{quote(str(journal))}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(":memory:")) as copy,
        ):
            source.backup(copy)
            [found] = copy.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise sqlite3.DatabaseError(found)
            return copy.serialize()
    except sqlite3.DatabaseError as exc:
        raise JournalError(f"journal {journal}: {exc}; it is damaged, so keep the backups that you have") from exc


def _files(home: Path) -> Iterator[Path]:
    """All that a home is made of, but for caches and what belongs to a running process."""
    for path in sorted(home.rglob("*")):
        parts = path.relative_to(home).parts
        is_cache = any(parts[0].partition("@")[0] == cache for cache in _CACHES)
        is_of_journal = any(path.name.startswith(f"{each.name}") for each in path.parent.glob(_JOURNALS))
        is_unfinished = path.name.startswith(".") and path.name.endswith(".tmp")
        if path.is_file() and not path.is_symlink() and not (is_cache or is_of_journal or is_unfinished):
            yield path


def _members(file: tarfile.TarFile, archive: Path) -> list[tarfile.TarInfo]:
    """What is to be written; raises BadInput unless it is a backup, and nothing in it leads elsewhere."""
    label, *members = file.getmembers() or [tarfile.TarInfo()]
    content = file.extractfile(label) if label.name == _LABEL else None
    if content is None:
        raise BadInput(f"{archive} is not a backup of a home; `pole backup` makes them")
    form = json.loads(content.read()).get("form")
    if form != _FORM:
        raise BadInput(f"{archive} has form {form}, and version {__version__} knows form {_FORM}; install a later one")
    for member in members:
        if not member.isfile() or Path(member.name).is_absolute() or ".." in Path(member.name).parts:
            raise BadInput(f"{archive} contains {member.name!r}, which no backup has; do not use it")
    return members


def _extract(file: tarfile.TarFile, member: tarfile.TarInfo, to: Path) -> None:
    content = file.extractfile(member)
    assert content is not None, "a regular file, as was checked"
    make_private(to.parent)
    with os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
        shutil.copyfileobj(content, written)
        written.flush()
        os.fsync(written.fileno())
