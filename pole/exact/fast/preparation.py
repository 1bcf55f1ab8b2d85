"""From a torch module to the steps of its exact evaluation: its forward pass is traced, its weights rounded once."""

import operator
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import fx, nn

from pole.errors import ModelInvalid
from pole.exact.fast import layers
from pole.exact.fast.attention import INNER_BOUND, Attention
from pole.exact.fast.convolution import DepthwiseKernel, Kernel, RowKernel
from pole.exact.fast.devices import check_products
from pole.exact.fast.network import ExactNetwork, Step
from pole.exact.fast.tables import lookup
from pole.exact.fast.weights import COARSE, FINE, RAW, Affine, Grid, batch_norm_affine, exact_float64, rounded
from pole.task import network

# Two traces at once would leave each other's patches behind.
_TRACING = threading.Lock()


@torch.inference_mode()
def prepare(module: nn.Module, is_raw_input: bool = False, device: torch.device | str = "cpu") -> ExactNetwork:
    """The exact evaluation, on this device, of a module that pole.task.model builds; the module is only read.

    `is_raw_input`: the manifest's mapping has `normalisation: none`. Tracing patches torch for a moment: no other
    thread may run a module then, and threads trace one after the other. Raises ModelInvalid for a module of another
    kind, or InexactMachine.
    """
    check_products(torch.device(device))
    tracer = _Tracer()
    with _TRACING:
        graph = tracer.trace(module)
    return _Preparation(graph, dict(module.named_modules()), is_raw_input, torch.device(device)).network()


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:  # noqa: ARG002
        return type(m) in _MODULES


class _Preparation:
    """Goes through the traced graph once, in order; `numbers`: where the value of a node is found."""

    def __init__(self, graph: fx.Graph, modules: dict[str, nn.Module], is_raw: bool, device: torch.device) -> None:
        self.graph, self.modules, self.device = graph, modules, device
        self.steps: list[Step] = []
        self.numbers: dict[fx.Node, int] = {}
        self.activation_grid = COARSE if is_raw else FINE
        self.grids: list[Grid] = [RAW if is_raw else FINE]
        self.weights = 0
        self.has_sums_as_logits = False

    def network(self) -> ExactNetwork:
        result = 0
        for node in self.graph.nodes:
            if node.op == "placeholder":
                self.numbers[node] = 0
            elif node.op == "output":
                [result] = self.inputs(node)
            elif node not in self.numbers:
                self._add(node)
        bits = 0 if self.has_sums_as_logits else self.grids[result].bits
        return ExactNetwork(_with_ends(self.steps), self.grids[0], bits, self.device, self.weights)

    def _add(self, node: fx.Node) -> None:
        module = self.module(node)
        add = _MODULES.get(type(module)) or _FUNCTIONS.get(node.target)
        if add is None:
            raise ModelInvalid(f"{node.format_node()} has no exact evaluation; only layers of the manifest have")
        add(self, node, module)

    def module(self, node: fx.Node) -> nn.Module | None:
        return self.modules[str(node.target)] if node.op == "call_module" else None

    def inputs(self, node: fx.Node) -> list[int]:
        """Of all inputs in their order; one that is named twice counts twice."""
        return [self.numbers[found] for found in _flat(node.args) if isinstance(found, fx.Node)]

    def activations(self, node: fx.Node) -> list[int]:
        """The inputs, taken to the grid of activations where they are on the raw one."""
        return [self._lifted(number) for number in self.inputs(node)]

    def _lifted(self, number: int) -> int:
        return self._step(layers.lifted, [number], COARSE) if self.grids[number] == RAW else number

    def emit(self, node: fx.Node, function: layers.Function, inputs: Sequence[int], grid: Grid | None = None) -> None:
        """The value of a node; activations, unless another grid is given."""
        self.numbers[node] = self._step(function, inputs, grid or self.activation_grid)

    def _step(self, function: layers.Function, inputs: Sequence[int], grid: Grid) -> int:
        self.grids.append(grid)
        self.steps.append(Step(function, tuple(inputs), len(self.grids) - 1))
        return len(self.grids) - 1

    def only_reader(self, node: fx.Node, *types: type[nn.Module]) -> fx.Node | None:
        """The one that alone reads a value, if it is of one of these types."""
        readers = list(node.users)
        return readers[0] if len(readers) == 1 and isinstance(self.module(readers[0]), types) else None

    def with_relu(self, node: fx.Node) -> tuple[fx.Node, float]:
        """A relu that alone reads a clamped value joins the clamp: the node that has the result, the lower bound."""
        reader = self.only_reader(node, nn.ReLU)
        return (node, -layers.BOUND) if reader is None else (reader, 0.0)

    def on_device(self, affine: Affine) -> Affine:
        self.weights += affine.weight.numel()
        return Affine(affine.weight.to(self.device), affine.bias.to(self.device))


def _flat(arguments: Iterable[Any]) -> Iterator[Any]:
    for argument in arguments:
        if isinstance(argument, list | tuple):
            yield from _flat(argument)
        else:
            yield argument


def _with_ends(steps: Sequence[Step]) -> list[Step]:
    """Each step with the values that it is the last to read."""
    last = {number: index for index, step in enumerate(steps) for number in step.inputs}
    ends: list[list[int]] = [[] for _ in steps]
    for number, index in last.items():
        ends[index].append(number)
    return [step._replace(finished=tuple(ended)) for step, ended in zip(steps, ends, strict=True)]


# --- layers with weights ---------------------------------------------------------------------------------------------


def _weighted(at: _Preparation, node: fx.Node, module: nn.Linear | nn.Conv2d) -> None:
    """A linear or conv2d, with the batch_norm and the relu that alone read it."""
    [number] = at.inputs(node)
    outputs = len(module.weight)
    bias = torch.zeros(outputs, dtype=torch.float64) if module.bias is None else exact_float64(module.bias)
    scale, norm = None, at.only_reader(node, nn.BatchNorm1d, nn.BatchNorm2d)
    if norm is not None:
        batch_norm: Any = at.module(norm)
        scale, bias = batch_norm_affine(batch_norm, bias)
    end, low = at.with_relu(norm or node)
    if isinstance(module, nn.Linear) and low < 0 and _is_result(end):
        at.has_sums_as_logits = True
    bits = 0 if at.has_sums_as_logits else at.activation_grid.bits
    affine = at.on_device(rounded(module.weight.flatten(1), scale, bias, at.grids[number], bits))
    for taken in (node, norm, end):
        if taken is not None:
            at.numbers[taken] = -1
    at.emit(end, _function(module, affine, None if at.has_sums_as_logits else low), [number])


def _function(module: nn.Linear | nn.Conv2d, affine: Affine, low: float | None) -> layers.Function:
    if isinstance(module, nn.Linear):
        return layers.Linear(affine, low)
    assert low is not None
    kernel: type[Kernel | RowKernel | DepthwiseKernel] = Kernel
    if isinstance(module, network.RowConvolution | network.DepthwiseConvolution):
        kernel = RowKernel if isinstance(module, network.RowConvolution) else DepthwiseKernel
    sizes = (module.stride[1], int(module.padding[1]))
    return kernel(affine.weight.view(module.weight.shape), affine.bias, *sizes, low, layers.BOUND)


def _is_result(node: fx.Node) -> bool:
    return all(reader.op == "output" for reader in node.users)


def _batch_norm(at: _Preparation, node: fx.Node, module: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    """One that could not be folded."""
    [number] = at.inputs(node)
    scale, bias = batch_norm_affine(module, None)
    end, low = at.with_relu(node)
    affine = at.on_device(rounded(scale[:, None], None, bias, at.grids[number], at.activation_grid.bits))
    at.numbers[node] = -1
    at.emit(end, layers.Scale(affine, low), [number])


def _norm(at: _Preparation, node: fx.Node, module: nn.LayerNorm | nn.GroupNorm | network.ChannelNorm) -> None:
    [number] = at.inputs(node)
    end, low = at.with_relu(node)
    bias = exact_float64(module.bias).flatten()
    grid = at.activation_grid
    affine = at.on_device(rounded(module.weight.reshape(-1, 1), None, bias, grid, grid.bits))
    at.numbers[node] = -1
    parts = (layers.Scale(affine, low), at.grids[number], grid)
    if isinstance(module, nn.GroupNorm):
        at.emit(end, layers.GroupNorm(*parts, module.num_groups), [number])
    else:
        kind = layers.ChannelNorm if isinstance(module, network.ChannelNorm) else layers.LayerNorm
        at.emit(end, kind(*parts), [number])


def _embedding(at: _Preparation, node: fx.Node, module: network.PositionEmbedding) -> None:
    offset = (exact_float64(module.weight) * 2.0**at.activation_grid.bits).round_().clamp_(-layers.BOUND, layers.BOUND)
    at.emit(node, layers.Shift(offset[..., None].to(at.device)), at.activations(node))


def _attention(at: _Preparation, node: fx.Node, module: network.Attention) -> None:
    grid = at.activation_grid
    inner = Grid(grid.bits, INNER_BOUND)
    qkv, out = (
        at.on_device(rounded(linear.weight, None, exact_float64(linear.bias), source, grid.bits))
        for linear, source in ((module.qkv, grid), (module.out, inner))
    )
    at.emit(node, Attention(qkv, out, module.heads, grid), at.activations(node))


def _upsample(at: _Preparation, node: fx.Node, module: nn.Upsample) -> None:
    _keeping(layers.Upsample(int(module.scale_factor)))(at, node, module)  # type: ignore[arg-type]


# --- layers without --------------------------------------------------------------------------------------------------


def _same(at: _Preparation, node: fx.Node, _: nn.Module | None) -> None:
    [at.numbers[node]] = at.inputs(node)


def _keeping(function: layers.Function) -> Callable[[_Preparation, fx.Node, Any], None]:
    def add(at: _Preparation, node: fx.Node, _: nn.Module | None) -> None:
        [number] = at.inputs(node)
        at.emit(node, function, [number], at.grids[number])

    return add


def _reshape(at: _Preparation, node: fx.Node, module: nn.Unflatten) -> None:
    _keeping(layers.Reshape(tuple(module.unflattened_size)))(at, node, module)  # type: ignore[arg-type]


def _max_pool(at: _Preparation, node: fx.Node, module: nn.MaxPool2d) -> None:
    kernel, stride, padding = (_number(size) for size in (module.kernel_size, module.stride, module.padding))
    _keeping(layers.MaxPool(kernel, stride, padding))(at, node, module)


def _average_pool(at: _Preparation, node: fx.Node, module: nn.AvgPool2d) -> None:
    at.emit(node, layers.AveragePool(_number(module.kernel_size), _number(module.stride)), at.activations(node))


def _adaptive_average(at: _Preparation, node: fx.Node, module: nn.AdaptiveAvgPool2d) -> None:
    at.emit(node, layers.AdaptiveAverage(_number(module.output_size)), at.activations(node))


def _global_average(at: _Preparation, node: fx.Node, _: nn.Module | None) -> None:
    at.emit(node, layers.global_average, at.activations(node))


def _by_table(name: str) -> Callable[[_Preparation, fx.Node, Any], None]:
    def add(at: _Preparation, node: fx.Node, _: nn.Module | None) -> None:
        at.emit(node, lookup(name, at.activation_grid, at.device), at.activations(node))

    return add


def _sum(at: _Preparation, node: fx.Node, _: nn.Module | None) -> None:
    inputs = at.activations(node)
    end, low = at.with_relu(node)
    at.numbers[node] = -1
    at.emit(end, layers.Sum(low), inputs)


def _concatenation(at: _Preparation, node: fx.Node, _: nn.Module | None) -> None:
    at.emit(node, layers.concatenation, at.activations(node))


def _number(size: Any) -> int:
    """One side of a square window, which torch may hold as a pair."""
    sides = set(size) if isinstance(size, tuple) else {size}
    [side] = sides
    return int(side)


_Add = Callable[[_Preparation, fx.Node, Any], None]

_MODULES: dict[type, _Add] = {
    nn.Linear: _weighted,
    nn.Conv2d: _weighted,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.LayerNorm: _norm,
    nn.GroupNorm: _norm,
    network.ChannelNorm: _norm,
    network.RowConvolution: _weighted,
    network.DepthwiseConvolution: _weighted,
    network.PositionEmbedding: _embedding,
    network.Attention: _attention,
    nn.Upsample: _upsample,
    nn.ReLU: _keeping(layers.relu),
    nn.MaxPool2d: _max_pool,
    nn.AvgPool2d: _average_pool,
    nn.AdaptiveAvgPool2d: _adaptive_average,
    network.GlobalAverage: _global_average,
    nn.Tanh: _by_table("tanh"),
    nn.Sigmoid: _by_table("sigmoid"),
    nn.SiLU: _by_table("silu"),
    nn.GELU: _by_table("gelu"),
    nn.Dropout: _same,
    nn.Identity: _same,
    nn.Flatten: _keeping(layers.flatten),
    nn.Unflatten: _reshape,
    network.Sum: _sum,
    network.Concatenation: _concatenation,
}
# What torchvision's networks do without a module.
_FUNCTIONS: dict[Any, _Add] = {
    operator.add: _sum,
    operator.iadd: _sum,
    torch.flatten: _keeping(layers.flatten),
}
