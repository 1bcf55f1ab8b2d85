"""Gradient manifests: what is refused, and that reading inverts writing."""

from pathlib import Path
from typing import Any

import pytest

from pole.errors import ManifestInvalid
from pole.gradient.manifest import GradientManifest, fetch_gradient_manifest
from pole.storage.folder import FolderStore
from tests.unit.gradient_task import CLASSES, GLOBAL, NORM, SILU, GradientTask, conv, digits_task


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> GradientTask:
    return digits_task(FolderStore(tmp_path_factory.mktemp("store")))


def changed(task: GradientTask, **fields: Any) -> bytes:
    return GradientManifest.model_construct(**{**dict(task.manifest), **fields}).to_bytes()


def layers(*given: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "graph", "layers": [{"name": f"l{index}", **layer} for index, layer in enumerate(given)]}


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rules": "ours"}, "rules"),
        ({"kind": "dense"}, "kind"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 301}, "batches of 301 distinct rows out of 300"),
        ({"batch_size": 1}, "batch normalisation over 1 row"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"margin": 0.2}, "margin"),
        ({"replay_tolerance": 0.0}, "replay_tolerance"),
        ({"replay_tolerance": 0.02}, "replay_tolerance"),
        ({"requirement_count": 8}, "8 requirements; a sign digest has 24"),
        ({"checkpoint_interval": 0}, "checkpoint_interval"),
        ({"scaling": {"mean": [0.0], "deviation": [0.0]}}, "deviation"),
        ({"scaling": {"mean": [0.0], "deviation": [1.0, 2.0]}}, "1 means and 2 deviations"),
        ({"scaling": {"mean": [0.0] * 3, "deviation": [1.0] * 3}}, "3 means and 3 deviations; need 1 or 1"),
        ({"model": {"kind": "torchvision", "architecture": "vgg16"}}, "vgg16 has dropout"),
        (
            {"model": layers(conv(4), {"type": "dropout", "probability": 0.5}, SILU, GLOBAL, CLASSES)},
            "'l1' is dropout",
        ),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_manifest__that_breaks_a_rule__is_refused(task: GradientTask, fields: dict[str, Any], message: str) -> None:
    content = GradientManifest.model_construct(**{**task.manifest.model_dump(mode="json"), **fields}).to_bytes()
    if "colour" in fields:
        content = content[:-1] + b',"colour":"red"}'
    with pytest.raises(ManifestInvalid, match=message):
        GradientManifest.from_bytes(content)


def test_manifest__test_set_unlike_the_data_part__is_refused(task: GradientTask) -> None:
    content = task.manifest.to_bytes().replace(b'"test_rows":100', b'"test_rows":99')
    with pytest.raises(ManifestInvalid, match="the data part says 99"):
        GradientManifest.from_bytes(content)


def test_manifest__one_row_without_batch_normalisation__is_accepted(tmp_path: Path) -> None:
    task = digits_task(FolderStore(tmp_path), [conv(4), SILU, GLOBAL, CLASSES], batch_size=1)
    assert task.manifest.batch_size == 1


def test_manifest__paper_rules__may_have_any_number_of_requirements(tmp_path: Path) -> None:
    task = digits_task(FolderStore(tmp_path), rules="paper", requirement_count=8)
    assert task.manifest.requirement_count == 8


def test_manifest__written_and_fetched__is_the_same(task: GradientTask) -> None:
    cid = task.store.put(task.manifest.to_bytes())
    assert fetch_gradient_manifest(task.store, cid) == task.manifest


def test_manifest__norm_layers__are_found_in_graphs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="batch normalisation over 1 row"):
        digits_task(FolderStore(tmp_path), [conv(4), NORM, SILU, GLOBAL, CLASSES], batch_size=1)
