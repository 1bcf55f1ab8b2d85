"""Makes all files of a delivered model, as far as this machine has the libraries for them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataclient.bundle import DESCRIPTION_FILE, MODEL_FILE, Bundle
from dataclient.delivery.agreement import agreement
from dataclient.delivery.pictures import confusion_picture, residual_picture
from dataclient.delivery.proof import PROOF_FILE
from dataclient.delivery.readme import ONNX_FILE, README_FILE, readme
from dataclient.delivery.report import PICTURE_FILE, REPORT_FILE, RESIDUALS_FILE, confusion, report
from pole.task.manifest import DataSet
from pole.task.rows import from_units
from pole.task.scores import Target

FILES = frozenset(
    (ONNX_FILE, MODEL_FILE, DESCRIPTION_FILE, REPORT_FILE, PICTURE_FILE, RESIDUALS_FILE, PROOF_FILE, README_FILE)
)
EXTRA = "deliver"
_LIBRARIES = ("onnx", "onnxruntime", "matplotlib")
# Beyond it, no cell of a picture could be told from the next, and no plot be read.
_MOST_CLASSES_DRAWN, _MOST_QUANTITIES_DRAWN = 100, 16


class HeldOut(NamedTuple):
    """The client's own test rows, discretised; their labels, and what exact evaluation predicts in their place.

    labels, predictions: classes [n], labels 0 or 1 [n, labels], or quantities in units of their ranges
    [n, quantities], whatever the task's metric looks at.
    """

    x: NDArray[np.uint8]
    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]


@dataclass(frozen=True)
class Delivery:
    """`files`: by name. `remarks`: what was left out and why, and how well ONNX agrees, a sentence each."""

    bundle: Bundle
    files: dict[str, bytes]
    remarks: list[str]


def deliver(bundle: Bundle, test: HeldOut, proof: bytes | None) -> Delivery:
    """All files but those whose library is missing, or whose block; what is left out is said."""
    remarks: list[str] = []
    files = bundle.files()
    if proof is None:
        remarks.append(f"no {PROOF_FILE}: this node keeps no events of the block; give the --rpc of one that does")
    else:
        files[PROOF_FILE] = proof
    onnx_content = _if_installed(ONNX_FILE, lambda: _onnx(bundle, test, remarks), remarks)
    if onnx_content is not None:
        files[ONNX_FILE] = onnx_content
    picture = _picture(bundle.description.manifest.data, test, remarks)
    files |= picture
    files[REPORT_FILE] = report(bundle, test.labels, test.predictions, picture=next(iter(picture), None))
    files[README_FILE] = readme(bundle, files)
    return Delivery(bundle, files, remarks)


def _picture(data: DataSet, test: HeldOut, remarks: list[str]) -> dict[str, bytes]:
    """The one file that fits what the task asks for, by name; none for label sets, or where it cannot be made."""
    if data.target is Target.LABELS:
        return {}
    if data.target is Target.CLASS:
        counts = confusion(test.labels, test.predictions, data.outputs)
        name, make, most, what = (
            PICTURE_FILE,
            partial(confusion_picture, data.class_names, counts),
            _MOST_CLASSES_DRAWN,
            "classes",
        )
    else:
        true, predicted = (from_units(units, data.quantities) for units in (test.labels, test.predictions))
        name, make, most, what = (
            RESIDUALS_FILE,
            partial(residual_picture, data.quantities, true, predicted),
            _MOST_QUANTITIES_DRAWN,
            "quantities",
        )
    if data.outputs > most:
        remarks.append(f"no {name}: {data.outputs} {what} are too many to draw; {REPORT_FILE} has them all")
        return {}
    content = _if_installed(name, make, remarks)
    return {} if content is None else {name: content}


def _if_installed(name: str, make: Callable[[], bytes], remarks: list[str]) -> bytes | None:
    try:
        return make()
    except ModuleNotFoundError as exc:
        library = (exc.name or "").partition(".")[0]
        if library not in _LIBRARIES:
            raise
        remarks.append(
            f"no {name}: it needs {library}; pip install 'useful-proof-of-work[{EXTRA}]', then fetch-model --force"
        )
        return None


def _onnx(bundle: Bundle, test: HeldOut, remarks: list[str]) -> bytes:
    """The file, run on the first test rows and compared with exact evaluation."""
    import onnxruntime

    from dataclient.delivery.onnx_file import onnx_file

    content = onnx_file(bundle)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    remarks.append(f"{ONNX_FILE} {agreement(session, bundle.description.manifest.data, test.x, test.predictions)}")
    return content
