"""Labels of new rows, to score by, as row files have them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dataclient.preprocessing.document import MISSING, Labels
from dataclient.sources.labels import label_sets, label_texts, quantities
from dataclient.sources.plain import listed
from dataclient.sources.tables import Table
from dataclient.sources.targets import label_matrix, targets_of_array
from pole.errors import BadInput
from pole.task.manifest import DataSet
from pole.task.rows import to_units
from pole.task.scores import Target

Integers = npt.NDArray[np.int64]


def labels_of_table(table: Table, column: str, reading: Labels, data: DataSet) -> Integers:
    """Raises BadInput for labels that the model does not know, and cells that are none."""
    if data.target is Target.QUANTITY:
        return to_units(quantities(table, column, reading, MISSING)[:, None], data.quantities)
    if data.target is Target.LABELS:
        sets = label_sets(table, column, reading, MISSING)
        _refuse_unknown(set[str]().union(*sets), data.label_names, table.path)
        return label_matrix(sets, data.label_names)
    return class_indices(label_texts(table, column, reading, MISSING), data.class_names, table.path)


def labels_of_array(y: npt.NDArray[Any], name: str, data: DataSet, rows: int, where: Any) -> Integers:
    """The same from an array."""
    from dataclient.sources.arrays import target_array

    labels, _ = target_array(y, name, rows, where, data.target)
    if data.target is Target.CLASS:
        return class_indices(list(labels), data.class_names, where)
    found = targets_of_array(labels, data.target, name, where)["labels"]
    if found.shape[1] != data.outputs:
        raise BadInput(f"{where}: {name} has {found.shape[1]} columns, the model predicts {data.outputs}")
    return to_units(found, data.quantities) if data.target is Target.QUANTITY else np.asarray(found, dtype=np.int64)


def class_indices(names: Sequence[str], known: Sequence[str], where: object) -> Integers:
    """Raises BadInput for a class that is not among the known."""
    _refuse_unknown(set(names), known, where)
    index = {name: i for i, name in enumerate(known)}
    return np.asarray([index[name] for name in names], dtype=np.int64)


def _refuse_unknown(given: set[str], known: Sequence[str], where: object) -> None:
    if unknown := sorted(given - set(known)):
        raise BadInput(f"{where} has label(s) {listed(unknown)}; the model knows {listed(known)}")
