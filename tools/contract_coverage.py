"""Coverage of the contracts by both suites together: `make coverage-contracts`.

forge measures its own tests and says what counts as a line and as a branch; the ape tests run once more, on code
without the optimiser, in an EVM that records what it executes. Fails below the floors.
"""

import json
import os
import subprocess
import sys
import tempfile
from bisect import bisect_right
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.contracts_copy import FORGE, ROOT, copy_contracts
from tools.source_hits import Span, branches, compile_unoptimised, source_hits

LINES_FLOOR, BRANCHES_FLOOR = 0.98, 0.95
TIMEOUT_S = 1800
# Enough for the campaign's every step to occur; the invariants themselves are `make test-invariants`' business.
QUICK = {"FOUNDRY_INVARIANT_RUNS": "8", "FOUNDRY_INVARIANT_DEPTH": "300", "FOUNDRY_FUZZ_RUNS": "16"}


@dataclass
class FileCoverage:
    """Hits of each line, and of each branch by line, block and path."""

    lines: dict[int, int] = field(default_factory=dict)
    branches: dict[tuple[int, int, int], int] = field(default_factory=dict)


def read_lcov(text: str) -> dict[str, FileCoverage]:
    """Source: geninfo(1), "FILES"."""
    files: dict[str, FileCoverage] = defaultdict(FileCoverage)
    current = FileCoverage()
    for line in text.splitlines():
        tag, _, rest = line.partition(":")
        if tag == "SF":
            current = files[rest]
        elif tag == "DA":
            number, hits = rest.split(",")[:2]
            current.lines[int(number)] = int(hits)
        elif tag == "BRDA":
            number, block, path, hits = rest.split(",")
            current.branches[int(number), int(block), int(path)] = 0 if hits == "-" else int(hits)
    return {name: found for name, found in files.items() if _is_measured(name)}


def _is_measured(name: str) -> bool:
    return name.startswith("contracts/") and not name.startswith("contracts/test/")


def add_hits(found: FileCoverage, source: bytes, syntax: dict[str, Any], hits: set[Span]) -> None:
    """Count what the ape tests executed as well."""
    starts = [0] + [index + 1 for index, byte in enumerate(source) if byte == 0x0A]

    def line_of(place: int) -> int:
        return bisect_right(starts, place)

    for number in {line_of(start) for start, _end in hits}:
        if number in found.lines:
            found.lines[number] += 1
    for place, bodies in branches(syntax):
        for path, (first, last) in enumerate(bodies):
            if any(first <= start and end <= last for start, end in hits):
                for key in found.branches:
                    if key[0] == line_of(place) and key[2] == path:
                        found.branches[key] += 1


def forge_coverage(project: Path) -> dict[str, FileCoverage]:
    report = project / "lcov.info"
    command = [FORGE, "coverage", "--root", str(project), "--report", "lcov", "--report-file", str(report)]
    _run(command, project, QUICK)
    return read_lcov(report.read_text())


def ape_trace(project: Path) -> dict[str, list[int]]:
    """Run the ape tests on unoptimised code; gas is not measured, since it would mean nothing."""
    settings = (ROOT / "ape-config.yaml").read_text()
    (project / "ape-config.yaml").write_text(
        settings.replace("solidity:\n  version", "solidity:\n  optimize: false\n  version")
    )
    for name in ("pole", "scripts", "dataclient", "miner", "verifier", "pyproject.toml"):
        (project / name).symlink_to(ROOT / name)
    for name in ("unit", "vectors"):
        (project / "tests" / name).symlink_to(ROOT / "tests" / name)
    trace = project / "trace.json"
    extra = {"EVM_TRACE": str(trace), "PYTHONPATH": str(project)}
    command = ["ape", "test", "tests/contracts", "-p", "tools.evm_trace", "--ignore", "tests/contracts/test_gas.py"]
    _run(command, project, extra)
    executed: dict[str, list[int]] = json.loads(trace.read_text())
    return executed


def _run(command: list[str], project: Path, extra: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=project, env=os.environ | extra, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    if done.returncode:
        sys.exit(f"error: {' '.join(command)} failed:\n{(done.stdout + done.stderr)[-4000:]}")


def measure() -> dict[str, FileCoverage]:
    with tempfile.TemporaryDirectory(prefix="coverage-") as folder:
        project = Path(folder)
        copy_contracts(project, ["invariants", "contracts"])
        with ThreadPoolExecutor() as beside:  # each takes one core
            tracing = beside.submit(ape_trace, project)
            files = forge_coverage(project)
            compiled = compile_unoptimised(project)
        for name, hits in source_hits(compiled, tracing.result()).items():
            if name in files:
                add_hits(files[name], (project / name).read_bytes(), compiled["sources"][name]["ast"], hits)
    return files


def report(files: dict[str, FileCoverage]) -> int:
    """Print a line a file with what is missing; 1 below a floor."""
    totals = [0, 0, 0, 0]
    for name, found in sorted(files.items()):
        lines = [number for number, hits in found.lines.items() if not hits]
        missed = [key[0] for key, hits in found.branches.items() if not hits]
        counts = (
            len(found.lines),
            len(found.lines) - len(lines),
            len(found.branches),
            len(found.branches) - len(missed),
        )
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
        gaps = "".join(f"; {what} {values}" for what, values in (("lines", lines), ("branches", missed)) if values)
        print(f"{name}: lines {counts[1]}/{counts[0]}, branches {counts[3]}/{counts[2]}{gaps}")
    line_rate, branch_rate = totals[1] / totals[0], totals[3] / totals[2]
    print(f"all: {line_rate:.1%} of {totals[0]} lines, {branch_rate:.1%} of {totals[2]} branches")
    if line_rate < LINES_FLOOR or branch_rate < BRANCHES_FLOOR:
        print(f"error: below {LINES_FLOOR:.0%} of lines or {BRANCHES_FLOOR:.0%} of branches", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(report(measure()))
