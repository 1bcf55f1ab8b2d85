"""Sets by name: those of scikit-learn, files of torchvision's sets, and openml.org."""

from dataclasses import replace
from typing import Any

import numpy as np

from dataclient.preprocessing.document import AnyPreprocessing, ArrayPreprocessing
from dataclient.sources.boundary import reading
from dataclient.sources.digest import digest_of_rows
from dataclient.sources.featured import load_table, of_kind
from dataclient.sources.plain import PlainData, listed
from dataclient.sources.source import IMAGE_FIELDS, TABLE_FIELDS, TEXT_FIELDS, SourceOptions, refuse_options
from pole.errors import BadInput
from pole.paths import expanded

SKLEARN_SETS = ("iris", "digits", "wine", "breast_cancer", "diabetes")
TORCHVISION_SETS = ("mnist", "fashion_mnist", "cifar10")


def load_named(kind: str, name: str, options: SourceOptions, preprocessing: AnyPreprocessing | None) -> PlainData:
    """Raises BadInput."""
    refuse_options(options, (*TEXT_FIELDS, *IMAGE_FIELDS), options.source)
    if kind == "openml":
        refuse_options(options, ("data_dir",), options.source)
        data = _load_openml(name, options, preprocessing)
    else:
        refuse_options(options, TABLE_FIELDS, options.source)
        data = load_sklearn(name, options) if kind == "sklearn" else _load_torchvision(name, options)
        document = of_kind(preprocessing, type(data.preprocessing), options.source)
        data = data if document is None else replace(data, preprocessing=document)
    return replace(data, digest=digest_of_rows(data))


def _load_openml(name: str, options: SourceOptions, preprocessing: AnyPreprocessing | None) -> PlainData:
    """A set of openml.org by its number or name; scikit-learn fetches it, and keeps it in its own cache."""
    from sklearn.datasets import fetch_openml

    from dataclient.sources.tables import from_frame

    wanted: dict[str, Any] = {"data_id": int(name)} if name.isdecimal() else {"name": name, "version": 1}
    with reading(options.source, "an OpenML set", "check its number and the network, or download it as a file"):
        bunch = fetch_openml(**wanted, as_frame=True, parser="liac-arff")
        frame, targets = bunch.frame, list(bunch.target_names or [])
    chosen = options.label or (targets[0] if len(targets) == 1 else None)
    return load_table(from_frame(frame, options.source), options.model_copy(update={"label": chosen}), preprocessing)


def _load_torchvision(name: str, options: SourceOptions) -> PlainData:
    if name not in TORCHVISION_SETS:
        raise BadInput(f"unknown torchvision set {name!r}; known are {listed(sorted(TORCHVISION_SETS))}")
    if options.data_dir is None:
        raise BadInput(
            f"torchvision:{name} needs --data-dir DIR, the folder that holds its files; nothing is downloaded"
        )
    directory = expanded(options.data_dir)
    if not directory.is_dir():
        raise BadInput(f"--data-dir {options.data_dir} is not a folder")
    from dataclient.sources.packed import load_cifar10, load_mnist

    data = load_cifar10(directory) if name == "cifar10" else load_mnist(directory)
    shape = list(data.shape)
    return replace(data, preprocessing=ArrayPreprocessing(shape=shape if shape[0] > 1 else shape[1:]))


def load_sklearn(name: str, options: SourceOptions | None = None) -> PlainData:
    """A set that scikit-learn ships with (nothing is downloaded)."""
    if options is not None:
        refuse_options(options, ("data_dir",), options.source)
    if name not in SKLEARN_SETS:
        raise BadInput(f"unknown scikit-learn set {name!r}; known are {listed(SKLEARN_SETS)}")
    from sklearn import datasets  # slow to import, and needed here only

    bunch: Any = getattr(datasets, f"load_{name}")()
    x = np.asarray(bunch.data)
    if name == "diabetes":
        targets: dict[str, Any] = {"labels": np.asarray(bunch.target, dtype=np.float64)[:, None]}
        return _columns(x, bunch.feature_names, targets | {"quantity_names": ("progression",)})
    labels = np.asarray(bunch.target, dtype=np.int64)
    class_names = tuple(str(label) for label in bunch.target_names)
    if name == "digits":
        return PlainData(x, labels, class_names, preprocessing=ArrayPreprocessing(shape=[x.shape[1]]))
    return _columns(x, bunch.feature_names, {"labels": labels, "class_names": class_names})


def _columns(x: Any, names: Any, targets: dict[str, Any]) -> PlainData:
    from dataclient.sources.reading import plain_columns

    features = [str(name) for name in names]
    document = plain_columns(features, x)
    return PlainData(x, **targets, feature_names=tuple(features), has_columns=True, preprocessing=document)
