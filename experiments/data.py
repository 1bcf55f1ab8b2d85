"""The data sets of the experiments, as small unsigned integers; real files where a folder is given."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataclient.sources.load import SourceOptions, load_source
from dataclient.sources.plain import limit_rows, split
from experiments.settings import Settings
from pole.errors import BadInput

TEST_FRACTION = {"iris": 0.1, "digits": 0.2}
Bytes = NDArray[np.uint8]
Labels = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Data:
    """Features of `bits` bits, x uint8 [n, *shape]. `name` is the set that was really used."""

    name: str
    train_x: Bytes
    train_y: Labels
    test_x: Bytes
    test_y: Labels
    classes: int

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.train_x.shape[1:])


def load(name: str, settings: Settings, *, bits: int, rows: int | None = None, seed: int | None = None) -> Data:
    """`mnist` and `cifar10` from the data folder, or digits (8x8 pixels) instead where there is none; `iris`.

    `rows` limits the training rows, stratified; `seed` chooses the split of sets that have none.
    """
    known = {"mnist": "torchvision:mnist", "cifar10": "torchvision:cifar10", "iris": "sklearn:iris"}
    if name not in known:
        raise BadInput(f"there is no data set {name!r} in the experiments; use {', '.join(known)}")
    source = known[name]
    if settings.data_dir is None and name != "iris":
        name, source = "digits", "sklearn:digits"
    chosen = settings.seed if seed is None else seed
    data_dir = str(settings.data_dir) if settings.data_dir and ":" in source else None
    plain = load_source(SourceOptions(source=source, data_dir=data_dir))
    parts = split(plain, test_fraction=TEST_FRACTION.get(name, 0.2), seed=chosen)
    training = limit_rows(parts.training, rows=rows, seed=chosen)
    train_x, test_x = _scaled(training.x.astype(np.float64), parts.test.x.astype(np.float64), plain.has_columns, bits)
    if name == "digits":
        train_x, test_x = train_x.reshape(-1, 1, 8, 8), test_x.reshape(-1, 1, 8, 8)
    return Data(name, train_x, training.labels, test_x, parts.test.labels, len(plain.class_names))


def _scaled(train: Values, test: Values, has_columns: bool, bits: int) -> tuple[Bytes, Bytes]:
    """Rounded to 0..2^bits - 1 over the training range: of each column, or of all pixels."""
    axis = 0 if has_columns else None
    low, high = train.min(axis=axis), train.max(axis=axis)
    top = (1 << bits) - 1

    def scale(x: Values) -> Bytes:
        scaled: Bytes = np.clip(np.rint((x - low) * (top / (high - low))), 0, top).astype(np.uint8)
        return scaled

    return scale(train), scale(test)
