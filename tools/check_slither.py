"""Run slither on a copy of the contracts, since it cleans forge's outputs first: `make audit`.

Findings are answered where they are, with a `slither-disable` comment and the reason. What calls nobody back, our own
contracts, is marked where its address is kept (`@custom:security non-reentrant`). Four detectors are off:

- naming-convention: solhint checks names, and takes constants' style for immutables.
- timestamp: block time is the protocol's only clock; a validator's few seconds are within every window.
- incorrect-equality: it takes every field of a struct that holds a deadline for a time, and every balance of the
  reservoir for one that a stranger can raise, so that it finds comparisons of phases, kinds and counts. What it is for
  is checked here: no contract compares a time or a balance of ether for equality.
- uninitialized-local: those variables begin with the language's zero.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.contracts_copy import ROOT, copy_contracts

EXCLUDED = ("naming-convention", "timestamp", "incorrect-equality", "uninitialized-local")
_WHAT_MOVES = r"(block\.(timestamp|number)|\.balance)"
STRICT_EQUALITY = re.compile(rf"[!=]=\s*[\w.()]*{_WHAT_MOVES}\b|{_WHAT_MOVES}\s*[!=]=")
TIMEOUT_S = 600


def strict_equalities(folder: Path) -> list[str]:
    """Lines that compare a time, a block's number or a balance of ether for equality."""
    return [
        f"{path.name}:{number}: {line.strip()}"
        for path in sorted(folder.rglob("*.sol"))
        if "test" not in path.relative_to(folder).parts
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if STRICT_EQUALITY.search(line)
    ]


def main() -> int:
    if found := strict_equalities(ROOT / "contracts"):
        print("compared for equality, which is never sure:", *found, sep="\n", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="slither-") as folder:
        copy_contracts(Path(folder), [])
        (Path(folder) / "tests" / "invariants").mkdir(parents=True)
        command = ["slither", ".", "--compile-force-framework", "foundry", "--fail-pedantic"]
        command += ["--filter-paths", "node_modules|contracts/test/", "--exclude", ",".join(EXCLUDED)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S)
    output = done.stdout + done.stderr
    if done.returncode:
        print(output, file=sys.stderr)
    print(output.strip().splitlines()[-1])
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
