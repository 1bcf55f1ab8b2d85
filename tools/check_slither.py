"""Run slither on a copy of the contracts, since it cleans forge's outputs first: `make audit`.

Findings are answered where they are, with a `slither-disable` comment and the reason. Three detectors are off:
naming-convention (solhint checks names, and takes constants' style for immutables), timestamp (block time is the
protocol's only clock; a validator's few seconds are within every window) and uninitialized-local (those variables begin
with the language's zero).
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from tools.contracts_copy import copy_contracts

EXCLUDED = ("naming-convention", "timestamp", "uninitialized-local")
TIMEOUT_S = 600


def main() -> int:
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
