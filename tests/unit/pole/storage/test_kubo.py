"""Two real Kubo daemons, connected to each other only: the same CIDs as in the folder store, pins, caps and outages."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pole.errors import BadInput, ContentMismatch, ContentNotFound, ContentTooLarge, StoreUnavailable
from pole.storage.cid import CHUNK_BYTES, MAX_LINKS, Cid, cid_of
from pole.storage.folder import FolderStore
from pole.storage.ipfs import IpfsSettings, IpfsStore
from pole.storage.transfer import TransferLimits
from testbed.ipfs import BINARY_VARIABLE, IpfsDaemon, ipfs_network, kubo_binary, kubo_version

MB = 1_000_000
SIZES = {
    "nothing": 0,
    "a byte": 1,
    "a chunk less a byte": CHUNK_BYTES - 1,
    "a chunk": CHUNK_BYTES,
    "a chunk and a byte": CHUNK_BYTES + 1,
    "a full node": MAX_LINKS * CHUNK_BYTES,
    "a full node and a byte": MAX_LINKS * CHUNK_BYTES + 1,
    "30 MB": 30 * MB,
    "1,000 chunks": 1000 * CHUNK_BYTES,
}


@dataclass
class Pair:
    """A daemon that publishes, one that reads, and a store on each."""

    daemons: list[IpfsDaemon]
    folder: Path

    def __post_init__(self) -> None:
        self.publisher, self.reader = (self.store(i) for i in (0, 1))

    def store(self, number: int, patience_s: float = 20.0, gateway: str | None = None) -> IpfsStore:
        """A store with copies of its own."""
        folder = self.folder / os.urandom(8).hex()
        return IpfsStore(
            self.daemons[number].address, IpfsSettings(folder, gateway, limits=TransferLimits(first_s=patience_s))
        )


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    try:
        kubo_binary()
    except BadInput as exc:
        pytest.skip(str(exc))
    folder = tmp_path_factory.mktemp("ipfs")
    with ipfs_network(folder) as daemons:
        yield Pair(daemons, folder)


def fresh(size: int) -> bytes:
    """Content that no test has published before."""
    return os.urandom(size)


# --- what goes wrong ------------------------------------------------------------------------------------------------


def test_kubo_binary__named_but_not_there__says_what_to_correct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BINARY_VARIABLE, "/nowhere/ipfs")
    with pytest.raises(BadInput, match=f"no Kubo at /nowhere/ipfs; correct .{BINARY_VARIABLE}"):
        kubo_binary()


def test_kubo_binary__not_built__says_how(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(BINARY_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(BadInput, match=f"{kubo_version()}/ipfs; run `make kubo`"):
        kubo_binary()


def test_get__nobody_has_it__not_found(pair: Pair) -> None:
    with pytest.raises(ContentNotFound, match="sent nothing within 1 s"):
        pair.store(1, patience_s=1.0).get(cid_of(fresh(100)), MB)


def test_pin__nobody_has_it__not_found(pair: Pair) -> None:
    absent = cid_of(fresh(100))
    with pytest.raises(ContentNotFound):
        pair.reader.pin(absent, within_s=1.0)
    assert not pair.reader.has(absent)


def test_get__more_than_declared__refused_before_all_of_it_was_fetched(pair: Pair) -> None:
    cid = pair.publisher.put(fresh(30 * MB))
    with pytest.raises(ContentTooLarge, match="cap of 1000000 bytes"):
        pair.reader.get(cid, MB)
    pair.daemons[0].stop()
    try:
        with pytest.raises(ContentNotFound):  # the reader's daemon has its beginning only
            pair.reader.pin(cid, within_s=1.0)
    finally:
        pair.daemons[0].start()


def test_get__cid_of_the_same_bytes_in_other_chunks__mismatch(pair: Pair) -> None:
    """Nobody can give one content two names, and have verifiers differ on which is at hand."""
    content = fresh(CHUNK_BYTES)
    daemon = pair.daemons[0]
    path = pair.folder / "content"
    path.write_bytes(content)
    other = daemon.run("add", "--quieter", "--cid-version=1", "--chunker=size-1000", str(path)).strip()
    for store in (pair.publisher, pair.reader):
        with pytest.raises(ContentMismatch, match=f"hashes to {cid_of(content)}"):
            store.get(Cid.parse(other), MB)


def test_store__daemon_killed_and_started_again__unavailable_then_all_is_there(pair: Pair) -> None:
    content = fresh(2 * MB)
    cid = pair.publisher.put(content)
    pair.daemons[0].stop(is_crash=True)
    try:
        with pytest.raises(StoreUnavailable, match="connection refused"):
            pair.publisher.get(cid, 2 * MB)
        with pytest.raises(StoreUnavailable):
            pair.publisher.put(content)
    finally:
        pair.daemons[0].start()
    assert pair.publisher.has(cid)
    assert pair.reader.get(cid, 2 * MB) == content


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=pytest.mark.full) if SIZES[what] > 100 * MB else what for what in SIZES]
)
def test_put__any_size__same_cid_as_the_embedded_store_and_read_through_the_other(
    what: str, pair: Pair, tmp_path: Path
) -> None:
    content = np.random.default_rng(SIZES[what]).bytes(SIZES[what])
    file = tmp_path / "content"
    file.write_bytes(content)
    cid = FolderStore(tmp_path / "embedded").put(content)
    assert pair.publisher.put(content) == cid
    assert pair.publisher.put_file(file) == cid
    assert pair.publisher.has(cid)
    assert pair.reader.open_file(cid, len(content)).read_bytes() == content
    assert pair.reader.get(cid, len(content)) == content


# --- pins -----------------------------------------------------------------------------------------------------------


def test_unpin__then_cleared_up__gone_unless_the_other_pinned_it(pair: Pair) -> None:
    kept, lost = fresh(MB), fresh(MB)
    kept_cid, lost_cid = pair.publisher.put(kept), pair.publisher.put(lost)
    pair.reader.pin(kept_cid, within_s=20.0)
    assert kept_cid in list(pair.reader.pinned())
    for cid in (kept_cid, lost_cid):
        pair.publisher.unpin(cid)
        pair.publisher.unpin(cid)
        assert not pair.publisher.has(cid)
    for daemon in pair.daemons:
        daemon.run("repo", "gc", "--quiet")
    assert pair.store(0).get(kept_cid, MB) == kept
    with pytest.raises(ContentNotFound):
        pair.store(0, patience_s=1.0).get(lost_cid, MB)


def test_put__again_after_it_was_unpinned__pinned_again(pair: Pair) -> None:
    content = fresh(1000)
    cid = pair.publisher.put(content)
    pair.publisher.unpin(cid)
    assert pair.publisher.put(content) == cid
    assert pair.publisher.has(cid)


# --- the gateway ----------------------------------------------------------------------------------------------------


def test_get__own_daemon_down__through_the_gateway_of_the_other(pair: Pair) -> None:
    content = fresh(3 * MB)
    cid = pair.publisher.put(content)
    pair.daemons[1].stop()
    try:
        assert pair.store(1, gateway=pair.daemons[0].gateway).get(cid, 3 * MB) == content
    finally:
        pair.daemons[1].start()
