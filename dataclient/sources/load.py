"""Where rows come from: one entry point for every kind of source, each loader in its own module."""

from dataclasses import replace
from pathlib import Path

from dataclient.preprocessing.document import AnyPreprocessing, ImagePreprocessing
from dataclient.sources.boundary import one_line
from dataclient.sources.digest import check_bound, digest_of_folder, digest_of_path
from dataclient.sources.featured import load_npz, load_table, of_kind
from dataclient.sources.named import load_named, load_sklearn
from dataclient.sources.plain import PlainData, check_rows, limit_rows, listed, split
from dataclient.sources.source import IMAGE_FIELDS, TABLE_FIELDS, TEXT_FIELDS, SourceOptions, refuse_options
from pole.errors import BadInput
from pole.paths import expanded
from pole.task.scores import Target

__all__ = ["SourceOptions", "load_sklearn", "load_source", "training_and_test"]

MIN_ROWS_PER_CLASS = 3
MIN_OF_A_GIVEN_SPLIT = 2


def load_source(options: SourceOptions, preprocessing: AnyPreprocessing | None = None) -> PlainData:
    """Loads and checks all rows of a source, in the source's own order; read as `preprocessing` says, if it is given.

    Raises BadInput, also for a source that is not the one whose digest the options hold.
    """
    if options.unit and options.target != "quantity":
        raise BadInput(f"a unit ({options.unit}) is of a quantity; say --target quantity as well")
    with one_line():
        data = _load(options, preprocessing)
        if options.target is not None and data.target is not options.goal:
            raise BadInput(f"{options.source} has {data.target} labels, not {options.target}; leave --target out")
        check_bound(options.source, options.digest, options.columns, data)
        check_rows(data, options.source)
        return data


def _load(options: SourceOptions, preprocessing: AnyPreprocessing | None) -> PlainData:
    kind, _, name = options.source.partition(":")
    if kind in ("sklearn", "torchvision", "openml"):
        return load_named(kind, name, options, preprocessing)
    path = expanded(options.source)
    if path.is_dir():
        return _load_folder(path, options, preprocessing)
    if not path.is_file():
        raise BadInput(
            f"no file or folder {options.source}; give a table (CSV, TSV, Parquet, Feather, Excel), an .npz file, a "
            "folder with one folder per class, or sklearn:NAME, torchvision:NAME or openml:ID"
        )
    refuse_options(options, ("data_dir", *IMAGE_FIELDS), path)
    from dataclient.sources.tables import TextOptions, kind_of, read_table  # needs pandas, which not everybody has

    if kind_of(path) == "npz":
        refuse_options(options, (*TABLE_FIELDS, *TEXT_FIELDS), path)
        data = load_npz(path, options, preprocessing)
    else:
        table = read_table(path, TextOptions(options.encoding, options.delimiter))
        data = load_table(table, options, preprocessing)
    return replace(data, digest=digest_of_path(path))


def _load_folder(path: Path, options: SourceOptions, preprocessing: AnyPreprocessing | None) -> PlainData:
    refuse_options(options, ("data_dir", *TABLE_FIELDS, *TEXT_FIELDS), path)
    document = of_kind(preprocessing, ImagePreprocessing, path)
    from dataclient.sources.images import ImageOptions, load_image_folder  # needs Pillow, which not everybody has

    wanted = ImageOptions(_image_size(options.image_size), options.background, options.skip_broken)
    data = load_image_folder(path, wanted, document)
    return replace(data, digest=digest_of_folder(path))


def _image_size(sides: list[int] | None) -> tuple[int, int] | None:
    if sides is None:
        return None
    if min(sides) < 1 or max(sides) > 1024:
        raise BadInput(f"image size {sides[0]}x{sides[1]} is out of range; give sides from 1 to 1024")
    return sides[0], sides[1]


def training_and_test(data: PlainData, options: SourceOptions) -> tuple[PlainData, PlainData]:
    """The split that init, submit and fetch-model all make alike: same file and seed, same rows."""
    parts = split(data, test_fraction=options.test_fraction, seed=options.seed)
    training = limit_rows(parts.training, rows=options.max_training_rows, seed=options.seed)
    test = limit_rows(parts.test, rows=options.max_test_rows, seed=options.seed)
    with one_line():
        _check_split(training, test)
    return training, test


def _check_split(training: PlainData, test: PlainData) -> None:
    if training.rows == 0 or test.rows == 0:
        raise BadInput(f"the split leaves {training.rows} training and {test.rows} test rows; give more rows")
    classes = len(training.class_names)
    present = set(training.labels.tolist()) if training.target is Target.CLASS else set()
    missing = set(range(classes)) - present
    if missing:
        names = listed([training.class_names[i] for i in sorted(missing)])
        raise BadInput(f"class {names} has no training row; give more rows of it")
    minimum = MIN_ROWS_PER_CLASS if training.is_test is None else MIN_OF_A_GIVEN_SPLIT
    if training.rows < minimum * classes:
        raise BadInput(
            f"the split leaves {training.rows} training rows for {classes} classes; at least {minimum * classes} are "
            f"needed, {minimum} for each on average: give more rows, a smaller --test-fraction, or fewer classes"
        )
