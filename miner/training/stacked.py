"""Several networks of one graph in one: folds of a small set learn side by side, for little more than one costs.

Rows are float32 [networks, n, features]. Only for graphs whose layers treat every row, and every number of it, alike.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pole.task.manifest import Activation, AnyModel, Dropout, GraphModel, Linear


class StackedLinear(nn.Module):
    """One linear layer of each network: [networks, n, in] -> [networks, n, out]."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach().T for layer in layers]))
        biases = [layer.bias.detach()[None] for layer in layers if layer.bias is not None]
        self.bias = nn.Parameter(torch.stack(biases)) if biases else None

    def forward(self, x: Tensor) -> Tensor:
        return torch.bmm(x, self.weight) if self.bias is None else torch.baddbmm(self.bias, x, self.weight)


def can_be_stacked(spec: AnyModel) -> bool:
    return isinstance(spec, GraphModel) and all(
        isinstance(layer, Linear | Activation | Dropout) or layer.type == "add" for layer in spec.layers
    )


def stacked(models: Sequence[nn.Module]) -> nn.Module:
    """One module that computes all of these, which have the same graph."""
    found = copy.deepcopy(models[0])
    for name, layer in models[0].named_children():
        if isinstance(layer, nn.Linear):
            found._modules[name] = StackedLinear([model.get_submodule(name) for model in models])  # type: ignore[misc]
    return found


def clip_each(model: nn.Module, norm: float) -> None:
    """Every network's gradient to this norm at most, as `clip_grad_norm_` does for one."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    squares = torch.stack([gradient.square().sum(dim=(1, 2)) for gradient in gradients]).sum(dim=0)
    shares = torch.clamp(norm / (squares.sqrt() + 1e-6), max=1.0)
    for gradient in gradients:
        gradient.mul_(shares[:, None, None])
