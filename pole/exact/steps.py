"""One step of a plan."""

from dataclasses import dataclass
from typing import NamedTuple

from pole.task.graph import INPUT, RowShape

__all__ = ["INPUT", "RowShape", "Step", "Window"]


class Window(NamedTuple):
    """A square that moves over a map, in steps of `stride`, on `padding` more rows and columns on each side."""

    kernel: int
    stride: int
    padding: int

    def over(self, side: int) -> int:
        """How many positions it has along a side of the map."""
        return (side + 2 * self.padding - self.kernel) // self.stride + 1


@dataclass(frozen=True)
class Step:
    """`kind`: a layer type of the manifest, or adaptive_average_pool.

    `tensors`: what the names of its tensors start with. `norm`: the same of the batch_norm that is folded into it.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    input_shapes: tuple[RowShape, ...]
    shape: RowShape
    tensors: str
    window: Window | None = None
    has_bias: bool = True
    norm: str = ""
