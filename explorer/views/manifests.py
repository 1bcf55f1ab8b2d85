"""A manifest in words: data, network, mapping, metric, and how much the functional keys give away."""

from collections.abc import Sequence
from typing import Any

from explorer.contents import Contents, Missing
from explorer.figures import Part, Picture, Words
from explorer.views.text import harmless
from pole.gradient.manifest import GradientManifest
from pole.task.layers import AnyModel, GraphModel
from pole.task.manifest import DataSet, InnerProductEncryption, Manifest
from pole.task.mappings import DenseMapping

_CLASSES = 12
_TITLE = "What the manifest says"


def describe(contents: Contents, cid: Any, rounds: int) -> list[Part]:
    """In words and pictures; one sentence where it cannot be had."""
    try:
        manifest = contents.manifest(cid)
    except Missing as exc:
        return [Words(_TITLE, [f"The manifest could not be had: {harmless(str(exc), 400)}"])]
    return [
        Words(_TITLE, [*_data(manifest), _mapping(manifest), _metric(manifest)]),
        network(manifest.model, manifest.feature_shape, manifest.outputs),
        *_leak(manifest, rounds),
    ]


def describe_gradient(contents: Contents, cid: Any) -> list[Part]:
    """The same of a gradient task."""
    try:
        manifest = contents.gradient_manifest(cid)
    except Missing as exc:
        return [Words(_TITLE, [f"The manifest could not be had: {harmless(str(exc), 400)}"])]
    return [
        Words(_TITLE, [*_data(manifest), f"A step trains on {manifest.batch_size} rows."]),
        network(manifest.model, manifest.feature_shape, manifest.outputs),
    ]


def _data(manifest: Manifest | GradientManifest) -> list[str]:
    data = manifest.data
    shape = " x ".join(str(size) for size in data.shape)
    return [
        f"It is called “{harmless(manifest.name)}”.",
        f"{data.training_rows:,} rows to train on and {data.test_rows:,} to test with, of {shape} features in "
        f"{data.discretisation.bits} bits each.",
        _target(data),
    ]


def _target(data: DataSet) -> str:
    """What a model is to say of a row."""
    if data.quantities:
        wanted = [
            f"{harmless(each.name, 40)} from {each.minimum:g} to {each.maximum:g} {harmless(each.unit, 20)}".strip()
            for each in data.quantities
        ]
        return f"{_counted(len(wanted), 'quantity', 'quantities')} to predict: {_listed(wanted)}."
    names = [harmless(name, 40) for name in data.class_names or data.label_names]
    if data.label_names:
        return f"{_counted(len(names), 'label', 'labels')}, of which any may apply: {_listed(names)}."
    return f"{_counted(len(names), 'class', 'classes')}: {_listed(names)}."


def _counted(count: int, one: str, several: str) -> str:
    return f"{count:,} {one if count == 1 else several}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _CLASSES:,} more" if len(names) > _CLASSES else ""
    return ", ".join(names[:_CLASSES]) + more


def _mapping(manifest: Manifest) -> str:
    mapping = manifest.mapping
    out = " x ".join(str(size) for size in manifest.feature_shape)
    if isinstance(mapping, DenseMapping):
        return (
            f"Mapped by {mapping.vectors} query vectors on each of {mapping.segments} segment(s) to {out} features, "
            f"{mapping.bits_per_weight} bits a weight, normalisation: {mapping.normalisation}."
        )
    return f"Mapped by {mapping.filters} filters of {mapping.kernel} x {mapping.kernel} a channel to {out} features."


def _metric(manifest: Manifest) -> str:
    kind = "encrypted under the client's key" if isinstance(manifest.encryption, InnerProductEncryption) else "plain"
    return f"Scored by {manifest.metric.replace('_', ' ')}; the rows are {kind}."


def _leak(manifest: Manifest, rounds: int) -> list[Part]:
    encryption, mapping = manifest.encryption, manifest.mapping
    if not isinstance(encryption, InnerProductEncryption):
        return [Words("Leak meter", ["The data is public: there is nothing to leak."])]
    if not isinstance(mapping, DenseMapping):
        return [
            Words("Leak meter", ["The patch keys of a convolutional mapping give the data away when a round opens."])
        ]
    width = mapping.segment_width(tuple(manifest.data.shape))
    used = min(mapping.vectors * max(rounds, 1), width)
    words = (
        f"Keys for {used} of the {width} dimensions of each segment are known once a round has published them; the "
        f"client issues at most {encryption.rank_limit}. From half on, small integers are recovered exactly: "
        "encryption times the start of training, it is not privacy."
    )
    return [Picture("Leak meter", "meter", {"value": used, "most": width, "danger": width // 2}, words)]


def network(model: AnyModel, inputs: Sequence[int], outputs: int) -> Picture:
    """The network as a graph: boxes with the layers before them."""
    start = "input: " + " x ".join(str(size) for size in inputs)
    if not isinstance(model, GraphModel):
        name = f"{model.architecture} ({model.stem} stem), {_counted(outputs, 'output', 'outputs')}"
        return Picture("Network", "graph", {"nodes": [start, name], "edges": [(0, 1)]}, f"{start}; {name}.")
    nodes, edges, position = [start], [], {"input": 0}
    for layer in model.layers:
        for before in layer.inputs or [list(position)[-1]]:
            if before in position:
                edges.append((position[before], len(nodes)))
        position[layer.name] = len(nodes)
        nodes.append(f"{layer.name}: {layer.type} {_size(layer)}".strip())
    return Picture("Network", "graph", {"nodes": nodes, "edges": edges}, "; ".join(nodes) + ".")


def _size(layer: Any) -> str:
    for name in ("size", "channels", "probability", "shape", "kernel"):
        if hasattr(layer, name):
            value = getattr(layer, name)
            return " x ".join(map(str, value)) if isinstance(value, list) else f"{value:g}"
    return ""
