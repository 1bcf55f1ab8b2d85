"""A bought model as one ONNX file: plain features in, class and probabilities, labels or quantities out. Needs onnx.

Discretisation runs in float64 and the mapping is exact in float32, as everywhere else; layers run in float32.
"""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper

from dataclient.bundle import Bundle, Normalisation
from dataclient.delivery.builder import GraphBuilder, reshaped
from dataclient.delivery.nodes import add_layers
from dataclient.delivery.preparation import number_features
from pole.exact.task import has_raw_features, plan_of
from pole.learning.mapping import matrix_under
from pole.task.manifest import DataSet, DenseMapping, Discretisation, Manifest
from pole.task.model_file import read_model_file
from pole.task.scores import Target

FEATURES = "features"
PROBABILITIES, CLASS, LABELS, QUANTITIES = "probabilities", "class", "labels", "quantities"
ANSWERS = {Target.CLASS: CLASS, Target.LABELS: LABELS, Target.QUANTITY: QUANTITIES}
# Old enough for runtimes of 2022.
OPSET, IR_VERSION = 17, 8


def onnx_file(bundle: Bundle) -> bytes:
    """Input `features` float64 [n, *shape], where NaN is a missing number that the preprocessing has a value for.

    Outputs `probabilities` float32 [n, classes] and `class`, names [n]; or `probabilities` [n, labels] and `labels`,
    int64 0 or 1; or `quantities` float64 [n, quantities] in their units.
    Raises ModelInvalid for weights that do not fit, BadInput for a layer that has no form in ONNX.
    """
    description, manifest = bundle.description, bundle.description.manifest
    graph, plan = GraphBuilder(), plan_of(manifest)
    tensors = read_model_file(bundle.weights, plan.tensors)
    plain = _mended(graph, bundle, reshaped(graph, FEATURES, (manifest.data.dimension,)))
    whole = _discretised(graph, manifest.data.discretisation, plain)
    mapped = _mapped(graph, manifest, bundle.mapping_hash, whole)
    is_raw = has_raw_features(manifest)
    seen = mapped if is_raw else _normalised(graph, description.normalisation, len(manifest.feature_shape), mapped)
    logits = add_layers(graph, plan, tensors, seen, is_raw=is_raw)
    _answers(graph, manifest.data, logits)
    return bytes(_model(graph, bundle).SerializeToString())


def _answers(graph: GraphBuilder, data: DataSet, logits: str) -> None:
    if data.target is Target.CLASS:
        graph.node("Softmax", logits, output=PROBABILITIES, axis=1)
        names = graph.constant("class_names", np.array(data.class_names, dtype=object))
        graph.node("Gather", names, graph.node("ArgMax", logits, axis=1, keepdims=0), output=CLASS)
    elif data.target is Target.LABELS:
        graph.node("Sigmoid", logits, output=PROBABILITIES)
        is_there = graph.node("Greater", logits, graph.constant("zero", np.float32(0)))
        graph.node("Cast", is_there, to=TensorProto.INT64, output=LABELS)
    else:
        low, high = (np.array([getattr(each, end) for each in data.quantities]) for end in ("minimum", "maximum"))
        none, whole = graph.constant("none", np.float64(0)), graph.constant("whole", np.float64(1))
        share = graph.node("Clip", graph.node("Cast", logits, to=TensorProto.DOUBLE), none, whole)
        above = graph.node("Mul", share, graph.constant("quantity_range", high - low))
        graph.node("Add", above, graph.constant("quantity_minimum", low), output=QUANTITIES)


def _mended(graph: GraphBuilder, bundle: Bundle, flat: str) -> str:
    """Missing numbers filled in and outliers clipped, as the preprocessing does; other features as they are."""
    features = number_features(bundle.description.preprocessing)
    bounds = [(None, None) if each is None else (each.minimum, each.maximum) for each in features]
    if any(each is not None and each.fill is not None for each in features):
        fills = [np.nan if each is None or each.fill is None else each.fill for each in features]
        flat = graph.node("Where", graph.node("IsNaN", flat), graph.constant("fill", np.array(fills)), flat)
    for i, operator, none in ((0, "Max", -np.inf), (1, "Min", np.inf)):
        if any(each[i] is not None for each in bounds):
            ends = np.array([none if each[i] is None else each[i] for each in bounds], dtype=np.float64)
            flat = graph.node(operator, flat, graph.constant(f"outlier_{operator}", ends))
    return flat


def _discretised(graph: GraphBuilder, discretisation: Discretisation, flat: str) -> str:
    """As `pole.task.rows.discretise`, operation by operation, for flat rows."""
    low, high = np.asarray(discretisation.minimum), np.asarray(discretisation.maximum)
    levels = graph.constant("levels", np.float64((1 << discretisation.bits) - 1))
    minimum, maximum = graph.constant("minimum", low), graph.constant("maximum", high)
    clipped = graph.node("Min", graph.node("Max", flat, minimum), maximum)
    above = graph.node("Sub", clipped, minimum)
    scaled = graph.node("Mul", graph.node("Div", above, graph.constant("range", high - low)), levels)
    return graph.node("Cast", graph.node("Round", scaled), to=TensorProto.FLOAT)


def _mapped(graph: GraphBuilder, manifest: Manifest, mapping_hash: bytes, whole: str) -> str:
    """As `pole.learning.mapping.project_under`; every sum is an integer below 2^24."""
    mapping, shape = manifest.mapping, tuple(manifest.data.shape)
    weights = matrix_under(mapping, mapping_hash, shape).astype(np.float32)
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


def _model(graph: GraphBuilder, bundle: Bundle) -> onnx.ModelProto:
    description, data = bundle.description, bundle.description.manifest.data
    rows = helper.make_tensor_value_info(FEATURES, TensorProto.DOUBLE, ["rows", *data.shape])
    found = [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in _outputs(data)]
    made = helper.make_graph(graph.nodes, "model", [rows], found, graph.constants)
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(made, producer_name="useful-proof-of-work", opset_imports=[opset], ir_version=IR_VERSION)
    names = description.feature_names
    helper.set_model_props(
        model,
        {
            "task": description.manifest.name,
            "model": description.model,
            "block": description.origin.header_hash,
            **_names(data),
            **({} if names is None else {"feature_names": json.dumps(names, ensure_ascii=False)}),
        },
    )
    return model


def _outputs(data: DataSet) -> list[tuple[str, int, list[str | int]]]:
    """Name, type and shape of each."""
    if data.target is Target.QUANTITY:
        return [(QUANTITIES, TensorProto.DOUBLE, ["rows", data.outputs])]
    probabilities: tuple[str, int, list[str | int]] = (PROBABILITIES, TensorProto.FLOAT, ["rows", data.outputs])
    if data.target is Target.LABELS:
        return [probabilities, (LABELS, TensorProto.INT64, ["rows", data.outputs])]
    return [probabilities, (CLASS, TensorProto.STRING, ["rows"])]


def _names(data: DataSet) -> dict[str, str]:
    names = {
        "class_names": data.class_names,
        "label_names": data.label_names,
        "quantities": [each.model_dump(mode="json") for each in data.quantities],
    }
    return {key: json.dumps(value, ensure_ascii=False) for key, value in names.items() if value}
