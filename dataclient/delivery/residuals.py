"""How far predicted quantities are from the true ones: a table, and a picture of each against the other."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataclient.answers import quantity_titles
from dataclient.delivery.preparation import cell
from pole.task.integers import Integers
from pole.task.manifest import DataSet
from pole.task.rows import from_units

RESIDUALS_FILE = "residuals.png"
_MOST_DRAWN = 9
_COLUMNS = 3

Units = NDArray[np.float64]


def by_quantity(data: DataSet, labels: Integers, predictions: Integers) -> list[str]:
    """Rows of a Markdown table; every figure in the quantity's own unit."""
    true, found = from_units(labels, data.quantities), from_units(predictions, data.quantities)
    off = np.abs(found - true)
    figures = zip(true.mean(axis=0), off.mean(axis=0), np.sqrt((off**2).mean(axis=0)), off.max(axis=0), strict=True)
    return [
        "| quantity | mean | mean error | root of the mean squared error | largest error |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {cell(title)} | {' | '.join(f'{figure:.6g}' for figure in each)} |"
            for title, each in zip(quantity_titles(data), figures, strict=True)
        ),
    ]


def residuals_picture(data: DataSet, labels: Integers, predictions: Integers) -> bytes:
    """A PNG of the first nine quantities, a point for each row; right ones lie on the line. Needs matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    true, found = from_units(labels, data.quantities), from_units(predictions, data.quantities)
    titles = quantity_titles(data)[:_MOST_DRAWN]
    columns = min(_COLUMNS, len(titles))
    rows = -(-len(titles) // columns)
    figure = Figure(figsize=(5.0 * columns, 4.5 * rows), layout="constrained")
    for i, title in enumerate(titles):
        _draw(figure.add_subplot(rows, columns, i + 1), title, true[:, i], found[:, i])
    drawn = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(drawn, format="png")
    return drawn.getvalue()


def _draw(axes: Any, title: str, true: Units, found: Units) -> None:
    """Names are as they are: a dollar sign begins no formula."""
    axes.set_title(title if len(title) <= 40 else f"{title[:39]}…").set_parse_math(False)
    axes.axline((float(true.mean()), float(true.mean())), slope=1.0, color="grey", linewidth=1)
    axes.scatter(true, found, s=8, alpha=0.5)
    axes.set_xlabel("true")
    axes.set_ylabel("predicted")
