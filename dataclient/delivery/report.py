"""How good a bought model is, on the client's own rows: a table by class, by label or by quantity."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dataclient.bundle import Bundle
from pole.task.manifest import DataSet, Quantity
from pole.task.rows import from_units
from pole.task.scores import Target

REPORT_FILE, PICTURE_FILE, RESIDUALS_FILE = "report.md", "confusion-matrix.png", "residuals.png"

Counts = NDArray[np.int64]


def confusion(labels: Counts, predictions: Counts, classes: int) -> Counts:
    """[classes, classes]: how many rows of class i were taken for class j."""
    pairs = np.bincount(labels * classes + predictions, minlength=classes * classes)
    return np.asarray(pairs.reshape(classes, classes), dtype=np.int64)


def report(bundle: Bundle, labels: Counts, predictions: Counts, *, picture: str | None) -> bytes:
    """Markdown: train and test score, then what the test rows say of every class, label or quantity.

    labels, predictions: classes [n], labels 0 or 1 [n, labels], or quantities in units of their ranges
    [n, quantities]; picture: name of the picture's file, if there is one.
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
        *_TABLES[manifest.data.target](manifest.data, labels, predictions),
        "",
        f"![{_CAPTIONS[picture]}]({picture})" if picture else "",
    ]
    return ("\n".join(lines).rstrip() + "\n").encode()


def _percent(ppm: int) -> str:
    return f"{ppm / 10_000:.2f} %"


def _of_classes(data: DataSet, labels: Counts, predictions: Counts) -> list[str]:
    hits, rows, predicted = (
        np.bincount(values, minlength=data.outputs).tolist()
        for values in (labels[labels == predictions], labels, predictions)
    )
    return [
        f"## By class, on the {len(labels)} test rows",
        "",
        *_found("class", "taken for it", data.class_names, rows, predicted, hits),
    ]


def _of_labels(data: DataSet, labels: Counts, predictions: Counts) -> list[str]:
    rows, predicted, hits = (counts.sum(axis=0).tolist() for counts in (labels, predictions, labels * predictions))
    whole = int((labels == predictions).all(axis=1).sum())
    return [
        f"## By label, on the {len(labels)} test rows",
        "",
        f"{whole} of {len(labels)} rows ({_share(whole, len(labels))}) get exactly the labels that they have.",
        "",
        *_found("label", "predicted", data.label_names, rows, predicted, hits),
    ]


def _found(
    what: str, taken: str, names: Sequence[str], rows: Sequence[int], predicted: Sequence[int], hits: Sequence[int]
) -> list[str]:
    """A table of counts with precision, recall and F1; a dash where a share is of nothing."""
    return [
        f"| {what} | rows | {taken} | right | precision | recall | F1 |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {_cell(name)} | {of} | {found} | {right} | {_share(right, found)} | {_share(right, of)} "
            f"| {_share(2 * right, of + found)} |"
            for name, of, found, right in zip(names, rows, predicted, hits, strict=True)
        ),
    ]


def _of_quantities(data: DataSet, labels: Counts, predictions: Counts) -> list[str]:
    true, errors = from_units(labels, data.quantities), predicted_less_true(data, labels, predictions)
    return [
        f"## By quantity, on the {len(labels)} test rows",
        "",
        "In the unit of each; a value beyond the range counts as the range's end. The error is predicted less true.",
        "",
        "| quantity | range | mean absolute error | root mean squared error | mean error | largest error | R² |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
        *(_of_quantity(quantity, true[:, i], errors[:, i]) for i, quantity in enumerate(data.quantities)),
    ]


def predicted_less_true(data: DataSet, labels: Counts, predictions: Counts) -> NDArray[np.float64]:
    """[n, quantities], each in its unit."""
    return from_units(predictions, data.quantities) - from_units(labels, data.quantities)


def _of_quantity(quantity: Quantity, true: NDArray[np.float64], errors: NDArray[np.float64]) -> str:
    spread, squares = float(((true - true.mean()) ** 2).sum()), float((errors**2).sum())
    figures = (np.abs(errors).mean(), np.sqrt((errors**2).mean()), errors.mean(), np.abs(errors).max())
    name = f"{quantity.name} [{quantity.unit}]" if quantity.unit else quantity.name
    shown = " | ".join(f"{float(figure):.4g}" for figure in figures)
    explained = f"{1 - squares / spread:.4f}" if spread else "-"
    return f"| {_cell(name)} | {quantity.minimum:.9g} to {quantity.maximum:.9g} | {shown} | {explained} |"


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|")


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


_TABLES: dict[Target, Callable[[DataSet, Counts, Counts], list[str]]] = {
    Target.CLASS: _of_classes,
    Target.LABELS: _of_labels,
    Target.QUANTITY: _of_quantities,
}
_CAPTIONS = {PICTURE_FILE: "Rows by true and predicted class", RESIDUALS_FILE: "Errors over predicted values"}
