"""One step of a plan."""

from dataclasses import dataclass
from typing import NamedTuple

from pole.task.graph import INPUT, RowShape

__all__ = ["INPUT", "NORMS", "WEIGHTED", "RowShape", "Step", "Window"]

# Layers with a weight for each output channel, into which a batch_norm may be folded.
WEIGHTED = ("linear", "conv2d", "conv1d", "depthwise_conv2d")
# Layers that bring some values to mean 0 and deviation 1, and then scale them.
NORMS = ("layer_norm", "group_norm", "channel_norm")


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
    `parts`: groups of a group_norm, heads of an attention, the factor of an upsample.
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
    parts: int = 1
