"""The IPFS store with daemons that are down, slow, endless or lying."""

import gzip
import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pole.errors import ContentMismatch, ContentNotFound, ContentTooLarge, StoreError, StoreUnavailable
from pole.storage.cid import cid_of
from pole.storage.ipfs import IpfsStore
from tests.unit.peer import (
    CID,
    CONTENT,
    ENDLESS,
    MB,
    SECRET,
    Answer,
    Talk,
    daemon_error,
    drip,
    endless,
    kept,
    nobody,
    peer,
    silent,
    store_at,
)

# --- daemons that are not there or make no sense --------------------------------------------------------------------

OPERATIONS: dict[str, Callable[[IpfsStore], object]] = {
    "put": lambda store: store.put(CONTENT),
    "get": lambda store: store.get(CID, MB),
    "open_file": lambda store: store.open_file(CID, MB),
    "has": lambda store: store.has(CID),
    "pin": lambda store: store.pin(CID, 0.6),
    "unpin": lambda store: store.unpin(CID),
    "pinned": lambda store: list(store.pinned()),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_store__daemon_is_down__unavailable_and_says_how_to_start_it(operation: str, tmp_path: Path) -> None:
    store = store_at(nobody(), tmp_path)
    with pytest.raises(StoreUnavailable, match=r"connection refused\); start it \(`ipfs daemon`\)"):
        OPERATIONS[operation](store)
    assert kept(tmp_path) == []


def _nested(talk: Talk) -> None:
    talk.answer(b"[" * 50_000, headers="Content-Type: application/json\r\n")


SENSELESS: dict[str, Answer] = {
    "hangs up at once": lambda talk: None,
    "no HTTP": lambda talk: talk.say(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "half of a header": lambda talk: talk.say(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "an error page": lambda talk: talk.answer(b"<html>oops</html>", "502 Bad ChainClient"),
    "an error that is no error": lambda talk: talk.answer(b'["Message"]', "500 Internal Server Error"),
    "a redirect": lambda talk: talk.answer(b"", "307 Temporary Redirect", "Location: http://127.0.0.1:1/\r\n"),
}
SENSELESS_JSON: dict[str, Answer] = {
    "nothing": lambda talk: talk.answer(b""),
    "no JSON": lambda talk: talk.answer(b"\xff\xfe"),
    "a list": lambda talk: talk.answer(b"[]"),
    "a number": lambda talk: talk.answer(b"5"),
    "other fields": lambda talk: talk.answer(b'{"Nothing": 1}'),
    "deep nesting": _nested,
}


@pytest.mark.parametrize("how", SENSELESS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_store__daemon_makes_no_sense__storedaemon_error(how: str, operation: str, tmp_path: Path) -> None:
    with peer(SENSELESS[how]) as daemon, pytest.raises(StoreError):
        OPERATIONS[operation](store_at(daemon.url, tmp_path))
    assert kept(tmp_path) == []


@pytest.mark.parametrize("how", SENSELESS_JSON)
@pytest.mark.parametrize("operation", ["put", "has", "pinned"])
def test_store__answer_of_another_shape__storedaemon_error(how: str, operation: str, tmp_path: Path) -> None:
    with peer(SENSELESS_JSON[how]) as daemon, pytest.raises(StoreError):
        OPERATIONS[operation](store_at(daemon.url, tmp_path))


def test_store__refused_as_a_stranger__says_where_the_authorization_goes(tmp_path: Path) -> None:
    with (
        peer(lambda talk: talk.answer(b"403 - Forbidden", "403 Forbidden")) as daemon,
        pytest.raises(StoreUnavailable, match=r"HTTP 403.*POLE_IPFS_AUTHORIZATION_FILE") as refused,
    ):
        store_at(daemon.url, tmp_path).has(CID)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("block was not found locally (offline): ipld: could not find bafy", ContentNotFound),
        ("this dag node is a directory", ContentMismatch),
        ("disk quota exceeded", StoreError),
        ("x" * 60_000, StoreError),
    ],
)
def test_get__daemon_says_why_not__told_in_short(message: str, kind: type[StoreError], tmp_path: Path) -> None:
    with peer(daemon_error(message)) as daemon, pytest.raises(kind) as refused:
        store_at(daemon.url, tmp_path).get(CID, MB)
    assert message[:50] in str(refused.value)
    assert len(str(refused.value)) < 600


def test_put__daemon_names_it_otherwise__refused(tmp_path: Path) -> None:
    other = cid_of(b"something else")
    answer = json.dumps({"Name": "x", "Hash": str(other), "Size": "1"}).encode()
    with (
        peer(lambda talk: talk.answer(answer)) as daemon,
        pytest.raises(StoreError, match=f"names the content '{other}'"),
    ):
        store_at(daemon.url, tmp_path).put(CONTENT)


# --- lying, endless and slow peers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"other bytes", CONTENT[:-1], CONTENT + b"!", gzip.compress(CONTENT, mtime=0)])
def test_get__other_bytes__mismatch_and_nothing_is_kept(body: bytes, tmp_path: Path) -> None:
    with peer(lambda talk: talk.answer(body)) as daemon:
        for read in (OPERATIONS["get"], OPERATIONS["open_file"]):
            with pytest.raises(ContentMismatch, match=str(CID)):
                read(store_at(daemon.url, tmp_path))
    assert kept(tmp_path) == []


def test_get__compressed_in_transit__not_unpacked(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(100 * MB))
    with (
        peer(lambda talk: talk.answer(bomb, headers="Content-Encoding: gzip\r\n")) as daemon,
        pytest.raises(ContentMismatch),
    ):
        store_at(daemon.url, tmp_path).get(CID, MB)


@pytest.mark.parametrize("how", ENDLESS)
@pytest.mark.parametrize("operation", ["get", "open_file"])
def test_get__5_gb_where_5_mb_were_declared__hung_up_on_soon(how: str, operation: str, tmp_path: Path) -> None:
    read = {"get": IpfsStore.get, "open_file": IpfsStore.open_file}[operation]
    with peer(endless(ENDLESS[how])) as daemon:
        with pytest.raises(ContentTooLarge, match="more than the cap of 5000000 bytes; the rest was not read"):
            read(store_at(daemon.url, tmp_path), CID, 5 * MB)
        [talk] = daemon.talks
        assert talk.sent_bytes < 20 * MB  # what the system buffers included
    assert kept(tmp_path) == []


@pytest.mark.parametrize("operation", ["put", "has", "pinned"])
def test_store__endless_answer_to_a_question__not_read_to_its_end(operation: str, tmp_path: Path) -> None:
    with peer(endless(ENDLESS["until it hangs up"])) as daemon:
        with pytest.raises(StoreError):
            OPERATIONS[operation](store_at(daemon.url, tmp_path))
        assert daemon.talks[0].sent_bytes < 100 * MB


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "start",
    [b"HTTP/1.1 200 OK\r\n\r\nfirst", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"],
    ids=["body", "size of a chunk"],
)
def test_get__slow_drip__hung_up_on(start: bytes, tmp_path: Path) -> None:
    with peer(drip(start)) as daemon, pytest.raises(StoreUnavailable, match="more slowly than 1048576 a second"):
        store_at(daemon.url, tmp_path).get(CID, MB)
    assert kept(tmp_path) == []


@pytest.mark.timeout(30)
@pytest.mark.parametrize("answer", [drip(b""), drip(b"HTTP/1.1 200 OK\r\nX-Long: "), silent])
def test_get__nothing_in_time__not_found(answer: Answer, tmp_path: Path) -> None:
    with peer(answer) as daemon, pytest.raises(ContentNotFound, match=r"sent nothing within 1 s"):
        store_at(daemon.url, tmp_path).get(CID, MB)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("operation", ["put", "has", "unpin", "pinned"])
def test_store_silent_daemon__unavailable(operation: str, tmp_path: Path) -> None:
    with peer(silent) as daemon, pytest.raises(StoreUnavailable, match=r"sent nothing within 1 s"):
        OPERATIONS[operation](store_at(daemon.url, tmp_path))


@pytest.mark.timeout(30)
def test_put__daemon_stops_reading__hung_up_on(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf, pytest.raises(StoreUnavailable):
        store_at(f"http://127.0.0.1:{deaf.getsockname()[1]}", tmp_path).put(bytes(50 * MB))
