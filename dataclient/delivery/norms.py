"""Norms of a whole row, of groups of channels and of the channels at a position, as ONNX operators. Needs onnx.

Source: docs/exact-evaluation.md, Norms
"""

from math import prod

import numpy as np

from dataclient.delivery.builder import GraphBuilder, Grids, reshaped
from pole.exact.steps import Step
from pole.exact.weights import Tensors

EPSILON = 1e-5  # of batch_norm and of all norms alike


def layer_norm(graph: GraphBuilder, step: Step, value: str, tensors: Tensors, grids: Grids) -> str:
    flat = reshaped(graph, value, (prod(step.shape),))
    made = reshaped(graph, _normalised(graph, flat, grids), step.shape)
    return _scaled(graph, step, made, tensors, step.shape)


def group_norm(graph: GraphBuilder, step: Step, value: str, tensors: Tensors, grids: Grids) -> str:
    groups = reshaped(graph, value, (step.parts, prod(step.shape) // step.parts))
    made = reshaped(graph, _normalised(graph, groups, grids), step.shape)
    return _scaled(graph, step, made, tensors, (step.shape[0], *(1,) * (len(step.shape) - 1)))


def channel_norm(graph: GraphBuilder, step: Step, value: str, tensors: Tensors, grids: Grids) -> str:
    positions = graph.node("Transpose", value, perm=[0, 2, 3, 1])
    made = graph.node("Transpose", _normalised(graph, positions, grids), perm=[0, 3, 1, 2])
    return _scaled(graph, step, made, tensors, (step.shape[0], 1, 1))


def _normalised(graph: GraphBuilder, value: str, grids: Grids) -> str:
    """Over the last axis, then onto the grid, as exact evaluation does before it scales; its mean is rounded, too.

    Differences are squared after the mean is off; runtimes' own LayerNormalization may do without, and cancel.
    """
    epsilon = graph.constant("epsilon", np.float32(EPSILON))
    mean = graph.rounded(graph.node("ReduceMean", value, axes=[-1]), grids.input)
    differences = graph.node("Sub", value, mean)
    variance = graph.node("ReduceMean", graph.node("Mul", differences, differences), axes=[-1])
    deviation = graph.node("Sqrt", graph.node("Add", variance, epsilon))
    return graph.settle(graph.node("Div", differences, deviation), grids.output)


def _scaled(graph: GraphBuilder, step: Step, value: str, tensors: Tensors, shape: tuple[int, ...]) -> str:
    weight, bias = (
        graph.constant(name, tensors[name].reshape(shape))
        for name in (f"{step.tensors}.weight", f"{step.tensors}.bias")
    )
    return graph.node("Add", graph.node("Mul", value, weight), bias)
