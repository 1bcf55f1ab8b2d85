"""Run the tests as other machines would: `python -m tools.test_variants [NAME...]`, all variants without names.

Processors add up in different orders, with different instructions and numbers of threads; test runners take different
orders; other work takes the cores. No test may depend on any of it. Prints a row per variant with what passed and
failed, and exits with 1 if anything failed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

from tools.contracts_copy import ROOT

TIMEOUT_S = 3600
EVERYTHING = ("tests/unit",)
COMPUTING = tuple(
    f"tests/unit/{name}"
    for name in (
        *("experiments", "miner", "verifier", "dataclient"),
        *("pole/exact", "pole/task", "pole/learning", "pole/gradient", "pole/encryption"),
    )
)
"""Where sums of floats, kernels and processes are; the others count in integers."""


@dataclass(frozen=True)
class Variant:
    """An environment and options for pytest. `copies`: how many suites run at once."""

    environment: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    copies: int = 1


def shuffled(seed: int) -> Variant:
    return Variant(options=("-p", "randomly", f"--randomly-seed={seed}"))


VARIANTS = {
    "plain": Variant(),
    "torch-default": Variant({"ATEN_CPU_CAPABILITY": "default"}),
    "torch-avx2": Variant({"ATEN_CPU_CAPABILITY": "avx2"}),
    "openblas-haswell": Variant({"OPENBLAS_CORETYPE": "Haswell"}),
    "openblas-skylakex": Variant({"OPENBLAS_CORETYPE": "SkylakeX"}),
    "no-ifma": Variant({"POLE_NO_IFMA": "1"}),
    "two-threads": Variant({"OMP_NUM_THREADS": "2"}),
    "seed-1": shuffled(1),
    "seed-2": shuffled(2),
    "seed-3": shuffled(3),
    "crowded": Variant(copies=2),
}


@dataclass(frozen=True)
class Count:
    """Of one variant's tests, all copies together."""

    passed: int
    failed: int
    skipped: int

    def __add__(self, other: "Count") -> "Count":
        return Count(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)


def chosen(commit: str) -> str:
    """The variant of a commit, by its hash: each comes up as often."""
    return list(VARIANTS)[int(commit, 16) % len(VARIANTS)]


def command(variant: Variant, paths: tuple[str, ...]) -> list[str]:
    """Not the tests that `make test-full` alone runs."""
    return ["pytest", "-p", "no:ape_test", "-n", "2", "--dist", "worksteal", "-m", "not full", *variant.options, *paths]


def run(variant: Variant, paths: tuple[str, ...]) -> Count:
    """Run the tests; what failed goes to stderr. A run that ends without results counts as one failure."""
    with tempfile.TemporaryDirectory(prefix="variant-") as folder:
        files = [Path(folder) / f"{number}.xml" for number in range(variant.copies)]
        running = [
            subprocess.Popen(
                [*command(variant, paths), f"--junitxml={file}"],
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1", **variant.environment},
                stdout=sys.stderr,
            )
            for file in files
        ]
        for process in running:
            process.wait(TIMEOUT_S)
        return sum(
            (count(file, process.returncode) for file, process in zip(files, running, strict=True)), Count(0, 0, 0)
        )


def count(file: Path, status: int) -> Count:
    """What pytest's report says."""
    if not file.is_file():
        return Count(0, 1, 0)
    [suite] = ElementTree.parse(file).getroot().iter("testsuite")  # noqa: S314  # of a process of our own
    total, failed, errors, skipped = (int(suite.attrib[key]) for key in ("tests", "failures", "errors", "skipped"))
    bad = failed + errors
    return Count(total - bad - skipped, bad or int(status != 0), skipped)


def shown(variant: Variant, paths: tuple[str, ...]) -> str:
    """The command as one would type it."""
    settings = [f"{name}={value}" for name, value in ({"OMP_NUM_THREADS": "1"} | variant.environment).items()]
    line = " ".join([*settings, *(f"'{word}'" if " " in word else word for word in command(variant, paths))])
    return line if variant.copies == 1 else f"{line}, {variant.copies} times at once"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.test_variants", description=str(__doc__))
    parser.add_argument("names", nargs="*", help=f"variants, or all: {', '.join(VARIANTS)}")
    parser.add_argument("--whole", action="store_true", help="all unit tests, not only those that compute")
    parser.add_argument("--commit", help="the one variant that this hash stands for")
    given = parser.parse_args(arguments)
    names = [chosen(given.commit)] if given.commit else [name for name in given.names if name != "all"]
    if unknown := set(names) - set(VARIANTS):
        parser.error(f"no such variant: {', '.join(sorted(unknown))}")
    paths, counts = EVERYTHING if given.whole else COMPUTING, {}
    for name in names or list(VARIANTS):
        print(f"{name}: {shown(VARIANTS[name], paths)}", flush=True)
        counts[name] = run(VARIANTS[name], paths)
        print(f"{name}: {counts[name]}", flush=True)
    print("\n| variant | passed | failed | skipped |\n| --- | ---: | ---: | ---: |")
    for name, found in counts.items():
        print(f"| {name} | {found.passed} | {found.failed} | {found.skipped} |")
    return int(any(found.failed for found in counts.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
