"""What load and soak conclude from journals and samples, how turns are taken, and what a call costs."""

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.load import books
from benchmarks.soak import vitals
from dataclient.served_tasks import FINAL_AFTER_BLOCKS, TaskReader
from pole.chain.client import ChainClient
from pole.chain.structs import TaskState
from pole.journal.journal import Journal
from pole.journal.transactions import TransactionState
from pole.metrics import RPC_CALLS

SLOPE_MIB = 0.5


def sign(journal: Journal, key: str, nonce: int, state: TransactionState | None = None) -> None:
    attempt = journal.transactions.sign(
        journal.transactions.plan(key, "a test"), nonce, f"0x{key}{nonce}", key.encode()
    )
    if state is not None:
        journal.transactions.settle(attempt, state)


@pytest.fixture
def journal(tmp_path: Path) -> Any:
    with Journal(tmp_path / "journal-x.sqlite") as opened:
        yield opened


def test_nonce_clashes__one_nonce_for_two_purposes__counts(journal: Journal, tmp_path: Path) -> None:
    sign(journal, "commit/1", 0, TransactionState.REPLACED)
    sign(journal, "reveal/1", 0)
    assert books.nonce_clashes(tmp_path) == 1


def test_nonce_clashes__purpose_whose_nonce_was_taken__counts(journal: Journal, tmp_path: Path) -> None:
    sign(journal, "commit/1", 0, TransactionState.REPLACED)
    sign(journal, "commit/1", 1)
    assert books.nonce_clashes(tmp_path) == 1


def test_nonce_clashes__race_lost_and_sent_again__none(journal: Journal, tmp_path: Path) -> None:
    sign(journal, "advance/1", 0, TransactionState.REVERTED)
    sign(journal, "advance/1", 1)
    assert books.nonce_clashes(tmp_path) == 0
    assert books.mined_in_vain([tmp_path]) == 1


def test_trend__noisy_growth__finds_its_slope() -> None:
    noise = random.Random(1)
    found = vitals.trend("leaky", [100 + SLOPE_MIB * n + noise.uniform(-1, 1) for n in range(50)])
    assert found.slope == pytest.approx(SLOPE_MIB, abs=0.1)
    assert found.last > found.first


def test_growing__leak_of_memory_and_of_files__names_both() -> None:
    memory, files = vitals.Trend("miner", 100.0, 111.0, 0.2), vitals.Trend("miner", 10.0, 13.0, 0.1)
    assert [each.split(" of ")[0] for each in vitals.growing([memory], [files])] == ["memory", "files"]


def test_growing__flat__says_nothing() -> None:
    assert vitals.growing([vitals.Trend("miner", 100.0, 104.0, 0.0)], [vitals.Trend("miner", 10.0, 11.0, 0.0)]) == []


def test_watched__process_with_a_child__has_memory_and_files_of_both() -> None:
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        found = vitals.watched({"parent": parent})
        parent.communicate(b"\n")
    assert sorted(found) == ["parent", "parent, child 1"]
    assert all(each.rss_kib > 1000 and each.files >= 3 for each in found.values())


def test_task_reader__over_for_long__is_not_asked_for_again() -> None:
    asked: list[int] = []
    states = [TaskState.IN_ROUND, TaskState.SOLVED, TaskState.SOLVED]

    def read(task_id: int) -> Any:
        asked.append(task_id)
        return SimpleNamespace(state=states[min(len(asked) - 1, 2)])

    chain_client: Any = SimpleNamespace(newest_block=10, block_number=lambda: 10)
    contracts = SimpleNamespace(task_market=SimpleNamespace(task=read))
    client: Any = SimpleNamespace(contracts=contracts, chain=chain_client)
    reader = TaskReader(client)
    assert [reader.task(1).state for _ in range(3)] == states
    chain_client.newest_block += FINAL_AFTER_BLOCKS
    assert reader.task(1).state is TaskState.SOLVED
    assert len(asked) == 3


def test_task_reader__opened_again_by_a_reorg__is_followed() -> None:
    states = iter([TaskState.SOLVED, TaskState.IN_ROUND, TaskState.SOLVED, TaskState.SOLVED])
    chain_client: Any = SimpleNamespace(newest_block=10, block_number=lambda: chain_client.newest_block)
    contracts = SimpleNamespace(task_market=SimpleNamespace(task=lambda _: SimpleNamespace(state=next(states))))
    reader = TaskReader(SimpleNamespace(contracts=contracts, chain=chain_client))  # type: ignore[arg-type]
    assert [reader.task(1).state for _ in range(2)] == [TaskState.SOLVED, TaskState.IN_ROUND]
    chain_client.newest_block += FINAL_AFTER_BLOCKS
    assert reader.task(1).state is TaskState.SOLVED, "over from now on, and asked for again"
    assert reader.task(1).state is TaskState.SOLVED
    with pytest.raises(StopIteration):
        reader.task(1)


def test_call__asks_the_node_once(connect: Callable[..., ChainClient]) -> None:
    def asked() -> float:
        return sum(
            sample.value
            for metric in RPC_CALLS.collect()
            for sample in metric.samples
            if sample.name.endswith("_total")
        )

    chain_client = connect()
    before = asked()
    chain_client.call("BlockLedger", "height")
    assert asked() == before + 1
