"""The delivered ONNX file in onnxruntime, beside `predict`, which evaluates exactly."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from dataclient.bundle import Bundle
from dataclient.delivery.nodes import LAYER_TYPES
from dataclient.delivery.onnx_file import onnx_file
from dataclient.newrows.rows import NewRows
from dataclient.predict import Predictions, Tally, predict
from dataclient.preprocessing.document import Category, Number, TablePreprocessing
from dataclient.preprocessing.transform import features
from pole.task.graph import _SHAPES
from pole.task.manifest import AnyMapping, ConvolutionalMapping, DenseMapping, TorchvisionModel
from pole.task.model import new_model
from pole.task.weights import load_model, save_model
from tests.unit.dataclient.delivery.bundles import (
    bundle_of,
    bundle_with,
    labels_bundle,
    manifest_of,
    quantities_bundle,
    rows_of,
    with_document,
)
from tests.unit.graphs import FLATTEN, GLOBAL, RELU, Layers, conv, graph_of, linear, pool

ROWS = 1_000
NORM, LAYER_NORM = {"type": "batch_norm"}, {"type": "layer_norm"}
FLAT: Layers = [
    NORM,
    linear(24, bias=False),
    NORM,
    {"type": "silu"},
    LAYER_NORM,
    linear(24),
    {"type": "gelu"},
    {"type": "add", "inputs": ["l3", "l6"]},
    {"type": "tanh"},
    {"type": "concat", "inputs": ["l8", "l4", "input"]},
    {"type": "dropout", "probability": 0.5},
    {"type": "sigmoid"},
    linear(5),
]
IMAGES: Layers = [
    conv(6, 3, padding=1, bias=False),
    NORM,
    RELU,
    conv(6, 3, padding=1),
    {"type": "add", "inputs": ["l3", "l2"]},
    pool(2),
    LAYER_NORM,
    {"type": "average_pool", "kernel": 2, "stride": 1},
    conv(40, 2, stride=1, padding=1),
    {"type": "concat", "inputs": ["l8", "l8"]},
    GLOBAL,
    linear(5),
]
FOLDED: Layers = [
    {"type": "reshape", "shape": [1, 4, 4]},
    conv(4, 3, stride=2, padding=1),
    {"type": "gelu"},
    FLATTEN,
    NORM,
    linear(5),
    {"type": "tanh"},
]
SEQUENCES: Layers = [
    {"type": "reshape", "shape": [2, 1, 8]},
    {"type": "conv1d", "channels": 8, "kernel": 3, "stride": 1, "padding": 2, "bias": False},
    NORM,
    RELU,
    {"type": "embedding_position"},
    {"type": "channel_norm"},
    {"type": "attention", "heads": 2},
    {"type": "add", "inputs": ["l6", "l4"]},
    {"type": "group_norm", "groups": 4},
    {"type": "conv1d", "channels": 6, "kernel": 4, "stride": 2},
    FLATTEN,
    {"type": "group_norm", "groups": 3},
    linear(5),
]
MAPS: Layers = [
    {"type": "upsample", "factor": 3},
    {"type": "depthwise_conv2d", "kernel": 3, "stride": 2, "padding": 1, "bias": False},
    NORM,
    conv(8, 1),
    {"type": "group_norm", "groups": 2},
    {"type": "attention", "heads": 4},
    {"type": "add", "inputs": ["l5", "l4"]},
    {"type": "embedding_position"},
    {"type": "depthwise_conv2d", "kernel": 2},
    {"type": "upsample", "factor": 2},
    FLATTEN,
    linear(5),
]
AT_ONCE: Layers = [
    {"type": "attention", "heads": 1, "inputs": ["input"]},
    {"type": "embedding_position", "inputs": ["input"]},
    {"type": "channel_norm", "inputs": ["input"]},
    {"type": "group_norm", "groups": 3, "inputs": ["input"]},
    {"type": "concat", "inputs": ["l0", "l1", "l2", "l3"]},
    GLOBAL,
    linear(5),
]

TOKENS: Layers = [
    {"type": "conv1d", "channels": 8, "kernel": 3, "padding": 1, "stride": 2},
    {"type": "embedding_position"},
    {"type": "attention", "heads": 2},
    {"type": "channel_norm"},
    GLOBAL,
    linear(5),
]
PLANES: Layers = [
    conv(8, 3),
    {"type": "upsample", "factor": 2},
    {"type": "depthwise_conv2d", "kernel": 3, "stride": 2},
    NORM,
    {"type": "group_norm", "groups": 2},
    FLATTEN,
    linear(5),
]
GROUPS: Layers = [FLATTEN, {"type": "group_norm", "groups": 4}, linear(16), RELU, linear(5)]


def run(content: bytes, x: NDArray[Any]) -> tuple[NDArray[np.float32], list[str]]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    probabilities, classes = session.run(["probabilities", "class"], {"features": x})
    return probabilities, list(classes)


def predicted(bundle: Bundle, x: NDArray[Any]) -> Predictions:
    [found] = predict(bundle, [NewRows(x, x)], Tally())
    return found


def assert_agrees(model: Any, mapping: AnyMapping, shape: tuple[int, ...], rows: int = ROWS, **more: Any) -> None:
    """At least 999 of 1,000 classes, and the probabilities of all."""
    bundle = bundle_of(manifest_of(model, mapping, shape, **more))
    x = rows_of(bundle.description.manifest, rows)
    content = onnx_file(bundle)
    onnx.checker.check_model(content, full_check=True)
    probabilities, classes = run(content, x)
    found = predicted(bundle, x)
    names = bundle.description.manifest.data.class_names
    assert len(np.unique(found.predicted)) > 1
    same = sum(ours == names[theirs] for ours, theirs in zip(classes, found.predicted, strict=True))
    assert same >= rows * 999 // 1_000
    assert np.abs(probabilities.sum(axis=1) - 1).max() < 1e-5
    assert np.abs(probabilities.max(axis=1) - found.values.max(axis=1)).max() < 1e-2


@pytest.mark.parametrize("is_encrypted", [False, True])
@pytest.mark.parametrize("normalisation", ["standardise", "none"])
@pytest.mark.parametrize("segments", [1, 4])
@pytest.mark.parametrize("layers", [FLAT, FOLDED, SEQUENCES], ids=["flat", "folded", "sequences"])
def test_onnx_file__dense_mapping__agrees_with_predict(
    layers: Layers, segments: int, normalisation: Any, is_encrypted: bool
) -> None:
    mapping = DenseMapping(vectors=16 // segments, segments=segments, normalisation=normalisation)
    model = graph_of(*layers)
    assert_agrees(model, mapping, (80,), is_encrypted=is_encrypted)


@pytest.mark.parametrize("is_encrypted", [False, True])
@pytest.mark.parametrize("normalisation", ["standardise", "none"])
@pytest.mark.parametrize("layers", [IMAGES, MAPS, AT_ONCE], ids=["images", "maps", "at once"])
def test_onnx_file__convolutional_mapping__agrees_with_predict(
    layers: Layers, normalisation: Any, is_encrypted: bool
) -> None:
    mapping = ConvolutionalMapping(filters=2, kernel=3, normalisation=normalisation)
    assert_agrees(graph_of(*layers), mapping, (3, 7, 6), is_encrypted=is_encrypted)


@pytest.mark.parametrize("normalisation", ["standardise", "none"])
@pytest.mark.parametrize("layers", [TOKENS, PLANES, GROUPS], ids=["tokens", "planes", "groups"])
def test_onnx_file__layers_of_sequences_and_maps__agree_with_predict(layers: Layers, normalisation: Any) -> None:
    mapping = ConvolutionalMapping(filters=2, kernel=3, normalisation=normalisation)
    assert_agrees(graph_of(*layers), mapping, (2, 6, 4))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "stem", "shape", "rows"),
    [
        ("resnet18", "stock", (256,), 1_000),
        ("resnet18", "cifar", (2, 12, 9), 100),
        pytest.param("vgg16", "stock", (256,), 50, marks=pytest.mark.full),
        pytest.param("vgg16_bn", "stock", (2, 12, 9), 50, marks=pytest.mark.full),
    ],
)
def test_onnx_file__architecture__agrees_with_predict(
    architecture: Any, stem: Any, shape: tuple[int, ...], rows: int
) -> None:
    model = TorchvisionModel(architecture=architecture, stem=stem)
    mapping = DenseMapping(vectors=256) if len(shape) == 1 else ConvolutionalMapping(filters=2, kernel=3)
    assert_agrees(model, mapping, shape, rows)


def test_onnx_file__huge_weights__saturates_where_predict_does() -> None:
    """Without its limit at 4096, every hidden value would win over those that only just reach it."""
    manifest = manifest_of(graph_of(linear(16), RELU, linear(5)), DenseMapping(vectors=8), (10,))
    model = new_model(manifest)
    load_model(bundle_of(manifest).weights, model)
    with torch.no_grad():
        for parameter in model.get_submodule("l0").parameters():
            parameter.mul_(10_000)
    loud = bundle_with(manifest, save_model(model))
    x = rows_of(manifest, ROWS)
    assert (np.abs(loud.logits(x)) > 1_000).any()
    _, classes = run(onnx_file(loud), x)
    found = predicted(loud, x).predicted
    assert sum(a == manifest.data.class_names[b] for a, b in zip(classes, found, strict=True)) >= ROWS * 999 // 1_000


def test_onnx_file__every_layer_type_of_the_manifest__has_a_form() -> None:
    assert {*_SHAPES, "add", "concat"} <= set(LAYER_TYPES)


def test_onnx_file__names_its_classes_and_where_it_is_from() -> None:
    bundle = bundle_of(manifest_of(graph_of(linear(5)), DenseMapping(vectors=2), (4,)))
    session = onnxruntime.InferenceSession(onnx_file(bundle))
    [rows] = session.get_inputs()
    assert (rows.name, rows.type, rows.shape) == ("features", "tensor(double)", ["rows", 4])
    properties = session.get_modelmeta().custom_metadata_map
    assert properties["model"] == bundle.description.model
    assert properties["class_names"].startswith('["class 0 é"')


def test_onnx_file__missing_value__probabilities_are_nan_in_that_row_alone() -> None:
    bundle = bundle_of(manifest_of(graph_of(linear(5)), DenseMapping(vectors=2), (4,)))
    x = rows_of(bundle.description.manifest, 3)
    x[1, 2] = np.nan
    probabilities, _ = run(onnx_file(bundle), x)
    assert np.isnan(probabilities).all(axis=1).tolist() == [False, True, False]


def test_onnx_file__labels__agree_with_predict() -> None:
    bundle = labels_bundle()
    x = rows_of(bundle.description.manifest, ROWS)
    content, found = onnx_file(bundle), predicted(bundle, x)
    onnx.checker.check_model(content, full_check=True)
    session = onnxruntime.InferenceSession(content)
    labels, probabilities = session.run(["labels", "probabilities"], {"features": x})
    assert 0 < found.predicted.mean() < 1
    assert (labels == found.predicted).all(axis=1).sum() >= ROWS * 999 // 1_000
    assert np.abs(probabilities - found.values).max() < 1e-3
    assert session.get_modelmeta().custom_metadata_map["label_names"] == '["red", "big", "round é"]'


def test_onnx_file__quantities__agree_with_predict_in_their_units() -> None:
    bundle = quantities_bundle()
    x = rows_of(bundle.description.manifest, ROWS)
    content, found = onnx_file(bundle), predicted(bundle, x)
    onnx.checker.check_model(content, full_check=True)
    [quantities] = onnxruntime.InferenceSession(content).run(["quantities"], {"features": x})
    assert quantities.min(axis=0).tolist() == pytest.approx([-3.3, 0.0])
    assert quantities.max(axis=0).tolist() == pytest.approx([96.7, 0.5])
    is_inside = (found.values > [-3.3, 0.0]) & (found.values < [96.7, 0.5])
    assert is_inside.any(axis=0).all()
    assert (np.abs(quantities - found.values) / [100, 0.5]).max() < 1e-3


def test_onnx_file__gaps_and_outliers_of_numbers__become_what_the_preprocessing_makes_of_them() -> None:
    columns = [Number(name="a", fill=0.3, maximum=0.5), Number(name="b", fill=-0.2, minimum=-0.4, has_indicator=True)]
    kind = Category(name="c", encoding="one_hot", values=["x", "y"])
    names = ["a", "b", "b is missing", "c=x", "c=y"]
    document = TablePreprocessing.model_validate({"columns": [*columns, kind], "features": names})
    bundle = with_document(bundle_of(manifest_of(graph_of(linear(5)), DenseMapping(vectors=4), (5,))), document)
    cells = {"a": ["0.1", "", "9"], "b": ["NA", "-7", "1"], "c": ["x", "y", "z"]}
    read = features(document, pd.DataFrame(cells, dtype=object))
    raw = read.copy()
    raw[1, 0], raw[0, 1], raw[2, 0], raw[1, 1] = np.nan, np.nan, 9.0, -7.0
    probabilities, classes = run(onnx_file(bundle), raw)
    wanted, same = run(onnx_file(bundle), read)
    assert (probabilities == wanted).all()
    assert classes == same
    assert np.isnan(run(onnx_file(bundle), np.where(np.arange(5) == 3, np.nan, read))[0]).all()
