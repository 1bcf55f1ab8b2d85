"""Self-attention as ONNX operators, in float64. Needs onnx. Source: docs/exact-evaluation.md, attention

Shares hang on small differences of large scores, which float32 and its own rounding of queries and keys would lose.
"""

from math import prod, sqrt

import numpy as np
from onnx import TensorProto

from dataclient.delivery.builder import GraphBuilder, Grids, reshaped
from pole.exact.grid import Grid
from pole.exact.steps import Step
from pole.exact.weights import Tensors, linear_weights

_PROJECTED = 2.0**23  # units: the largest query, key or value


def attention(graph: GraphBuilder, step: Step, value: str, tensors: Tensors, grids: Grids) -> str:
    """What is projected saturates earlier than activations do."""
    channels, tokens, heads, outer = step.shape[0], prod(step.shape[1:]), step.parts, grids.output
    size, inner = channels // heads, Grid(outer.fraction_bits, _PROJECTED)
    seen = graph.node("Cast", reshaped(graph, value, (channels, tokens)), to=TensorProto.DOUBLE)
    projected = graph.settle_exactly(_linear(graph, f"{step.tensors}.qkv", seen, tensors, outer), inner)
    parts = reshaped(graph, projected, (3, heads, size, tokens))
    queries, keys, values = (
        graph.node("Gather", parts, graph.constant(f"part_{i}", np.int64(i)), axis=1) for i in range(3)
    )
    scores = graph.node("MatMul", graph.node("Transpose", queries, perm=[0, 1, 3, 2]), keys)
    scaled = graph.node("Mul", scores, graph.constant(f"scale_of_{size}", np.float64(1 / sqrt(size))))
    shares = graph.node("Transpose", graph.node("Softmax", scaled, axis=3), perm=[0, 1, 3, 2])
    mixed = graph.settle_exactly(graph.node("MatMul", values, shares), inner)
    made = _linear(graph, f"{step.tensors}.out", reshaped(graph, mixed, (channels, tokens)), tensors, inner)
    found = graph.node("Cast", graph.settle_exactly(made, outer), to=TensorProto.FLOAT)
    return reshaped(graph, found, step.shape)


def _linear(graph: GraphBuilder, name: str, value: str, tensors: Tensors, grid: Grid) -> str:
    """Of the channels [n, inputs, tokens] at each position, with the weights of exact evaluation."""
    exact = linear_weights(name, tensors, grid)
    weights = np.ldexp(exact.weights.astype(np.float64), -exact.exponents[:, None])
    bias = np.ldexp(exact.bias, -exact.exponents - grid.fraction_bits)
    product = graph.node("MatMul", graph.constant(f"{name}.weight", weights), value)
    return graph.node("Add", product, graph.constant(f"{name}.bias", bias[:, None]))
