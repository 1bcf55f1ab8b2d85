"""What each layer type does to values: float64 arrays [n, *shape] of integers.

Source: docs/exact-evaluation.md, Layers
"""

from collections.abc import Callable, Iterator
from typing import cast

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pole.exact.grid import ACTIVATIONS, FRACTION_BITS, ONE, RAW, Floats, Grid, settle
from pole.exact.steps import Step, Window
from pole.exact.tables import table
from pole.exact.weights import BLOCK, Rounded, Tensors, blocks, weights_of

_EPSILON = 1e-5
_SQUARE_BITS = 15  # of the differences that layer_norm squares

Layer = Callable[..., Floats]


def layer_of(step: Step, tensors: Tensors, grids: tuple[Grid, ...], is_last: bool) -> Layer:
    """The function of a step's inputs, one array each. The output of a last linear layer is logits, not rounded."""
    if step.kind in _KEEPING:
        return _KEEPING[step.kind](step)
    if step.kind in _PLAIN:
        return _on_activations(_PLAIN[step.kind](step), grids)
    [grid] = grids
    if step.kind == "layer_norm":
        return _layer_norm(weights_of(step, tensors, ACTIVATIONS), grid)
    weights = weights_of(step, tensors, grid)
    if step.kind == "linear":
        return _logits(weights, grid) if is_last else _linear(weights, grid)
    return _convolution(step, weights, grid) if step.kind == "conv2d" else _batch_norm(step, weights, grid)


def output_grid(step: Step, grids: tuple[Grid, ...]) -> Grid:
    """Of the step's output, given the grids of its inputs."""
    return grids[0] if step.kind in _KEEPING else ACTIVATIONS


def _on_activations(layer: Layer, grids: tuple[Grid, ...]) -> Layer:
    """The layer behind a step that takes raw inputs to the grid of activations."""
    if RAW not in grids:
        return layer
    factors = [ONE if grid == RAW else 1 for grid in grids]
    return lambda *inputs: layer(*(settle(v * factor) for v, factor in zip(inputs, factors, strict=True)))


# --- with weights ----------------------------------------------------------------------------------------------------


def _to_grid(sums: Floats, weights: Rounded, grid: Grid, axis: int) -> Floats:
    """From exact sums T to activations, in place; the channels lie along `axis`."""
    powers = np.ldexp(1.0, FRACTION_BITS - grid.fraction_bits - weights.exponents)
    sums *= powers.reshape(-1, *(1,) * (sums.ndim - 1 - axis))
    return settle(sums)


def _sums(weights: Rounded, columns: Floats) -> Floats:
    """weights · columns + bias: [channels, n] times [n, m]."""
    sums = np.empty((len(weights.bias), columns.shape[1]))
    for some in blocks(len(sums), BLOCK // len(columns)):
        np.matmul(weights.weights[some].astype(np.float64), columns, out=sums[some])
    sums += weights.bias[:, None]
    return sums


def _linear(weights: Rounded, grid: Grid) -> Layer:
    return lambda v: _to_grid(_sums(weights, v.T).T, weights, grid, axis=1)


def _logits(weights: Rounded, grid: Grid) -> Layer:
    powers = np.ldexp(1.0, -weights.exponents - grid.fraction_bits)
    return lambda v: _sums(weights, v.T).T * powers


def _convolution(step: Step, weights: Rounded, grid: Grid) -> Layer:
    window, (channels, height, width) = _window(step), step.shape
    per_line = weights.weights.shape[1] * width

    def convolve(v: Floats) -> Floats:
        padded = _padded(v, window.padding, 0.0)
        found = np.empty((len(v), channels, height, width))
        for rows in blocks(len(v), BLOCK // (per_line * height)):
            for lines in blocks(height, BLOCK // per_line):
                sums = _sums(weights, _patches(padded[rows], window, lines))
                part = sums.reshape(channels, -1, lines.stop - lines.start, width)
                found[rows, :, lines] = part.transpose(1, 0, 2, 3)
        return _to_grid(found, weights, grid, axis=1)

    return convolve


def _patches(padded: Floats, window: Window, lines: slice) -> Floats:
    """What the window sees at each position of some lines of the output: [channels * kernel^2, rows * positions]."""
    top, bottom = lines.start * window.stride, (lines.stop - 1) * window.stride + window.kernel
    view = sliding_window_view(padded[:, :, top:bottom], (window.kernel, window.kernel), axis=(2, 3))  # type: ignore[call-overload]
    positions = cast(Floats, view)[:, :, :: window.stride, :: window.stride]
    count = len(padded) * positions.shape[2] * positions.shape[3]
    return positions.transpose(1, 4, 5, 0, 2, 3).reshape(-1, count)


def _diagonal(weights: Rounded, grid: Grid, shape: tuple[int, ...]) -> Layer:
    """One weight and one bias for each channel; both are brought to `shape` without rows."""
    each_weight, each_bias = weights.weights.reshape(shape).astype(np.float64), weights.bias.reshape(shape)
    powers = np.ldexp(1.0, FRACTION_BITS - grid.fraction_bits - weights.exponents).reshape(shape)
    return lambda v: settle((v * each_weight + each_bias) * powers)


def _batch_norm(step: Step, weights: Rounded, grid: Grid) -> Layer:
    return _diagonal(weights, grid, (-1, *(1,) * (len(step.shape) - 1)))


def _layer_norm(weights: Rounded, grid: Grid) -> Layer:
    affine = _diagonal(weights, ACTIVATIONS, (-1,))
    return lambda v: affine(_normalised(v.reshape(len(v), -1), grid)).reshape(v.shape)


def _normalised(v: Floats, grid: Grid) -> Floats:
    """Rows [n, values] with mean 0 and standard deviation 1, on the grid of activations."""
    count = v.shape[1]
    differences = v - np.rint(v.sum(axis=1, keepdims=True) / count)
    largest = np.abs(differences).max(axis=1, keepdims=True)
    # frexp: largest - 1 < 2^bits, so largest <= 2^bits.
    bits = np.frexp(np.maximum(largest - 1, 0))[1]
    shift = np.maximum(bits - _SQUARE_BITS, 0)
    squares = np.rint(differences * np.ldexp(1.0, -shift)) ** 2
    sums = squares.sum(axis=1, keepdims=True)
    variance = sums * np.ldexp(1.0, 2 * shift - 2 * grid.fraction_bits) / count
    factor = 2.0 ** (FRACTION_BITS - grid.fraction_bits) / np.sqrt(variance + _EPSILON)
    return cast(Floats, np.rint(differences * factor))


# --- windows ---------------------------------------------------------------------------------------------------------


def _window(step: Step) -> Window:
    assert step.window is not None
    return step.window


def _padded(v: Floats, padding: int, value: float) -> Floats:
    sides = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    return np.pad(v, sides, constant_values=value) if padding else v


def _offsets(v: Floats, step: Step) -> Iterator[Floats]:
    """The window's values, one place of the window after another: each [n, *output shape]."""
    window, (_, height, width) = _window(step), step.shape
    for i in range(window.kernel):
        for j in range(window.kernel):
            rows = slice(i, i + (height - 1) * window.stride + 1, window.stride)
            columns = slice(j, j + (width - 1) * window.stride + 1, window.stride)
            yield v[:, :, rows, columns]


def _max_pool(step: Step) -> Layer:
    def pool(v: Floats) -> Floats:
        places = _offsets(_padded(v, _window(step).padding, -np.inf), step)
        largest = next(places).copy()
        for place in places:
            np.maximum(largest, place, out=largest)
        return largest

    return pool


def _average_pool(step: Step) -> Layer:
    def pool(v: Floats) -> Floats:
        places = _offsets(v, step)
        total = next(places).copy()
        for place in places:
            total += place
        return cast(Floats, np.rint(total / _window(step).kernel ** 2))

    return pool


def _global_average_pool(step: Step) -> Layer:
    _, height, width = step.input_shapes[0]
    return lambda v: cast(Floats, np.rint(v.sum(axis=(2, 3)) / (height * width)))


def _adaptive_average_pool(step: Step) -> Layer:
    """Output i of o along a side s covers floor(i s / o) up to ceil((i + 1) s / o), without that."""
    _, height, width = step.input_shapes[0]
    _, rows, columns = step.shape

    def pool(v: Floats) -> Floats:
        found = np.empty((len(v), *step.shape))
        for i in range(rows):
            for j in range(columns):
                part = v[:, :, i * height // rows : -(-(i + 1) * height // rows)]
                part = part[:, :, :, j * width // columns : -(-(j + 1) * width // columns)]
                found[:, :, i, j] = np.rint(part.sum(axis=(2, 3)) / (part.shape[2] * part.shape[3]))
        return found

    return pool


# --- element by element ----------------------------------------------------------------------------------------------


def _looked_up(kind: str, v: Floats) -> Floats:
    entries = table(kind)
    return entries[np.minimum(np.abs(v), len(entries) - 1).astype(np.int32)].astype(np.float64)


def _below_relu(kind: str) -> Callable[[Step], Layer]:
    return lambda _: lambda v: np.maximum(v, 0) - _looked_up(kind, v)


def _tanh(v: Floats) -> Floats:
    return np.copysign(_looked_up("tanh", v), v)


def _sigmoid(v: Floats) -> Floats:
    above = _looked_up("sigmoid", v)
    return np.where(v < 0, ONE - above, above)


def _add(*inputs: Floats) -> Floats:
    return settle(sum(inputs[1:], inputs[0]))


def _plain(layer: Layer) -> Callable[[Step], Layer]:
    return lambda _: layer


_KEEPING: dict[str, Callable[[Step], Layer]] = {
    "relu": _plain(lambda v: np.maximum(v, 0)),
    "max_pool": _max_pool,
    "dropout": _plain(lambda v: v),
    "flatten": _plain(lambda v: v.reshape(len(v), -1)),
    "reshape": lambda step: lambda v: v.reshape(len(v), *step.shape),
}

_PLAIN: dict[str, Callable[[Step], Layer]] = {
    "average_pool": _average_pool,
    "global_average_pool": _global_average_pool,
    "adaptive_average_pool": _adaptive_average_pool,
    "tanh": _plain(_tanh),
    "sigmoid": _plain(_sigmoid),
    "silu": _below_relu("silu"),
    "gelu": _below_relu("gelu"),
    "add": _plain(_add),
    "concat": _plain(lambda *inputs: np.concatenate(inputs, axis=1)),
}
