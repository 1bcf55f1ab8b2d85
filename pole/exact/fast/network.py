"""The prepared network: rows in, exact logits out, chunk by chunk."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pole.errors import BadInput, ModelInvalid
from pole.exact.fast.layers import Function
from pole.exact.fast.weights import Grid
from pole.task.scores import Form

FIRST_ROWS = 8
"""The first chunk is small, and shows how many numbers a row takes."""
MOST_ROWS = 128
CACHED_NUMBERS = 1 << 18
MOST_NUMBERS = 1 << 28
"""2 GiB of values that are alive at once, on the CPU; float32 scoring may need 8."""
GPU_NUMBERS = 1 << 27
LARGE_WEIGHTS = 1 << 19
"""With weights that no cache holds, every chunk reads them from memory: it had better be of many rows."""


def _classes(logits: Tensor) -> Tensor:
    return torch.from_numpy(
        logits.numpy().argmax(axis=1).astype(np.int64)
    )  # torch does not say which of equals it takes


_FORMS: dict[Form, Callable[[Tensor], Tensor]] = {
    Form.CLASSES: _classes,
    Form.LOGITS: lambda logits: (logits * 65_536).round_().clamp_(-(2.0**40), 2.0**40).long(),
    Form.LABELS: lambda logits: logits.gt(0).long(),
    Form.VALUES: lambda logits: (logits * 16_777_216).round_().clamp_(0, 16_777_216).long(),
}
"""Logits, float64 [n, outputs] on the CPU, as metrics look at them."""


def _features(rows: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32))


class Step(NamedTuple):
    """Values are known by number; number 0 is the input. `finished`: values that no later step reads."""

    function: Function
    inputs: tuple[int, ...]
    output: int
    finished: tuple[int, ...] = ()


@dataclass
class ExactNetwork:
    """Evaluates rows exactly; made by `prepare`, and bound to the weights that the module had then.

    `output_bits`: the result is in units of 2^-output_bits. `weights`: how many numbers the weights are.
    """

    steps: Sequence[Step]
    input_grid: Grid
    output_bits: int
    device: torch.device
    weights: int
    _numbers_per_row: dict[tuple[int, ...], int] = field(default_factory=dict)

    @torch.inference_mode()
    def predict(self, rows: NDArray[np.float32], form: Form = Form.CLASSES) -> NDArray[np.int64]:
        """What a metric of this form looks at: int64 [n] for CLASSES, else [n, outputs]. Raises as `logits` does."""
        make, features = _FORMS[form], _features(rows)
        if not len(features):
            return self.predict(np.zeros((1, *rows.shape[1:]), np.float32), form)[:0]
        found: NDArray[np.int64] = torch.cat([make(logits) for logits in self._chunks(features, 0)]).numpy()
        return found

    @torch.inference_mode()
    def logits(self, rows: NDArray[np.float32], rows_per_chunk: int = 0) -> NDArray[np.float64]:
        """Exact logits, float64 [n, classes], of float32 rows [n, *shape]. Zero is +0.

        Raises BadInput if a feature is not finite, ModelInvalid if the network does not yield one row of logits each.
        """
        features = _features(rows)
        if not len(features):
            return self.logits(np.zeros((1, *rows.shape[1:]), np.float32))[:0]
        logits: NDArray[np.float64] = torch.cat(list(self._chunks(features, rows_per_chunk))).numpy()
        return logits

    def _chunks(self, rows: Tensor, rows_per_chunk: int) -> Iterator[Tensor]:
        start = 0
        while start < len(rows):
            end = start + (rows_per_chunk or self._rows_per_chunk(tuple(rows.shape[1:])))
            yield self._evaluate(rows[start:end])
            start = end

    def _rows_per_chunk(self, shape: tuple[int, ...]) -> int:
        numbers = self._numbers_per_row.get(shape)
        if numbers is None:
            return FIRST_ROWS
        if self.device.type != "cpu":
            return max(1, GPU_NUMBERS // numbers)
        if self.weights > LARGE_WEIGHTS:
            return max(1, min(MOST_ROWS, MOST_NUMBERS // numbers))
        return min(MOST_ROWS, max(FIRST_ROWS, CACHED_NUMBERS // numbers // FIRST_ROWS * FIRST_ROWS))

    def _evaluate(self, rows: Tensor) -> Tensor:
        """Logits of one chunk: float64 [n, classes], on the CPU."""
        values = {0: self._on_grid(rows)}
        alive = most = values[0].numel()
        for step in self.steps:
            values[step.output] = step.function(*(values[number] for number in step.inputs))
            alive += values[step.output].numel()
            most = max(most, alive)
            for number in step.finished:
                alive -= values.pop(number).numel()
        self._numbers_per_row.setdefault(tuple(rows.shape[1:]), most // len(rows))
        [result] = values.values()
        if result.ndim != 2 or result.shape[1] != len(rows):
            raise ModelInvalid(f"model yields rows of shape {tuple(result.shape[:-1])}; need (classes,)")
        return (result.t() * 2.0**-self.output_bits).add_(0.0).cpu().contiguous()

    def _on_grid(self, rows: Tensor) -> Tensor:
        """Float32 [n, *shape] -> values of the input grid, float64 [*shape, n]."""
        if not bool(torch.isfinite(rows.sum())) and not bool(torch.isfinite(rows).all()):
            raise BadInput("a feature is NaN or infinite; every feature must be a finite float32")
        # Float32 is as exact here: a power of two moves no digit, and what overflows or underflows is clamped or zero.
        x = rows.to(self.device) * 2.0**self.input_grid.bits
        x.round_().clamp_(-self.input_grid.bound, self.input_grid.bound)
        return x.double().movedim(0, -1)
