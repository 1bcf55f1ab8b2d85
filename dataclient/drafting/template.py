"""Writes a task file with a comment on every choice, so that a client can edit it without the manual."""

import json
from pathlib import Path

from dataclient.preprocessing.document import AnyPreprocessing
from dataclient.sources.load import SourceOptions
from dataclient.task_file import Encryption, TaskFile, TermsSection
from pole.atomicfile import write_atomically
from pole.errors import BadInput
from pole.task.manifest import AnyMapping, AnyModel, DenseMapping, Discretisation, GraphModel, Quantity

NUMBERS_PER_LINE = 12

_ALWAYS = ("source", "test_fraction", "seed")
_BOUND = ("columns", "digest")


def render(task: TaskFile, remarks: list[str]) -> str:
    """The task file as commented TOML; `remarks` (what was measured, what it costs) become its opening comment."""
    parts = [
        "# A task for the learning market. Submit it with: python -m dataclient submit THIS_FILE",
        *(f"# {remark}" for remark in remarks),
        "",
        f"name = {_value(task.name)}",
        "# What models are scored by, more is better: accuracy, balanced_accuracy, macro_f1, weighted_f1, mcc,",
        "# cohen_kappa, top_5_accuracy (or another number), roc_auc, average_precision, log_loss or brier; of labels",
        "# multilabel_accuracy or multilabel_f1; of quantities r2, rmse or mae.",
        f"metric = {_value(task.metric)}",
        *_quantities(task.quantities),
        "",
        *_data(task.data),
        "",
        *([] if task.preprocessing is None else [*_preprocessing(task.preprocessing), ""]),
        *_discretisation(task.discretisation),
        "",
        *_mapping(task.mapping),
        "",
        *_model(task.model),
        "",
        *_encryption(task.encryption),
        "",
        *_terms(task.terms),
    ]
    return "\n".join(parts) + "\n"


def _value(value: object) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return _array(value)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
    return repr(value)


def _array(values: list[object]) -> str:
    texts = [_value(value) for value in values]
    if len(texts) <= NUMBERS_PER_LINE:
        return "[" + ", ".join(texts) + "]"
    lines = [", ".join(texts[i : i + NUMBERS_PER_LINE]) for i in range(0, len(texts), NUMBERS_PER_LINE)]
    return "[\n    " + ",\n    ".join(lines) + ",\n]"


def _data(data: SourceOptions) -> list[str]:
    lines = [
        "[data]",
        "# A table, an .npz file, a folder with one folder per class, or a set by name. The same file must be there",
        "# when the task is submitted: rows are split into training and test set by the seed.",
        f"source = {_value(data.source)}",
    ]
    for field, value in data.model_dump(exclude_defaults=True, exclude={*_ALWAYS, *_BOUND}).items():
        if value not in (None, []):
            lines.append(f"{field} = {_value(value)}")
    return [
        *lines,
        "# Share of the rows kept as the test set (unless the source comes with its own split).",
        f"test_fraction = {_value(data.test_fraction)}",
        f"seed = {data.seed}",
        *_bound(data),
    ]


def _quantities(quantities: list[Quantity]) -> list[str]:
    if not quantities:
        return []
    return [
        "# What is to be predicted. Values outside the range are cut off, in labels as in predictions; it is public.",
        f"quantities = {_value([quantity.model_dump(mode='json') for quantity in quantities])}",
    ]


def _bound(data: SourceOptions) -> list[str]:
    lines = [f"{field} = {_value(getattr(data, field))}" for field in _BOUND if getattr(data, field) is not None]
    return ["# What was looked at: a file that has changed since is not submitted.", *lines] if lines else []


def _preprocessing(document: AnyPreprocessing) -> list[str]:
    """Columns one a line; what has its default is left out."""
    lines = [
        "[preprocessing]",
        "# How the source becomes features; submit and predict read rows like this as well.",
        f"kind = {_value(document.kind)}",
    ]
    for field, value in document.model_dump(mode="json", exclude_defaults=True).items():
        if field == "columns":
            columns = [_value(_shown(column)) for column in document.model_dump(mode="json")["columns"]]
            lines += ["columns = [", *(f"    {column}," for column in columns), "]"]
        elif field not in ("kind", "labels"):
            lines.append(f"{field} = {_value(value)}")
    labels = document.labels.model_dump(exclude_defaults=True)
    return [*lines, f"labels = {_value(labels)}"] if labels else lines


def _shown(column: dict[str, object]) -> dict[str, object]:
    usual = {"decimal": ".", "groups": False, "offset": 0, "has_indicator": False}
    return {key: value for key, value in column.items() if value is not None and usual.get(key) != value}


def _discretisation(discretisation: Discretisation) -> list[str]:
    return [
        "[discretisation]",
        "# Features become whole numbers of so many bits; values outside the range are clipped. The ranges are public.",
        f"bits = {discretisation.bits}",
        f"minimum = {_value(discretisation.minimum)}",
        f"maximum = {_value(discretisation.maximum)}",
    ]


def _mapping(mapping: AnyMapping) -> list[str]:
    lines = [
        "[mapping]",
        "# Miners see inner products of the features with query vectors that each round's hash yields.",
    ]
    if isinstance(mapping, DenseMapping):
        lines += [
            "# More vectors: more accuracy, and more of the data is given away with every round (from half of the",
            "# features of a segment on, small whole numbers can be recovered exactly).",
        ]
    else:
        lines += [
            "# Convolution filters per colour channel. With encryption, the keys of such a mapping open all data."
        ]
    return lines + [f"{key} = {_value(value)}" for key, value in mapping.model_dump(mode="json").items()]


def _model(model: AnyModel) -> list[str]:
    lines = ["[model]", f"kind = {_value(model.kind)}"]
    if isinstance(model, GraphModel):
        layers = [
            _value({"name": layer.name, "type": layer.type, **layer.model_dump(mode="json", exclude_defaults=True)})
            for layer in model.layers
        ]
        return [
            *lines,
            "# Layers in order, fed with the mapped features; the last one has one output per class. A layer takes the",
            '# one before, or those named in inputs = [...] ("input" is the mapped row).',
            "layers = [",
            *(f"    {layer}," for layer in layers),
            "]",
        ]
    return [*lines, f"architecture = {_value(model.architecture)}", f"stem = {_value(model.stem)}"]


def _encryption(encryption: Encryption) -> list[str]:
    lines = [
        "[encryption]",
        '# "ipfe-secp256k1" or "none". This is timed release, NOT privacy: once your client issues keys for a round,',
        "# everybody can compute the mapped features, and every further round gives away more, up to the data itself.",
        "# Labels, ranges, class names and sizes are public in any case. Do not commission what must stay secret.",
        f"scheme = {_value(encryption.scheme)}",
    ]
    if encryption.rank_limit is not None:
        lines += [
            "# Your client refuses keys for more query vectors per segment than this, over all rounds of the task. A",
            "# round that it refuses costs you the bond; a higher limit lets more of the data out.",
            f"rank_limit = {encryption.rank_limit}",
            "# Whether the test set stays encrypted under the same keys when it is released after the commits.",
            f"encrypt_test_set = {_value(encryption.encrypt_test_set)}",
            '# "uncompressed", or "compressed": about half the bytes in the store, but every miner and verifier then',
            "# computes a square root for each number of the data set.",
            f"points = {_value(encryption.points)}",
        ]
    return lines


def _terms(terms: TermsSection) -> list[str]:
    return [
        "[terms]",
        "# What the winning miner gets; the verifiers' fee and your bond (returned if you serve the task) come on top.",
        f"reward_ether = {_value(terms.reward_ether)}",
        "# Seconds of training, decryption included. Tasks with more reward per second are taken first.",
        f"time_limit_s = {terms.time_limit_s}",
        "# Accuracy on the training set that qualifies a model, in parts per million (900000 is 90 %).",
        f"required_train_ppm = {terms.required_train_ppm}",
        "# If nobody qualifies in time, the best model is paid nevertheless; unless its test accuracy is below this.",
        f"min_test_ppm = {terms.min_test_ppm}",
        "# Qualified models after which training ends early and the test set is released, but not before this many",
        "# seconds. With the time limit here, miners compete for the best test accuracy until time is up.",
        f"solutions_wanted = {terms.solutions_wanted}",
        f"earliest_close_s = {terms.earliest_close_s}",
    ]


def check_place(path: Path, *, is_overwriting: bool) -> None:
    """Refuses, before anything is measured, a path at which the task file could not be written. Raises BadInput."""
    if path.exists() and not is_overwriting:
        raise BadInput(f"{path} exists already; choose another --out, or say --force to replace it")
    if not path.parent.is_dir():
        raise BadInput(f"cannot write {path}: {path.parent} is not a folder")


def write_task_file(path: Path, text: str, *, is_overwriting: bool) -> None:
    """Writes the file at once or not at all; refuses to replace one unless told to. Raises BadInput."""
    check_place(path, is_overwriting=is_overwriting)
    try:
        write_atomically(path, text.encode(), replace=is_overwriting)
    except OSError as exc:
        raise BadInput(f"cannot write {path}: {exc.strerror}") from exc
