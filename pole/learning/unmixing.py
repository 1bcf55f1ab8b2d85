"""Back from inner products to an estimate of the row: linear, so that a model's first layer can hold it.

Of all rows that fit the inner products, the shortest: the least-squares estimate by the pseudo-inverse of Z. It is what
everybody who has the keys of a round can compute; where Z has full rank it is the row itself.
"""

import numpy as np
from numpy.typing import NDArray

from pole.learning.mapping import mapping_matrix
from pole.task.manifest import DenseMapping

# Directions that Z shrinks below this share of its largest one are left out: they are mostly rounding.
SMALLEST_SHARE = 1e-6


def unmixing_matrix(
    mapping: DenseMapping, previous_hash: bytes, shape: tuple[int, ...], scale: NDArray[np.float32]
) -> NDArray[np.float64]:
    """U float64 [outputs, features]: `(f - mean(f)) @ U` estimates `x - mean(x)`, f being normalised by `scale`."""
    weights = mapping_matrix(mapping, previous_hash, shape).astype(np.float64)
    back = np.linalg.pinv(weights, rcond=SMALLEST_SHARE).T
    unmixed: NDArray[np.float64] = np.kron(np.eye(mapping.segments), back) * scale.astype(np.float64)[:, None]
    return unmixed
