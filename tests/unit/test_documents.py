"""docs/invariants.md and docs/threat-model.md name only tests that exist."""

import re

from tests.paths import ROOT

NAMED = re.compile(r"`((?:test|testFuzz|invariant)_\w+|afterInvariant)`")
DEFINED = re.compile(r"(?:def|function) ((?:test|testFuzz|invariant)_\w+|afterInvariant)\b")


def defined_tests() -> set[str]:
    sources = [*(ROOT / "tests/invariants").glob("*.t.sol"), *(ROOT / "tests/contracts").rglob("test_*.py")]
    return {name for source in sources for name in DEFINED.findall(source.read_text())}


def test_document__every_test_it_names__exists() -> None:
    named = set(NAMED.findall((ROOT / "docs/invariants.md").read_text()))
    assert len(named) > 20
    assert named - defined_tests() == set()


def test_threat_model__every_test_it_names__exists() -> None:
    named = set(NAMED.findall((ROOT / "docs/threat-model.md").read_text()))
    defined = {name for source in (ROOT / "tests").rglob("*.py") for name in DEFINED.findall(source.read_text())}
    assert len(named) > 20
    assert named - defined - defined_tests() == set()


def test_document__every_invariant_test__is_named() -> None:
    named = set(NAMED.findall((ROOT / "docs/invariants.md").read_text()))
    invariants = {name for name in defined_tests() if name.startswith("invariant_")}
    assert invariants - named == set()
