"""Break the money paths in every small way and count what the tests notice: `python -m tools.mutants`.

All mutants are compiled once, side by side. Each is a choice that the compiled code makes by the block's coinbase,
which nothing else here reads: `a + b` becomes `(block.coinbase is 17 ? a - b : a + b)`. To try mutant 17 is then to run
the tests with that coinbase. Stages of tests follow one another, the quick ones first, until one fails.

Results are kept in `.build/mutants`, so that a run that was stopped goes on where it was. Other contracts begin anew;
after a change of the tests, what survived is tried again.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pole.errors import BadInput
from tools.contracts_copy import FORGE, ROOT, copy_contracts
from tools.mutant_operators import Mutant, instrument, mutants_of

FOLDER = ROOT / ".build" / "mutants"
RESULTS = "results.jsonl"
# What moves money, or decides who gets it.
MONEY_PATHS = (
    "RewardReservoir.sol",
    "RoundTreasury.sol",
    "RoundJudgement.sol",
    "LearningChain.sol",
    "RoundLedger.sol",
    "BlockLedger.sol",
    "TaskMarket.sol",
    "TaskList.sol",
    "VerifierStakes.sol",
    "BallotCount.sol",
    "VerifierCommittee.sol",
    "GradientMiners.sol",
    "GradientTasks.sol",
    "GradientChain.sol",
    "GradientRules.sol",
    "libraries/Settlements.sol",
    "libraries/Outcomes.sol",
    "libraries/Verdicts.sol",
    "libraries/Majority.sol",
    "libraries/Ranking.sol",
    "libraries/OmmerRewards.sol",
)
# By hand, then the campaign of fixed seeds, then the random ones.
STAGES = ("Test$", "^Campaign$", "Invariants$")
# Optimised code would take minutes to compile; the random campaigns are those of `make test`.
SETTINGS = {
    "FOUNDRY_OPTIMIZER": "false",
    "FOUNDRY_PROFILE": "quick",
    "FOUNDRY_INVARIANT_SHRINK_RUN_LIMIT": "0",
    "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1",
}
# A mutant that never ends is noticed as well.
STAGE_TIMEOUT_S = 300
BUILD_TIMEOUT_S = 1200


@dataclass(frozen=True)
class Result:
    """`caught_by`: the first test that failed; empty if none did."""

    mutant: Mutant
    caught_by: str


def build(paths: tuple[str, ...]) -> tuple[Path, list[Mutant]]:
    """Compile a copy of the contracts that holds all mutants of these files; return its folder and them."""
    folder = FOLDER / _digest(
        [*(ROOT / "contracts").rglob("*.sol"), Path(__file__).with_name("mutant_operators.py")], paths
    )
    project, listed, tests = folder / "project", folder / "mutants.json", folder / "tests"
    tested = _digest([*(ROOT / "tests" / "invariants").rglob("*.sol"), ROOT / "foundry.toml"])
    if tests.exists() and tests.read_text() == tested:
        return folder, [Mutant(**each) for each in json.loads(listed.read_text())]
    shutil.rmtree(project, ignore_errors=True)
    project.mkdir(parents=True)
    copy_contracts(project, ["invariants"])
    _forge(["build", "--ast", "--skip", "test"], project, BUILD_TIMEOUT_S)
    found = list(_find(project, paths))
    for path in {mutant.path for mutant in found}:
        source = project / "contracts" / path
        source.write_bytes(instrument(source.read_bytes(), [each for each in found if each.path == path]))
    # The choice reads the block, so nothing that holds one is pure.
    for source in [*(project / "contracts").rglob("*.sol"), *(project / "tests").rglob("*.sol")]:
        source.write_text(source.read_text().replace(" pure", " view"))
    _forge(["build"], project, BUILD_TIMEOUT_S)
    if noise := try_out(project, 0):
        raise BadInput(f"the tests fail without a mutant: {noise}")
    listed.write_text(json.dumps([vars(mutant) for mutant in found], indent=1))
    _forget_survivors(folder / RESULTS)
    tests.write_text(tested)
    return folder, found


def _forget_survivors(results: Path) -> None:
    """Other tests may catch them."""
    if results.exists():
        lines = results.read_text().splitlines(keepends=True)
        results.write_text("".join(line for line in lines if json.loads(line)["caught_by"]))


def _find(project: Path, paths: tuple[str, ...]) -> Iterator[Mutant]:
    number = 0
    for path in paths:
        name = Path(path).name
        source = (project / "contracts" / path).read_bytes()
        for mutant in mutants_of(path, source, _tree(project, name), number):
            number = mutant.number
            yield mutant


def _tree(project: Path, name: str) -> dict[str, Any]:
    """The syntax tree of a source, which each artifact of it holds."""
    for artifact in (project / ".build" / "forge" / name).glob("*.json"):
        tree: dict[str, Any] | None = json.loads(artifact.read_text()).get("ast")
        if tree is not None:
            return tree
    raise BadInput(f"forge wrote no syntax tree of {name}; is it a contract of this project?")


def _digest(sources: Iterable[Path], others: Iterable[str] = ()) -> str:
    digest = hashlib.sha256("\n".join(others).encode())
    for source in sorted(sources):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _forge(arguments: list[str], project: Path, timeout_s: int) -> str:
    # A failure that forge wrote down for one mutant must not be tried on another.
    with tempfile.TemporaryDirectory(prefix="mutants-") as failures:
        kinds = ("FOUNDRY_FUZZ_FAILURE_PERSIST_DIR", "FOUNDRY_INVARIANT_FAILURE_PERSIST_DIR")
        done = subprocess.run(
            [FORGE, *arguments, "--root", str(project)],
            env=os.environ | SETTINGS | dict.fromkeys(kinds, failures),
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
    if done.returncode:
        raise BadInput(f"forge {' '.join(arguments)} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def try_out(project: Path, number: int) -> str:
    """The first test that fails with this mutant; empty if all pass. 0 is no mutant."""
    for stage in STAGES:
        command = ["test", "--match-contract", stage, "--fail-fast", "--block-coinbase", f"{number:#042x}"]
        try:
            _forge(command, project, STAGE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return f"{stage}: does not end"
        except BadInput as failed:
            lines = [line for line in str(failed).splitlines() if line.startswith("[FAIL")]
            if not lines:
                raise
            return f"{stage}: {lines[0][:160]}"
    return ""


def run(folder: Path, chosen: list[Mutant], jobs: int) -> list[Result]:
    """Try each mutant that has no result yet, and write each result down at once."""
    kept = folder / RESULTS
    known = {}
    if kept.exists():
        known = {each["number"]: each["caught_by"] for each in map(json.loads, kept.read_text().splitlines())}
    left = [mutant for mutant in chosen if mutant.number not in known]
    with ThreadPoolExecutor(jobs) as pool, kept.open("a") as out:
        numbers = [mutant.number for mutant in left]
        for mutant, caught_by in zip(left, pool.map(lambda n: try_out(folder / "project", n), numbers), strict=True):
            known[mutant.number] = caught_by
            print(json.dumps({"number": mutant.number, "caught_by": caught_by}), file=out, flush=True)
            print(f"{'caught' if caught_by else 'SURVIVED'}: {mutant}", flush=True)
    return [Result(mutant, known[mutant.number]) for mutant in chosen]


def report(results: list[Result], total: int) -> str:
    """A table by file, and every survivor."""
    tried, caught = Counter[str](), Counter[str]()
    for result in results:
        tried[result.mutant.path] += 1
        caught[result.mutant.path] += bool(result.caught_by)
    lines = [f"| {path} | {tried[path]} | {caught[path]} |" for path in tried]
    share = 100 * caught.total() / max(1, tried.total())
    lines += [f"| all ({total} mutants there are) | {tried.total()} | {caught.total()} ({share:.1f} %) |"]
    survivors = [f"survived: {result.mutant}" for result in results if not result.caught_by]
    return "\n".join(["| file | mutants tried | caught |", "| --- | ---: | ---: |", *lines, *survivors])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", help="of contracts; all money paths by default")
    parser.add_argument("--sample", type=int, default=400, help="mutants to try; 0: all (default 400)")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="tried side by side")
    parser.add_argument("--least", type=float, default=90.0, help="per cent that must be caught (default 90)")
    given = parser.parse_args()
    folder, found = build(tuple(given.paths) or MONEY_PATHS)
    order = random.Random(given.seed).sample(found, len(found))  # noqa: S311
    chosen = order[: given.sample or len(order)]
    print(f"{len(chosen)} of {len(found)} mutants", flush=True)
    results = run(folder, chosen, given.jobs)
    print(report(results, len(found)))
    return 0 if 100 * sum(bool(each.caught_by) for each in results) >= given.least * len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
