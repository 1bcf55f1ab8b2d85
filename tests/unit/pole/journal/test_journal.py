"""The journal keeps what was written, through kill -9, for one owner at a time."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pole.errors import JournalError
from pole.journal.journal import Journal
from pole.journal.transactions import TransactionState

HOLDER = """
import sys, time
from pathlib import Path
from pole.journal.journal import Journal
journal = Journal(Path(sys.argv[1]))
journal.remember("round/1", {"salt": "ab"})
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "journal.sqlite"


def start_holder(path: Path) -> "subprocess.Popen[str]":
    """Another process that owns the journal and has remembered a fact."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


# --- errors ----------------------------------------------------------------------------------------------------------


def test_journal__owned_by_another_process__refuses_naming_it(path: Path) -> None:
    with start_holder(path) as holder:
        try:
            with pytest.raises(JournalError, match=rf"process {holder.pid} already uses this journal \({path}\.lock\)"):
                Journal(path)
        finally:
            holder.kill()


def test_journal__file_is_no_database__refuses_naming_it(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(JournalError, match=f"journal {path}: file is not a database"):
        Journal(path)


def test_journal__folder_is_a_file__refuses(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("in the way")
    with pytest.raises(JournalError, match="cannot open journal"):
        Journal(tmp_path / "home" / "journal.sqlite")


def test_bind__to_another_account__refuses_naming_both(journal: Journal) -> None:
    journal.bind("account", "0xaa")
    journal.bind("account", "0xaa")
    with pytest.raises(JournalError, match="belongs to account 0xaa, not 0xbb"):
        journal.bind("account", "0xbb")


def test_remember_once__maker_fails__remembers_nothing_and_stays_usable(journal: Journal) -> None:
    def fail() -> dict[str, object]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        journal.remember_once("key", fail)
    assert journal.recall("key") is None
    assert journal.remember_once("key", lambda: {"a": 1}) == {"a": 1}


# --- facts -----------------------------------------------------------------------------------------------------------


def test_recall__never_remembered__is_none(journal: Journal) -> None:
    assert journal.recall("round/1") is None


def test_remember__twice__keeps_the_newest(journal: Journal) -> None:
    journal.remember("round/1", {"salt": "ab"})
    journal.remember("round/1", {"salt": "cd", "index": 3})
    assert journal.recall("round/1") == {"salt": "cd", "index": 3}


def test_remember_once__twice__makes_one(journal: Journal) -> None:
    made = iter(["first", "second"])
    assert journal.remember_once("salt", lambda: {"salt": next(made)}) == {"salt": "first"}
    assert journal.remember_once("salt", lambda: {"salt": next(made)}) == {"salt": "first"}


def test_facts__prefix_with_wildcards__is_taken_literally(journal: Journal) -> None:
    for key in ("round/2", "round/1", "round_1", "ROUND/3", "other"):
        journal.remember(key, {"key": key})
    assert list(journal.facts("round/")) == ["round/1", "round/2"]
    assert list(journal.facts("round_")) == ["round_1"]
    assert len(journal.facts()) == 5


def test_journal__owner_killed__frees_the_lock_and_keeps_the_facts(path: Path) -> None:
    with start_holder(path) as holder:
        os.kill(holder.pid, signal.SIGKILL)
    with Journal(path) as journal:
        assert journal.recall("round/1") == {"salt": "ab"}


def test_journal__not_exclusive__opens_beside_the_owner(path: Path) -> None:
    with Journal(path) as owner, Journal(path, is_exclusive=False) as guest:
        owner.remember("a", {"by": "owner"})
        guest.remember("b", {"by": "guest"})
        assert owner.recall("b") == {"by": "guest"}
        assert guest.recall("a") == {"by": "owner"}


def test_journal__new__is_private(path: Path) -> None:
    with Journal(path) as journal:
        journal.remember("salt", {"salt": "ab"})
        modes = {entry.name: entry.stat().st_mode & 0o077 for entry in path.parent.iterdir()}
    assert "journal.sqlite" in modes
    assert set(modes.values()) == {0}
    assert path.parent.stat().st_mode & 0o077 == 0


# --- transactions ----------------------------------------------------------------------------------------------------


def test_plan__planned_before_a_crash__is_taken_up_again(journal: Journal) -> None:
    first = journal.transactions.plan("commit/1", "LearningChain.commit")
    assert journal.transactions.plan("commit/1", "LearningChain.commit") == first
    assert [each.number for each in journal.transactions.all_of("commit/1")] == [1]


def test_plan__after_a_replaced_attempt__opens_the_next(journal: Journal) -> None:
    signed = journal.transactions.sign(journal.transactions.plan("k", "x"), 7, "0xaa", b"raw")
    journal.transactions.settle(signed, TransactionState.REPLACED)
    again = journal.transactions.plan("k", "x")
    assert (again.number, again.state) == (2, TransactionState.PLANNED)
    newest = journal.transactions.newest("k")
    assert newest is not None
    assert newest.number == 2


def test_sign__then_reopened__gives_back_the_same_bytes(path: Path) -> None:
    with Journal(path) as journal:
        journal.transactions.sign(journal.transactions.plan("k", "x"), 7, "0xaa", b"\x00raw\xff")
    with Journal(path) as journal:
        attempt = journal.transactions.newest("k")
    assert attempt is not None
    assert (attempt.state, attempt.nonce, attempt.hash, attempt.raw) == (
        TransactionState.SENT,
        7,
        "0xaa",
        b"\x00raw\xff",
    )


def test_outstanding__of_several__lists_unsettled_by_nonce(journal: Journal) -> None:
    for key, nonce in (("c", 9), ("a", 8), ("b", 7)):
        journal.transactions.sign(journal.transactions.plan(key, "x"), nonce, f"0x{nonce}", b"raw")
    journal.transactions.plan("d", "x")
    settled = journal.transactions.newest("a")
    assert settled is not None
    journal.transactions.settle(settled, TransactionState.MINED, 12)
    assert [attempt.key for attempt in journal.transactions.outstanding()] == ["b", "c"]
    mined = journal.transactions.newest("a")
    assert mined is not None
    assert mined.block_number == 12


def test_sending__held_by_another_process__waits(path: Path) -> None:
    probe = (
        "import sys; from pathlib import Path; from pole.journal.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]), is_exclusive=False)\n"
        "print('waiting', flush=True)\n"
        "with journal.transactions.sending(): print('in', flush=True)\n"
    )
    with Journal(path) as journal:
        with journal.transactions.sending():
            other = subprocess.Popen([sys.executable, "-c", probe, str(path)], stdout=subprocess.PIPE, text=True)
            assert other.stdout is not None
            assert other.stdout.readline() == "waiting\n"
            with pytest.raises(subprocess.TimeoutExpired):
                other.wait(0.5)
        assert other.stdout.read() == "in\n"
        assert other.wait(300) == 0
        other.stdout.close()
