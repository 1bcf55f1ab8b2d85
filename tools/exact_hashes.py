"""The child process of tools.exact_evidence: hashes of all logits of the models in a folder, as JSON on stdout.

`python -m tools.exact_hashes FOLDER BACKEND CHUNK...`: a back end is numpy (which imports no torch), torch or cuda; a
chunk is how many rows are evaluated at once. For each model the folder has NAME.json (model, shape, classes),
NAME.safetensors and NAME.npy (rows).
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from pole.task.layers import AnyModel

Logits = Callable[[Any, int], Any]


def main() -> None:
    folder, backend, *chunks = sys.argv[1:]
    found: dict[str, dict[str, list[str]]] = {}
    for path in sorted(Path(folder).glob("*.safetensors")):
        found[path.stem] = _hashes(path, backend, [int(chunk) for chunk in chunks])
    print(json.dumps(found))


def _hashes(path: Path, backend: str, chunks: Sequence[int]) -> dict[str, list[str]]:
    """By kind of evaluation (exact, float32), a hash for each chunk size."""
    rows = np.load(path.with_suffix(".npy"))
    described = json.loads(path.with_suffix(".json").read_text())
    spec: AnyModel = TypeAdapter[AnyModel](AnyModel).validate_python(described["model"])
    shape, classes = tuple(described["shape"]), int(described["classes"])
    kinds = _numpy(path, spec, shape, classes) if backend == "numpy" else _torch(path, spec, shape, classes, backend)
    return {kind: [_sha256(logits(rows, chunk)) for chunk in chunks] for kind, logits in kinds}


def _numpy(path: Path, spec: AnyModel, shape: tuple[int, ...], classes: int) -> Iterator[tuple[str, Logits]]:
    from pole.exact import plan_model, read_model

    yield "exact", read_model(path.read_bytes(), plan_model(spec, shape, classes)).logits


def _torch(
    path: Path, spec: AnyModel, shape: tuple[int, ...], classes: int, device: str
) -> Iterator[tuple[str, Logits]]:
    import torch

    from pole.exact.fast import prepare
    from pole.task.model import build_model
    from pole.task.weights import load_model

    device = "cpu" if device == "torch" else device
    model = build_model(spec, shape, classes)
    load_model(path.read_bytes(), model)
    model.to(device).eval()

    def float32(rows: Any, chunk: int) -> Any:
        with torch.inference_mode():
            parts = torch.split(torch.from_numpy(rows).to(device), chunk)
            return torch.cat([model(part).cpu() for part in parts]).numpy()

    yield "exact", prepare(model, device=device).logits
    yield "float32", float32


def _sha256(logits: Any) -> str:
    """Of the numbers little-endian, row-major, as docs/exact-evaluation.md has it."""
    return hashlib.sha256(logits.astype(logits.dtype.newbyteorder("<")).tobytes()).hexdigest()


if __name__ == "__main__":
    main()
