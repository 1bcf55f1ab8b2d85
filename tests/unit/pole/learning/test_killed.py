"""SIGKILL during encryption and decryption: the next process does what is missing, and nothing twice."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dataclient import prepare as prepare_module
from dataclient.task_folder import TaskHome
from pole.encryption import CoincurveBackend, MasterKey
from pole.learning import features
from pole.learning.mapping import project, statistics
from pole.storage.folder import FolderStore
from tests.paths import ROOT
from tests.unit import encryption_process
from tests.unit.client_round import write_small_task
from tests.unit.encryption_process import HASH, decrypt, encrypt, manifest_of

ROWS, TRAINING_ROWS = 24, 18

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


class Counting(CoincurveBackend):
    """The reference backend; `encrypted` and `decrypted` are numbers of rows, call by call."""

    def __init__(self) -> None:
        self.encrypted: list[int] = []
        self.decrypted: list[int] = []

    def encrypt(self, master: MasterKey, x: NDArray[np.uint8], *rest: object) -> NDArray[np.uint8]:
        self.encrypted.append(len(x))
        return super().encrypt(master, x, *rest)  # type: ignore[arg-type]

    def decrypt(self, ciphertexts: NDArray[np.uint8], *rest: object) -> NDArray[np.int64]:
        self.decrypted.append(len(ciphertexts))
        return super().decrypt(ciphertexts, *rest)  # type: ignore[arg-type]


def kill_while(work: str, folder: Path, rows: int) -> None:
    """Runs `encrypt` or `decrypt` in a process of its own up to so many rows, and kills that."""
    command = [sys.executable, str(Path(encryption_process.__file__)), work, str(folder), str(rows)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert json.loads(said)[0] >= rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_small_task(tmp_path)
    return tmp_path


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """In place of whatever backend the parent process would choose; the children choose theirs."""
    counted = Counting()
    monkeypatch.setattr(prepare_module, "PART_BYTES", prepare_module.PART_BYTES)
    monkeypatch.setattr(features, "POINTS_PER_PIECE", features.POINTS_PER_PIECE)
    monkeypatch.setattr(prepare_module, "backend", lambda **_: counted)
    monkeypatch.setattr(features, "backend", lambda **_: counted)
    return counted


@pytest.mark.parametrize(("rows", "left"), [(1, [5, 5, 5, 3, 6]), (6, [5, 5, 3, 6]), (18, [3, 6]), (24, [6])], ids=str)
def test_prepare__killed__encrypts_the_missing_files_only(
    folder: Path, counting: Counting, rows: int, left: list[int]
) -> None:
    kill_while("encrypt", folder, rows)
    [home] = [TaskHome(path) for path in (folder / "home" / "tasks").iterdir()]
    secret, stored = home.master_key.read_bytes(), home.progress().parts
    assert sum(part.rows for part in stored) == ROWS - sum(left)
    assert encrypt(folder) == home
    assert counting.encrypted == left
    assert home.master_key.read_bytes() == secret
    files = manifest_of(FolderStore(folder / "store"), home)[0].data.training_set
    assert [file.cid for file in files][: len(stored)] == [part.cid for part in stored]
    assert sum(decrypt(folder).train_x.shape) == TRAINING_ROWS + 2


@pytest.mark.parametrize(
    ("rows", "left"), [(1, [2, 2, 1] * 3 + [2, 1]), (8, [2, 1, 2, 2, 1, 2, 1]), (17, [2, 1])], ids=str
)
def test_load_features__killed__decrypts_the_missing_pieces_only(
    folder: Path, counting: Counting, rows: int, left: list[int]
) -> None:
    home = encrypt(folder)
    manifest, _ = manifest_of(FolderStore(folder / "store"), home)
    kill_while("decrypt", folder, rows)
    opened = decrypt(folder)
    assert counting.decrypted == left
    training = prepare_module.read_rows(home, manifest.data)[0]
    mapped = project(manifest.mapping, HASH, training.x)
    assert opened.train_x.tobytes() == statistics(manifest.mapping, [mapped]).apply(mapped).tobytes()
    assert opened.train_y.tolist() == training.labels.tolist()
    assert opened.opening.rows == sum(left)
    assert decrypt(folder).opening.rows == 0
