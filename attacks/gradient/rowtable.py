"""A table of every row's gradient at one set of weights: any batch's step is then a sum of a few rows of it."""

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from attacks.gradient.ground import Ground
from pole.gradient.network import FlatNetwork

_ROWS_AT_ONCE = 256


def row_gradients(ground: Ground, network: FlatNetwork) -> Tensor:
    """Gradient of each training row's loss at the network's weights, float32 [rows, weights].

    BatchNorm's statistics are taken from all training rows and held fixed: the best that a table can do.
    """
    state = network.snapshot()
    _take_statistics(ground, network)
    network.model.eval()
    per_row = vmap(grad(_loss), in_dims=(None, None, 0, 0, None))
    weights, samples = network.weights.clone(), ground.samples
    pieces = [
        per_row(weights, network, x[:, None], y[:, None], dict(network.model.named_buffers()))
        for x, y in zip(samples.train_x.split(_ROWS_AT_ONCE), samples.train_y.split(_ROWS_AT_ONCE), strict=True)
    ]
    network.model.train()
    network.restore(state)
    return torch.cat(pieces)


def stacked_gradients(network: FlatNetwork, weights: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Gradients of many networks of this kind at once, each on its own batch, in training mode.

    weights: [n, weights]; x: [n, batch, ...]; y: [n, batch]; returns [n, weights].
    """
    buffers = {name: each.expand(len(weights), *each.shape).clone() for name, each in network.model.named_buffers()}
    gradients: Tensor = vmap(grad(_loss), in_dims=(0, None, 0, 0, 0))(weights, network, x, y, buffers)
    return gradients


def _loss(weights: Tensor, network: FlatNetwork, x: Tensor, y: Tensor, buffers: dict[str, Tensor]) -> Tensor:
    parts = {part.name: weights[part.start : part.end].view(part.shape) for part in network.weight_parts}
    return functional.cross_entropy(functional_call(network.model, (parts, buffers), (x,)), y)


@torch.no_grad()
def _take_statistics(ground: Ground, network: FlatNetwork) -> None:
    norms = [module for module in network.model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [module.momentum for module in norms]
    for module in norms:
        module.momentum = 1.0
    if norms:
        network.model(ground.samples.train_x)
    for module, momentum in zip(norms, momenta, strict=True):
        module.momentum = momentum
