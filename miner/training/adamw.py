"""AdamW, as `torch.optim.AdamW` computes it, for a trainer that has to start at once.

The library's optimizers load its compiler when the first one is made: some ten seconds of processor time, in every
miner, on a clock that is running. Nothing else here needs the compiler.
"""

import math
from collections.abc import Iterable

import torch
from torch import nn

AVERAGE, SQUARE, STEP = "average.", "square.", "step"


class AdamW:
    """Adam with decoupled weight decay. Source: Loshchilov and Hutter 2019, Algorithm 2"""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        weight_decay: float,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        self._parameters = list(parameters)
        self._weight_decay, self._betas, self._epsilon = weight_decay, betas, epsilon
        self.forget()

    def forget(self) -> None:
        """Starts again with no memory of past gradients."""
        self._step = 0
        self._averages = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._squares = [torch.zeros_like(parameter) for parameter in self._parameters]

    def zero_grad(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One update with this learning rate; parameters without a gradient stay as they are."""
        self._step += 1
        first, second = (1 - beta**self._step for beta in self._betas)
        for parameter, average, square in zip(self._parameters, self._averages, self._squares, strict=True):
            if parameter.grad is None:
                continue
            parameter.mul_(1 - rate * self._weight_decay)
            average.lerp_(parameter.grad, 1 - self._betas[0])
            square.mul_(self._betas[1]).addcmul_(parameter.grad, parameter.grad, value=1 - self._betas[1])
            scale = (square.sqrt() / math.sqrt(second)).add_(self._epsilon)
            parameter.addcdiv_(average, scale, value=-rate / first)

    def state(self) -> dict[str, torch.Tensor]:
        """Everything `restore` needs, as named tensors."""
        averages = {f"{AVERAGE}{i}": tensor for i, tensor in enumerate(self._averages)}
        squares = {f"{SQUARE}{i}": tensor for i, tensor in enumerate(self._squares)}
        return {**averages, **squares, STEP: torch.tensor(self._step)}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Takes up a state of the same parameters; raises KeyError or RuntimeError for one of others."""
        for i, (average, square) in enumerate(zip(self._averages, self._squares, strict=True)):
            average.copy_(state[f"{AVERAGE}{i}"])
            square.copy_(state[f"{SQUARE}{i}"])
        self._step = int(state[STEP])
