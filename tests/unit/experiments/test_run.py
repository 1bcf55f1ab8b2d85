"""Every experiment run as a user does, made small: its table, its pictures, and that nothing is computed twice."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from experiments import accuracy, block_time, directed_gradients, discretisation
from experiments.__main__ import cli
from experiments.accuracy import Network, Row
from experiments.features import dense
from tests.unit.imagefiles import write_cifar10, write_mnist


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    write_mnist(tmp_path, rows=200)
    write_cifar10(tmp_path, rows=40)
    return tmp_path


def _run(name: str, data_dir: Path, *options: str) -> str:
    results = str(data_dir / "results")
    arguments = [name, "--data-dir", str(data_dir), "--results", results, "--threads", "1", "--device", "cpu"]
    result = CliRunner().invoke(cli, [*arguments, *options])
    assert result.exit_code == 0, result.output
    return result.stdout


def _kept(name: str, data_dir: Path) -> dict[Path, int]:
    """Cells with the moments at which they were written."""
    folder = data_dir / "results" / name / "quick-files-seed1"
    assert (folder / "summary.json").is_file()
    pictures = [f"{name}.png" for name in json.loads((folder / "summary.json").read_bytes())["figures"]]
    assert pictures
    assert all((folder / each).is_file() for each in pictures)
    return {path: path.stat().st_mtime_ns for path in folder.glob("cells/*.json")}


def test_cuda__no_gpu__refused(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    result = CliRunner().invoke(cli, ["accuracy", "--device", "cuda", "--results", str(data_dir)])
    assert "torch sees no GPU; use --device cpu" in str(result.exception)


def test_accuracy__synthetic_files__learnt_with_and_without_the_mapping(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [Row("Small", "mnist", Network((32,), batch=16), dense(64, 4), 400, 8, "1 / 2; 3 / 4 min", splits=2)]
    monkeypatch.setattr(accuracy, "ROWS", rows)
    first = _run("accuracy", data_dir)
    cells = _kept("accuracy", data_dir)
    for path in cells:
        result = json.loads(path.read_bytes())
        assert (result["data"], result["rows"], result["epochs"]) == ("mnist", 200, 8)
        assert result["secure"]["train"][-1] > 50  # 10 by chance
        assert result["original"]["train"][-1] > 90
    assert "| Small | mnist, 200 rows, 4 x 16 outputs, MLP 32, 2 splits | 8" in first
    assert _run("accuracy", data_dir) == first
    assert _kept("accuracy", data_dir) == cells


def test_discretisation__synthetic_files__known_ranks(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight vectors on segments of four pixels have rank four."""
    choices = [discretisation.Choice(outputs=32, segments=4), discretisation.Choice(outputs=1568, segments=196)]
    monkeypatch.setattr(discretisation, "SWEEPS", {"segments": choices})
    monkeypatch.setattr(discretisation, "EPOCHS", 1)
    first = _run("discretisation", data_dir)
    cells = _kept("discretisation", data_dir)
    assert {path.stem: json.loads(path.read_bytes())["rank"] for path in cells} == {
        "b4-k3-o32-s4-half-whitened": 32,
        "b4-k3-o1568-s196-half-whitened": 784,
    }
    assert _run("discretisation", data_dir) == first
    assert _kept("discretisation", data_dir) == cells


@pytest.mark.slow
def test_directed_gradients__synthetic_files__both_chains_grow(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directed_gradients, "QUICK_BLOCKS", 2)
    monkeypatch.setattr(directed_gradients, "TARGET_STEPS", 8)
    monkeypatch.setattr(directed_gradients, "REQUIREMENTS", 2)
    monkeypatch.setattr(directed_gradients, "QUICK_MOST_STEPS", 100)
    _run("directed-gradients", data_dir)
    for path in _kept("directed-gradients", data_dir):
        result = json.loads(path.read_bytes())
        assert result["data"] == "cifar10"
        assert len(result["accuracies"]) == len(result["steps"]) + 1
        assert all(0 < steps <= directed_gradients.QUICK_MOST_STEPS for steps in result["steps"])


@pytest.mark.slow
def test_block_time__synthetic_files__the_same_seed_gives_the_same_blocks(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real rounds on real contracts; what is computed anew, training included, comes out the same."""
    monkeypatch.setattr(block_time, "BLOCKS", 2)
    monkeypatch.setattr(block_time, "EXPECTED_HASHES", 50)
    monkeypatch.setattr(block_time, "LR", 1e-3)
    first = _run("block-time", data_dir)
    pole = data_dir / "results/block-time/quick-files-seed1/cells/pole.json"
    seconds, trained = json.loads(pole.read_bytes())["seconds"], sorted(pole.parents[1].glob("trained/*.json"))
    assert len(seconds) == 2
    assert len(trained) == 6
    for path in (pole, *trained):
        path.unlink()
    assert _run("block-time", data_dir) == first
    assert json.loads(pole.read_bytes())["seconds"] == seconds
    assert sorted(pole.parents[1].glob("trained/*.json")) == trained
