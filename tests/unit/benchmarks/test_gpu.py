"""The kit for GPU evidence, at toy size on a CPU: its checks, its resumption, its page, its folder."""

import json
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import __main__ as runner
from benchmarks.gpu import checks
from benchmarks.gpu.part import Bench, Part, Rows
from benchmarks.gpu.report import report
from pole.encryption.gpu.backend import TorchBackend
from tools.gpu_kit import LIMIT_BYTES, pack


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(torch.device("cpu"), True, tmp_path, tmp_path, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "check", [checks.machine, checks.encryption_speed, checks.exact_hashes, checks.gradient_loop, checks.verification]
)
def test_check__at_toy_size__says_what_it_measured(bench: Bench, check: object) -> None:
    rows = check(bench)  # type: ignore[operator]
    assert rows
    assert all(what and figure for what, figure in rows)


@pytest.mark.slow
def test_encryption_equality__backend_that_opens_to_other_numbers__fails(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "equal" in checks.encryption_equality(bench)[0][1]
    honest = TorchBackend.decrypt
    monkeypatch.setattr(TorchBackend, "decrypt", lambda *given: honest(*given) + 1)
    with pytest.raises(AssertionError, match="TorchBackend opens"):
        checks.encryption_equality(bench)


def nothing(bench: Bench) -> Rows:
    return [("device", bench.device.type)]


def test_main__some_parts_done__only_the_others_are_run_and_failures_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "PARTS", [Part(name, name, "", nothing) for name in ("done", "failed", "new")])
    run: list[str] = []

    def apart(part: Part, options: object) -> str:
        run.append(part.name)
        (tmp_path / f"{part.name}.json").write_text(json.dumps({"rows": [["what", "figure"]], "device": "cpu"}))
        return "done"

    monkeypatch.setattr(runner, "_run_apart", apart)
    (tmp_path / "done.json").write_text(json.dumps({"rows": [["old", "1"]], "device": "cpu"}))
    (tmp_path / "failed.json").write_text(json.dumps({"failed": "no memory"}))
    page = tmp_path / "page.md"
    monkeypatch.setattr(sys, "argv", ["gpu", "--results", str(tmp_path), "--page", str(page)])
    assert runner.main() == 0
    assert run == ["failed", "new"]
    assert "| old" in page.read_text()
    assert "Run on a CPU: nothing is said about GPUs" in page.read_text()


def test_parts__at_most_twenty_of_eight_minutes() -> None:
    assert len(runner.PARTS) <= 20
    assert runner.LIMIT_S <= 480
    assert len({part.name for part in runner.PARTS}) == len(runner.PARTS)


def test_report__part_that_failed_or_was_not_run__says_so() -> None:
    parts = [Part(name, "what", "goal", nothing) for name in ("one", "two", "three")]
    found = {"one": {"failed": "a | b"}, "two": None, "three": {"rows": [["x", "1"], ["y", "2"]], "device": "cuda"}}
    page = report(parts, found, is_toy=False)
    assert r"FAILED | a \| b" in page.replace("  ", "")
    assert "not run" in page
    assert "CPU:" not in page


def test_pack__without_pictures__leaves_room_for_them(tmp_path: Path) -> None:
    """All sources and packages, and a target of the same name as here."""
    size_bytes = pack(tmp_path / "kit", None)
    assert size_bytes < LIMIT_BYTES - (19 << 20)
    assert (tmp_path / "kit/pole/gradient/seeds.py").exists()
    assert (tmp_path / "kit/packages/torchvision/__init__.py").exists()
    assert "gpu:\n\tpython3 -m benchmarks.gpu" in (tmp_path / "kit/Makefile").read_text()
