"""The tutorial's commands, typed as they stand there, in one shell and an empty folder."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.chain import free_port
from tests.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(600)]
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PORT = "8545"


def script(port: int) -> str:
    blocks = BLOCK.findall((ROOT / "docs" / "tutorial.md").read_text())
    assert len(blocks) > 8
    # Whatever goes wrong, nothing that the tutorial starts may stay.
    return "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" + "".join(blocks).replace(
        PORT, str(port)
    )


def test_tutorial__typed_as_it_stands__ends_with_predictions(tmp_path: Path) -> None:
    environment = os.environ | {
        "POLE": str(ROOT),
        "HOME": str(tmp_path / "nobody"),
        "PYTHONPATH": str(ROOT),
        "SOLCX_BINARY_PATH": str(ROOT / "tools" / "solc"),
        "PATH": f"{Path(sys.executable).parent}:{ROOT / 'node_modules' / '.bin'}:{os.environ['PATH']}",
    }
    (tmp_path / "nobody").mkdir()
    folder = tmp_path / "tutorial"
    folder.mkdir()
    done = subprocess.run(
        ["bash", "-c", script(free_port())],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    logs = "\n".join(path.read_text()[-2000:] for path in folder.glob("*.log"))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    assert "I won block 1" in (folder / "miner.log").read_text()
    assert (folder / "iris-model" / "model.onnx").exists()
    with (folder / "flowers-predicted.csv").open() as file:
        predicted = [row["class"] for row in csv.DictReader(file)]
    assert predicted == ["setosa", "virginica"]
