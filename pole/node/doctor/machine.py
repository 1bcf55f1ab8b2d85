"""Checks of the machine: Python, torch, the encryption's kernels, the disk."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from pole.encryption.simd.cache import has_ifma, kernel_cache
from pole.node.doctor.check import Check, check, ok, problem, warning
from pole.paths import expanded
from pole.settings import read_settings, unknown_variables

_OLDEST, _NEWEST = (3, 11), (3, 13)
_GB = 10**9
# A miner's --max-data-bytes allows tasks of 8 GiB; a journal grows by kilobytes a round.
_MUCH_BYTES, _LITTLE_BYTES = 10 * _GB, _GB // 5


@check("python")
def check_python(found: tuple[int, ...] = sys.version_info[:3]) -> Check:
    text = ".".join(map(str, found))
    if _OLDEST <= found[:2] <= _NEWEST:
        return ok(text)
    wanted = f"{_OLDEST[0]}.{_OLDEST[1]} to {_NEWEST[0]}.{_NEWEST[1]}"
    return problem(f"{text}; {wanted} are supported", "uv venv --python 3.13, and install the project into it")


@check("settings")
def check_settings() -> Check:
    """The variables of the environment, by name alone: some are secret."""
    read_settings()
    if unknown := unknown_variables():
        return warning(
            f"nothing reads {', '.join(unknown)}", "correct the name (docs/operations.md lists all), or unset"
        )
    return ok("every variable of the environment is as it should be")


@check("torch")
def check_torch(module: str = "torch") -> Check:
    if importlib.util.find_spec(module) is None:
        return warning(
            "missing: miners need it to train, verifiers to judge, clients to submit tasks of the gradient chain",
            "pip install 'useful-proof-of-work[train]'",
        )
    try:
        import torch

        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "the CPU"
        return ok(f"{version('torch')}, trains on {device} ({torch.get_num_threads()} threads)")
    except (ImportError, OSError, RuntimeError) as exc:
        return problem(f"cannot be loaded: {exc}", "pip install --force-reinstall 'useful-proof-of-work[train]'")


@check("kernels")
def check_kernels() -> Check:
    """Only looks for files, since loading numba takes a second; each version of Python compiles its own."""
    folder = kernel_cache()
    products = "AVX-512 IFMA" if has_ifma() else "portable: no AVX-512 IFMA, which is several times as fast"
    if any(folder.glob(f"*/*.py{sys.version_info[0]}{sys.version_info[1]}*.nbi")):
        return ok(f"compiled ({products})")
    if not is_writable(folder):
        return warning(
            f"{folder} cannot be written, so every process compiles the kernels again",
            "set NUMBA_CACHE_DIR to a folder of yours, then: python -m pole.encryption",
        )
    return warning(f"not compiled ({products}); the first process would do it", "python -m pole.encryption")


@check("disk")
def check_disk(folders: Iterable[Path]) -> Check:
    """Of the disks that the folders are on, or will be, the one with least space."""
    free_bytes, folder = min((shutil.disk_usage(nearest(path)).free, path) for path in map(expanded, folders))
    text = f"{free_bytes / _GB:.1f} GB free for {folder}"
    if free_bytes >= _MUCH_BYTES:
        return ok(text)
    remedy = "free some space, or choose another disk with --home and --store"
    if free_bytes < _LITTLE_BYTES:
        return problem(f"{text}; a role stops when its journal finds no space", remedy)
    return warning(f"{text}; a task may take 8 GB", remedy)


def nearest(path: Path) -> Path:
    """The path itself or the closest folder above it that exists."""
    return next(place for place in (path, *path.absolute().parents) if place.exists())


def is_writable(path: Path) -> bool:
    """Whether files can be made in a folder, or the folder itself if it is not there yet."""
    place = nearest(path)
    return place.is_dir() and os.access(place, os.W_OK | os.X_OK)
