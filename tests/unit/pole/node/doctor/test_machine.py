"""Python, torch, kernels and disk: what is missing is named with the command that brings it."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pole.encryption.simd.cache import kernel_cache
from pole.node.doctor import machine
from pole.node.doctor.check import Verdict
from tests.unit.checking import OK, PROBLEM, WARNING, says


@pytest.mark.parametrize("version", [(3, 10, 14), (3, 14, 0), (4, 0, 0)])
def test_python__not_supported__problem(version: tuple[int, ...]) -> None:
    says(machine.check_python(version), PROBLEM, "3.11 to 3.13 are supported", "uv venv")


def test_python__supported__ok() -> None:
    assert [machine.check_python((3, minor, 1)).verdict for minor in (11, 12, 13)] == [OK] * 3


def test_torch__missing__warning_that_names_the_extra() -> None:
    says(machine.check_torch("no_torch_here"), WARNING, "miners need it", "pip install 'useful-proof-of-work[train]'")


def test_torch__here__names_the_device() -> None:
    says(machine.check_torch(), OK, "trains on")


@pytest.fixture
def no_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    kernel_cache.cache_clear()
    yield kernel_cache()
    kernel_cache.cache_clear()


def test_kernels__not_compiled__warning_with_the_command(no_kernels: Path) -> None:
    says(machine.check_kernels(), WARNING, "not compiled", "python -m pole.encryption")


def test_kernels__of_another_python__not_compiled(no_kernels: Path) -> None:
    (no_kernels / "simd_0").mkdir(parents=True)
    (no_kernels / "simd_0" / "kernels.powers-208.py39.nbi").touch()
    says(machine.check_kernels(), WARNING, "not compiled")


def test_kernels__cache_not_writable__warning(no_kernels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    says(machine.check_kernels(), WARNING, "cannot be written", "NUMBA_CACHE_DIR")


def test_kernels__compiled__ok(no_kernels: Path) -> None:
    (no_kernels / "simd_0").mkdir(parents=True)
    tag = f"py{sys.version_info[0]}{sys.version_info[1]}"
    (no_kernels / "simd_0" / f"kernels.powers-208.{tag}.nbi").touch()
    says(machine.check_kernels(), OK, "compiled (")


@pytest.mark.parametrize(("free_bytes", "verdict"), [(10**8, PROBLEM), (5 * 10**9, WARNING), (10**11, OK)])
def test_disk__by_free_space(
    free_bytes: int, verdict: Verdict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=free_bytes)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    says(machine.check_disk([tmp_path / "not" / "there"]), verdict, "GB free for")
