"""The content store: what it refuses, then what it keeps, across processes, crashes and full disks."""

import errno
import multiprocessing
import os
import re
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pole.errors import BadInput, ContentMismatch, ContentNotFound, ContentTooLarge, StoreError
from pole.storage.cid import CHUNK_BYTES, Cid, cid_of
from pole.storage.folder import FolderStore
from pole.storage.store import Store, open_store

MIB = 1 << 20


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


@pytest.fixture
def file_size_limit() -> Iterator[int]:
    """A real refusal by the system in the middle of a write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield 100_000
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _names(store: FolderStore) -> list[str]:
    return sorted(path.name for path in store.root.iterdir())


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("location", ["", "  ", "a\0b", "ipfs://x"])
def test_open_store__not_a_directory_path__says_what_to_give(location: str) -> None:
    with pytest.raises(BadInput, match=r"such as ~/\.pole/store"):
        open_store(location)


def test_open_store__home_of_nobody__refused() -> None:
    with pytest.raises(BadInput, match="give the path in full"):
        open_store("~no-such-user-here/store")


@pytest.mark.parametrize(
    ("location", "right"),
    [
        ("127.0.0.1:5001", "/ip4/127.0.0.1/tcp/5001"),
        ("localhost:5001", "/dns/localhost/tcp/5001"),
        ("my-host.example.org:443/api/v0", "/dns/my-host.example.org/tcp/443"),
        ("user:word@127.0.0.1:5001", "/ip4/127.0.0.1/tcp/5001"),
        ("http:127.0.0.1:5001", "/ip4/127.0.0.1/tcp/5001"),
        ("http:/127.0.0.1:5001", "/ip4/127.0.0.1/tcp/5001"),
        ("[::1]:5001", "/ip6/::1/tcp/5001"),
        (":5001", "/ip4/127.0.0.1/tcp/5001"),
        ("127.0.0.1", "/ip4/127.0.0.1/tcp/5001"),
        ("::1", "/ip6/::1/tcp/5001"),
        ("localhost", "/dns/localhost/tcp/5001"),
        ("ip4/127.0.0.1/tcp/5001", "/ip4/127.0.0.1/tcp/5001"),
        ("/ipv4/127.0.0.1/tcp/5001", "/ip4/127.0.0.1/tcp/5001"),
        ("/ip/127.0.0.1/tcp/5001", "/ip4/127.0.0.1/tcp/5001"),
        ("/IP4/127.0.0.1/TCP/5001", "/ip4/127.0.0.1/tcp/5001"),
        ("/ip4/127.0.0.1/tpc/5001", "/ip4/127.0.0.1/tcp/5001"),
        ("127.0.0.1/tcp/5001", "/ip4/127.0.0.1/tcp/5001"),
        ("dns/host/tcp/5001/http", "/dns/host/tcp/5001"),
    ],
)
def test_open_store__daemon_written_otherwise__says_how_and_makes_no_folder(
    location: str, right: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=re.escape(right)) as caught:
        open_store(location)
    assert "word" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("location", ["./127.0.0.1:5001", "./localhost", "store", "a:b", "data/tcp", "tcp/5001"])
def test_open_store__directory_of_such_a_name__is_made(
    location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_store(location).location == str(tmp_path / location)


def test_open_store__existing_directory_like_a_multiaddr__is_used(tmp_path: Path) -> None:
    (tmp_path / "tcp" / "5001").mkdir(parents=True)
    assert open_store(str(tmp_path / "tcp" / "5001")).location == str(tmp_path / "tcp" / "5001")


def test_open_store__path_of_a_file__refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="choose a directory"):
        open_store(str(tmp_path / "file"))
    with pytest.raises(StoreError, match="choose a directory"):
        open_store(str(tmp_path / "file" / "below"))


@pytest.mark.parametrize("text", ["../outside", "/etc/passwd", "", "x" * 5000])
def test_any_read__text_instead_of_a_cid__never_becomes_a_path(store: FolderStore, text: str) -> None:
    (store.root.parent / "outside").write_bytes(b"secret")
    for read in (lambda: store.get(text, MIB), lambda: store.open_file(text, MIB), lambda: store.has(text)):  # type: ignore[arg-type]
        with pytest.raises(BadInput, match="not a parsed CID") as caught:
            read()
        assert len(str(caught.value)) < 300


def test_get__unknown_content__not_found(store: FolderStore) -> None:
    cid = cid_of(b"elsewhere")
    assert not store.has(cid)
    with pytest.raises(ContentNotFound, match=str(cid)):
        store.get(cid, MIB)
    with pytest.raises(ContentNotFound, match=str(cid)):
        store.open_file(cid, MIB)


def test_get__content_over_the_cap__refused_unread(store: FolderStore) -> None:
    cid = store.put(b"x" * 1001)
    with pytest.raises(ContentTooLarge, match="1001 bytes, the cap is 1000"):
        store.get(cid, 1000)
    with pytest.raises(ContentTooLarge):
        store.open_file(cid, 1000)
    assert store.get(cid, 1001) == b"x" * 1001


def test_get__sparse_file_of_a_tebibyte__refused_at_once(store: FolderStore) -> None:
    cid = cid_of(b"small")
    with (store.root / str(cid)).open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ContentTooLarge):
        store.get(cid, MIB)


@pytest.mark.parametrize("damaged", [b"", b"hello worlc", b"hello world!", b"hello worl"])
def test_get__damaged_file__mismatch_names_file_and_no_byte_returned(store: FolderStore, damaged: bytes) -> None:
    cid = store.put(b"hello world")
    (store.root / str(cid)).write_bytes(damaged)
    with pytest.raises(ContentMismatch, match="delete it"):
        store.get(cid, MIB)
    with pytest.raises(ContentMismatch, match=str(cid)):
        store.open_file(cid, MIB)


def test_get__link_pipe_or_directory_under_the_name__refused_without_waiting(store: FolderStore) -> None:
    cid = cid_of(b"secret")
    path = store.root / str(cid)
    (store.root.parent / "outside").write_bytes(b"secret")
    path.symlink_to(store.root.parent / "outside")
    with pytest.raises(StoreError, match="link"):
        store.get(cid, MIB)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(StoreError, match="not a regular file"):
        store.get(cid, MIB)
    path.unlink()
    path.mkdir()
    with pytest.raises(StoreError, match="not a regular file"):
        store.get(cid, MIB)
    assert not store.has(cid)


def test_put_file__missing_source_or_directory__refused(store: FolderStore) -> None:
    with pytest.raises(ContentNotFound, match="check the path"):
        store.put_file(store.root / "missing")
    with pytest.raises(StoreError, match="cannot read"):
        store.put_file(store.root.parent)
    assert _names(store) == []


def test_put__system_refuses_in_mid_write__error_with_advice_and_nothing_left(
    store: FolderStore, file_size_limit: int, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="ulimit -f"):
        store.put(b"x" * 2 * file_size_limit)
    assert _names(store) == []
    assert store.put(b"x" * file_size_limit) == cid_of(b"x" * file_size_limit)


def test_put__disk_full_at_sync__says_free_space_and_nothing_left(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match="No space left on device; free some space"):
            store.put(b"content")
    assert _names(store) == []
    assert store.get(store.put(b"content"), MIB) == b"content"


# --- what is kept ---------------------------------------------------------------------------------------------------


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=50, deadline=None
)
@given(st.binary(max_size=2000))
def test_put_then_get__any_content__same_bytes_under_its_cid(store: FolderStore, content: bytes) -> None:
    cid = store.put(content)
    assert cid == cid_of(content)
    assert store.has(cid)
    assert store.get(cid, len(content)) == content
    assert store.open_file(cid, len(content)).read_bytes() == content


def test_put_file__several_chunks__same_as_put(store: FolderStore, tmp_path: Path) -> None:
    content = os.urandom(2 * CHUNK_BYTES + 7)
    (tmp_path / "source").write_bytes(content)
    cid = store.put_file(tmp_path / "source")
    assert store.get(cid, len(content)) == content
    assert store.put(content) == cid
    assert _names(store) == [str(cid)]


def test_put__copy_at_hand_is_damaged__repaired(store: FolderStore) -> None:
    cid = store.put(b"precious")
    (store.root / str(cid)).write_bytes(b"preciouz")
    store.put(b"precious")
    assert store.get(cid, MIB) == b"precious"


def test_get__cap_far_above_the_memory__reads_only_what_is_there(store: FolderStore) -> None:
    assert store.get(store.put(b"tiny"), 1 << 50) == b"tiny"


def test_open__left_over_of_killed_writer__old_removed_fresh_kept(store: FolderStore) -> None:
    for name, age_s in ((".incoming-old", 2 * 24 * 3600), (".incoming-fresh", 60)):
        path = store.root / name
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age_s,) * 2)
    FolderStore(store.root)
    assert _names(store) == [".incoming-fresh"]


def _put_many(root: Path, contents: list[bytes]) -> None:
    store = FolderStore(root)
    for content in contents:
        cid = store.put(content)
        assert store.get(cid, MIB) == content


def test_put__three_processes_write_the_same_content__all_succeed_and_nothing_is_left(store: FolderStore) -> None:
    contents = [bytes([index]) * 5000 for index in range(40)]
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_put_many, args=(store.root, contents)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(600)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert _names(store) == sorted(str(cid_of(content)) for content in contents)


def test_open_store__tilde_path__opens_below_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    store: Store = open_store("~/deep/er/store")
    cid: Cid = store.put(b"content")
    assert (tmp_path / "deep/er/store" / str(cid)).read_bytes() == b"content"
