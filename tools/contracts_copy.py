"""Copies of what forge compiles, so that tools can clean, mutate and build without touching the real build outputs."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from pole.errors import BadInput

ROOT = Path(__file__).resolve().parent.parent
FORGE = str(ROOT / "tools" / "bin" / "forge")


def copy_contracts(target: Path, tests: Iterable[str] = ()) -> None:
    """Copy the contracts, the settings and these folders of tests; link the tools."""
    shutil.copy(ROOT / "foundry.toml", target)
    shutil.copytree(ROOT / "contracts", target / "contracts")
    for name in tests:
        shutil.copytree(ROOT / "tests" / name, target / "tests" / name)
    for folder in ("node_modules", "tools"):
        (target / folder).symlink_to(ROOT / folder)


def mutate(target: Path, contract: str, line: str, mutant: str) -> None:
    """Replace `line`, which must occur exactly once, in a copy's contract."""
    path = target / "contracts" / contract
    source = path.read_text()
    if source.count(line) != 1:
        raise BadInput(f"{contract} must contain {line!r} once; bring the mutation up to date")
    path.write_text(source.replace(line, mutant))
