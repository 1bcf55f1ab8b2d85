"""Convolutions of exact values as matrix products. Maps are [channels, height, width, rows]: rows come last.

So every run of neighbouring positions is one matrix [channels, positions * rows] in the memory as it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

SHIFT_FROM_CHANNELS = 48
"""From so many input channels on, one product for each place of the kernel beats gathering windows."""
CACHED_NUMBERS = 1 << 17
LEAST_COLUMNS, MOST_COLUMNS = 256, 2048


class Block(NamedTuple):
    """Neighbouring positions of the output, done at once: some whole rows, or a part of one row."""

    top: int
    bottom: int
    left: int
    right: int


@dataclass(frozen=True)
class Kernel:
    """weight: float64 [outputs, channels, kernel, kernel]; bias: float64 [outputs]. Results clamp to low..high."""

    weight: Tensor
    bias: Tensor
    stride: int
    padding: int
    low: float
    high: float

    @property
    def side(self) -> int:
        return self.weight.shape[-1]

    def __call__(self, x: Tensor) -> Tensor:
        """[channels, height, width, n] -> [outputs, height', width', n], rounded and clamped."""
        _, height, width, n = x.shape
        rows, columns = ((size + 2 * self.padding - self.side) // self.stride + 1 for size in (height, width))
        y = x.new_empty(len(self.bias), rows, columns, n)
        if self.stride == 1 and (self.side == 1 or x.shape[0] >= SHIFT_FROM_CHANNELS) and not x.is_cuda:
            self._by_shifts(x.contiguous(), y)
        else:
            self._by_windows(_padded(x, self.padding), y)
        return y

    def _by_shifts(self, x: Tensor, y: Tensor) -> None:
        """One product for each place of the kernel, and none with padding."""
        flat_x, flat_y = x.flatten(1), y.flatten(1)
        _, rows, columns, n = y.shape
        places = self.weight.permute(2, 3, 0, 1).contiguous()
        height = rows if self.side == 1 and not self.padding else 1
        for block in _blocks(rows, columns, n, max(x.shape[0], len(y)), height):
            target = flat_y[
                :, (block.top * columns + block.left) * n : ((block.bottom - 1) * columns + block.right) * n
            ]
            if self.side == 1 and not self.padding:
                source = flat_x[:, block.top * columns * n + block.left * n :][:, : target.shape[1]]
                torch.addmm(self.bias[:, None], places[0, 0], source, out=target)
            else:
                target.copy_(self.bias[:, None].expand_as(target))
                self._add_places(flat_x, target, places, block, x.shape)
            target.round_().clamp_(self.low, self.high)

    def _add_places(self, flat_x: Tensor, target: Tensor, places: Tensor, block: Block, shape: torch.Size) -> None:
        """Adds the products of every place of the kernel to a block that lies in one row of the output."""
        _, height, width, n = shape
        for i in range(self.side):
            row = block.top + i - self.padding
            if not 0 <= row < height:
                continue
            for j in range(self.side):
                offset = j - self.padding
                left, right = max(block.left, -offset), min(block.right, width - offset)
                if left < right:
                    start = (row * width + left + offset) * n
                    source = flat_x[:, start : start + (right - left) * n]
                    target[:, (left - block.left) * n : (right - block.left) * n].addmm_(places[i, j], source)

    def _by_windows(self, padded: Tensor, y: Tensor) -> None:
        """Gathers the windows of a block into a matrix [channels * kernel^2, positions * n], then one product."""
        channels, n = padded.shape[0], padded.shape[3]
        _, rows, columns, _ = y.shape
        matrix, flat_y = self.weight.flatten(1), y.flatten(1)
        strides = padded.stride()
        windows = padded.as_strided(
            (channels, self.side, self.side, rows, columns, n),
            (*strides[:3], self.stride * strides[1], self.stride * strides[2], strides[3]),
        )
        if self.side == 1 and self.stride == 1:
            windows = windows.contiguous()
        for block in _blocks(rows, columns, n, matrix.shape[1], rows, is_large=padded.is_cuda):
            part = windows[:, :, :, block.top : block.bottom, block.left : block.right]
            target = flat_y[
                :, (block.top * columns + block.left) * n : ((block.bottom - 1) * columns + block.right) * n
            ]
            torch.addmm(self.bias[:, None], matrix, part.reshape(matrix.shape[1], -1), out=target)
            target.round_().clamp_(self.low, self.high)


@dataclass(frozen=True)
class RowKernel:
    """Along the width, for each row of a map by itself. weight: [outputs, channels, 1, kernel]"""

    weight: Tensor
    bias: Tensor
    stride: int
    padding: int
    low: float
    high: float

    def __call__(self, x: Tensor) -> Tensor:
        padded = torch.nn.functional.pad(x, (0, 0, self.padding, self.padding)).contiguous()
        channels, height, width, n = padded.shape
        kernel = self.weight.shape[3]
        columns, strides = (width - kernel) // self.stride + 1, padded.stride()
        windows = padded.as_strided(
            (channels, kernel, height, columns, n),
            (strides[0], strides[2], strides[1], self.stride * strides[2], strides[3]),
        )
        sums = torch.addmm(self.bias[:, None], self.weight.flatten(1), windows.reshape(channels * kernel, -1))
        return sums.round_().clamp_(self.low, self.high).view(-1, height, columns, n)


@dataclass(frozen=True)
class DepthwiseKernel:
    """One kernel for each channel. weight: [channels, 1, kernel, kernel]"""

    weight: Tensor
    bias: Tensor
    stride: int
    padding: int
    low: float
    high: float

    def __call__(self, x: Tensor) -> Tensor:
        padded, side = _padded(x, self.padding), self.weight.shape[3]
        height, width = ((size - side) // self.stride + 1 for size in padded.shape[1:3])
        sums = self.bias.view(-1, 1, 1, 1).repeat(1, height, width, x.shape[3])
        for i in range(side):
            for j in range(side):
                seen = padded[:, i : i + (height - 1) * self.stride + 1 : self.stride]
                seen = seen[:, :, j : j + (width - 1) * self.stride + 1 : self.stride]
                sums.addcmul_(seen, self.weight[:, :, i, j].view(-1, 1, 1, 1))
        return sums.round_().clamp_(self.low, self.high)


def _padded(x: Tensor, padding: int) -> Tensor:
    if not padding:
        return x.contiguous()
    channels, height, width, n = x.shape
    padded = x.new_zeros(channels, height + 2 * padding, width + 2 * padding, n)
    padded[:, padding : padding + height, padding : padding + width] = x
    return padded


def _blocks(rows: int, columns: int, n: int, height: int, most_rows: int, is_large: bool = False) -> Iterator[Block]:
    """Covers a map of rows x columns positions, each of n numbers, by blocks whose matrix has `height` lines."""
    most = 1 << 27 if is_large else CACHED_NUMBERS
    wanted = max(1, min(MOST_COLUMNS if not is_large else most, max(LEAST_COLUMNS, most // height)) // n)
    if wanted < columns or most_rows == 1:
        parts = -(-columns // wanted)
        wide = -(-columns // parts)
        for row in range(rows):
            for left in range(0, columns, wide):
                yield Block(row, row + 1, left, min(columns, left + wide))
        return
    tall = wanted // columns
    for top in range(0, rows, tall):
        yield Block(top, min(rows, top + tall), 0, columns)
