"""Nodes and constants of an ONNX graph, one after another. Needs onnx."""

from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from pole.exact.grid import COARSE, Grid

Kind = type[np.float32] | type[np.float64]


class Grids(NamedTuple):
    """Of a layer's input, and of its output."""

    input: Grid
    output: Grid


class GraphBuilder:
    """Collects nodes and constants; every method returns the name of a value."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._known = set[str]()

    def constant(self, name: str, array: NDArray[Any] | np.generic) -> str:
        """The array under this name, once however often it is asked for."""
        if name not in self._known:
            self._known.add(name)
            self.constants.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def node(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def rounded(self, value: str, grid: Grid, kind: Kind = np.float32) -> str:
        """To whole units of the grid, halves to even."""
        if not grid.fraction_bits:
            return self.node("Round", value)
        unit = self._number(2.0**grid.fraction_bits, kind)
        return self.node("Div", self.node("Round", self.node("Mul", value, unit)), unit)

    def settle(self, value: str, grid: Grid, *, is_rounding: bool = True) -> str:
        """Onto the grid: rounded, if that is coarser than float32, and no larger than its bound."""
        if grid.fraction_bits == COARSE.fraction_bits and is_rounding:
            value = self.rounded(value, grid)
        return self._clipped(value, grid, np.float32)

    def settle_exactly(self, value: str, grid: Grid) -> str:
        """A float64 value onto any grid."""
        return self._clipped(self.rounded(value, grid, np.float64), grid, np.float64)

    def _clipped(self, value: str, grid: Grid, kind: Kind) -> str:
        bound = grid.bound / 2.0**grid.fraction_bits
        return self.node("Clip", value, self._number(-bound, kind), self._number(bound, kind))

    def _number(self, number: float, kind: Kind) -> str:
        return self.constant(f"{kind.__name__}_{number:.9g}", kind(number))


def reshaped(graph: GraphBuilder, value: str, shape: tuple[int, ...]) -> str:
    """Rows of this shape; the number of rows stays."""
    target = graph.constant("rows_of_" + "x".join(map(str, shape)), np.array([-1, *shape], np.int64))
    return graph.node("Reshape", value, target)
