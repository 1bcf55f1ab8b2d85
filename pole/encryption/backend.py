"""The interface between the scheme and what computes it: a backend is five operations on arrays.

Source: PoLe, section 3.4, steps 1, 2 and 4 (Abdalla, Bourse, De Caro, Pointcheval 2015 over secp256k1).
"""

import sys
from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from pole.encryption.keys import MasterKey, PublicKey
from pole.encryption.reference import CoincurveBackend
from pole.encryption.simd.cache import has_ifma, kernel_cache
from pole.errors import BadInput
from pole.settings import read_settings
from pole.timing import OnProgress

Etas = Sequence[Sequence[int]]
BackendName = Literal["auto", "coincurve", "numba", "torch"]


class Backend(Protocol):
    """All backends compute the same functions; `encrypt` draws its own randomness."""

    name: str

    def public_key(self, master: MasterKey) -> PublicKey:
        """h_j = g^(s_j)."""

    def encrypt(self, master: MasterKey, x: NDArray[np.uint8], progress: OnProgress | None = None) -> NDArray[np.uint8]:
        """Rows [n, D] to ciphertexts [n, D + 1, 64]: ct_0 = g^r, ct_i = g^(r s_i + x_i), a fresh r per row."""

    def decrypt(
        self,
        ciphertexts: NDArray[np.uint8],
        queries: NDArray[np.int64],
        etas: Etas,
        bound: int,
        progress: OnProgress | None = None,
    ) -> NDArray[np.int64]:
        """Inner products [n, segments * vectors] of ciphertexts [n, D + 1, 64].

        queries [vectors, D / segments] are non-negative; etas[segment][vector]; results lie in 0..bound.
        Raises DecryptionFailed if one does not, and DataInvalid for points off the curve.
        """

    def decompress(self, points: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Ciphertexts [n, D + 1, 33] as [n, D + 1, 64].

        Raises DataInvalid for a prefix other than 2 and 3 and for an x that is not below p or of no point.
        """

    def verify_keys(self, public_key: PublicKey, queries: NDArray[np.int64], etas: Etas) -> NDArray[np.bool_]:
        """Whether g^eta == prod h_j^(z_j), as [segments, vectors]."""


class AutomaticBackend:
    """The reference backend for little work, the fast one for more.

    Loading the fast one's kernels costs a process half a second (three times that where Python keeps no bytecode), and
    compiling them, once per machine, about 20; the reference backend has done a small data set by then.
    """

    name = "auto"

    def __init__(self, rows: int = 0) -> None:
        self._reference, self._rows = CoincurveBackend(), rows

    def public_key(self, master: MasterKey) -> PublicKey:
        return self._reference.public_key(master)

    def encrypt(self, master: MasterKey, x: NDArray[np.uint8], progress: OnProgress | None = None) -> NDArray[np.uint8]:
        return self._choose(max(len(x), self._rows) * (master.dimension + 1) * _POWER_S).encrypt(master, x, progress)

    def decrypt(
        self,
        ciphertexts: NDArray[np.uint8],
        queries: NDArray[np.int64],
        etas: Etas,
        bound: int,
        progress: OnProgress | None = None,
    ) -> NDArray[np.int64]:
        per_row_s = len(etas) * (queries.size * _ADDITIONS_S + len(queries) * _POWER_S)
        return self._choose(max(len(ciphertexts), self._rows) * per_row_s).decrypt(
            ciphertexts, queries, etas, bound, progress
        )

    def decompress(self, points: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return self._choose(max(len(points), self._rows) * points.shape[1] * _ROOT_S).decompress(points)

    def verify_keys(self, public_key: PublicKey, queries: NDArray[np.int64], etas: Etas) -> NDArray[np.bool_]:
        return self._reference.verify_keys(public_key, queries, etas)

    def _choose(self, reference_s: float) -> Backend:
        """Whatever is done first, given how long the reference backend would take on one core."""
        return self._reference if reference_s < _start_s() else _fast()


_POWER_S = 40e-6  # the reference backend's time for a power, and for a weight's additions
_ADDITIONS_S = 0.5e-6
_ROOT_S = 6e-6
_TABLES_S, _LOADING_S, _COMPILING_S = 0.05, 1.0, 30.0
_GAIN_IFMA, _GAIN = 25.0, 5.0  # of the fast backend on one core


def expected_s(reference_s: float) -> float:
    """About how long `auto` takes for what takes the reference backend so many seconds on one core of this machine."""
    start_s = _start_s()
    return reference_s if reference_s < start_s else start_s + reference_s / (_GAIN_IFMA if has_ifma() else _GAIN)


def _start_s() -> float:
    """Seconds until the fast backend begins: tables, before them kernels that this process has not loaded."""
    if is_loaded():
        return _TABLES_S
    return _LOADING_S if is_compiled() else _COMPILING_S


def is_loaded() -> bool:
    """Whether this process has the fast backend's kernels."""
    return "pole.encryption.simd.backend" in sys.modules


def is_compiled() -> bool:
    """Whether this machine has them."""
    return any(kernel_cache().rglob("*powers*.nbc")) and any(kernel_cache().rglob("*run_program*.nbc"))


def _fast() -> Backend:
    # Importing numba takes a second; what never encrypts much should not wait for it.
    from pole.encryption.simd.backend import NumbaBackend

    return NumbaBackend()


def backend(name: BackendName | None = None, rows: int = 0) -> Backend:
    """The named backend, by default the one that $POLE_ENCRYPTION_BACKEND names, else `auto`: whatever is done first.

    `rows`: how many there are in all, if they come in pieces. `torch` is for GPUs, and never chosen by itself.
    """
    wanted = name or read_settings().encryption_backend
    if wanted == "auto":
        return AutomaticBackend(rows)
    if wanted == "coincurve":
        return CoincurveBackend()
    if wanted == "numba":
        return _fast()
    if wanted == "torch":
        from pole.encryption.gpu.backend import TorchBackend

        return TorchBackend()
    raise BadInput(f"there is no encryption backend {wanted!r}; use auto, coincurve, numba or torch")
