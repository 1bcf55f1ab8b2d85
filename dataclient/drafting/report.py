"""What `init` found, as one HTML file without scripts: notes, classes, columns with their types and distributions."""

from collections.abc import Iterable
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dataclient.preprocessing.document import Column, TablePreprocessing
from dataclient.sources.boundary import printable
from dataclient.sources.plain import PlainData
from pole.atomicfile import write_atomically
from pole.errors import BadInput
from pole.task.scores import Target

BINS = 24
BAR_WIDTH, BAR_HEIGHT = 144, 28
MAX_FEATURES = 500
_HEAD = "<tr><th>name<th>read as<th>least<th>mean<th>most<th>distribution</tr>"
_TITLES = {Target.CLASS: "Classes", Target.LABELS: "Labels", Target.QUANTITY: "Quantities"}
STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{padding:.2rem .7rem;text-align:left;border-bottom:1px solid #ddd}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}li.w{font-weight:600}rect{fill:#47a}"
)


def report_html(name: str, training: PlainData, remarks: Iterable[str]) -> str:
    """Everything that stands in it is escaped: names of columns and classes are anybody's."""
    parts = [
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{_text(name)}</title><style>{STYLE}</style>",
        f"<h1>{_text(name)}</h1>",
        "<ul>",
        *(f"<li class='{'w' if said.startswith('WARNING') else 'r'}'>{_text(said)}</li>" for said in remarks),
        f"</ul><h2>{_TITLES[training.target]} (training rows)</h2>",
        _targets(training),
    ]
    if training.has_columns:
        parts += ["<h2>Features</h2>", _features(training)]
    return "\n".join(parts) + "</html>\n"


def _text(text: str) -> str:
    return escape(printable(text))


def _targets(training: PlainData) -> str:
    if training.target is Target.QUANTITY:
        ranges = [_feature(name, "quantity", training.labels[:, i]) for i, name in enumerate(training.quantity_names)]
        return f"<table>{_HEAD}{''.join(ranges)}</table>"
    is_class = training.target is Target.CLASS
    counts = (
        np.bincount(training.labels, minlength=len(training.class_names)) if is_class else training.labels.sum(axis=0)
    )
    rows = [
        f"<tr><td>{_text(name)}</td><td class='n'>{count}</td><td class='n'>{100 * count / training.rows:.1f} %</td>"
        f"<td>{_bars([float(count)], float(counts.max()), horizontal=True)}</td></tr>"
        for name, count in zip(training.names, counts.tolist(), strict=True)
    ]
    return f"<table><tr><th>{training.target.value.removesuffix('s')}<th>rows<th>share<th></tr>{''.join(rows)}</table>"


def _features(training: PlainData) -> str:
    names = training.feature_names or tuple(f"number {i + 1}" for i in range(training.x.shape[1]))
    kinds = _kinds(training)
    rows = [
        _feature(name, kinds.get(name, "number"), training.x[:, i].astype(np.float64))
        for i, name in enumerate(names[:MAX_FEATURES])
    ]
    more = f"<p>and {len(names) - MAX_FEATURES} more</p>" if len(names) > MAX_FEATURES else ""
    return f"<table>{_HEAD}{''.join(rows)}</table>{more}"


def _kinds(training: PlainData) -> dict[str, str]:
    document = training.preprocessing
    if not isinstance(document, TablePreprocessing):
        return {}
    return {feature: _kind(column, feature) for column in document.columns for feature in column.features}


def _kind(column: Column, feature: str) -> str:
    if feature == f"{column.name} is missing":
        return "whether it is missing"
    return f"category ({column.encoding.replace('_', '-')})" if column.kind == "category" else column.kind


def _feature(name: str, kind: str, values: npt.NDArray[np.float64]) -> str:
    counts, _ = np.histogram(values, bins=BINS)
    cells = "".join(f"<td class='n'>{value:.6g}</td>" for value in (values.min(), values.mean(), values.max()))
    bars = _bars(counts.astype(float).tolist(), float(counts.max()))
    return f"<tr><td>{_text(name)}</td><td>{_text(kind)}</td>{cells}<td>{bars}</td></tr>"


def _bars(values: list[float], top: float, *, horizontal: bool = False) -> str:
    """A little chart, all of it numbers of ours."""
    scale = 1 / top if top else 0.0
    if horizontal:
        shapes = [f"<rect width='{BAR_WIDTH * values[0] * scale:.1f}' height='12'/>"]
        return f"<svg width='{BAR_WIDTH}' height='12'>{shapes[0]}</svg>"
    width = BAR_WIDTH / len(values)
    shapes = [
        f"<rect x='{i * width:.1f}' y='{BAR_HEIGHT * (1 - value * scale):.1f}' width='{width - 1:.1f}' "
        f"height='{BAR_HEIGHT * value * scale:.1f}'/>"
        for i, value in enumerate(values)
    ]
    return f"<svg width='{BAR_WIDTH}' height='{BAR_HEIGHT}'>{''.join(shapes)}</svg>"


def check_report(path: Path, *, is_overwriting: bool) -> None:
    """Refuses to replace a file unless told to. Raises BadInput."""
    if path.exists() and not is_overwriting:
        raise BadInput(f"{path} exists already; choose another --report, or say --force to replace it")


def write_report(path: Path, html: str, *, is_overwriting: bool) -> None:
    """Raises BadInput."""
    try:
        write_atomically(path, html.encode(), replace=is_overwriting)
    except OSError as exc:
        raise BadInput(f"cannot write {path}: {exc.strerror}; choose another --report") from exc
