"""Moving a stolen model to another round's features without a label: least squares, layer by layer, and folding."""

import copy
from dataclasses import dataclass

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
GATE = 3.0
"""By how much a unit is held down, in units of the largest input of any unit."""

Branches = NDArray[np.int64]


@dataclass(frozen=True)
class Seen:
    """Rows as one round shows them: features x [n, d], and which linear piece of the mapping made each."""

    x: Floats
    branch: Branches


def from_mappings(old: NDArray[np.int64], new: NDArray[np.int64], segments: int) -> Wide:
    """Matrix T [new outputs, old outputs] with old = new @ T as well as the two mappings [vectors, width] allow.

    Needs no data at all: the rows are guessed from the new inner products by the pseudo-inverse. Output s * I + i.
    """
    block = (old.astype(np.float64) @ np.linalg.pinv(new.astype(np.float64))).T
    return np.kron(np.eye(segments), block)


def from_rows(old: Floats | Wide, new: Floats) -> Port:
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


def from_pixels(old: Floats, new: Floats) -> Port:
    """As `from_rows`, from new channels to old ones: images [n, channels, height, width], every pixel a row."""
    return from_rows(*(np.moveaxis(images, 1, -1).reshape(-1, images.shape[1]) for images in (old, new)))


def fold_channels(model: nn.Module, layer: str, port: Port) -> nn.Module:
    """As `fold`, for a convolution; exact but for the border, where padding stands for 0 in the new channels too."""
    matrix, offset = (torch.from_numpy(part) for part in port)
    made = copy.deepcopy(model).cpu()
    convolution = made.get_submodule(layer)
    if not isinstance(convolution, nn.Conv2d) or convolution.bias is None:
        raise BadInput(f"layer {layer!r} is a {type(convolution).__name__}; only a convolution with a bias takes this")
    with torch.no_grad():
        weight = convolution.weight.double()
        convolution.bias.copy_(convolution.bias.double() + torch.einsum("oikl,i->o", weight, offset))
        convolution.weight = nn.Parameter(torch.einsum("oikl,ji->ojkl", weight, matrix).float())
    return made


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


def with_layer_of(model: nn.Module, layer: str, other: nn.Module) -> nn.Module:
    """A copy of `model` whose linear `layer` is the other model's, of whatever width it reads."""
    linear = _linear(other, layer)
    weight, bias = (part.detach().double().cpu().numpy() for part in (linear.weight, linear.bias))
    return replaced(model, layer, (weight.T, bias))


def first_layer(stolen: nn.Module, layer: str, old: Floats, new: Floats) -> nn.Module:
    """The stolen model with `layer` refitted: from new features straight to what it made of the old ones."""
    return replaced(stolen, layer, from_rows(_around(stolen, layer, old)[1], new))


def layer_by_layer(stolen: nn.Module, layers: list[str], old: Floats, new: Floats) -> nn.Module:
    """As `first_layer`, and then each later layer as well, so that it makes up for what those before it lost."""
    return _refitted(first_layer(stolen, layers[0], old, new), stolen, layers[1:], old, new)


def _refitted(moved: nn.Module, stolen: nn.Module, layers: list[str], old: Floats, new: Floats) -> nn.Module:
    for layer in layers:
        wanted = _around(stolen, layer, old)[1]
        moved = replaced(moved, layer, from_rows(wanted, _around(moved, layer, new)[0]))
    return moved


def same_branch(stolen: nn.Module, layer: str, old: Seen, new: Seen) -> nn.Module:
    """As `first_layer`, fitted to the rows of the commonest pair of branches only: between two pieces that are linear
    the relation is linear, and a model that learnt to read all old branches alike may read the others as well."""
    rows = _commonest(old.branch, new.branch)
    return first_layer(stolen, layer, old.x[rows], new.x[rows])


def shared_units(stolen: nn.Module, layers: list[str], old: Seen, new: Seen, *, is_gated: bool) -> nn.Module:
    """The units of the first layer shared out among the new branches, the most telling ones ported to each; the later
    layers are refitted. `is_gated`: units of other branches than the row's are held down, as well as a linear map can.
    """
    branches = np.unique(new.branch)
    before = _around(stolen, layers[0], old.x)[1]
    weights = dict(stolen.named_parameters())[f"{layers[1]}.weight"].detach().cpu().numpy()
    telling = np.argsort(-np.linalg.norm(weights, axis=0) * np.maximum(before, 0).std(axis=0), kind="stable")
    shares = [telling[: len(part)] for part in np.array_split(telling, len(branches))]
    held_down = GATE * float(np.abs(before).max()) * is_gated
    pieces = []
    for branch, units in zip(branches, shares, strict=True):
        rows = (new.branch == branch) & (old.branch == _partner(old.branch, new.branch, branch))
        matrix, offset = from_rows(before[rows][:, units], new.x[rows])
        gate, down = from_rows(held_down * (new.branch == branch)[:, None].astype(np.float64), new.x)
        pieces.append((matrix + gate, offset + down - held_down))
    port = np.concatenate([matrix for matrix, _ in pieces], axis=1), np.concatenate([offset for _, offset in pieces])
    return _refitted(replaced(stolen, layers[0], port), stolen, layers[1:], old.x, new.x)


def _commonest(old: Branches, new: Branches) -> NDArray[np.bool_]:
    """Rows of the commonest pair of old and new branch."""
    pairs, counts = np.unique(np.stack([old, new]), axis=1, return_counts=True)
    chosen = pairs[:, counts.argmax()]
    return np.asarray((old == chosen[0]) & (new == chosen[1]))


def _partner(old: Branches, new: Branches, branch: int) -> int:
    """The old branch that most rows of a new one were in."""
    return int(np.bincount(old[new == branch]).argmax())


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
