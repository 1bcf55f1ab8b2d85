"""Documents name only tests, files, modules and headings that exist."""

import re
from pathlib import Path

import pytest

from tests.paths import ROOT

NAMED = re.compile(r"`((?:test|testFuzz|invariant)_\w+|afterInvariant)`")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
OUR_PATH = re.compile(
    r"`((?:attacks|benchmarks|contracts|dataclient|docs|experiments|explorer|miner|pole|scripts|testbed|tests|tools|verifier)/"
    r"[\w./-]*)`"
)
MODULE = re.compile(r"python -m ([\w.]+)")
DEFINED = re.compile(r"(?:def|function) ((?:test|testFuzz|invariant)_\w+|afterInvariant)\b")


def defined_tests() -> set[str]:
    sources = [*(ROOT / "tests/invariants").glob("*.t.sol"), *(ROOT / "tests/contracts").rglob("test_*.py")]
    return {name for source in sources for name in DEFINED.findall(source.read_text())}


def documents() -> dict[Path, str]:
    """Every Markdown document, without its fenced blocks."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / ".github").rglob("*.md")]
    return {path: FENCED.sub("", path.read_text()) for path in found}


def anchor_of(heading: str) -> str:
    """As GitHub makes it: lower case, spaces to hyphens, everything else that is no word left out."""
    shown = re.sub(r"\[([^]]*)]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", shown).replace(" ", "-")


def problem_of(document: Path, file: str, anchor: str) -> str | None:
    target = (document.parent / file).resolve() if file else document
    if not target.exists():
        return f"{document.relative_to(ROOT)}: no file {file}"
    if anchor and anchor not in map(anchor_of, HEADING.findall(FENCED.sub("", target.read_text()))):
        return f"{document.relative_to(ROOT)}: no heading for {file}#{anchor}"
    return None


def is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


def test_documents__every_relative_link__leads_somewhere() -> None:
    links = [(path, *link) for path, text in documents().items() for link in LINK.findall(text)]
    assert len(links) > 100
    assert [problem for link in links if (problem := problem_of(*link))] == []


def test_documents__every_path_and_module_they_name__exists() -> None:
    texts = documents().values()
    paths = {path for text in texts for path in OUR_PATH.findall(text)}
    modules = {module for text in texts for module in MODULE.findall(text)}
    assert len(paths) > 50
    assert {path for path in paths if not (ROOT / path).exists()} == set()
    assert {module for module in modules if not is_module(module)} == set()


def test_decisions__every_record__has_status_and_date_and_is_in_the_index() -> None:
    index = (ROOT / "docs/adr/README.md").read_text()
    records = sorted((ROOT / "docs/adr").glob("0*.md"))
    assert len(records) > 15
    for record in records:
        text = record.read_text()
        assert re.match(r"# \d+\. .+\n\n\*\*Status:\*\* .+\. \*\*Date:\*\* \d{4}-\d\d-\d\d\.\n", text), record.name
        assert f"({record.name})" in index, record.name
        assert {"## Context", "## Decision", "## Consequences"} <= set(text.splitlines()), record.name


def test_document__every_test_it_names__exists() -> None:
    named = set(NAMED.findall((ROOT / "docs/invariants.md").read_text()))
    assert len(named) > 20
    assert named - defined_tests() == set()


@pytest.mark.parametrize("document", ["threat-model.md", "faults.md"])
def test_threat_model_and_faults__every_test_they_name__exists(document: str) -> None:
    named = set(NAMED.findall((ROOT / "docs" / document).read_text()))
    defined = {name for source in (ROOT / "tests").rglob("*.py") for name in DEFINED.findall(source.read_text())}
    assert len(named) > 20
    assert named - defined - defined_tests() == set()


def test_document__every_invariant_test__is_named() -> None:
    named = set(NAMED.findall((ROOT / "docs/invariants.md").read_text()))
    invariants = {name for name in defined_tests() if name.startswith("invariant_")}
    assert invariants - named == set()
