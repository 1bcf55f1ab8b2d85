"""The manifest: every contradiction is refused with its place, and a valid one survives the round trip."""

import contextlib
import copy
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pole.errors import ManifestInvalid
from pole.storage.cid import cid_of
from pole.task.manifest import (
    MAX_MANIFEST_BYTES,
    ConvolutionalMapping,
    DataSet,
    DenseMapping,
    GraphModel,
    Manifest,
    largest_inner_product,
)
from pole.task.model import model_bytes
from tests.paths import ROOT

CID = str(cid_of(b"rows"))

DIGITS: dict[str, Any] = {
    "version": 2,
    "name": "digits",
    "model": {
        "kind": "graph",
        "layers": [
            {"name": "hidden", "type": "linear", "size": 32},
            {"name": "bend", "type": "relu"},
            {"name": "classes", "type": "linear", "size": 10},
        ],
    },
    "metric": "accuracy",
    "data": {
        "shape": [64],
        "class_names": [str(digit) for digit in range(10)],
        "discretisation": {"bits": 4, "minimum": [0.0], "maximum": [16.0]},
        "training_set": [{"cid": CID, "rows": 1000, "size_bytes": 4_168_000}],
        "test_rows": 300,
        "test_size_bytes": 1_250_000,
    },
    "mapping": {"kind": "dense", "vectors": 16, "segments": 1},
    "encryption": {"scheme": "ipfe-secp256k1", "public_key": CID, "rank_limit": 16},
    "max_model_bytes": 100_000,
}

IMAGES = {
    "data.shape": [3, 32, 32],
    "mapping": {"kind": "convolutional", "filters": 16, "kernel": 3},
    "encryption": {"scheme": "none"},
}

PRICE: dict[str, Any] = {"name": "price", "unit": "EUR", "minimum": 1.0, "maximum": 9.0}
QUANTITY: dict[str, Any] = {
    "metric": "r2",
    "data": {key: value for key, value in DIGITS["data"].items() if key != "class_names"} | {"quantities": [PRICE]},
}


def _changed(changes: dict[str, Any]) -> bytes:
    """The digits manifest with values replaced at dotted paths."""
    document = copy.deepcopy(DIGITS)
    for path, value in copy.deepcopy(changes).items():
        *parents, last = path.split(".")
        place: Any = document
        for parent in parents:
            place = place[int(parent) if parent.isdigit() else parent]
        place[int(last) if last.isdigit() else last] = value
    return json.dumps(document).encode()


# --- what is refused -------------------------------------------------------------------------------------------------


def test_from_bytes__version_1__refused_by_name() -> None:
    with pytest.raises(ManifestInvalid, match=r"version 1, from before exact evaluation.*commission the task anew"):
        Manifest.from_bytes(_changed({"version": 1}))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"null", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"version": 2}', b"\x80\x04\x95pickle"]
)
def test_from_bytes__not_a_manifest__refused(content: bytes) -> None:
    with pytest.raises(ManifestInvalid, match="manifest is invalid") as caught:
        Manifest.from_bytes(content)
    assert len(str(caught.value)) < 1000


def test_from_bytes__too_large__refused_unparsed() -> None:
    with pytest.raises(ManifestInvalid, match="1048577 bytes; at most 1048576"):
        Manifest.from_bytes(b" " * (MAX_MANIFEST_BYTES + 1))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"version": 3}, "version"),
        ({"surprise": 1}, "surprise: Extra inputs"),
        ({"name": ""}, "name"),
        ({"name": "\x1b[2Jowned"}, "name: .*cannot be printed"),
        ({"metric": "profit"}, "metric: .* no metric 'profit'; choose one of accuracy"),
        ({"metric": "top_10_accuracy"}, "every row as right where there are 10 classes"),
        ({"metric": "top_1_accuracy"}, "no metric"),
        (
            {
                "metric": "log_loss",
                "data.training_set.0.rows": 1_000_000,
                "data.test_rows": 0,
                "data.class_names": [str(i) for i in range(200)],
            },
            "looks at 1000000 rows of 200 outputs",
        ),
        ({"data.label_names": ["a"]}, "either class_names, label_names or quantities"),
        ({"data": {k: v for k, v in DIGITS["data"].items() if k != "class_names"}}, "either class_names, label_names"),
        (QUANTITY | {"metric": "accuracy"}, "of another target than the rows' labels; choose one of r2, rmse, mae"),
        (QUANTITY | {"data.quantities": [PRICE, PRICE]}, "two quantities have the same name"),
        (QUANTITY | {"data.quantities": [PRICE | {"maximum": 1.0}]}, "quantity 'price' runs from 1.0 to 1.0"),
        (QUANTITY | {"data.quantities": [PRICE | {"minimum": -1.7e308, "maximum": 1.7e308}]}, "that is no range"),
        (QUANTITY | {"data.quantities": [PRICE | {"unit": "\x1b"}]}, "unit: .*cannot be printed"),
        (QUANTITY | {"data.quantities": []}, "quantities"),
        ({"max_model_bytes": 0}, "max_model_bytes"),
        ({"max_model_bytes": 1.5}, "max_model_bytes"),
        ({"max_model_bytes": "9"}, "max_model_bytes"),
        ({"max_model_bytes": True}, "max_model_bytes"),
        ({"model.layers": []}, "layers"),
        ({"model.layers.0.type": "lstm"}, "'lstm'"),
        ({"model.layers.0.size": 0}, "size"),
        ({"model.layers.0.size": 65_537}, "size"),
        ({"model.layers.0.name": "a.b"}, "name"),
        ({"model.layers.0.name": "a\n"}, "name"),
        ({"model": {"kind": "pickle", "data": "gASV"}}, "'pickle'"),
        ({"model": {"kind": "torchvision", "architecture": "alexnet"}}, "architecture"),
        *(
            ({"model": {"kind": "torchvision", "architecture": name}}, f"{name} is refused: .*{reason}.*use resnet18")
            for name, reason in (
                ("mobilenet_v3_small", "hardswish"),
                ("efficientnet_b0", "product of two maps"),
                ("convnext_tiny", "epsilon"),
                ("vit_b_16", "class token"),
            )
        ),
        ({"model.layers.0": {"name": "a", "type": "upsample", "factor": 1}}, "factor"),
        ({"model.layers.0": {"name": "a", "type": "attention", "heads": 65}}, "heads"),
        ({"data.shape": []}, "shape"),
        ({"data.shape": [8, 8]}, r"need \[features\] or \[channels, height, width\]"),
        ({"data.shape": [65_536, 65_536, 65_536]}, "at most 1048576 are allowed"),
        ({"data.class_names": ["one"]}, "class_names"),
        ({"data.class_names": ["a", "b", "a"]}, "two classes have the same name"),
        ({"data.class_names.3": "three\nfour"}, "class_names.3: .*cannot be printed"),
        ({"data.training_set": []}, "training_set"),
        ({"data.training_set.0.rows": 0}, "rows"),
        ({"data.training_set.0.cid": "../../etc/passwd"}, "not a CID"),
        ({"data.training_set.0.cid": "Qmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyfD"}, "not a CID"),
        ({"data.training_set": [{"cid": CID, "rows": 1_000_000, "size_bytes": 1}] * 2000}, "at most 17179869184"),
        ({"data.test_rows": -1}, "test_rows"),
        ({"data.discretisation.bits": 9}, "bits"),
        ({"data.discretisation.minimum": [0.0, 0.0]}, "2 minima and 1 maxima; need 1 or 64 of each"),
        ({"data.discretisation.minimum": [16.0]}, "minimum < maximum"),
        ({"data.discretisation.maximum": [float("nan")]}, "finite"),
        ({"data.discretisation.maximum": [float("inf")]}, "finite"),
        ({"data.discretisation.minimum": [-1.7e308], "data.discretisation.maximum": [1.7e308]}, "too wide"),
        ({"mapping.segments": 3}, "3 segments do not divide 64 features"),
        ({"mapping": {"kind": "convolutional", "filters": 4, "kernel": 3}}, "needs shape"),
        (IMAGES | {"mapping.kernel": 4}, "kernel 4 is even"),
        (IMAGES | {"mapping.filters": 1024}, "mapping: 3145728 features per row"),
        (IMAGES | {"data.shape": [3, 256, 256], "data.training_set.0.rows": 900_000}, "use fewer rows"),
        ({"mapping.vectors": 17}, "need vectors <= rank_limit < features"),
        ({"encryption.rank_limit": 64}, "need vectors <= rank_limit < features"),
        ({"encryption.public_key": "b" * 59}, "public_key"),
        ({"encryption.scheme": "rot13"}, "'rot13'"),
        ({"encryption.points": "hybrid"}, "points: Input should be 'uncompressed' or 'compressed'"),
        ({"encryption": {"scheme": "none", "points": "compressed"}}, "points: Extra inputs"),
        (
            {
                "data.shape": [16_384],
                "data.discretisation.bits": 8,
                "mapping.vectors": 4,
                "encryption": {"scheme": "none"},
            },
            "inner products up to 29245440 are not exact",
        ),
    ],
)
def test_from_bytes__one_thing_wrong__refused_with_its_place(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ManifestInvalid, match=complaint) as caught:
        Manifest.from_bytes(_changed(changes))
    assert len(str(caught.value)) < 1000


def test_from_bytes__hostile_field_name__message_is_short_and_printable() -> None:
    with pytest.raises(ManifestInvalid) as caught:
        Manifest.from_bytes(_changed({"\x1b]0;" + "x" * 100_000: 1}))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_PATHS = ["name", "model", "model.layers", "model.layers.1", "data", "data.shape", "data.training_set.0", "mapping"]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([*_PATHS, "encryption", "data.discretisation", "data.discretisation.minimum"]), _JSON)
def test_from_bytes__any_value_anywhere__manifest_or_manifest_invalid(path: str, value: Any) -> None:
    with contextlib.suppress(ManifestInvalid):
        manifest = Manifest.from_bytes(_changed({path: value}))
        assert Manifest.from_bytes(manifest.to_bytes()) == manifest


# --- what is kept ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [{}, IMAGES, {"encryption": {"scheme": "none"}, "data.test_rows": 0}, {"encryption.points": "compressed"}],
)
def test_to_bytes__any_valid_manifest__reads_back_equal_and_canonical(changes: dict[str, Any]) -> None:
    manifest = Manifest.from_bytes(_changed(changes))
    content = manifest.to_bytes()
    assert Manifest.from_bytes(content) == manifest
    assert Manifest.from_bytes(content).to_bytes() == content
    shuffled = json.dumps(dict(reversed(json.loads(content).items())), indent=3).encode()
    assert Manifest.from_bytes(shuffled).to_bytes() == content


def test_to_bytes__uncompressed_points__the_bytes_from_before_there_was_a_choice() -> None:
    content = Manifest.from_bytes(_changed({})).to_bytes()
    encryption = json.loads(content)["encryption"]
    assert encryption == DIGITS["encryption"] | {"is_test_set_encrypted": False}
    assert Manifest.from_bytes(_changed({"encryption.points": "uncompressed"})).to_bytes() == content
    assert Manifest.from_bytes(_changed({"encryption.points": "compressed"})).to_bytes() != content


def test_from_bytes__digits__values_and_defaults() -> None:
    manifest = Manifest.from_bytes(_changed({}))
    assert manifest.data.dimension == 64
    assert manifest.data.training_rows == 1000
    assert isinstance(manifest.model, GraphModel)
    assert [layer.type for layer in manifest.model.layers] == ["linear", "relu", "linear"]
    assert manifest.mapping == DenseMapping(vectors=16, segments=1, bits_per_weight=3, normalisation="standardise")


@pytest.mark.parametrize(
    ("mapping", "shape", "largest"),
    [
        (DenseMapping(vectors=1, segments=4, bits_per_weight=3), [64], 16 * 15 * 7),
        (ConvolutionalMapping(filters=1, kernel=3, bits_per_weight=2), [3, 8, 8], 9 * 15 * 3),
    ],
)
def test_largest_inner_product__worked_by_hand(
    mapping: DenseMapping | ConvolutionalMapping, shape: list[int], largest: int
) -> None:
    data = DataSet.model_validate({**DIGITS["data"], "shape": shape})
    assert largest_inner_product(mapping, data) == largest


# --- its documentation -----------------------------------------------------------------------------------------------

REFERENCE = (ROOT / "docs" / "manifest.md").read_text()


def test_reference__its_example__validates_and_builds() -> None:
    example = REFERENCE.split("```json")[1].split("```")[0]
    manifest = Manifest.from_bytes(example.encode())
    assert manifest.feature_shape == (16,)
    assert model_bytes(manifest) < manifest.max_model_bytes


def _words(schema: Any) -> set[str]:
    """Every field name and every allowed literal of a JSON schema."""
    if isinstance(schema, list):
        return set().union(*map(_words, schema))
    if not isinstance(schema, dict):
        return set()
    literals = {str(value) for value in [*schema.get("enum", []), schema.get("const", "version")]}
    return set(schema.get("properties", {})) | literals | _words(list(schema.values()))


def test_reference__every_field_and_literal_of_the_schema__is_mentioned() -> None:
    words = _words(Manifest.model_json_schema())
    assert {"rank_limit", "global_average_pool", "cifar"} < words
    assert {word for word in words if not re.search(rf"\b{re.escape(word)}\b", REFERENCE)} == set()


def test_to_bytes__classes__bytes_of_before_there_were_labels_and_quantities() -> None:
    content = Manifest.from_bytes(_changed({})).to_bytes()
    assert str(cid_of(content)) == "bafkreigipxstgq5rcjycvwkl7vvfjktgeaxlyj523bn4gugbkbou42izwy"
    assert b"label_names" not in content
    assert b"quantities" not in content


@pytest.mark.parametrize(
    ("changes", "target", "outputs", "label_width"),
    [
        ({}, "class", 10, 1),
        (QUANTITY, "quantity", 1, 1),
        (QUANTITY | {"data.quantities": [PRICE, PRICE | {"name": "rent"}]}, "quantity", 2, 2),
        (
            {"metric": "multilabel_f1", "data": {**QUANTITY["data"], "quantities": [], "label_names": ["a", "b"]}},
            "labels",
            2,
            2,
        ),
    ],
)
def test_target__every_kind__outputs_and_round_trip(
    changes: dict[str, Any], target: str, outputs: int, label_width: int
) -> None:
    document = json.loads(_changed(changes))
    document["data"] = {key: value for key, value in document["data"].items() if value != []}
    manifest = Manifest.from_bytes(json.dumps(document).encode())
    assert (manifest.data.target, manifest.outputs, manifest.data.label_width) == (target, outputs, label_width)
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest
