"""The journal after power cuts, on full disks and beside a second process: the last complete state, or a refusal."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pole.chain.deployment import Deployment
from pole.errors import JournalError, JournalFull
from pole.journal.journal import Journal
from pole.journal.locks import account_lock
from pole.journal.transactions import SignedTransaction, TransactionState
from pole.node.cli import role_options
from pole.node.context import RoleContext
from pole.node.exit import exit_code
from pole.node.keyfile import create_account
from pole.node.passwords import PASSWORD_VARIABLE
from pole.settings import variable

FRAME, FRAME_HEADER = 4096 + 24, 24
STEP = 97  # a prime, so that cuts fall at every kind of place
Snapshot = tuple[dict[str, dict[str, object]], list[SignedTransaction]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "journal.sqlite"


def snapshot(journal: Journal) -> Snapshot:
    return journal.facts(), [each for key in ("k", "planned", "new") for each in journal.transactions.all_of(key)]


def copied(path: Path, to: Path) -> Path:
    """What a disk would hold if the power went now: the file and its log, without the shared memory."""
    to.mkdir()
    for name in (path.name, f"{path.name}-wal"):
        if path.with_name(name).exists():
            shutil.copy(path.with_name(name), to / name)
    return to / path.name


def wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


# --- power cuts ------------------------------------------------------------------------------------------------------


WRITES = ["remember", "remember_once", "plan", "sign", "replace", "settle"]


def write(journal: Journal, kind: str) -> None:
    """One of each kind of write there is; `settle` changes two rows at once."""
    sent, planned = journal.transactions.all_of("k")[-1], journal.transactions.all_of("planned")[0]
    match kind:
        case "remember":
            journal.remember("candidate/1", {"model": "x" * 5000})
        case "remember_once":
            journal.remember_once("solution/1", lambda: {"salt": "ab" * 32})
        case "plan":
            journal.transactions.plan("new", "LearningChain.reveal")
        case "sign":
            journal.transactions.sign(planned, 8, "0x02", b"raw" * 2000)
        case "replace":
            journal.transactions.replace(sent, "0x03", b"replacement" * 500)
        case "settle":
            journal.transactions.settle(sent, TransactionState.MINED, 12)


def cut_short(path: Path, kind: str, to: Path) -> tuple[Path, int, Snapshot, Snapshot]:
    """A copy with one write more than it is to have, where that begins in the log, and the states before and after."""
    with Journal(path) as journal:
        journal.remember("journal/account", {"value": "0xaa"})
        journal.transactions.plan("planned", "LearningChain.reveal")
        sent = journal.transactions.sign(journal.transactions.plan("k", "LearningChain.commit"), 7, "0x00", b"raw")
        journal.transactions.replace(sent, "0x01", b"replacement")
        begin, before = wal(path).stat().st_size, snapshot(journal)
        write(journal, kind)
        return copied(path, to), begin, before, snapshot(journal)


@pytest.mark.parametrize("damage", ["cut off", "zeros", "noise"])
@pytest.mark.parametrize("kind", WRITES)
def test_journal__power_lost_in_the_last_write__has_the_state_before_or_after(
    path: Path, kind: str, damage: str, tmp_path: Path
) -> None:
    source, begin, before, after = cut_short(path, kind, tmp_path / "source")
    whole = wal(source).read_bytes()
    assert (len(whole) - begin) % FRAME == 0
    assert len(whole) > begin, "the write is not in the log"
    edges = range(begin, len(whole) + 1, FRAME)
    cuts = {near for edge in edges for near in (edge - 1, edge, edge + 1, edge + FRAME_HEADER)}
    found = []
    for cut in sorted(each for each in cuts | set(range(begin, len(whole), STEP)) if begin <= each <= len(whole)):
        tail = {"cut off": b"", "zeros": bytes(len(whole) - cut), "noise": b"\xa5" * (len(whole) - cut)}[damage]
        damaged = copied(source, tmp_path / f"{cut}")
        wal(damaged).write_bytes(whole[:cut] + tail)
        with Journal(damaged) as journal:
            found.append(snapshot(journal))
    assert all(each in (before, after) for each in found), "half of a write came back"
    assert (found[0], found[-1]) == (before, after)


def test_journal__database_damaged_in_the_middle__refuses(path: Path) -> None:
    with Journal(path) as journal:
        for number in range(300):
            journal.remember(f"solution/{number}", {"salt": "ab" * 32})
    content = bytearray(path.read_bytes())
    content[3 * 4096 : 3 * 4096 + 200] = b"\xa5" * 200
    path.write_bytes(content)
    for _ in range(2):  # whoever is refused holds no lock: the second try says the same
        with pytest.raises(JournalError, match=r"restore the file, it holds salts that nobody else has"):
            Journal(path)


# --- full disks ------------------------------------------------------------------------------------------------------


@pytest.fixture
def full(path: Path) -> Iterator[Journal]:
    """A journal whose file may not grow, as on a full disk, with a transaction and its replacement in it."""
    with Journal(path) as journal:
        journal.transactions.replace(
            journal.transactions.sign(journal.transactions.plan("k", "LearningChain.commit"), 7, "0x00", b"raw"),
            "0x01",
            b"replacement",
        )
        [pages] = journal._database.connection.execute("PRAGMA page_count").fetchone()
        journal._database.connection.execute(f"PRAGMA max_page_count = {pages}")
        yield journal


def test_writes__disk_full__refused_whole_and_work_once_there_is_space(full: Journal) -> None:
    before, large = snapshot(full), {"value": "x" * 20_000}
    with pytest.raises(JournalFull, match=r"database or disk is full; free disk space, nothing was lost"):
        full.remember("fact", large)
    with pytest.raises(JournalFull):
        full.remember_once("fact", lambda: large)
    newest = full.transactions.newest("k")
    assert newest is not None
    with pytest.raises(JournalFull):
        full.transactions.replace(newest, "0x02", b"x" * 20_000)
    assert snapshot(full) == before
    full._database.connection.execute("PRAGMA max_page_count = 1000000")
    assert full.remember_once("fact", lambda: large) == large
    full.transactions.settle(newest, TransactionState.MINED, 1)
    assert [each.state for each in full.transactions.all_of("k")] == ["replaced", "mined"]


# --- one key, two processes ------------------------------------------------------------------------------------------

HOLDER = """
import sys, time
from pathlib import Path
from pole.journal.locks import account_lock
with account_lock("0xAA", 5, "0x" + "12" * 32, Path("/first/home")):
    print("ready", flush=True)
    time.sleep(60)
"""


def test_account_lock__other_home__second_process_is_refused_until_the_first_dies(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    genesis, other_genesis = "0x" + "12" * 32, "0x" + "34" * 32
    monkeypatch.setenv(variable("locks"), str(tmp_path / "locks"))
    holder = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "ready\n"
        with (
            pytest.raises(JournalError, match=rf"0xAA is in use .* process {holder.pid} with --home /first/home"),
            account_lock("0xAA", 5, genesis, tmp_path),
        ):
            raise AssertionError("it was let in")
        with account_lock("0xBB", 5, genesis, tmp_path), account_lock("0xAA", 5, other_genesis, tmp_path):
            pass
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    with account_lock("0xAA", 5, genesis, tmp_path):
        pass


def test_role__started_twice_with_one_key__second_refuses_and_short_commands_do_not(
    anvil: str,
    deployment: Deployment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    @click.command()
    @role_options("miner")
    def role(context: RoleContext) -> None:
        if context.home.name == "first":
            assert run(role, "second") == 1
            assert run(command, "second") == 0

    @click.command()
    @role_options("miner", is_exclusive=False)
    def command(context: RoleContext) -> None:
        context.journal.remember("ran", {})

    def run(what: click.Command, home: str) -> int:
        monkeypatch.setattr(sys, "argv", ["miner", *options, f"--home={tmp_path / home}"])
        return exit_code(what)

    deployment.save(tmp_path / "deployment.json")
    create_account(tmp_path / "key.json", "pw", kdf_iterations=2)
    monkeypatch.setenv(PASSWORD_VARIABLE, "pw")
    options = [f"--rpc={anvil}", f"--deployment={tmp_path / 'deployment.json'}", f"--store={tmp_path / 'store'}"]
    options.append(f"--account={tmp_path / 'key.json'}")
    assert run(role, "first") == 0
    said = capsys.readouterr().err
    assert f"is in use on this chain by process {os.getpid()} with --home {tmp_path / 'first'}" in said
