"""Where compiled kernels are kept, and what they are compiled for; does not import numba, which takes a second."""

import hashlib
import os
from functools import cache
from pathlib import Path

from llvmlite import binding

from pole.paths import expanded
from pole.settings import read_settings

_SOURCES = ("../program", "codec", "field", "inversion", "kernels", "lanes", "portable")


@cache
def has_ifma() -> bool:
    """Whether the processor multiplies 52-bit limbs by itself; POLE_NO_IFMA=1 pretends that it does not."""
    return bool(binding.get_host_cpu_features().get("avx512ifma")) and not read_settings().no_ifma


@cache
def kernel_cache() -> Path:
    """Where compiled kernels are kept: NUMBA_CACHE_DIR, else the user's cache; apart for each version of the sources.

    numba itself only notices changes of the file that a kernel is in, not of the formulas that it is made from.
    """
    digest = hashlib.sha256(str(has_ifma()).encode())
    for name in _SOURCES:
        digest.update((Path(__file__).parent / f"{name}.py").read_bytes())
    home = os.environ.get("XDG_CACHE_HOME") or expanded("~/.cache")
    root = Path(os.environ.get("NUMBA_CACHE_DIR") or Path(home) / "pole" / "kernels")
    return root / digest.hexdigest()[:16]
