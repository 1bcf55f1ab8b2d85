"""The README of a delivered model: what each file is, and code that uses the model without this project."""

from collections.abc import Collection

import numpy as np

from dataclient.bundle import DESCRIPTION_FILE, MODEL_FILE, Bundle
from dataclient.delivery.proof import PROOF_FILE
from dataclient.delivery.report import PICTURE_FILE, REPORT_FILE, RESIDUALS_FILE
from pole.task.manifest import DataSet, Quantity
from pole.task.scores import Target

README_FILE, ONNX_FILE = "README.md", "model.onnx"
_MOST_LISTED = 16  # features that are written out

_ANSWERS = {
    Target.CLASS: "class and probabilities",
    Target.LABELS: "labels and their probabilities",
    Target.QUANTITY: "quantities in their units",
}
_WHAT = {
    ONNX_FILE: "the whole model: plain features in, {answers} out (layers run in float32)",
    MODEL_FILE: "the weights, as the block names them",
    DESCRIPTION_FILE: "how plain features become those that the weights expect: ranges, mapping, normalisation",
    REPORT_FILE: "scores, and a table of all classes, labels or quantities",
    PICTURE_FILE: "which class was taken for which",
    RESIDUALS_FILE: "how far off predictions are, over what was predicted",
    PROOF_FILE: "the block that the model won, with the path from the data to its header",
}


def readme(bundle: Bundle, files: Collection[str]) -> bytes:
    """Markdown of about 30 lines."""
    description, origin = bundle.description, bundle.description.origin
    data = description.manifest.data
    lines = [
        f"# {description.manifest.name}",
        "",
        _purpose(data),
        f"Test score {description.own_test_ppm / 10_000:.2f} % ({description.manifest.metric.replace('_', ' ')}).",
        "",
        *(_usage(bundle) if ONNX_FILE in files else _without_onnx()),
        "",
        "| file | what it is |",
        "| --- | --- |",
        *(
            f"| {name} | {what.format(answers=_ANSWERS[data.target])} |"
            for name, what in _WHAT.items()
            if name in files
        ),
        "",
        f"Trained by {origin.winner}, which won block {origin.height} of chain {origin.chain_id} with it.",
        *(_checking(bundle) if PROOF_FILE in files else []),
    ]
    return ("\n".join(lines) + "\n").encode()


def _purpose(data: DataSet) -> str:
    if data.target is Target.QUANTITY:
        return f"Predicts {_listed([_with_range(quantity) for quantity in data.quantities])}."
    if data.target is Target.LABELS:
        return f"Finds which of {len(data.label_names)} labels belong to a row: {_listed(data.label_names)}."
    return f"A classifier with {len(data.class_names)} classes: {_listed(data.class_names)}."


def _with_range(quantity: Quantity) -> str:
    unit = f" {quantity.unit}" if quantity.unit else ""
    return f"{quantity.name} (from {quantity.minimum:.9g} to {quantity.maximum:.9g}{unit})"


def _checking(bundle: Bundle) -> list[str]:
    origin = bundle.description.origin
    return [
        f"Its header has the hash `{origin.header_hash}`. To check that this is the model, ask a node you trust",
        f"for `headerHash({origin.height})` of the contract `learning_chain` in {PROOF_FILE}, and give what it says to",
        "",
        "    pole client check-proof THIS_FOLDER HEADER_HASH",
    ]


_CODE = {
    Target.CLASS: [
        'classes, probabilities = session.run(["class", "probabilities"], {"features": rows})',
        "for name, shares in zip(classes, probabilities):",
        '    print(name, f"{shares.max():.3f}")',
    ],
    Target.LABELS: [
        'labels, probabilities = session.run(["labels", "probabilities"], {"features": rows})',
        'names = json.loads(session.get_modelmeta().custom_metadata_map["label_names"])',
        "for found, shares in zip(labels, probabilities):",
        "    print([name for name, is_found in zip(names, found) if is_found], shares.round(3))",
    ],
    Target.QUANTITY: [
        '[values] = session.run(["values"], {"features": rows})',
        'quantities = json.loads(session.get_modelmeta().custom_metadata_map["quantities"])',
        "for row in values:",
        "    for quantity, value in zip(quantities, row):",
        '        print(quantity["name"], f"{value:.9g}", quantity["unit"])',
    ],
}
_MEANING = {
    Target.CLASS: [],
    Target.LABELS: [
        "A label is found where its probability is above one half; the probabilities are of each by itself."
    ],
    Target.QUANTITY: ["`values` is float64, in the units, and never beyond the ranges that the model was made for."],
}


def _usage(bundle: Bundle) -> list[str]:
    target = bundle.description.manifest.data.target
    return [
        "Use it with nothing but `pip install onnxruntime numpy`:",
        "",
        "```python",
        *([] if target is Target.CLASS else ["import json", ""]),
        "import numpy as np",
        "import onnxruntime",
        "",
        f'session = onnxruntime.InferenceSession("{ONNX_FILE}")',
        f"rows = {_example(bundle)}",
        *_CODE[target],
        "```",
        "",
        f"`features` is float64; a row is {_features(bundle)}. No value may be missing.",
        *_MEANING[target],
    ]


def _without_onnx() -> list[str]:
    return ["Use it with `pole client predict THIS_FOLDER ROWS.csv`."]


def _features(bundle: Bundle) -> str:
    data, names = bundle.description.manifest.data, bundle.description.feature_names
    if len(data.shape) == 3:
        return "[{}, {}, {}]: channels, height, width".format(*data.shape)
    if names is None:
        return f"{data.shape[0]} numbers"
    return f"{len(names)} numbers in this order: {_listed(names)}"


def _listed(names: list[str]) -> str:
    shown = ", ".join(" ".join(name.split()) for name in names[:_MOST_LISTED])
    return shown if len(names) <= _MOST_LISTED else f"{shown} and {len(names) - _MOST_LISTED} more"


def _example(bundle: Bundle) -> str:
    """One made-up row from the middle of the training data's ranges; nobody's own."""
    data = bundle.description.manifest.data
    ranges = data.discretisation
    middle = (np.asarray(ranges.minimum) + np.asarray(ranges.maximum)) / 2
    if len(data.shape) == 1 and data.shape[0] <= _MOST_LISTED:
        values = np.broadcast_to(middle, data.shape)
        return f"np.array([[{', '.join(f'{value:.4g}' for value in values)}]])"
    return f"np.full({(1, *data.shape)}, {float(middle.mean()):.4g})"
