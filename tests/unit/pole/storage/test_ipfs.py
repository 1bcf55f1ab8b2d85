"""The store over IPFS: its address and settings, the gateway to fall back on, and the copies that it keeps."""

import json
import os
from pathlib import Path

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from pole.errors import (
    BadInput,
    ContentMismatch,
    ContentNotFound,
    ContentTooLarge,
    StoreError,
    StoreUnavailable,
)
from pole.settings import read_settings
from pole.storage.cid import Cid, cid_of
from pole.storage.ipfs import IpfsSettings
from pole.storage.store import open_store
from tests.unit.peer import (
    CID,
    CONTENT,
    ENDLESS,
    MB,
    SECRET,
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

# --- what is refused before anything is sent ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "location",
    [
        "/ip4/127.0.0.1",
        "/ip4/127.0.0.1/udp/5001",
        "/ip4/300.0.0.1/tcp/5001",
        "/ip4/127.0.0.1/tcp/5001/p2p-circuit",
        "/dns/",
        "http://",
        "http://host:99999",
        "http://host:5001/api/v0",
        "http://host:5001?x=1",
    ],
)
def test_open_store__no_address_of_a_daemon__says_what_to_give(location: str) -> None:
    with pytest.raises(BadInput, match=r"give e\.g\. /ip4/127.0.0.1/tcp/5001"):
        open_store(location)


def test_open_store__password_in_the_url__refused_without_showing_it() -> None:
    with pytest.raises(BadInput, match="POLE_IPFS_AUTHORIZATION_FILE") as refused:
        open_store("http://me:hunter2@127.0.0.1:5001")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"POLE_IPFS_AUTHORIZATION_FILE": "/nowhere/at/all"}, "cannot read POLE_IPFS_AUTHORIZATION_FILE"),
        ({"POLE_IPFS_AUTHORIZATION": f"{SECRET}\r\nX-Other: 1"}, "not one line"),
    ],
)
def test_settings__unusable_variable__refused_without_showing_secrets(
    variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadInput, match=message) as refused:
        IpfsSettings.of(read_settings())
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("gateway", ["ftp://host", "host:8080", "http://me:pw@host", "http://host/?q=1"])
def test_settings__no_address_of_a_gateway__refused(gateway: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="POLE_IPFS_GATEWAY is no gateway's address"):
        store_at(nobody(), tmp_path, gateway)


# --- the gateway to fall back on ------------------------------------------------------------------------------------


def test_get__daemon_down_and_gateway_lies__mismatch(tmp_path: Path) -> None:
    with peer(lambda talk: talk.answer(b"other bytes")) as gateway, pytest.raises(ContentMismatch):
        store_at(nobody(), tmp_path, gateway.url).get(CID, MB)
    assert kept(tmp_path) == []


def test_get__gateway_alone_says_too_large__nobody_is_condemned_for_it(tmp_path: Path) -> None:
    with peer(endless(ENDLESS["until it hangs up"])) as gateway:
        with pytest.raises(ContentMismatch, match="the rest was not read"):
            store_at(nobody(), tmp_path, gateway.url).get(CID, 5 * MB)
        assert gateway.talks[0].sent_bytes < 20 * MB


@pytest.mark.parametrize("status", ["404 Not Found", "410 Gone", "504 Gateway Timeout"])
def test_get__neither_has_it__not_found(status: str, tmp_path: Path) -> None:
    with (
        peer(lambda talk: talk.answer(b"", status)) as gateway,
        pytest.raises(ContentNotFound, match="does not have it"),
    ):
        store_at(nobody(), tmp_path, gateway.url).get(CID, MB)


def test_get__daemon_is_useless__gateway_gives_it_and_never_sees_the_authorization(tmp_path: Path) -> None:
    for useless in (silent, drip(b"HTTP/1.1 200 OK\r\n\r\n"), daemon_error("could not find it")):
        with peer(useless) as daemon, peer(lambda talk: talk.answer(CONTENT)) as gateway:
            folder = tmp_path / str(daemon.port)
            assert store_at(daemon.url, folder, gateway.url + "/").get(CID, MB) == CONTENT
            [talk] = gateway.talks
            assert talk.path == f"/ipfs/{CID}"
            assert talk.header("Authorization") is None
            assert daemon.talks[0].header("Authorization") == SECRET


# --- what works -----------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(content=st.binary(max_size=2000), is_chunked=st.booleans(), cuts=st.lists(st.integers(1, 500), max_size=5))
def test_get__however_it_is_cut__same_content(
    content: bytes, is_chunked: bool, cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    def answer(talk: Talk) -> None:
        talk.say(b"HTTP/1.1 200 OK\r\n" + (b"Transfer-Encoding: chunked\r\n" if is_chunked else b"") + b"\r\n")
        rest = content
        for size in [*cuts, len(content)]:
            piece, rest = rest[:size], rest[size:]
            if piece:
                talk.say(b"%x\r\n%s\r\n" % (len(piece), piece) if is_chunked else piece)
        talk.say(b"0\r\n\r\n" if is_chunked else b"")

    with peer(answer) as daemon:
        store = store_at(daemon.url, tmp_path_factory.mktemp("store"))
        assert store.get(cid_of(content), len(content)) == content


def test_get__second_time__from_the_verified_copy(tmp_path: Path) -> None:
    with peer(lambda talk: talk.answer(CONTENT)) as daemon:
        store = store_at(daemon.url, tmp_path)
        path = store.open_file(CID, MB)
    assert path.read_bytes() == store.get(CID, MB) == CONTENT
    with pytest.raises(ContentTooLarge):
        store.get(CID, len(CONTENT) - 1)


def test_get__copy_was_damaged__fetched_again(tmp_path: Path) -> None:
    with peer(lambda talk: talk.answer(CONTENT)) as daemon:
        store = store_at(daemon.url, tmp_path)
        store.open_file(CID, MB).chmod(0o600)
        store.open_file(CID, MB).write_bytes(b"damaged")
        assert store.get(CID, MB) == CONTENT
        assert store.open_file(CID, MB).read_bytes() == CONTENT
        assert len(daemon.talks) == 2


def test_get__copies_cannot_be_kept__content_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "fetched").write_bytes(b"a file is in the way")
    with peer(lambda talk: talk.answer(CONTENT)) as daemon:
        store = store_at(daemon.url, tmp_path)
        assert store.get(CID, MB) == CONTENT
        with pytest.raises(StoreError, match="choose a directory"):
            store.open_file(CID, MB)


def test_get__copy_unused_for_a_day__removed(tmp_path: Path) -> None:
    with peer(lambda talk: talk.answer(CONTENT)) as daemon:
        old = store_at(daemon.url, tmp_path).open_file(CID, MB)
        os.utime(old, (1, 1))
        assert store_at(daemon.url, tmp_path).get(CID, MB) == CONTENT
        assert len(daemon.talks) == 2


def test_store__proxies_in_the_environment__not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, nobody())
    with peer(lambda talk: talk.answer(CONTENT)) as daemon:
        assert store_at(daemon.url, tmp_path).get(CID, MB) == CONTENT


def test_open_store__from_the_environment__gateway_and_authorization_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "authorization").write_text(f"{SECRET}\n")
    monkeypatch.setenv("POLE_IPFS_AUTHORIZATION_FILE", str(tmp_path / "authorization"))
    monkeypatch.setenv("POLE_IPFS_CACHE", str(tmp_path / "fetched"))
    with peer(daemon_error("could not find it")) as daemon, peer(lambda talk: talk.answer(CONTENT)) as gateway:
        monkeypatch.setenv("POLE_IPFS_GATEWAY", gateway.url)
        store = open_store(f"/ip4/127.0.0.1/tcp/{daemon.port}")
        assert store.location == f"/ip4/127.0.0.1/tcp/{daemon.port}"
        assert store.get(CID, MB) == CONTENT
        assert daemon.talks[0].header("Authorization") == SECRET
    assert kept(tmp_path) == [str(CID)]


def test_settings__shown__without_the_authorization(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs, pytest.raises(StoreUnavailable) as refused:
        store_at(nobody(), tmp_path).get(CID, MB)
    assert SECRET not in f"{IpfsSettings(tmp_path, None, SECRET)!r} {refused.value!r} {logs}"


def test_pinned__pins_of_others_in_other_forms__left_out(tmp_path: Path) -> None:
    keys = {str(CID): {"Type": "recursive"}, "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH": {"Type": "recursive"}}
    with peer(lambda talk: talk.answer(json.dumps({"Keys": keys}).encode())) as daemon:
        assert list(store_at(daemon.url, tmp_path).pinned()) == [Cid.parse(str(CID))]
