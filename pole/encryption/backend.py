"""The seam between the scheme and whatever computes it: a backend is four operations on arrays.

Source: PoLe, section 3.4, steps 1, 2 and 4 (Abdalla, Bourse, De Caro, Pointcheval 2015 over secp256k1).
"""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from pole.encryption.coincurve_backend import CoincurveBackend
from pole.encryption.keys import MasterKey, PublicKey
from pole.errors import BadInput

Progress = Callable[[int, int], None]
Etas = Sequence[Sequence[int]]
BackendName = Literal["auto", "coincurve"]


class Backend(Protocol):
    """All backends compute the same functions; `encrypt` draws its own randomness."""

    name: str

    def public_key(self, master: MasterKey) -> PublicKey:
        """h_j = g^(s_j)."""

    def encrypt(self, master: MasterKey, x: NDArray[np.uint8], progress: Progress | None = None) -> NDArray[np.uint8]:
        """Rows [n, D] to ciphertexts [n, D + 1, 64]: ct_0 = g^r, ct_i = g^(r s_i + x_i), a fresh r per row."""

    def decrypt(
        self,
        ciphertexts: NDArray[np.uint8],
        queries: NDArray[np.int64],
        etas: Etas,
        bound: int,
        progress: Progress | None = None,
    ) -> NDArray[np.int64]:
        """Inner products [n, segments * vectors] of ciphertexts [n, D + 1, 64].

        queries [vectors, D / segments] are non-negative; etas[segment][vector]; results lie in 0..bound.
        Raises DecryptionFailed if one does not, and DataInvalid for points off the curve.
        """

    def verify_keys(self, public_key: PublicKey, queries: NDArray[np.int64], etas: Etas) -> NDArray[np.bool_]:
        """Whether g^eta == prod h_j^(z_j), as [segments, vectors]."""


def backend(name: BackendName = "auto") -> Backend:
    """The named backend; `auto` is the fastest one that this machine has."""
    if name in ("auto", "coincurve"):
        return CoincurveBackend()
    raise BadInput(f"there is no encryption backend {name!r}; use auto or coincurve")
