"""How good a bought model is, on the client's own rows: by class, label or quantity, and in a picture."""

import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataclient.bundle import Bundle
from dataclient.delivery.preparation import cell
from dataclient.delivery.residuals import RESIDUALS_FILE, by_quantity
from pole.task.manifest import DataSet
from pole.task.scores import Target

REPORT_FILE, PICTURE_FILE = "report.md", "confusion-matrix.png"
MOST_DRAWN = 100  # classes; beyond it, no cell of the picture could be told from the next
_MOST_NUMBERED = 20
_EACH = {Target.CLASS: "class", Target.LABELS: "label", Target.QUANTITY: "quantity"}
_PICTURES = {
    Target.CLASS: f"![Rows by true and predicted class]({PICTURE_FILE})",
    Target.LABELS: "",
    Target.QUANTITY: f"![Predicted against true quantities]({RESIDUALS_FILE})",
}

Counts = NDArray[np.int64]


def confusion(labels: Counts, predictions: Counts, classes: int) -> Counts:
    """[classes, classes]: how many rows of class i were taken for class j."""
    pairs = np.bincount(labels * classes + predictions, minlength=classes * classes)
    return np.asarray(pairs.reshape(classes, classes), dtype=np.int64)


def report(bundle: Bundle, labels: Counts, predictions: Counts, *, has_picture: bool) -> bytes:
    """Markdown: train and test score, then every class or label with precision, recall and F1 on the test rows, or
    every quantity with its errors. labels, predictions: in the form of the task's target.
    """
    description, manifest = bundle.description, bundle.description.manifest
    metric = manifest.metric.replace("_", " ")
    lines = [
        f"# Scores of {manifest.name}",
        "",
        f"Computed on the client's own rows. The metric of the task is {metric}.",
        "",
        f"| rows | {metric} | as the verifiers voted |",
        "| --- | ---: | ---: |",
        f"| {manifest.data.training_rows} for training | {_percent(description.own_train_ppm)} "
        f"| {_percent(description.origin.voted_train_ppm)} |",
        f"| {len(labels)} for testing | {_percent(description.own_test_ppm)} "
        f"| {_percent(description.origin.voted_test_ppm)} |",
        "",
        f"## By {_EACH[manifest.data.target]}, on the {len(labels)} test rows",
        "",
        *_table(manifest.data, labels, predictions),
        "",
        _PICTURES[manifest.data.target] if has_picture else "",
    ]
    return ("\n".join(lines).rstrip() + "\n").encode()


def _percent(ppm: int) -> str:
    return f"{ppm / 10_000:.2f} %"


def _table(data: DataSet, labels: Counts, predictions: Counts) -> list[str]:
    if data.target is Target.QUANTITY:
        return by_quantity(data, labels, predictions)
    return [
        f"| {_EACH[data.target]} | rows | taken for it | right | precision | recall | F1 |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *_by_class(data.class_names or data.label_names, labels, predictions),
    ]


def _by_class(names: Sequence[str], labels: Counts, predictions: Counts) -> list[str]:
    """A row for each; labels are counted one by one."""
    if labels.ndim == 2:
        counted = [(labels & predictions).sum(axis=0), labels.sum(axis=0), predictions.sum(axis=0)]
    else:
        each = (labels[labels == predictions], labels, predictions)
        counted = [np.bincount(values, minlength=len(names)) for values in each]
    hits, rows, predicted = (values.tolist() for values in counted)
    return [
        f"| {cell(name)} | {of} | {taken} | {right} | {_share(right, taken)} | {_share(right, of)} "
        f"| {_share(2 * right, of + taken)} |"
        for name, right, of, taken in zip(names, hits, rows, predicted, strict=True)
    ]


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def confusion_picture(names: Sequence[str], counts: Counts) -> bytes:
    """A PNG; shades are shares of each true class. Needs matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
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
    drawn = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a character that the font lacks is drawn as a box
        FigureCanvasAgg(figure)
        figure.savefig(drawn, format="png")
    return drawn.getvalue()


def _label(axes: Any, names: Sequence[str]) -> None:
    """Class names as they are: a dollar sign begins no formula."""
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    for axis, rotation in ((axes.xaxis, 90), (axes.yaxis, 0)):
        axis.set_ticks(range(len(names)))
        shown = [name if len(name) <= 20 else f"{name[:19]}…" for name in names]
        axis.set_ticklabels(shown, rotation=rotation, fontsize=9 if len(names) <= _MOST_NUMBERED else 5)
        for text in axis.get_ticklabels():
            text.set_parse_math(False)
