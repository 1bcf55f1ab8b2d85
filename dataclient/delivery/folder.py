"""Writing a folder so that a crash leaves it whole or not there; what somebody else put into it is never lost."""

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from pole.atomicfile import write_atomically
from pole.errors import BadInput


def write_folder(folder: Path, files: Mapping[str, bytes], *, is_overwriting: bool, known: frozenset[str]) -> bool:
    """Writes all files, or none; returns False if exactly these are there already.

    `known`: names that a folder of this kind may hold; with any other in it, it is not replaced. Raises BadInput.
    """
    folder = folder.resolve()
    try:
        there = _names(folder)
        if there == set(files) and all((folder / name).read_bytes() == content for name, content in files.items()):
            return False
        _check_replaceable(folder, there, is_overwriting, known)
        _replace(folder, files)
    except OSError as exc:
        raise BadInput(f"cannot write to {folder}: {exc.strerror}; choose another --out") from exc
    return True


def _names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()} if folder.exists() else set()


def _check_replaceable(folder: Path, there: set[str], is_overwriting: bool, known: frozenset[str]) -> None:
    if foreign := sorted(there - known):
        raise BadInput(
            f"{folder} holds {foreign[0]!r}, which is no part of a delivered model; move it, or choose another --out"
        )
    if there and not is_overwriting:
        raise BadInput(f"{folder} holds another model already; say --force to replace it, or choose another --out")


def _replace(folder: Path, files: Mapping[str, bytes]) -> None:
    """The new folder is complete on disk before it gets its name; until then it is hidden, and ends with .tmp."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    new, old = (folder.with_name(f".{folder.name}.{secrets.token_hex(8)}.{end}") for end in ("tmp", "old"))
    try:
        new.mkdir()
        for name, content in files.items():
            write_atomically(new / name, content)
        _exchange(folder, new, old)
        _sync(folder.parent)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _exchange(folder: Path, new: Path, old: Path) -> None:
    """Whatever stops it in between, the old folder comes back."""
    if folder.exists():
        folder.rename(old)
    try:
        new.rename(folder)
    except BaseException:
        if old.exists():
            old.rename(folder)
        raise


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
