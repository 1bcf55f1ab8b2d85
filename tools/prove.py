"""Prove properties of the pure libraries with halmos, then break the libraries and check that the proofs fail.

`make formal`. The properties and their bounds are in tests/formal.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tools.contracts_copy import FORGE, copy_contracts, mutate

TIMEOUT_S = 600
# The longest loops: three votes of a majority, six distances of the reward.
LOOP = "7"
LIBRARIES = ("OmmerRewards.sol", "Majority.sol")


@dataclass(frozen=True)
class Break:
    """A library's line changed, and the proof that must fail then."""

    library: str
    line: str
    mutant: str
    proof: str


BREAKS = (
    Break(
        "OmmerRewards.sol",
        "return Math.min(uncapped, winnerReward);",
        "return uncapped;",
        "check_fraction__is_at_most_the_winners",
    ),
    Break("Majority.sol", "return support * 2 > total;", "return support * 2 >= total;", "check_majority__of_two"),
    Break(
        "Majority.sol",
        "if (weight > lead) return (value, weight - lead);",
        "if (weight > lead) return (value, weight);",
        "check_step__keeps_the_margin",
    ),
)


def prove(broken: Break | None = None) -> tuple[int, str]:
    """Build a copy, broken or not, and run halmos on it; returns its status and output."""
    with tempfile.TemporaryDirectory(prefix="formal-") as folder:
        project = Path(folder)
        copy_contracts(project, ["formal"])
        _keep_only_libraries(project)
        if broken is not None:
            mutate(project, f"libraries/{broken.library}", broken.line, broken.mutant)
        built = _run([FORGE, "build", "--ast", "--root", folder], project)
        if built.returncode:
            return built.returncode, built.stdout + built.stderr
        wanted = "(check_)" if broken is None else broken.proof
        command = ["halmos", "--root", folder, "--forge-build-out", ".build/forge", "--loop", LOOP, "--function"]
        done = _run([*command, wanted], project)
        return done.returncode, done.stdout + done.stderr


def _keep_only_libraries(project: Path) -> None:
    """What is proved needs no other contract, and compiles in a second without them."""
    for path in (project / "contracts").iterdir():
        if path.name != "libraries":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in (project / "contracts" / "libraries").iterdir():
        if path.name not in LIBRARIES:
            path.unlink()


def _run(command: list[str], project: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"FOUNDRY_TEST": "tests/formal", "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1"}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S)


def main() -> int:
    status, output = prove()
    print("\n".join(line for line in output.splitlines() if "PASS" in line or "Symbolic" in line))
    if status:
        print(output, file=sys.stderr)
        return 1
    failures = 0
    for broken in BREAKS:
        status, output = prove(broken)
        is_caught = status != 0 and "[FAIL]" in output and "Counterexample" in output
        print(f"{'caught' if is_caught else 'MISSED'}: {broken.line} -> {broken.mutant} ({broken.library})")
        if not is_caught:
            print(output, file=sys.stderr)
            failures += 1
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
