"""Short ways to write graph models in tests."""

from typing import Any

from pole.task.manifest import GraphModel

Layers = list[dict[str, Any]]


def graph_of(*layers: dict[str, Any]) -> GraphModel:
    """A graph of layers with names l0, l1, … where none is given."""
    return GraphModel.model_validate(
        {"kind": "graph", "layers": [{"name": f"l{index}", **layer} for index, layer in enumerate(layers)]}
    )


def linear(size: int, **more: Any) -> dict[str, Any]:
    return {"type": "linear", "size": size, **more}


def conv(channels: int, kernel: int, **more: Any) -> dict[str, Any]:
    return {"type": "conv2d", "channels": channels, "kernel": kernel, **more}


def pool(kernel: int, **more: Any) -> dict[str, Any]:
    return {"type": "max_pool", "kernel": kernel, "stride": kernel, **more}


RELU = {"type": "relu"}
FLATTEN = {"type": "flatten"}
GLOBAL = {"type": "global_average_pool"}
