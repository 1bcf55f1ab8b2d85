"""What new rows are, and by which document a model reads them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dataclient.bundle import Bundle
from dataclient.preprocessing.document import (
    AnyPreprocessing,
    ArrayPreprocessing,
    Number,
    TablePreprocessing,
)
from dataclient.sources.plain import listed
from pole.errors import BadInput

Values = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Wanted:
    """`label`: column or array with the true class, labels or quantity; None takes that of the training data, if there.

    `identity`: column that is carried through to the predictions.
    """

    label: str | None = None
    identity: str | None = None
    encoding: str | None = None
    delimiter: str | None = None


@dataclass(frozen=True)
class NewRows:
    """A piece of rows. `x`: plain values [n, *shape]; `unclipped`: the same before outliers were clipped.

    `labels`: as row files have them, or None where they are not known; `ids`: what identifies a row, under the name
    `id_name`.
    """

    x: Values
    unclipped: Values
    labels: npt.NDArray[np.int64] | None = None
    ids: list[str] | None = None
    id_name: str = "id"
    notes: tuple[str, ...] = ()


def document_of(bundle: Bundle) -> AnyPreprocessing:
    """The model's own, or for models fetched by older versions what they did: numbers, by name or by position."""
    description = bundle.description
    if description.preprocessing is not None:
        return description.preprocessing
    shape = description.manifest.data.shape
    if len(shape) == 3:
        return ArrayPreprocessing(shape=list(shape) if shape[0] > 1 else list(shape[1:]))
    names = description.feature_names or [str(i + 1) for i in range(shape[0])]
    is_named = description.feature_names is not None
    columns = [Number(name=name) for name in names]
    width = None if is_named else len(names)
    return TablePreprocessing.model_validate(
        {"is_named": is_named, "width": width, "columns": columns, "features": names}
    )


def refuse(wanted: Wanted, fields: tuple[str, ...], what: str) -> None:
    given = [f"--{'id' if name == 'identity' else name}" for name in fields if getattr(wanted, name) is not None]
    if given:
        raise BadInput(f"{listed(given)} does not apply to {what}; leave it out")


def shape_of(document: AnyPreprocessing) -> str:
    if isinstance(document, TablePreprocessing):
        return f"rows of {document.width or len(document.columns)} columns"
    shape = document.shape
    return f"rows of {shape[0]} features" if len(shape) == 1 else f"images of {' x '.join(map(str, shape))}"
