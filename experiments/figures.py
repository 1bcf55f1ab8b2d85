"""Figures, each written as PNG and as SVG."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes


@contextmanager
def figure(path: Path, columns: int = 1, rows: int = 1, width: float = 5.0) -> Iterator[list[Axes]]:
    """Axes to draw on, row by row; written to PATH.png and PATH.svg at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn, axes = pyplot.subplots(rows, columns, figsize=(width * columns, 3.6 * rows), squeeze=False)
    try:
        yield [axis for line in axes for axis in line]
        drawn.tight_layout()
        for kind in ("png", "svg"):
            # No date and fixed ids: the same numbers give the same file.
            with matplotlib.rc_context({"svg.hashsalt": "pole"}):
                drawn.savefig(path.with_suffix(f".{kind}"), dpi=120, metadata={"Date": None} if kind == "svg" else None)
    finally:
        pyplot.close(drawn)
