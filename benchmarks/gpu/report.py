"""docs/gpu.md, from the results of the parts."""

from collections.abc import Sequence
from typing import Any

from benchmarks.gpu.part import Part
from testbed.markdown import markdown_table

_HEAD = """# On a GPU

What needs a GPU to be seen, measured by one command in resumable parts of at most 8 minutes.

- `make gpu-kit GPU_KIT_ARGS="--data-dir DIR"` packs the folder `gpu-kit/`, under 60 MiB: this repository's Python, \
the packages that it needs besides, parts of MNIST and CIFAR-10.
- Carry it to a Linux machine with the same version of Python, torch, numba, numpy and safetensors. It needs no network.
- There, in the folder, `make gpu` runs every part that has no result yet, and writes this page.
- `make gpu GPU_ARGS=--toy` is the same at toy size, on a CPU too.
"""
_TOY = "**A toy run: every part of the kit runs; nothing is said about GPUs.** Code for GPUs stays experimental."
_CPU = "**Run on a CPU: nothing is said about GPUs.** Code for GPUs stays experimental."


def report(parts: Sequence[Part], found: dict[str, dict[str, Any] | None], is_toy: bool) -> str:
    """The page; parts that were not run are named as such."""
    devices = {each["device"] for each in found.values() if each and "device" in each}
    note = _TOY if is_toy else _CPU if "cuda" not in devices else ""
    rows = [row for part in parts for row in _rows(part, found[part.name])]
    table = markdown_table(("part", "what", "goal", "measured", "figure"), rows)
    return "\n".join(filter(None, (_HEAD, note and note + "\n", table))) + "\n"


def _rows(part: Part, result: dict[str, Any] | None) -> list[tuple[str, ...]]:
    head = (part.name, part.what, part.goal)
    if result is None:
        return [(*head, "not run", "")]
    if "failed" in result:
        return [(*head, "FAILED", str(result["failed"]).replace("|", r"\|"))]
    return [
        (*(head if index == 0 else ("", "", "")), what, figure) for index, (what, figure) in enumerate(result["rows"])
    ]
