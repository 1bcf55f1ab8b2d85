"""The site holds every document, its reference says what the code says, and it builds without a warning."""

import re
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from pole import errors
from pole.__main__ import cli
from pole.chain.artifacts import artifact
from tests.paths import ROOT
from tools import site_pages

MKDOCS = ROOT / ".venv-site" / "bin" / "mkdocs"


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return site_pages.pages()


def nav_files(entry: Any) -> set[str]:
    if isinstance(entry, str):
        return {entry}
    return set().union(*(nav_files(each) for each in (entry.values() if isinstance(entry, dict) else entry)))


def test_navigation__has_every_document_once_and_no_other(pages: dict[str, str]) -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    listed = nav_files(settings["nav"])
    written = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    decisions = {name for name in written if re.match(r"adr/0\d+", name)}
    made = {f"reference/{name}" for name in pages}
    assert listed == (written - decisions) | made
    assert "plugins" not in settings


def test_commands_page__has_every_command_with_its_options(pages: dict[str, str]) -> None:
    def paths(command: click.Command, name: str) -> list[str]:
        with click.Context(command) as context:
            names = command.list_commands(context) if isinstance(command, click.Group) else []
            children = [(each, command.get_command(context, each)) for each in names]  # type: ignore[attr-defined]
        return [name, *(path for each, child in children if child for path in paths(child, f"{name} {each}"))]

    headings = re.findall(r"^## (.+)$", pages["cli.md"], re.MULTILINE)
    assert headings == paths(cli, "pole")
    assert {"pole client submit", "pole miner gradient run", "pole backup"} <= set(headings)
    assert "--max-fee-gwei" in pages["cli.md"]


def test_contracts_page__has_every_event_and_error_with_its_types(pages: dict[str, str]) -> None:
    page = pages["contracts.md"]
    assert "- `PhaseChanged(uint64 indexed roundId, Phase phase, uint40 deadline)`" in page
    for entry in artifact("LearningChain").abi:
        if entry["type"] in ("event", "error"):
            assert f"- `{entry['name']}(" in page


def test_errors_page__has_every_error_under_its_parent(pages: dict[str, str]) -> None:
    listed = re.findall(r"^ *- `(\w+)`", pages["errors.md"], re.MULTILINE)
    classes = [each for each in vars(errors).values() if isinstance(each, type)]
    defined = [each.__name__ for each in classes if each.__module__ == errors.__name__]
    assert sorted(listed) == sorted(defined)
    assert re.search(r"^    - `JournalError`.*\n        - `JournalFull`", pages["errors.md"], re.MULTILINE)


def test_metrics_page__names_all_that_operations_explains(pages: dict[str, str]) -> None:
    operations = (ROOT / "docs" / "operations.md").read_text()
    section = operations.partition("## Figures for Prometheus")[2].partition("\n## ")[0]
    explained = set(re.findall(r"`(pole_\w+)(?:\{[^}]*\})?`", section.partition("Round, phase and money")[0]))
    assert explained == set(re.findall(r"^\| `(pole_\w+)`", pages["metrics.md"], re.MULTILINE))


@pytest.mark.slow
def test_site__built_strictly__every_link_leads_somewhere(tmp_path: Path, pages: dict[str, str]) -> None:
    """MkDocs warns of pages, files and headings that are not there, and `--strict` makes that an error."""
    if not MKDOCS.exists():
        pytest.skip("MkDocs is not installed; `make site` does it")
    site_pages.main()
    command = [str(MKDOCS), "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "site" / "how-to" / "run-on-sepolia" / "index.html").exists()
