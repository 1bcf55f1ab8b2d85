"""Where rows come from: one entry point for every kind of source, each loader in its own module."""

from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from dataclient.sources.plain import PlainData, check_constant, check_rows, limit_rows, listed, split
from dataclient.sources.tables import load_csv, load_npz
from pole.errors import BadInput
from pole.paths import expanded
from pole.task.scores import Target

SKLEARN_SETS = ("iris", "digits", "wine", "breast_cancer", "diabetes")
TORCHVISION_SETS = ("mnist", "fashion_mnist", "cifar10")


class SourceOptions(BaseModel):
    """`[data]` of a task file, as far as it says what to read."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    source: str = Field(min_length=1)
    label: str | None = None
    target: Literal["class", "labels", "quantity"] | None = None
    unit: str = Field(default="", max_length=100)
    drop: list[str] = []
    data_dir: str | None = None
    image_size: list[int] | None = Field(default=None, min_length=2, max_length=2)
    max_training_rows: int | None = Field(default=None, ge=2)
    max_test_rows: int | None = Field(default=None, ge=2)
    test_fraction: float = Field(default=0.2, gt=0, lt=1, allow_inf_nan=False)
    seed: int = Field(default=1, ge=0)


def load_source(options: SourceOptions) -> PlainData:
    """Loads and checks all rows of a source; the source's own order. Raises BadInput."""
    if options.unit and options.target != "quantity":
        raise BadInput(f"a unit ({options.unit}) is of a quantity; say --target quantity as well")
    data = _load(options)
    if options.target is not None and data.target.value != options.target:
        raise BadInput(f"{options.source} has {data.target} labels, not {options.target}; leave --target out")
    check_rows(data, options.source)
    return data


def _load(options: SourceOptions) -> PlainData:
    kind, _, name = options.source.partition(":")
    if kind == "sklearn":
        return load_sklearn(name)
    if kind == "torchvision":
        return _load_torchvision(name, options.data_dir)
    path, goal = expanded(options.source), Target(options.target or Target.CLASS)
    if path.is_dir():
        from dataclient.sources.images import load_image_folder  # needs Pillow, which not everybody has

        return load_image_folder(path, _image_size(options.image_size))
    if not path.is_file():
        raise BadInput(
            f"no file or folder {options.source}; give a .csv or .npz file, a folder with one folder per class, "
            "or sklearn:NAME or torchvision:NAME"
        )
    if path.suffix.lower() == ".npz":
        return load_npz(path, goal)
    if path.suffix.lower() in (".csv", ".tsv", ".txt"):
        return load_csv(path, options.label, options.drop, goal)
    raise BadInput(f"the format of {path} is unknown; give a .csv or .npz file, or a folder with one folder per class")


def _image_size(sides: list[int] | None) -> tuple[int, int] | None:
    if sides is None:
        return None
    if min(sides) < 1 or max(sides) > 1024:
        raise BadInput(f"image size {sides[0]}x{sides[1]} is out of range; give sides from 1 to 1024")
    return sides[0], sides[1]


def _load_torchvision(name: str, data_dir: str | None) -> PlainData:
    if name not in TORCHVISION_SETS:
        raise BadInput(f"unknown torchvision set {name!r}; known are {listed(sorted(TORCHVISION_SETS))}")
    if data_dir is None:
        raise BadInput(
            f"torchvision:{name} needs --data-dir DIR, the folder that holds its files; nothing is downloaded"
        )
    directory = expanded(data_dir)
    if not directory.is_dir():
        raise BadInput(f"--data-dir {data_dir} is not a folder")
    from dataclient.sources.images import load_cifar10, load_mnist

    return load_cifar10(directory) if name == "cifar10" else load_mnist(directory)


def load_sklearn(name: str) -> PlainData:
    """A set that scikit-learn ships with (nothing is downloaded)."""
    if name not in SKLEARN_SETS:
        raise BadInput(f"unknown scikit-learn set {name!r}; known are {listed(SKLEARN_SETS)}")
    from sklearn import datasets  # slow to import, and needed here only

    bunch: Any = getattr(datasets, f"load_{name}")()
    if name == "diabetes":
        x, y = np.asarray(bunch.data), np.asarray(bunch.target, dtype=np.float64)[:, None]
        names = tuple(bunch.feature_names)
        return PlainData(x, y, feature_names=names, has_columns=True, quantity_names=("progression",))
    labels = np.asarray(bunch.target, dtype=np.int64)
    class_names = tuple(str(label) for label in bunch.target_names)
    if name == "digits":
        return PlainData(np.asarray(bunch.data), labels, class_names)
    features = tuple(str(feature) for feature in bunch.feature_names)
    return PlainData(np.asarray(bunch.data), labels, class_names, features, has_columns=True)


def training_and_test(data: PlainData, options: SourceOptions) -> tuple[PlainData, PlainData]:
    """The split that init, submit and fetch-model all make alike: same file and seed, same rows."""
    parts = split(data, test_fraction=options.test_fraction, seed=options.seed)
    training = limit_rows(parts.training, rows=options.max_training_rows, seed=options.seed)
    test = limit_rows(parts.test, rows=options.max_test_rows, seed=options.seed)
    _check_split(training, test)
    return training, test


def _check_split(training: PlainData, test: PlainData) -> None:
    if training.rows == 0 or test.rows == 0:
        raise BadInput(f"the split leaves {training.rows} training and {test.rows} test rows; give more rows")
    classes = set(training.labels.tolist()) if training.target is Target.CLASS else set()
    missing = set(range(len(training.class_names))) - classes
    if missing:
        names = listed([training.class_names[i] for i in sorted(missing)])
        raise BadInput(f"class {names} has no training row; give more rows of it")
    if training.has_columns:
        check_constant(training, "the training part")
