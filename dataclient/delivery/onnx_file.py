"""A bought model as one ONNX file: plain features in; classes, labels or quantities out. Needs onnx.

Discretisation runs in float64 and the mapping is exact in float32, as everywhere else; layers run in float32.
"""

import json
from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper

from dataclient.bundle import Bundle, Normalisation
from dataclient.delivery.builder import GraphBuilder, reshaped
from dataclient.delivery.nodes import add_layers
from pole.exact.task import has_raw_features, plan_of
from pole.learning.mapping import mapping_matrix
from pole.task.manifest import DataSet, DenseMapping, Discretisation, Manifest
from pole.task.model_file import read_model_file
from pole.task.scores import Target

FEATURES, PROBABILITIES, CLASS, LABELS, VALUES = "features", "probabilities", "class", "labels", "values"
# Old enough for runtimes of 2022.
OPSET, IR_VERSION = 17, 8


def onnx_file(bundle: Bundle) -> bytes:
    """Input `features` float64 [n, *shape]; the outputs follow from what the task asks for.

    Classes: `probabilities` float32 [n, classes] and `class`, names [n]. Labels: `probabilities` float32 [n, labels],
    of each by itself, and `labels`, bool [n, labels]. Quantities: `values` float64 [n, quantities] in their units.
    Raises ModelInvalid for weights that do not fit, BadInput for a layer that has no form in ONNX.
    """
    description, manifest = bundle.description, bundle.description.manifest
    graph, plan = GraphBuilder(), plan_of(manifest)
    tensors = read_model_file(bundle.weights, plan.tensors)
    whole = _discretised(graph, manifest.data.discretisation, manifest.data.dimension)
    mapped = _mapped(graph, manifest, bytes.fromhex(description.previous_hash), whole)
    is_raw = has_raw_features(manifest)
    seen = mapped if is_raw else _normalised(graph, description.normalisation, len(manifest.feature_shape), mapped)
    logits = add_layers(graph, plan, tensors, seen, is_raw=is_raw)
    outputs = _ANSWERS[manifest.data.target](graph, logits, manifest.data)
    return bytes(_model(graph, bundle, outputs).SerializeToString())


def _discretised(graph: GraphBuilder, discretisation: Discretisation, features: int) -> str:
    """As `pole.task.rows.discretise`, operation by operation, for flat rows."""
    low, high = np.asarray(discretisation.minimum), np.asarray(discretisation.maximum)
    levels = graph.constant("levels", np.float64((1 << discretisation.bits) - 1))
    minimum, maximum = graph.constant("minimum", low), graph.constant("maximum", high)
    flat = reshaped(graph, FEATURES, (features,))
    clipped = graph.node("Min", graph.node("Max", flat, minimum), maximum)
    above = graph.node("Sub", clipped, minimum)
    scaled = graph.node("Mul", graph.node("Div", above, graph.constant("range", high - low)), levels)
    return graph.node("Cast", graph.node("Round", scaled), to=TensorProto.FLOAT)


def _mapped(graph: GraphBuilder, manifest: Manifest, previous_hash: bytes, whole: str) -> str:
    """As `pole.learning.mapping.project`; every sum is an integer below 2^24."""
    mapping, shape = manifest.mapping, tuple(manifest.data.shape)
    weights = mapping_matrix(mapping, previous_hash, shape).astype(np.float32)
    if isinstance(mapping, DenseMapping):
        cut = reshaped(graph, whole, (mapping.segments, weights.shape[1]))
        products = graph.node("MatMul", cut, graph.constant("query_vectors", weights.T))
        return reshaped(graph, products, manifest.feature_shape)
    filters = weights.reshape(-1, 1, mapping.kernel, mapping.kernel)
    images, border = reshaped(graph, whole, shape), mapping.kernel // 2
    kernels = graph.constant("query_vectors", filters)
    return graph.node("Conv", images, kernels, group=shape[0], pads=[border] * 4)


def _normalised(graph: GraphBuilder, normalisation: Normalisation, dimensions: int, mapped: str) -> str:
    each = (-1,) + (1,) * (dimensions - 1)
    mean, scale = (
        graph.constant(name, np.asarray(values, np.float32).reshape(each))
        for name, values in (("mean", normalisation.mean), ("scale", normalisation.scale))
    )
    return graph.node("Div", graph.node("Sub", mapped, mean), scale)


Outputs = dict[str, tuple[int, list[str | int]]]
"""Element type and shape by name."""


def _classes(graph: GraphBuilder, logits: str, data: DataSet) -> Outputs:
    graph.node("Softmax", logits, output=PROBABILITIES, axis=1)
    names = graph.constant("class_names", np.array(data.class_names, dtype=object))
    graph.node("Gather", names, graph.node("ArgMax", logits, axis=1, keepdims=0), output=CLASS)
    return {PROBABILITIES: (TensorProto.FLOAT, ["rows", data.outputs]), CLASS: (TensorProto.STRING, ["rows"])}


def _labels(graph: GraphBuilder, logits: str, data: DataSet) -> Outputs:
    graph.node("Sigmoid", logits, output=PROBABILITIES)
    graph.node("Greater", logits, graph.constant("zero", np.float32(0)), output=LABELS)
    shape: list[str | int] = ["rows", data.outputs]
    return {PROBABILITIES: (TensorProto.FLOAT, shape), LABELS: (TensorProto.BOOL, shape)}


def _quantities(graph: GraphBuilder, logits: str, data: DataSet) -> Outputs:
    """A model's output is 0 at the lower end of a range and 1 at the upper one; beyond, it counts as the end."""
    low, high = (np.array([getattr(each, end) for each in data.quantities]) for end in ("minimum", "maximum"))
    share = graph.node("Cast", logits, to=TensorProto.DOUBLE)
    for operator, end in (("Max", 0.0), ("Min", 1.0)):
        share = graph.node(operator, share, graph.constant(f"share_{end:g}", np.float64(end)))
    above = graph.node("Mul", share, graph.constant("quantity_range", high - low))
    graph.node("Add", graph.constant("quantity_minimum", low), above, output=VALUES)
    return {VALUES: (TensorProto.DOUBLE, ["rows", data.outputs])}


_ANSWERS: dict[Target, Callable[[GraphBuilder, str, DataSet], Outputs]] = {
    Target.CLASS: _classes,
    Target.LABELS: _labels,
    Target.QUANTITY: _quantities,
}


def _model(graph: GraphBuilder, bundle: Bundle, outputs: Outputs) -> onnx.ModelProto:
    description, data = bundle.description, bundle.description.manifest.data
    rows = helper.make_tensor_value_info(FEATURES, TensorProto.DOUBLE, ["rows", *data.shape])
    found = [helper.make_tensor_value_info(name, *kind) for name, kind in outputs.items()]
    made = helper.make_graph(graph.nodes, "model", [rows], found, graph.constants)
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(made, producer_name="useful-proof-of-work", opset_imports=[opset], ir_version=IR_VERSION)
    texts = {
        "class_names": data.class_names,
        "label_names": data.label_names,
        "quantities": [quantity.model_dump() for quantity in data.quantities],
        "feature_names": description.feature_names,
    }
    helper.set_model_props(
        model,
        {
            "task": description.manifest.name,
            "model": description.model,
            "block": description.origin.header_hash,
            **{name: json.dumps(text, ensure_ascii=False) for name, text in texts.items() if text},
        },
    )
    return model
