"""Tables and preprocessing documents brought together: columns found by name or position, and what lies outside."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from dataclient.preprocessing.choose import Choices
from dataclient.preprocessing.document import Number, TablePreprocessing
from dataclient.preprocessing.transform import clipped, transform
from dataclient.sources.plain import PlainData, listed
from dataclient.sources.source import SourceOptions
from dataclient.sources.tables import Table
from pole.errors import BadInput

MAX_CLIPPED = 0.1


def choices_of(table: Table, options: SourceOptions) -> Choices:
    """What the client said about columns. Raises BadInput for a column that is not there, or is the label."""
    for purpose, names in (
        ("dropped", options.drop),
        ("kept", options.keep),
        ("category", options.category),
        ("number", options.number),
    ):
        for name in names:
            if table.require(name, purpose) == options.label:
                raise BadInput(f"column {name!r} is the label, it cannot be a {purpose} column as well")
    return Choices(
        tuple(options.drop), tuple(options.keep), tuple(options.category), tuple(options.number), tuple(options.missing)
    )


def numbered_table(x: npt.NDArray[np.generic], source: object) -> Table:
    """Columns named by their position, from 1."""
    return Table(source, pd.DataFrame(x, columns=[str(i + 1) for i in range(x.shape[1])]))


def plain_columns(names: list[str], x: npt.NDArray[np.float64]) -> TablePreprocessing:
    """The reading of columns that are numbers and complete."""
    medians = np.median(x, axis=0)
    columns = [Number(name=name, fill=float(fill)) for name, fill in zip(names, medians, strict=True)]
    return TablePreprocessing.model_validate({"columns": columns, "features": names})


def require_columns(table: Table, document: TablePreprocessing) -> None:
    """Raises BadInput naming the columns that are missing."""
    names = [column.name for column in document.columns]
    missing = [name for name in names if name not in table.frame.columns]
    if missing:
        raise BadInput(f"{table.path} lacks column(s) {listed(missing)}; the model needs {listed(names)}")


def apply(table: Table, document: TablePreprocessing) -> PlainData:
    """All rows of a table as a document reads them; its labels are not read. Raises BadInput for heavy clipping."""
    require_columns(table, document)
    x = transform(document, table.frame, table.place).x
    within = clipped(document, x)
    share = (within != x).mean(axis=0)
    if share.max(initial=0) > MAX_CLIPPED:
        worst = int(share.argmax())
        raise BadInput(
            f"{table.path}: {100 * share[worst]:.0f} % of the values of {document.features[worst]!r} lie outside "
            "of the range in the task file; run `init` again"
        )
    nothing = np.zeros(len(x), dtype=np.int64)
    names = tuple(document.features) if document.is_named else None
    return PlainData(within, nothing, ("",), names, has_columns=True, preprocessing=document)
