"""`make load`, `make soak` and `make reorgs`, small: whatever they count must come to nothing, and they say so."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.paths import ROOT

PATIENCE_S = 560
COMMANDS = {
    "load": [
        *("benchmarks.load", "--miners", "6", "--verifiers", "3", "--rounds", "2"),
        *("--poll-interval", "0.3", "--processes", "1"),
    ],
    "soak": ["benchmarks.soak", "--rounds", "3"],
    "reorgs": ["benchmarks.explorer.reorgs", "--reorgs", "20"],
}

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]


@dataclass
class Run:
    """One command on its way; its figures are there when it has ended."""

    process: subprocess.Popen[bytes]
    log: Path
    out: Path

    def figures(self) -> dict[str, Any]:
        status = self.process.wait(PATIENCE_S)
        assert status == 0, f"ended with status {status}:\n{self.log.read_text()}"
        found: dict[str, Any] = json.loads(self.out.read_bytes())
        return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Run]]:
    """All at once: most of the time they wait for blocks."""
    folder = tmp_path_factory.mktemp("endurance")
    started = {name: start(folder, name) for name in COMMANDS}
    yield started
    for run in started.values():
        run.process.terminate()  # which ends the processes that it started, too
        run.process.wait()


def start(folder: Path, name: str) -> Run:
    log, out = folder / f"{name}.log", folder / f"{name}.json"
    with log.open("wb") as file:
        command = [sys.executable, "-m", *COMMANDS[name], "--json", str(out)]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    return Run(process, log, out)


def test_load__six_miners_three_verifiers_two_rounds__loses_nothing(runs: dict[str, Run]) -> None:
    found = runs["load"].figures()
    assert set(found["faults"].values()) == {0}
    assert found["failures"] == []
    members = {role: used["members"] for role, used in found["roles"].items()}
    assert members == {"dataclient": 1, "miner": 6, "verifier": 3}
    assert all(used["calls"]["eth_call"] > used["passes"] for used in found["roles"].values())
    assert {"keys", "training", "reveal", "vote commit", "vote reveal"} <= set(found["phase_s"])


def test_soak__three_rounds_with_a_kill_in_each__everybody_is_paid(runs: dict[str, Run]) -> None:
    found = runs["soak"].figures()
    assert set(found["faults"].values()) == {0}
    assert sum(found["kills"].values()) == 3
    watched = {each["name"] for each in found["files"]}
    assert {"anvil", "dataclient-steady", "miner-steady", "verifier-steady", "verifier-steady, child 1"} <= watched


def test_reorgs__twenty_while_roles_act__the_audit_of_the_explorer_agrees(runs: dict[str, Run]) -> None:
    found = runs["reorgs"].figures()
    assert (found["reorgs"], found["audit"].endswith(": 0 disagreements")) == (20, True)
    assert found["transactions_moved"] > 0
    assert found["steps_back_of_the_index"] > 0
    assert set(found["answers"]) <= {"200", "404"}
