"""How much of the rows lies outside of the range that a model was trained on."""

import numpy as np
import numpy.typing as npt

from pole.task.manifest import Discretisation

FAR = 0.1
"""Of the range's width: values further out than that are far outside."""
ROWS_AT_ONCE = 4096


def outside(x: npt.NDArray[np.generic], discretisation: Discretisation, slack: float = 0.0) -> npt.NDArray[np.bool_]:
    """[n, features]: which values lie outside, by more than `slack` times the width of the range."""
    flat = x.reshape(len(x), -1).astype(np.float64)
    low, high = np.asarray(discretisation.minimum), np.asarray(discretisation.maximum)
    margin = slack * (high - low)
    return np.asarray((flat < low - margin) | (flat > high + margin))


def clipped_shares(x: npt.NDArray[np.generic], discretisation: Discretisation) -> npt.NDArray[np.float64]:
    """[features]: the share of values outside, of each feature or, with one range for all, of all together."""
    counts = np.zeros(int(np.prod(x.shape[1:])))
    for start in range(0, len(x), ROWS_AT_ONCE):
        counts += outside(x[start : start + ROWS_AT_ONCE], discretisation).sum(axis=0)
    shares = counts / max(1, len(x))
    return shares if len(discretisation.minimum) > 1 else shares.mean(keepdims=True)
