"""What a task's page says of its manifest, in words."""

from typing import Any

import pytest

from explorer.contents import Contents
from explorer.figures import Words
from explorer.views.manifests import describe
from pole.storage.folder import FolderStore
from pole.task.manifest import DataSet, Manifest, Quantity
from tests.unit.explorer import hostile


def said(store: FolderStore, metric: str, **target: Any) -> str:
    """The sentences about a manifest whose rows have this target."""
    found = hostile.manifest("some task", ["a", "b"]).model_dump()
    data = {name: value for name, value in found["data"].items() if name != "class_names"} | target
    manifest = Manifest.model_validate(found | {"data": data, "metric": metric})
    contents = Contents(store)
    words = describe(contents, str(store.put(manifest.to_bytes())), 1)[0]
    contents.close()
    assert isinstance(words, Words)
    assert isinstance(manifest.data, DataSet)
    return " ".join(words.sentences)


@pytest.mark.parametrize(
    ("metric", "target", "sentence"),
    [
        ("accuracy", {"class_names": ["setosa", "virginica"]}, "2 classes: setosa, virginica."),
        ("multilabel_accuracy", {"label_names": ["red", "round"]}, "2 labels, of which any may apply: red, round."),
        (
            "r2",
            {
                "quantities": [
                    Quantity(name="age", unit="years", minimum=0, maximum=120),
                    Quantity(name="cells", minimum=0.5, maximum=2),
                ]
            },
            "2 quantities to predict: age from 0 to 120 years, cells from 0.5 to 2.",
        ),
    ],
)
def test_describe__each_kind_of_target__named(
    tmp_path_factory: pytest.TempPathFactory, metric: str, target: dict[str, Any], sentence: str
) -> None:
    text = said(FolderStore(tmp_path_factory.mktemp("store")), metric, **target)
    assert sentence in text
    assert f"Scored by {metric.replace('_', ' ')}" in text
