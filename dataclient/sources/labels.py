"""Labels: one reading of them for training and for use."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from dataclient.preprocessing.cells import is_missing, texts
from dataclient.preprocessing.document import Labels
from dataclient.sources.plain import listed
from dataclient.sources.tables import Table
from pole.errors import BadInput


def label_texts(table: Table, column: str, reading: Labels, tokens: Sequence[str]) -> list[str]:
    """Class names as the client reads them. Raises BadInput for a missing one, with its line."""
    cells = table.frame[table.require(column, "label")]
    missing = is_missing(cells, [""] if reading.na_is_a_class else tokens)
    if missing.any():
        row = int(np.argmax(missing))
        said = cells.iloc[row]
        asked = "" if _is_nothing(said) else ", or say --na-is-a-class if that is the name of a class"
        raise BadInput(
            f"{table.place(row)}: the label is missing ({'' if pd.isna(said) else str(said)!r}); fill it in or remove "
            f"the row{asked}"
        )
    return folded(texts(cells).tolist(), reading)


def _is_nothing(cell: object) -> bool:
    return bool(pd.isna(cell)) or not str(cell).strip()


def folded(names: Sequence[str], reading: Labels) -> list[str]:
    return [" ".join(name.split()).casefold() for name in names] if reading.fold_case else list(names)


def alike(names: Sequence[str]) -> list[str]:
    """A note if class names differ by case or spaces only."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(" ".join(name.split()).casefold(), []).append(name)
    twins = [listed([repr(name) for name in group]) for group in groups.values() if len(group) > 1]
    if not twins:
        return []
    return [f"WARNING: classes that differ by case or spaces only: {'; '.join(twins)}; --fold-case makes them one"]


def class_indices(names: Sequence[str], known: Sequence[str], where: object) -> npt.NDArray[np.int64]:
    """Raises BadInput for a class that is not among the known."""
    index = {name: i for i, name in enumerate(known)}
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise BadInput(f"{where} has label(s) {listed(unknown)}; the model knows {listed(known)}")
    return np.asarray([index[name] for name in names], dtype=np.int64)
