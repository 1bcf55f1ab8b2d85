"""The papers' networks, as the project's own model specifications."""

from torch import nn

from pole.task.layers import AnyModel, GraphModel, TorchvisionModel
from pole.task.model import build_model

HIDDEN = (256, 128)  # PoLe does not say


def mlp(classes: int, hidden: tuple[int, ...] = HIDDEN, dropout: float = 0.0) -> GraphModel:
    layers: list[dict[str, object]] = [{"type": "flatten", "name": "rows"}]
    for i, size in enumerate(hidden):
        layers += [{"type": "linear", "name": f"hidden{i}", "size": size}, {"type": "relu", "name": f"relu{i}"}]
        if dropout:
            layers.append({"type": "dropout", "name": f"dropout{i}", "probability": dropout})
    layers.append({"type": "linear", "name": "last", "size": classes})
    return GraphModel.model_validate({"layers": layers})


def small_convolutional(classes: int) -> GraphModel:
    """For CSML on small images."""
    layers: list[dict[str, object]] = []
    for i, channels in enumerate((32, 64)):
        layers += [
            {"type": "conv2d", "name": f"conv{i}", "channels": channels, "kernel": 3, "padding": 1},
            {"type": "batch_norm", "name": f"norm{i}"},
            {"type": "relu", "name": f"relu{i}"},
        ]
    layers += [
        {"type": "global_average_pool", "name": "pool"},
        {"type": "flatten", "name": "rows"},
        {"type": "linear", "name": "last", "size": classes},
    ]
    return GraphModel.model_validate({"layers": layers})


def vgg16() -> TorchvisionModel:
    return TorchvisionModel(architecture="vgg16_bn")


def build(spec: AnyModel, input_shape: tuple[int, ...], classes: int) -> nn.Module:
    return build_model(spec, input_shape, classes)
