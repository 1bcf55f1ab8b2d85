"""The README of a delivered model: what each file is, and code that uses the model without this project."""

from collections.abc import Collection

import numpy as np

from dataclient.bundle import DESCRIPTION_FILE, MODEL_FILE, Bundle
from dataclient.delivery.preparation import MOST_LISTED, preparation
from dataclient.delivery.proof import PROOF_FILE
from dataclient.delivery.report import PICTURE_FILE, REPORT_FILE
from dataclient.delivery.residuals import RESIDUALS_FILE
from dataclient.preprocessing.document import TablePreprocessing
from pole.task.manifest import DataSet, Quantity
from pole.task.scores import Target

README_FILE, ONNX_FILE = "README.md", "model.onnx"

_WHAT = {
    ONNX_FILE: "the whole model: plain features in, what is predicted out (float32)",
    MODEL_FILE: "the weights, as the block names them",
    DESCRIPTION_FILE: "how plain features become those that the weights expect: ranges, mapping, normalisation",
    REPORT_FILE: "scores, and a table by class, label or quantity",
    PICTURE_FILE: "which class was taken for which",
    RESIDUALS_FILE: "predicted quantities against the true ones",
    PROOF_FILE: "the block that the model won, with the path from the data to its header",
}


def readme(bundle: Bundle, files: Collection[str]) -> bytes:
    """Markdown of about 30 lines."""
    description, origin = bundle.description, bundle.description.origin
    lines = [
        f"# {description.manifest.name}",
        "",
        _what(description.manifest.data),
        f"Test score {description.own_test_ppm / 10_000:.2f} % ({description.manifest.metric.replace('_', ' ')}).",
        "",
        *(_usage(bundle) if ONNX_FILE in files else _without_onnx()),
        "",
        "| file | what it is |",
        "| --- | --- |",
        *(f"| {name} | {what} |" for name, what in _WHAT.items() if name in files),
        "",
        f"Trained by {origin.winner}, which won block {origin.height} of chain {origin.chain_id} with it.",
        *(_checking(bundle) if PROOF_FILE in files else []),
    ]
    return ("\n".join(lines) + "\n").encode()


def _checking(bundle: Bundle) -> list[str]:
    origin = bundle.description.origin
    return [
        f"Its header has the hash `{origin.header_hash}`. To check that this is the model, ask a node you trust",
        f"for `headerHash({origin.height})` of the contract `block_ledger` in {PROOF_FILE}, and give what it says to",
        "",
        "    pole client check-proof THIS_FOLDER HEADER_HASH",
    ]


def _usage(bundle: Bundle) -> list[str]:
    return [
        "Use it with nothing but `pip install onnxruntime numpy`:",
        "",
        "```python",
        "import numpy as np",
        "import onnxruntime",
        "",
        f'session = onnxruntime.InferenceSession("{ONNX_FILE}")',
        f"rows = {_example(bundle)}",
        *_run(bundle.description.manifest.data),
        "```",
        "",
        f"`features` is float64; a row is {_features(bundle)}.",
        *preparation(bundle.description.preprocessing),
    ]


def _what(data: DataSet) -> str:
    if data.target is Target.CLASS:
        return f"A classifier with {len(data.class_names)} classes: {_listed(data.class_names)}."
    if data.target is Target.LABELS:
        return f"Says which of {len(data.label_names)} labels a row has: {_listed(data.label_names)}."
    return f"Predicts {_listed([_ranged(each) for each in data.quantities])}."


def _ranged(quantity: Quantity) -> str:
    unit = f" {quantity.unit}" if quantity.unit else ""
    return f"{quantity.name} from {quantity.minimum:.6g} to {quantity.maximum:.6g}{unit}"


def _run(data: DataSet) -> list[str]:
    """Lines of Python that print an answer for each row."""
    if data.target is Target.CLASS:
        return [
            'classes, probabilities = session.run(["class", "probabilities"], {"features": rows})',
            "for name, shares in zip(classes, probabilities):",
            '    print(name, f"{shares.max():.3f}")',
        ]
    names = f"names = {[*data.label_names, *(each.name for each in data.quantities)]!r}"
    if data.target is Target.LABELS:
        return [
            names,
            'labels, probabilities = session.run(["labels", "probabilities"], {"features": rows})',
            "for row in labels:",
            "    print([name for name, is_there in zip(names, row) if is_there])",
        ]
    return [
        names,
        '[quantities] = session.run(["quantities"], {"features": rows})',
        "for row in quantities:",
        "    print(dict(zip(names, row.tolist())))",
    ]


def _without_onnx() -> list[str]:
    return ["Use it with `pole client predict THIS_FOLDER ROWS.csv`."]


def _features(bundle: Bundle) -> str:
    data, names = bundle.description.manifest.data, bundle.description.feature_names
    document = bundle.description.preprocessing
    if isinstance(document, TablePreprocessing) and not document.is_named and len(document.features) != document.width:
        names = [f"column {feature}" for feature in document.features]
    if len(data.shape) == 3:
        return "[{}, {}, {}]: channels, height, width".format(*data.shape)
    if names is None:
        return f"{data.shape[0]} numbers"
    return f"{len(names)} numbers in this order: {_listed(names)}"


def _listed(names: list[str]) -> str:
    shown = ", ".join(" ".join(name.split()) for name in names[:MOST_LISTED])
    return shown if len(names) <= MOST_LISTED else f"{shown} and {len(names) - MOST_LISTED} more"


def _example(bundle: Bundle) -> str:
    """One made-up row from the middle of the training data's ranges; nobody's own."""
    data = bundle.description.manifest.data
    ranges = data.discretisation
    middle = (np.asarray(ranges.minimum) + np.asarray(ranges.maximum)) / 2
    if len(data.shape) == 1 and data.shape[0] <= MOST_LISTED:
        values = np.broadcast_to(middle, data.shape)
        return f"np.array([[{', '.join(f'{value:.4g}' for value in values)}]])"
    return f"np.full({(1, *data.shape)}, {float(middle.mean()):.4g})"
