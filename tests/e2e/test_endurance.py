"""`make load` and `make soak`, small: whatever they count must come to nothing, and they say so."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def figures(folder: Path, module: str, *arguments: str) -> dict[str, Any]:
    out = folder / "figures.json"
    command = [sys.executable, "-m", module, *arguments, "--json", str(out)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    found: dict[str, Any] = json.loads(out.read_bytes())
    return found


def test_load__six_miners_three_verifiers_two_rounds__loses_nothing(tmp_path: Path) -> None:
    size = ["--miners", "6", "--verifiers", "3", "--rounds", "2", "--poll-interval", "0.5", "--processes", "1"]
    found = figures(tmp_path, "scripts.load", *size)
    assert set(found["faults"].values()) == {0}
    assert found["failures"] == []
    assert {role: used["members"] for role, used in found["roles"].items()} == {
        "dataclient": 1,
        "miner": 6,
        "verifier": 3,
    }
    assert all(used["calls"]["eth_call"] > used["passes"] for used in found["roles"].values())
    assert {"keys", "training", "reveal", "vote commit", "vote reveal"} <= set(found["phase_s"])


def test_soak__three_rounds_with_a_kill_in_each__everybody_is_paid(tmp_path: Path) -> None:
    found = figures(tmp_path, "scripts.soak", "--rounds", "3")
    assert set(found["faults"].values()) == {0}
    assert sum(found["kills"].values()) == 3
    watched = {each["name"] for each in found["files"]}
    assert {"anvil", "dataclient-steady", "miner-steady", "verifier-steady", "verifier-steady, judge 1"} <= watched
