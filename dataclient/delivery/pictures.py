"""Pictures of a report: what is taken for what, and how far off quantities are. Need matplotlib."""

import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pole.task.manifest import Quantity

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

_MOST_NUMBERED = 20  # classes; beyond it, numbers would overlap
_IN_A_ROW = 4


def confusion_picture(names: Sequence[str], counts: Counts) -> bytes:
    """A PNG; `counts` [classes, classes] by true and predicted class, shades are shares of each true class."""
    from matplotlib.figure import Figure

    side = min(16.0, 3.0 + 0.45 * len(names))
    figure = Figure(figsize=(side + 1.0, side), layout="constrained")
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, vmin=0.0, vmax=1.0, cmap="Blues")
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    _label(axes, names)
    if len(names) <= _MOST_NUMBERED:
        for (true, predicted), count in np.ndenumerate(counts):
            colour = "white" if shares[true, predicted] > 0.5 else "black"
            axes.text(predicted, true, str(count), ha="center", va="center", color=colour)
    return _drawn(figure)


def _label(axes: Any, names: Sequence[str]) -> None:
    """Class names as they are: a dollar sign begins no formula."""
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    for axis, rotation in ((axes.xaxis, 90), (axes.yaxis, 0)):
        axis.set_ticks(range(len(names)))
        axis.set_ticklabels(_short(names), rotation=rotation, fontsize=9 if len(names) <= _MOST_NUMBERED else 5)
        for text in axis.get_ticklabels():
            text.set_parse_math(False)


def residual_picture(quantities: Sequence[Quantity], true: Floats, predicted: Floats) -> bytes:
    """A PNG with a plot for each quantity: predicted less true value, over the predicted value.

    true, predicted: [n, quantities] in their units.
    """
    from matplotlib.figure import Figure

    columns = min(len(quantities), _IN_A_ROW)
    lines = -(-len(quantities) // columns)
    figure = Figure(figsize=(1.0 + 4.0 * columns, 3.5 * lines), layout="constrained")
    for i, quantity in enumerate(quantities):
        axes = figure.add_subplot(lines, columns, i + 1)
        axes.axhline(0.0, color="grey", linewidth=1.0)
        axes.scatter(predicted[:, i], predicted[:, i] - true[:, i], s=8.0, alpha=0.5)
        name, unit = _short([quantity.name, quantity.unit])
        axes.set_title(name, parse_math=False)
        in_unit = f" [{unit}]" if unit else ""
        axes.set_xlabel(f"predicted{in_unit}", parse_math=False)
        axes.set_ylabel(f"predicted less true{in_unit}", parse_math=False)
    return _drawn(figure)


def _short(names: Sequence[str]) -> list[str]:
    return [name if len(name) <= 20 else f"{name[:19]}…" for name in names]


def _drawn(figure: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    drawn = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a character that the font lacks is drawn as a box
        FigureCanvasAgg(figure)
        figure.savefig(drawn, format="png")
    return drawn.getvalue()
