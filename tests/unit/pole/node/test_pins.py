"""Planned unpinning: not before its time, not while the content is needed, and not lost in an outage."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from pole.errors import StoreUnavailable
from pole.journal.journal import Journal
from pole.node.pins import Pins
from pole.storage.cid import Cid, cid_of
from pole.storage.folder import FolderStore

ONE, OTHER = cid_of(b"one"), cid_of(b"other")


class Daemon(FolderStore):
    """A store that forgets what is unpinned, and can be down."""

    is_down = False

    def unpin(self, cid: Cid) -> None:
        if self.is_down:
            raise StoreUnavailable("nobody answers")
        (self.root / str(cid)).unlink(missing_ok=True)


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    store = Daemon(tmp_path / "store")
    store.put(b"one")
    store.put(b"other")
    return store


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.sqlite") as opened:
        yield opened


def pins(journal: Journal, daemon: Daemon) -> Pins:
    """As after a restart."""
    return Pins(journal, daemon, structlog.get_logger())


def test_let_go__store_is_down__logged_and_done_once_it_is_back(journal: Journal, daemon: Daemon) -> None:
    daemon.is_down = True
    planned = pins(journal, daemon)
    planned.let_go_at([ONE], 10)
    with capture_logs() as logs:
        planned.let_go(10)
        planned.let_go(11)
    assert [f"{ONE} stays pinned for now: nobody answers"] == [entry["event"] for entry in logs]
    daemon.is_down = False
    pins(journal, daemon).let_go(12)
    assert list(daemon.pinned()) == [OTHER]


def test_let_go__before_its_time__stays(journal: Journal, daemon: Daemon) -> None:
    pins(journal, daemon).let_go_at([ONE, OTHER], 10)
    pins(journal, daemon).let_go(9)
    assert set(daemon.pinned()) == {ONE, OTHER}


def test_let_go__planned_twice__at_the_later_time(journal: Journal, daemon: Daemon) -> None:
    planned = pins(journal, daemon)
    planned.let_go_at([ONE], 20)
    planned.let_go_at([ONE, OTHER], 10)
    planned.let_go(19)
    assert list(daemon.pinned()) == [ONE]
    planned.let_go(20)
    assert list(daemon.pinned()) == []


def test_let_go__needed_for_something_else__stays_until_planned_again(journal: Journal, daemon: Daemon) -> None:
    planned = pins(journal, daemon)
    planned.let_go_at([ONE], 10)
    planned.let_go(10, still_needed={ONE})
    planned.let_go(11)
    assert daemon.has(ONE)
    planned.let_go_at([ONE], 12)
    planned.let_go(12)
    assert not daemon.has(ONE)
