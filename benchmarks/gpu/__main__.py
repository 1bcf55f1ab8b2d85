"""`python -m benchmarks.gpu`: what has to be run on a GPU, part after part; writes docs/gpu.md.

Every part is a process of its own that may take 8 minutes. Its result is a file, so that a run that was stopped goes on
with the next part; a part that failed is tried again. `--toy` is a run in minutes on a CPU.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.bare import lend_packages

lend_packages()
from benchmarks.gpu import checks, networks  # noqa: E402
from benchmarks.gpu.part import Bench, Part  # noqa: E402
from benchmarks.gpu.report import report  # noqa: E402
from pole.gradient.network import prepare_torch  # noqa: E402

LIMIT_S = 480
BUDGET_S = 360
VGG_PARTS = 4

PARTS = [
    Part("machine", "what this ran on", "", checks.machine),
    Part("encryption-equality", "the encryption backend against the reference", "equal", checks.encryption_equality),
    Part("encryption-speed", "MNIST rows, 32 vectors", "under 1 s", checks.encryption_speed),
    Part("exact-hashes", "exact evaluation on the device", "the processor's hash", checks.exact_hashes),
    Part("gradient-loop", "the fused mining loop", "1.03 of bare PyTorch", checks.gradient_loop),
    Part("verification", "blocks across devices", "all accepted", checks.verification),
    Part("resnet18", "ResNet-18 as in the second paper", "replayed", networks.resnet18),
    *(
        Part(f"vgg16-{name}-{number}", f"VGG-16 on {title}, part {number}", "", networks.vgg16(name))
        for name, title in (("mnist", "MNIST"), ("cifar10", "CIFAR-10"))
        for number in range(1, VGG_PARTS + 1)
    ),
]

# They go on with what the first has begun: nothing that a toy run has to see.
LATER = {f"vgg16-{name}-{number}" for name in ("mnist", "cifar10") for number in range(2, VGG_PARTS + 1)}


def main() -> int:
    """0 if every part that was run is well."""
    options = _parser().parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    if options.one:
        _run_one(options)
        return 0
    parts = [part for part in PARTS if not options.toy or part.name not in LATER]
    for part in parts:
        found = _read(options.results / f"{part.name}.json")
        if found is None or "failed" in found:
            print(f"{part.name}: {_run_apart(part, options)}", flush=True)
    found_of = {part.name: _read(options.results / f"{part.name}.json") for part in parts}
    options.page.write_text(report(parts, found_of, options.toy))
    return int(any("failed" in (found or {}) for found in found_of.values()))


def _run_apart(part: Part, options: argparse.Namespace) -> str:
    """In a process that is stopped after the limit; says how it ended."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--one", part.name, "--results", str(options.results)]
    command += ["--data", str(options.data), "--device", options.device, *(["--toy"] if options.toy else [])]
    environment = os.environ | {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    started = time.monotonic()
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_S)
        said = done.stderr.strip().splitlines()
        failed = "" if done.returncode == 0 else (said[-1] if said else f"exit status {done.returncode}")
    except subprocess.TimeoutExpired:
        failed = f"did not end within {LIMIT_S} s"
    if failed:
        _write(options.results / f"{part.name}.json", {"failed": failed})
    return failed or f"done in {time.monotonic() - started:.0f} s"


def _run_one(options: argparse.Namespace) -> None:
    has_gpu = torch.cuda.is_available()
    device = torch.device(("cuda" if has_gpu else "cpu") if options.device == "auto" else options.device)
    prepare_torch(device, threads=1 if options.toy else None)
    torch.use_deterministic_algorithms("vgg16" not in options.one)
    [part] = [part for part in PARTS if part.name == options.one]
    rows = part.run(Bench(device, options.toy, options.data, options.results, BUDGET_S))
    _write(options.results / f"{part.name}.json", {"rows": rows, "device": device.type})


def _read(path: Path) -> dict[str, Any] | None:
    found: dict[str, Any] | None = json.loads(path.read_text()) if path.exists() else None
    return found


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.gpu", description=__doc__)
    parser.add_argument("--toy", action="store_true", help="sizes for a CPU, random pictures")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--data", type=Path, default=Path("gpu-kit/data"), help="pictures, from `make gpu-kit`")
    parser.add_argument("--results", type=Path, default=Path("gpu-results"), help="one file per part")
    parser.add_argument("--page", type=Path, default=Path("docs/gpu.md"), help="what to write in the end")
    parser.add_argument("--one", choices=[part.name for part in PARTS], help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
