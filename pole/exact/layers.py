"""What each layer type does to values: float64 arrays [n, *shape] of integers.

Source: docs/exact-evaluation.md, Layers
"""

from collections.abc import Callable, Iterator, Sequence
from typing import cast

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pole.exact.attention import attention
from pole.exact.grid import FINE, RAW, Floats, Grid, settle
from pole.exact.steps import NORMS, Step, Window
from pole.exact.tables import table
from pole.exact.weights import BLOCK, Rounded, Tensors, blocks, weights_of

_EPSILON = 1e-5
_SQUARE_BITS = 15  # of the differences that layer_norm squares

Layer = Callable[..., Floats]


def layer_of(step: Step, tensors: Tensors, grids: Sequence[Grid], activations: Grid, is_last: bool = False) -> Layer:
    """The function of a step's inputs, one array each, which lie on `grids`; its output lies on `output_grid`.

    The output of a last linear layer is logits instead, not rounded.
    """
    if step.kind in _KEEPING:
        return _KEEPING[step.kind](step)
    if step.kind in _LEARNED:
        return _on_activations(_LEARNED[step.kind](step, tensors, activations), grids, activations)
    if step.kind in _PLAIN:
        return _on_activations(_PLAIN[step.kind](step, activations), grids, activations)
    [grid] = grids
    if step.kind in NORMS:
        return _norm(step, weights_of(step, tensors, activations), grid, activations)
    weights = weights_of(step, tensors, grid)
    if is_last and step.kind == "linear":
        return _linear(weights, np.ldexp(1.0, -grid.fraction_bits - weights.exponents), None)
    powers = np.ldexp(1.0, activations.fraction_bits - grid.fraction_bits - weights.exponents)
    if step.kind == "linear":
        return _linear(weights, powers, activations)
    if step.kind in _CONVOLUTIONS:
        return _CONVOLUTIONS[step.kind](step, weights, powers, activations)
    return _diagonal(weights, powers, activations, (-1, *(1,) * (len(step.shape) - 1)))


def output_grid(step: Step, grids: Sequence[Grid], activations: Grid) -> Grid:
    """Of the step's output, given the grids of its inputs."""
    return grids[0] if step.kind in _KEEPING else activations


def _on_activations(layer: Layer, grids: Sequence[Grid], activations: Grid) -> Layer:
    """The layer behind a step that takes raw inputs to the grid of activations."""
    if RAW not in grids:
        return layer
    factors = [2.0 ** (activations.fraction_bits - grid.fraction_bits) for grid in grids]
    return lambda *inputs: layer(*(settle(v * f, activations) for v, f in zip(inputs, factors, strict=True)))


# --- with weights ----------------------------------------------------------------------------------------------------


def _sums(weights: Rounded, columns: Floats) -> Floats:
    """weights · columns + bias: [channels, n] times [n, m]."""
    sums = np.empty((len(weights.bias), columns.shape[1]))
    for some in blocks(len(sums), BLOCK // len(columns)):
        np.matmul(weights.weights[some].astype(np.float64), columns, out=sums[some])
    sums += weights.bias[:, None]
    return sums


def _linear(weights: Rounded, powers: Floats, grid: Grid | None) -> Layer:
    def multiply(v: Floats) -> Floats:
        sums = _sums(weights, v.T).T * powers
        return sums if grid is None else settle(sums, grid)

    return multiply


def _convolution(step: Step, weights: Rounded, powers: Floats, grid: Grid) -> Layer:
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
        found *= powers[:, None, None]
        return settle(found, grid)

    return convolve


def _patches(padded: Floats, window: Window, lines: slice) -> Floats:
    """What the window sees at each position of some lines of the output: [channels * kernel^2, rows * positions]."""
    top, bottom = lines.start * window.stride, (lines.stop - 1) * window.stride + window.kernel
    view = sliding_window_view(padded[:, :, top:bottom], (window.kernel, window.kernel), axis=(2, 3))  # type: ignore[call-overload]
    positions = cast(Floats, view)[:, :, :: window.stride, :: window.stride]
    count = len(padded) * positions.shape[2] * positions.shape[3]
    return positions.transpose(1, 4, 5, 0, 2, 3).reshape(-1, count)


def _diagonal(weights: Rounded, powers: Floats, grid: Grid, shape: tuple[int, ...]) -> Layer:
    """One weight and one bias for each channel; both are brought to `shape` without rows."""
    weight, bias, power = (each.astype(np.float64).reshape(shape) for each in (weights.weights, weights.bias, powers))
    return lambda v: settle((v * weight + bias) * power, grid)


def _row_convolution(step: Step, weights: Rounded, powers: Floats, grid: Grid) -> Layer:
    """One product for each place of the kernel; every sum of some of them is exact."""
    window, (channels, _, width) = _window(step), step.shape
    places = weights.weights.astype(np.float64).reshape(channels, -1, window.kernel)

    def convolve(v: Floats) -> Floats:
        padded = np.pad(v, ((0, 0), (0, 0), (0, 0), (window.padding, window.padding)))
        sums = np.zeros((len(v), *step.shape)) + weights.bias[:, None, None]
        for j in range(window.kernel):
            seen = padded[..., j : j + (width - 1) * window.stride + 1 : window.stride]
            sums += np.tensordot(places[:, :, j], seen, (1, 1)).transpose(1, 0, 2, 3)
        return settle(sums * powers[:, None, None], grid)

    return convolve


def _depthwise(step: Step, weights: Rounded, powers: Floats, grid: Grid) -> Layer:
    places = weights.weights.astype(np.float64).T[:, :, None, None]

    def convolve(v: Floats) -> Floats:
        sums = np.zeros((len(v), *step.shape)) + weights.bias[:, None, None]
        for weight, seen in zip(places, _offsets(_padded(v, _window(step).padding, 0.0), step), strict=True):
            sums += weight * seen
        return settle(sums * powers[:, None, None], grid)

    return convolve


_CONVOLUTIONS: dict[str, Callable[[Step, Rounded, Floats, Grid], Layer]] = {
    "conv2d": _convolution,
    "conv1d": _row_convolution,
    "depthwise_conv2d": _depthwise,
}


def _embedding(step: Step, tensors: Tensors, grid: Grid) -> Layer:
    """One number for each element, brought to the grid of activations."""
    added = settle(tensors[f"{step.tensors}.weight"].astype(np.float64) * 2.0**grid.fraction_bits, grid)
    return lambda v: settle(v + added, grid)


_LEARNED: dict[str, Callable[[Step, Tensors, Grid], Layer]] = {
    "attention": attention,
    "embedding_position": _embedding,
}


def _norm(step: Step, weights: Rounded, grid: Grid, activations: Grid) -> Layer:
    """Each set of values that is normalised together becomes a row, and goes back to where it was."""
    shape = (-1,) if step.kind == "layer_norm" else (-1, *(1,) * (len(step.shape) - 1))
    affine = _diagonal(weights, np.ldexp(1.0, -weights.exponents), activations, shape)

    def normalise(v: Floats) -> Floats:
        if step.kind == "channel_norm":
            positions = v.transpose(0, 2, 3, 1)
            flat = _normalised(positions.reshape(-1, v.shape[1]), grid, activations)
            return affine(flat.reshape(positions.shape).transpose(0, 3, 1, 2))
        flat = _normalised(v.reshape(len(v) * step.parts, -1), grid, activations)
        return affine(flat.reshape(len(v), -1) if step.kind == "layer_norm" else flat.reshape(v.shape)).reshape(v.shape)

    return normalise


def _normalised(v: Floats, grid: Grid, activations: Grid) -> Floats:
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
    factor = 2.0 ** (activations.fraction_bits - grid.fraction_bits) / np.sqrt(variance + _EPSILON)
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


def _average_pool(step: Step, _activations: Grid) -> Layer:
    def pool(v: Floats) -> Floats:
        places = _offsets(v, step)
        total = next(places).copy()
        for place in places:
            total += place
        return cast(Floats, np.rint(total / _window(step).kernel ** 2))

    return pool


def _global_average_pool(step: Step, _activations: Grid) -> Layer:
    _, height, width = step.input_shapes[0]
    return lambda v: cast(Floats, np.rint(v.sum(axis=(2, 3)) / (height * width)))


def _adaptive_average_pool(step: Step, _activations: Grid) -> Layer:
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


def _looked_up(kind: str, v: Floats, grid: Grid) -> Floats:
    """The table's value at |v|, on the same grid as v."""
    entries = table(kind)
    finer = 2.0 ** (FINE.fraction_bits - grid.fraction_bits)
    found = entries[np.minimum(np.abs(v) * finer, len(entries) - 1).astype(np.int32)]
    return cast(Floats, np.rint(found / finer))


def _below_relu(kind: str) -> Callable[[Step, Grid], Layer]:
    return lambda _, grid: lambda v: np.maximum(v, 0) - _looked_up(kind, v, grid)


def _tanh(_: Step, grid: Grid) -> Layer:
    return lambda v: np.copysign(_looked_up("tanh", v, grid), v)


def _sigmoid(_: Step, grid: Grid) -> Layer:
    one = 2.0**grid.fraction_bits

    def sigmoid(v: Floats) -> Floats:
        above = _looked_up("sigmoid", v, grid)
        return np.where(v < 0, one - above, above)

    return sigmoid


def _add(_: Step, grid: Grid) -> Layer:
    return lambda *inputs: settle(sum(inputs[1:], inputs[0]), grid)


_KEEPING: dict[str, Callable[[Step], Layer]] = {
    "relu": lambda _: lambda v: np.maximum(v, 0),
    "max_pool": _max_pool,
    "dropout": lambda _: lambda v: v,
    "upsample": lambda step: lambda v: v.repeat(step.parts, axis=2).repeat(step.parts, axis=3),
    "flatten": lambda _: lambda v: v.reshape(len(v), -1),
    "reshape": lambda step: lambda v: v.reshape(len(v), *step.shape),
}

_PLAIN: dict[str, Callable[[Step, Grid], Layer]] = {
    "average_pool": _average_pool,
    "global_average_pool": _global_average_pool,
    "adaptive_average_pool": _adaptive_average_pool,
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "silu": _below_relu("silu"),
    "gelu": _below_relu("gelu"),
    "add": _add,
    "concat": lambda _step, _grid: lambda *inputs: np.concatenate(inputs, axis=1),
}
