"""Small tasks with real rows: classes that any projection separates, and that no other projection separates alike."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataclient.drafting.template import render
from dataclient.sources.load import SourceOptions
from dataclient.task_file import Encryption, TaskFile, TermsSection
from pole.task.manifest import Activation, DenseMapping, Discretisation, GraphModel, Linear

LABEL = "kind"
CLASSES, FEATURES, ROWS_PER_CLASS = 8, 12, 15
VECTORS, HIDDEN = 8, 16
HIGH, SPREAD = 10.0, 0.15
_PATTERNS_SEED = 2


def write_rows(path: Path, *, seed: int = 1, rows_per_class: int = ROWS_PER_CLASS) -> Path:
    """A CSV of `CLASSES` tight clusters; another seed draws other rows around the same centres."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(CLASSES), rows_per_class)
    x = _centres()[labels] + rng.normal(0, SPREAD, (len(labels), FEATURES))
    order = rng.permutation(len(labels))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"x{i}" for i in range(FEATURES)), LABEL])
        writer.writerows([*(f"{value:.4f}" for value in x[row]), class_name(labels[row])] for row in order)
    return path


def write_mislabelled_rows(path: Path) -> Path:
    """A CSV that holds every row three times, once under the label of another class.

    Equal rows get equal predictions, so however long a model trains it is right about some two thirds of them.
    """
    with write_rows(path).open(newline="") as file:
        header, *rows = list(csv.reader(file))
    following = {class_name(number): class_name((number + 1) % CLASSES) for number in range(CLASSES)}
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for row in rows:
            writer.writerows([row, row, [*row[:-1], following[row[-1]]]])
    return path


def class_name(number: int) -> str:
    return f"class-{number}"


def _centres() -> NDArray[np.float64]:
    """[CLASSES, FEATURES]: half of the features high, a different half for each class.

    All sum up alike: what all query vectors have in common (no weight is negative) tells the classes apart no more.
    """
    rng = np.random.default_rng(_PATTERNS_SEED)
    halves: list[tuple[int, ...]] = []
    while len(halves) < CLASSES:
        half = tuple(sorted(rng.choice(FEATURES, FEATURES // 2, replace=False)))
        halves += [half] if half not in halves else []
    centres = np.zeros((CLASSES, FEATURES))
    for row, half in enumerate(halves):
        centres[row, list(half)] = HIGH
    return centres


def write_task(path: Path, rows: Path, *, scheme: Any = "none", **terms: Any) -> Path:
    """A task file over rows of `write_rows`, with `path`'s stem as its name."""
    given = {"reward_ether": "1", "time_limit_s": 60, "required_train_ppm": 750_000, **terms}
    task = TaskFile(
        name=path.stem,
        data=SourceOptions(source=str(rows), label=LABEL),
        discretisation=Discretisation(bits=6, minimum=[-1.0], maximum=[HIGH + 1.0]),
        mapping=DenseMapping(vectors=VECTORS),
        model=_model(),
        encryption=Encryption(scheme=scheme, rank_limit=None if scheme == "none" else VECTORS),
        terms=TermsSection.model_validate(given),
    )
    path.write_text(render(task, ["made by a test"]))
    return path


def _model() -> GraphModel:
    return GraphModel(
        layers=[
            Linear(name="hidden", size=HIDDEN),
            Activation(name="active", type="relu"),
            Linear(name="classes", size=CLASSES),
        ]
    )


def read_classes(path: Path, column: str) -> Sequence[str]:
    """A column of a CSV: `LABEL` of rows, `class` of what `predict` wrote."""
    with path.open(newline="") as file:
        return [row[column] for row in csv.DictReader(file)]
