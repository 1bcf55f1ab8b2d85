"""The store: a folder that is not made, a daemon that is only asked."""

from pathlib import Path

import pytest

from pole.node.doctor import storage
from tests.unit.checking import KEY, OK, PROBLEM, http, says
from tests.unit.peer import nobody, peer


@pytest.mark.parametrize("location", ["127.0.0.1:5001", f"host:5001/{KEY}", "ftp://host/x", f"ipfs://{KEY}"])
def test_store__no_folder_and_no_daemon__problem(location: str) -> None:
    found = storage.check_store(location)
    says(found, PROBLEM, "neither a folder", "/ip4/127.0.0.1/tcp/5001")
    assert KEY not in str(found)


def test_store__file__problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    says(storage.check_store(str(tmp_path / "file")), PROBLEM, "is not a folder", "--store")


def test_store__not_writable__problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    says(storage.check_store(str(tmp_path)), PROBLEM, "cannot be read and written", "chown")


def test_store__ipfs_package_missing__problem_that_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    says(storage.check_store(nobody()), PROBLEM, "missing", "pip install 'useful-proof-of-work[ipfs]'")


def test_store__daemon_down__problem() -> None:
    says(storage.check_store(nobody()), PROBLEM, "no proper answer", "ipfs daemon")


def test_store__daemon_answers__ok() -> None:
    with peer(http("200 OK", b'{"Keys": {}}')) as daemon:
        says(storage.check_store(daemon.url), OK, "answers")


def test_store__missing_folder__ok_and_not_made(tmp_path: Path) -> None:
    says(storage.check_store(str(tmp_path / "store")), OK, "not there yet")
    assert not (tmp_path / "store").exists()
