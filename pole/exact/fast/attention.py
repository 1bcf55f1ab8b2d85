"""Self-attention of the positions of a map among themselves, on exact values [channels, height, width, rows]."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pole.exact.fast.layers import BOUND, Linear
from pole.exact.fast.tables import exponentials
from pole.exact.fast.weights import Affine, Grid

INNER_BOUND = 1 << 23
NUMBERS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Attention:
    """qkv: [3 * channels, channels]; out: [channels, channels], made for values of up to INNER_BOUND."""

    qkv: Affine
    out: Affine
    heads: int
    grid: Grid

    def __call__(self, x: Tensor) -> Tensor:
        channels, tokens = x.shape[0], x.shape[1] * x.shape[2]
        step = max(1, NUMBERS_AT_ONCE // (self.heads * tokens**2))
        parts = [self._some(part.reshape(channels, -1), tokens) for part in torch.split(x, step, dim=-1)]
        return torch.cat([part.view(channels, *x.shape[1:3], -1) for part in parts], dim=-1)

    def _some(self, x: Tensor, tokens: int) -> Tensor:
        """[channels, tokens * rows] -> the same; queries, keys and values are [rows, heads, tokens, size] each."""
        inner = torch.addmm(self.qkv.bias[:, None], self.qkv.weight, x).round_().clamp_(-INNER_BOUND, INNER_BOUND)
        size = len(x) // self.heads
        q, k, v = inner.view(3, self.heads, size, tokens, -1).permute(0, 4, 1, 3, 2).contiguous()
        scores = torch.matmul(q, k.transpose(2, 3)).mul_(2.0 ** (16 - 2 * self.grid.bits) / math.sqrt(size)).round_()
        table = exponentials(x.device)
        below = (scores.amax(3, keepdim=True) - scores).clamp_(max=len(table) - 1).to(torch.int32)
        weights = torch.index_select(table, 0, below.view(-1)).view(below.shape)
        mixed = torch.matmul(weights, v).div_(weights.sum(3, keepdim=True)).round_()
        return Linear(self.out, -BOUND)(mixed.permute(1, 3, 2, 0).reshape(len(x), -1))
