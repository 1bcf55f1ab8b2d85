"""Fetching ahead from a daemon on a real socket that answers as a test says: errors, order, and how many at once."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pole.errors import ContentMismatch, ContentNotFound
from pole.storage import prefetch
from pole.storage.cid import cid_of
from pole.storage.prefetch import FILES_AT_ONCE, FetchAhead, Wanted
from pole.storage.store import Store
from pole.storage.transfer import TransferLimits
from tests.unit.peer import Peer, Talk, daemon_error, drip, peer, silent, store_at

pytestmark = pytest.mark.timeout(60)

CONTENTS = [f"file {i}".encode() for i in range(9)]
FILES = [Wanted(i, cid_of(content), 100) for i, content in enumerate(CONTENTS)]
PATIENT = TransferLimits(first_s=600.0)


def _index(talk: Talk) -> int:
    return next(i for i, file in enumerate(FILES) if str(file.cid) in talk.path)


def _honest(talk: Talk) -> None:
    talk.answer(CONTENTS[_index(talk)])


def _fetchers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "fetch"]


def _asked(daemon: Peer) -> list[int]:
    return sorted(_index(talk) for talk in daemon.talks if talk.request)


# --- what goes wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("others", [silent, drip(b"HTTP/1.1 200 OK\r\n\r\n")], ids=["silent", "a byte now and then"])
def test_take__third_file_missing__its_error_in_its_turn_and_the_rest_is_hung_up_on(
    others: Callable[[Talk], None], tmp_path: Path
) -> None:
    def answer(talk: Talk) -> None:
        treatment = {0: _honest, 1: _honest, 2: daemon_error("merkledag: not found")}
        treatment.get(_index(talk), others)(talk)

    taken: list[bytes] = []
    with peer(answer) as daemon:
        with pytest.raises(ContentNotFound, match=str(FILES[2].cid)):
            _take_all(store_at(daemon.url, tmp_path, limits=PATIENT), taken)
        assert _fetchers() == []
    assert taken == CONTENTS[:2]


def _take_all(store: Store, taken: list[bytes]) -> None:
    with FetchAhead(store, FILES) as ahead:
        for file in FILES:
            taken.append(ahead.take(file))


def test_take__other_content__refused(tmp_path: Path) -> None:
    with peer(lambda talk: talk.answer(b"else")) as daemon, pytest.raises(ContentMismatch):
        _take_all(store_at(daemon.url, tmp_path), [])


def test_exit__while_others_are_silent__hangs_up_on_them(tmp_path: Path) -> None:
    def answer(talk: Talk) -> None:
        (silent if _index(talk) else _honest)(talk)

    with peer(answer) as daemon:
        with FetchAhead(store_at(daemon.url, tmp_path, limits=PATIENT), FILES) as ahead:
            ahead.take(FILES[0])
            assert len(_fetchers()) == FILES_AT_ONCE - 1
        assert _fetchers() == []


# --- how many at once -----------------------------------------------------------------------------------------------


class _Gate:
    """Answers that wait for each other, and the largest number of them at the same time."""

    def __init__(self, together: int) -> None:
        self._barrier = threading.Barrier(together, timeout=300)
        self._lock = threading.Lock()
        self._active: set[int] = set()
        self.seen: list[set[int]] = []

    def __call__(self, talk: Talk) -> None:
        index = _index(talk)
        with self._lock:
            self._active.add(index)
            self.seen.append(set(self._active))
        self._barrier.wait()
        with self._lock:
            self._active.remove(index)
        _honest(talk)


def test_take__slow_daemon__several_at_once_and_never_more(tmp_path: Path) -> None:
    """The first four are only answered when all four were asked for."""
    gate = _Gate(FILES_AT_ONCE)
    with peer(lambda talk: gate(talk) if _index(talk) < FILES_AT_ONCE else _honest(talk)) as daemon:
        with FetchAhead(store_at(daemon.url, tmp_path, limits=PATIENT), FILES) as ahead:
            assert [ahead.take(file) for file in FILES] == CONTENTS
        assert _asked(daemon) == list(range(len(FILES)))
    assert max(map(len, gate.seen)) == FILES_AT_ONCE


def test_take__one_in_use__so_many_less_are_under_way(tmp_path: Path) -> None:
    with peer(_honest) as daemon, FetchAhead(store_at(daemon.url, tmp_path), FILES) as ahead:
        for taken in range(3):
            ahead.take(FILES[taken])
            assert max(_asked(daemon)) <= taken + FILES_AT_ONCE - 1


def test_take__large_file__alone(tmp_path: Path) -> None:
    """File 2 is larger than all that may be held together; 0 and 1 are asked for together, 3 and 4 after it."""
    sizes = {2: prefetch.BYTES_AT_ONCE + 1}
    files = [Wanted(i, FILES[i].cid, sizes.get(i, 100)) for i in range(5)]
    pair, alone = _Gate(2), _Gate(1)
    with peer(lambda talk: alone(talk) if _index(talk) == 2 else pair(talk)) as daemon:
        store = store_at(daemon.url, tmp_path, limits=PATIENT)
        with FetchAhead(store, files) as ahead:
            assert [ahead.take(file) for file in files[:2]] == CONTENTS[:2]
            assert _asked(daemon) == [0, 1]
            assert ahead.take(files[2]) == CONTENTS[2]
            assert _asked(daemon) == [0, 1, 2]
            assert [ahead.take(file) for file in files[3:]] == CONTENTS[3:5]
    assert max(map(len, pair.seen)) == 2


# --- what is taken --------------------------------------------------------------------------------------------------


def test_take__same_content_twice__both(tmp_path: Path) -> None:
    files = [Wanted(0, FILES[0].cid, 100), Wanted(1, FILES[0].cid, 100)]
    with peer(_honest) as daemon, FetchAhead(store_at(daemon.url, tmp_path), files) as ahead:
        assert [ahead.take(file) for file in files] == [CONTENTS[0]] * 2


def test_take__not_announced__fetched_now(tmp_path: Path) -> None:
    with peer(_honest) as daemon, FetchAhead(store_at(daemon.url, tmp_path), FILES[1:3]) as ahead:
        assert [ahead.take(file) for file in FILES[:4]] == CONTENTS[:4]


def test_take__some_passed_over__the_right_ones_and_no_more_of_those(tmp_path: Path) -> None:
    with peer(_honest) as daemon:
        with FetchAhead(store_at(daemon.url, tmp_path), FILES) as ahead:
            assert ahead.take(FILES[0]) == CONTENTS[0]
            assert ahead.take(FILES[8]) == CONTENTS[8]
        assert _asked(daemon) == [0, 1, 2, 3, 8]
