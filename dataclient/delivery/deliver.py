"""Makes all files of a delivered model, as far as this machine has the libraries for them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

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
from pole.task.manifest import Discretisation

FILES = frozenset((ONNX_FILE, MODEL_FILE, DESCRIPTION_FILE, REPORT_FILE, PICTURE_FILE, PROOF_FILE, README_FILE))
EXTRA = "deliver"
_LIBRARIES = ("onnx", "onnxruntime", "matplotlib")
_COMPARED_ROWS = 1_000
_ROWS_AT_ONCE = 16  # of a large network on large images, a hundred take gigabytes


class HeldOut(NamedTuple):
    """The client's own test rows, discretised; their labels, and the classes that exact evaluation predicts."""

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
    names = bundle.description.manifest.data.class_names
    if len(names) > MOST_DRAWN:
        remarks.append(f"no {PICTURE_FILE}: {len(names)} classes are too many to draw; {REPORT_FILE} has them all")
    else:
        counts = confusion(test.labels, test.predictions, len(names))
        picture = _if_installed(PICTURE_FILE, lambda: confusion_picture(names, counts), remarks)
        files |= {} if picture is None else {PICTURE_FILE: picture}
    files[REPORT_FILE] = report(bundle, test.labels, test.predictions, has_picture=PICTURE_FILE in files)
    files[README_FILE] = readme(bundle, files)
    return Delivery(bundle, files, remarks)


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

    from dataclient.delivery.onnx_file import CLASS, FEATURES, onnx_file

    content = onnx_file(bundle)
    data = bundle.description.manifest.data
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    rows, same = min(len(test.x), _COMPARED_ROWS), 0
    for start in range(0, rows, _ROWS_AT_ONCE):
        some = slice(start, min(start + _ROWS_AT_ONCE, rows))
        [classes] = session.run([CLASS], {FEATURES: undiscretised(test.x[some], data.discretisation)})
        same += sum(found == data.class_names[i] for found, i in zip(classes, test.predictions[some], strict=True))
    remarks.append(f"{ONNX_FILE} gives the class that predict gives on {same} of {rows} test rows")
    return content


def undiscretised(x: NDArray[np.uint8], discretisation: Discretisation) -> NDArray[np.float64]:
    """Values [n, *shape] in the client's units that discretise to these integers."""
    low, high = np.asarray(discretisation.minimum), np.asarray(discretisation.maximum)
    flat = x.reshape(len(x), -1).astype(np.float64)
    levels = (1 << discretisation.bits) - 1
    values: NDArray[np.float64] = (low + flat / levels * (high - low)).reshape(x.shape)
    return values
