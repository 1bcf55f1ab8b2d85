"""Moving a stolen model to another round's features without a label: least squares, layer by layer, and folding."""

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pole.errors import BadInput

Floats = NDArray[np.float32]
Wide = NDArray[np.float64]
Port = tuple[Wide, Wide]
"""Matrix [new, old] and offset [old]: old = new @ matrix + offset."""

RIDGES = (1e-9, 1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Tried in turn, as shares of the mean squared feature."""
HELD_OUT = 10
"""One row in so many chooses the ridge."""


def from_mappings(old: NDArray[np.int64], new: NDArray[np.int64], segments: int) -> Wide:
    """Matrix T [new outputs, old outputs] with old = new @ T as well as the two mappings [vectors, width] allow.

    Needs no data at all: the rows are guessed from the new inner products by the pseudo-inverse. Output s * I + i.
    """
    block = (old.astype(np.float64) @ np.linalg.pinv(new.astype(np.float64))).T
    return np.kron(np.eye(segments), block)


def from_rows(old: Floats, new: Floats) -> Port:
    """Least squares over the same rows seen both ways, with the ridge that does best on rows held out of them.

    `old` may be the old features, or what the stolen model's first layer makes of them: at equal ridge the two give
    the same model, but the second chooses the ridge for what matters.
    """
    if len(old) != len(new) or len(new) < HELD_OUT:
        raise BadInput(f"{len(old)} old and {len(new)} new rows; a port needs the same rows in both, and {HELD_OUT}")
    rows = np.concatenate([new.astype(np.float64), np.ones((len(new), 1))], axis=1)
    held, used = np.arange(len(rows)) % HELD_OUT == 0, np.arange(len(rows)) % HELD_OUT != 0
    gram, moments = rows[used].T @ rows[used], rows[used].T @ old[used]
    # The offset's own ridge would pull the means towards 0.
    scale = np.diag(np.append(np.full(len(gram) - 1, np.trace(gram) / len(gram)), 0.0))
    solved = [np.linalg.solve(gram + ridge * scale, moments) for ridge in RIDGES]
    best = min(solved, key=lambda port: float(((rows[held] @ port - old[held]) ** 2).sum()))
    return best[:-1], best[-1]


def fold(model: nn.Module, layer: str, matrix: Wide, offset: Wide) -> nn.Module:
    """A model that takes new features and yields what `model` yields on new @ matrix + offset: a valid submission."""
    linear = _linear(model, layer)
    weight = linear.weight.detach().double().cpu().numpy()
    bias = linear.bias.detach().double().cpu().numpy()
    return replaced(model, layer, (matrix @ weight.T, weight @ offset + bias))


def replaced(model: nn.Module, layer: str, port: Port) -> nn.Module:
    """A copy on the CPU whose linear `layer` computes x @ matrix + offset."""
    matrix, offset = port
    made = copy.deepcopy(model).cpu()
    linear = nn.Linear(matrix.shape[0], matrix.shape[1])
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(matrix.T))
        linear.bias.copy_(torch.from_numpy(offset))
    parent, _, name = layer.rpartition(".")
    setattr(made.get_submodule(parent), name, linear)
    return made


def first_layer(stolen: nn.Module, layer: str, old: Floats, new: Floats) -> nn.Module:
    """The stolen model with `layer` refitted: from new features straight to what it made of the old ones."""
    return replaced(stolen, layer, from_rows(_around(stolen, layer, old)[1], new))


def layer_by_layer(stolen: nn.Module, layers: list[str], old: Floats, new: Floats) -> nn.Module:
    """As `first_layer`, and then each later layer as well, so that it makes up for what those before it lost."""
    moved = first_layer(stolen, layers[0], old, new)
    for layer in layers[1:]:
        wanted = _around(stolen, layer, old)[1]
        moved = replaced(moved, layer, from_rows(wanted, _around(moved, layer, new)[0]))
    return moved


@torch.inference_mode()
def _around(model: nn.Module, layer: str, x: Floats) -> tuple[Floats, Floats]:
    """What goes into a linear layer and what comes out of it, on rows x."""
    seen: dict[str, Floats] = {}

    def keep(_: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        seen.update(before=inputs[0].cpu().numpy(), after=output.cpu().numpy())

    linear = _linear(model, layer)
    hook = linear.register_forward_hook(keep)
    try:
        model.eval()(torch.from_numpy(x).to(linear.weight.device))
    finally:
        hook.remove()
    return seen["before"], seen["after"]


def _linear(model: nn.Module, layer: str) -> nn.Linear:
    linear = model.get_submodule(layer)
    if not isinstance(linear, nn.Linear):
        raise BadInput(f"layer {layer!r} is a {type(linear).__name__}; only a linear layer takes up a linear map")
    return linear
