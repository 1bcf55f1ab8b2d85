"""`make exact`: one hash of all logits of a model, on whatever it is computed; float32 beside it.

Trains small models, then evaluates them in processes of their own over instruction sets, BLAS kernels, numbers of
threads, chunks of rows, back ends and versions of Python. Exits with 1 if a model's exact logits are not one value. A
setting that this machine does not have (AVX-512, a GPU, another Python's environment) is left out, and said so.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from torch import nn

from pole.task.layers import AnyModel, GraphModel, TorchvisionModel
from pole.task.model import build_model
from pole.task.weights import save_model
from tools.contracts_copy import ROOT

CHUNKS = (1, 7, 256)
CLASSES = 10
TIMEOUT_S = 600
SHOWN_DIGITS = 12

Hashes = dict[str, dict[str, list[str]]]
"""By model, by kind of evaluation: a hash for each chunk size."""


@dataclass(frozen=True)
class Sample:
    """A model to train on so many of scikit-learn's digits."""

    name: str
    model: AnyModel
    shape: tuple[int, ...]
    rows: int = 500
    epochs: int = 8


@dataclass(frozen=True)
class Setting:
    """Where a child computes. `missing`: why it cannot here."""

    name: str
    backend: str = "torch"
    environment: dict[str, str] = field(default_factory=dict)
    threads: int = 1
    python: Path = Path(sys.executable)
    missing: str = ""


def samples() -> list[Sample]:
    relu, flatten, last = {"type": "relu"}, {"type": "flatten"}, {"type": "linear", "size": CLASSES}
    image = (1, 8, 8)
    convolution = {"type": "conv2d", "kernel": 3, "padding": 1}
    silu = ({"type": "batch_norm"}, {"type": "silu"})
    return [
        Sample(
            "mlp", _graph({"type": "linear", "size": 256}, relu, {"type": "linear", "size": 128}, relu, last), (64,)
        ),
        Sample(
            "cnn",
            _graph(
                *({**convolution, "channels": 16}, *silu, {"type": "max_pool", "kernel": 2, "stride": 2}),
                *({**convolution, "channels": 64}, *silu, {"type": "average_pool", "kernel": 2, "stride": 2}),
                *({**convolution, "channels": 32}, {"type": "relu"}, flatten, last),
            ),
            image,
        ),
        Sample(
            "norms",
            _graph(
                *({"type": "linear", "size": 96}, {"type": "layer_norm"}, {"type": "gelu"}),
                *({"type": "linear", "size": 96}, {"type": "tanh"}, {"type": "linear", "size": 64}),
                *({"type": "sigmoid"}, last),
            ),
            (64,),
        ),
        Sample("resnet18", TorchvisionModel(architecture="resnet18", stem="cifar"), image, rows=30, epochs=2),
    ]


def _graph(*layers: dict[str, Any]) -> GraphModel:
    named = [{"name": f"l{index}", **layer} for index, layer in enumerate(layers)]
    return GraphModel.model_validate({"layers": named})


def settings() -> list[Setting]:
    """All of them, those that this machine lacks as well."""
    no_avx512 = "" if "avx512f" in Path("/proc/cpuinfo").read_text() else "the processor has no AVX-512"
    return [
        Setting("torch"),
        Setting("torch, 2 threads", threads=2),
        Setting("torch, ATen without AVX", environment={"ATEN_CPU_CAPABILITY": "default"}),
        Setting("torch, ATen AVX2, 2 threads", environment={"ATEN_CPU_CAPABILITY": "avx2"}, threads=2),
        Setting("torch, MKL SSE4.2", environment={"MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}),
        Setting(
            "torch, all AVX2",
            environment={
                **{"MKL_ENABLE_INSTRUCTIONS": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
                **{"ONEDNN_MAX_CPU_ISA": "AVX2"},
            },
        ),
        Setting("torch, CUDA", "cuda", missing="" if torch.cuda.is_available() else "no GPU"),
        Setting("numpy", "numpy"),
        Setting("numpy, 2 threads", "numpy", threads=2),
        Setting("numpy, OpenBLAS Prescott", "numpy", {"OPENBLAS_CORETYPE": "Prescott"}),
        Setting("numpy, OpenBLAS Haswell", "numpy", {"OPENBLAS_CORETYPE": "Haswell"}),
        Setting("numpy, OpenBLAS SkylakeX", "numpy", {"OPENBLAS_CORETYPE": "SkylakeX"}, missing=no_avx512),
        *(_other_python(version) for version in ("3.12", "3.13")),
    ]


def _other_python(version: str) -> Setting:
    python = ROOT / f".venv-{version}" / "bin" / "python"
    missing = "" if python.exists() else f"no .venv-{version}; `make test-python-{version}` makes one"
    return Setting(f"numpy, Python {version}", "numpy", python=python, missing=missing)


# --- models ----------------------------------------------------------------------------------------------------------


def write_trained(sample: Sample, folder: Path) -> None:
    """Trains the model and writes what tools.exact_hashes reads. A fixed seed, but float32 trains unlike elsewhere."""
    torch.manual_seed(1)
    x, y = load_digits(return_X_y=True)
    rows = ((x - x.mean(0)) / np.maximum(x.std(0), 1.0)).astype(np.float32)[: sample.rows]
    rows = rows.reshape(-1, *sample.shape)
    model = build_model(sample.model, sample.shape, CLASSES)
    _train(model, rows, y[: sample.rows], sample.epochs)
    (folder / f"{sample.name}.safetensors").write_bytes(save_model(model))
    np.save(folder / f"{sample.name}.npy", rows)
    described = {"model": sample.model.model_dump(mode="json"), "shape": sample.shape, "classes": CLASSES}
    (folder / f"{sample.name}.json").write_text(json.dumps(described))


def _train(model: nn.Module, x: NDArray[np.float32], y: NDArray[np.int64], epochs: int) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    rows, labels = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(epochs):
        for batch in torch.split(torch.randperm(len(rows)), 25):
            if len(batch) > 1:
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(rows[batch]), labels[batch]).backward()  # type: ignore[no-untyped-call]
                optimizer.step()


# --- children --------------------------------------------------------------------------------------------------------


def hashes_under(setting: Setting, folder: Path) -> Hashes:
    """What a child of its own finds. Raises CalledProcessError, with what the child said on stderr, if it fails."""
    threads = str(setting.threads)
    named = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(named, threads), **setting.environment, "PYTHONPATH": str(ROOT)}
    command = [str(setting.python), "-m", "tools.exact_hashes", str(folder), setting.backend, *map(str, CHUNKS)]
    ran = subprocess.run(
        command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT_S
    )
    found: Hashes = json.loads(ran.stdout)
    return found


def values_of(found: Mapping[str, Hashes], model: str, kind: str) -> set[str]:
    """The different hashes of a model over all settings and chunks."""
    return {value for hashes in found.values() for value in hashes.get(model, {}).get(kind, [])}


def complaints(found: Mapping[str, Hashes], models: Iterable[str]) -> Iterator[str]:
    """What speaks against exactness: a model whose hashes are not one value, or that a setting did not evaluate."""
    for model in models:
        for setting, hashes in found.items():
            if not hashes.get(model, {}).get("exact"):
                yield f"{setting} yielded nothing for {model}"
        values = values_of(found, model, "exact")
        if len(values) > 1:
            yield f"the exact logits of {model} have {len(values)} values; one was expected"


def table_of(found: Mapping[str, Hashes], models: Sequence[str]) -> Table:
    """A line for each setting: the exact hash of each model, or how many there are, and float32's."""
    table = Table(title=f"SHA-256 of all logits, chunks of {', '.join(map(str, CHUNKS))} rows")
    table.add_column("setting")
    for model in models:
        table.add_column(f"{model}\nexact")
        table.add_column("\nfloat32")
    for setting, hashes in found.items():
        kinds = [hashes.get(model, {}) for model in models]
        table.add_row(setting, *(_shown(kind.get(which, [])) for kind in kinds for which in ("exact", "float32")))
    counts = [len(values_of(found, model, kind)) for model in models for kind in ("exact", "float32")]
    table.add_section()
    table.add_row("different values", *map(str, counts))
    return table


def _shown(hashes: Sequence[str]) -> str:
    values = set(hashes)
    return "" if not values else f"{len(values)} values" if len(values) > 1 else values.pop()[:SHOWN_DIGITS]


def main() -> None:
    console = Console(width=max(160, Console().width))
    models = [sample.name for sample in samples()]
    found: dict[str, Hashes] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for sample in samples():
            write_trained(sample, folder)
        for setting in settings():
            if setting.missing:
                console.print(f"left out: {setting.name} ({setting.missing})", style="yellow")
            else:
                started = time.monotonic()
                found[setting.name] = hashes_under(setting, folder)
                console.print(f"{setting.name}: {time.monotonic() - started:.0f} s")
    console.print(table_of(found, models))
    against = list(complaints(found, models))
    for complaint in against:
        console.print(complaint, style="red")
    sys.exit(1 if against else 0)


if __name__ == "__main__":
    main()
