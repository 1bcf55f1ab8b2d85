"""Self-attention on the grid. Source: docs/exact-evaluation.md, attention"""

from collections.abc import Callable
from math import prod, sqrt

import numpy as np

from pole.exact.grid import Floats, Grid, settle
from pole.exact.steps import Step
from pole.exact.tables import table
from pole.exact.weights import Rounded, Tensors, blocks, linear_weights

PROJECTED = 2.0**23
"""Largest magnitude of queries, keys and values, and so of what is made of them."""
_SCORE_BITS = 16
_SCORES_AT_ONCE = 1 << 22


def attention(step: Step, tensors: Tensors, activations: Grid) -> Callable[[Floats], Floats]:
    """From activations [n, channels, height, width] to the same."""
    channels, tokens, bits = step.shape[0], prod(step.shape[1:]), activations.fraction_bits
    inner = Grid(bits, PROJECTED)
    projection = linear_weights(f"{step.tensors}.qkv", tensors, activations)
    output = linear_weights(f"{step.tensors}.out", tensors, inner)
    scale = 2.0 ** (_SCORE_BITS - 2 * bits) / sqrt(channels // step.parts)

    def attend(v: Floats) -> Floats:
        found = np.empty((len(v), channels, tokens))
        for rows in blocks(len(v), _SCORES_AT_ONCE // (step.parts * tokens**2)):
            projected = _projected(projection, v[rows].reshape(-1, channels, tokens), inner)
            q, k, values = np.moveaxis(projected.reshape(len(projected), 3, step.parts, -1, tokens), 1, 0)
            mixed = _mixed(np.rint(q.swapaxes(2, 3) @ k * scale), values)
            found[rows] = _projected(output, mixed.reshape(-1, channels, tokens), activations)
        return found.reshape(v.shape)

    return attend


def _projected(weights: Rounded, v: Floats, grid: Grid) -> Floats:
    """[n, inputs, tokens] -> [n, outputs, tokens]; the fraction bits stay."""
    sums = weights.weights.astype(np.float64) @ v + weights.bias[:, None]
    return settle(sums * np.ldexp(1.0, -weights.exponents)[:, None], grid)


def _mixed(scores: Floats, values: Floats) -> Floats:
    """scores [n, heads, tokens, tokens that are looked at]; values [n, heads, size, tokens] -> the same."""
    entries = table("exp")
    below = scores.max(axis=3, keepdims=True) - scores
    weights = entries[np.minimum(below, len(entries) - 1).astype(np.int32)].astype(np.float64)
    return np.asarray(np.rint(values @ weights.swapaxes(2, 3) / weights.sum(axis=3)[:, :, None]))
