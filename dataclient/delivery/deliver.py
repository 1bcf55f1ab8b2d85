"""Makes all files of a delivered model, as far as this machine has the libraries for them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataclient.bundle import DESCRIPTION_FILE, MODEL_FILE, Bundle
from dataclient.delivery.proof import PROOF_FILE
from dataclient.delivery.readme import ONNX_FILE, README_FILE, readme
from dataclient.delivery.report import (
    MOST_DRAWN,
    PICTURE_FILE,
    REPORT_FILE,
    confusion,
    confusion_picture,
    report,
)
from dataclient.delivery.residuals import RESIDUALS_FILE, residuals_picture
from pole.errors import BadInput
from pole.task.manifest import DataSet, Discretisation
from pole.task.rows import from_units
from pole.task.scores import Target

PICTURES = {Target.CLASS: PICTURE_FILE, Target.QUANTITY: RESIDUALS_FILE}
FILES = frozenset((ONNX_FILE, MODEL_FILE, DESCRIPTION_FILE, REPORT_FILE, *PICTURES.values(), PROOF_FILE, README_FILE))
EXTRA = "deliver"
_LIBRARIES = ("onnx", "onnxruntime", "matplotlib")
_COMPARED_ROWS = 1_000
_ROWS_AT_ONCE = 16  # of a large network on large images, a hundred take gigabytes


class HeldOut(NamedTuple):
    """The client's own test rows, discretised; their labels, and what exact evaluation predicts, in the same form."""

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
    files[REPORT_FILE] = report(bundle, test.labels, test.predictions, has_picture=bool(picture))
    files[README_FILE] = readme(bundle, files)
    return Delivery(bundle, files, remarks)


def _picture(data: DataSet, test: HeldOut, remarks: list[str]) -> dict[str, bytes]:
    """Under its name; of labels, and of too many classes, there is none."""
    name = PICTURES.get(data.target)
    if name is None:
        return {}
    if len(data.class_names) > MOST_DRAWN:
        remarks.append(f"no {name}: {data.outputs} classes are too many to draw; {REPORT_FILE} has them all")
        return {}

    def drawn() -> bytes:
        if data.target is Target.QUANTITY:
            return residuals_picture(data, test.labels, test.predictions)
        counts = confusion(test.labels, test.predictions, data.outputs)
        return confusion_picture(data.class_names, counts)

    picture = _if_installed(name, drawn, remarks)
    return {} if picture is None else {name: picture}


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
    except BadInput as exc:
        remarks.append(f"no {name}: {exc}")
        return None


def _onnx(bundle: Bundle, test: HeldOut, remarks: list[str]) -> bytes:
    """The file, run on the first test rows and compared with exact evaluation."""
    import onnxruntime

    from dataclient.delivery.onnx_file import ANSWERS, FEATURES, onnx_file

    content = onnx_file(bundle)
    data = bundle.description.manifest.data
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    rows, parts = min(len(test.x), _COMPARED_ROWS), []
    for start in range(0, rows, _ROWS_AT_ONCE):
        some = slice(start, min(start + _ROWS_AT_ONCE, rows))
        rows_of_part = undiscretised(test.x[some], data.discretisation)
        parts += session.run([ANSWERS[data.target]], {FEATURES: rows_of_part})
    remarks.append(f"{ONNX_FILE} gives {_compared(np.concatenate(parts), test.predictions[:rows], data)}")
    return content


def _compared(answers: NDArray[Any], predictions: NDArray[np.int64], data: DataSet) -> str:
    """What ONNX found beside what was predicted."""
    if data.target is Target.QUANTITY:
        ranges = np.array([each.maximum - each.minimum for each in data.quantities])
        off = (np.abs(answers - from_units(predictions, data.quantities)) / ranges).max()
        return f"what predict gives on {len(answers)} test rows, up to {100 * off:.2g} % of a quantity's range"
    if data.target is Target.LABELS:
        same = int((answers == predictions).all(axis=1).sum())
        return f"the labels that predict gives on {same} of {len(answers)} test rows"
    same = sum(found == data.class_names[i] for found, i in zip(answers, predictions, strict=True))
    return f"the class that predict gives on {same} of {len(answers)} test rows"


def undiscretised(x: NDArray[np.uint8], discretisation: Discretisation) -> NDArray[np.float64]:
    """Values [n, *shape] in the client's units that discretise to these integers."""
    low, high = np.asarray(discretisation.minimum), np.asarray(discretisation.maximum)
    flat = x.reshape(len(x), -1).astype(np.float64)
    levels = (1 << discretisation.bits) - 1
    values: NDArray[np.float64] = (low + flat / levels * (high - low)).reshape(x.shape)
    return values
