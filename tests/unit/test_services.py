"""The units of systemd start commands that exist, with options that exist, and hold no secret."""

import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from pole.__main__ import cli
from tests.paths import ROOT

UNITS = sorted((ROOT / "docs" / "systemd").glob("*.service"))


def command_line(unit: Path) -> list[str]:
    text = unit.read_text().replace("\\\n", " ")
    [line] = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    return shlex.split(line.removeprefix("ExecStart="))


def test_units__one_for_each_role_that_runs_on() -> None:
    assert [unit.stem for unit in UNITS] == ["pole-dataclient", "pole-miner", "pole-verifier"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_unit__command_and_options__exist(unit: Path) -> None:
    program, *words = command_line(unit)
    assert program == "/opt/pole/bin/pole"
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group):
        found = command.get_command(context, words.pop(0))
        assert found is not None
        command = found
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options
    assert "--log-json" in words


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_unit__needs_no_checkout_and_shows_no_secret(unit: Path) -> None:
    text = unit.read_text()
    assert "PYTHONPATH" not in text
    assert not [word for word in command_line(unit) if word.startswith(("--rpc", "--store", "http"))]
    assert "EnvironmentFile=/etc/pole/pole.env" in text
    assert "LogNamespace=pole" in text


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_unit__asked_of_systemd__no_complaint(unit: Path, tmp_path: Path) -> None:
    """With a program that is there: what systemd says of the rest is about the unit."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/pole/bin/pole", "/bin/true"))
    said = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    assert not [line for line in said.stderr.splitlines() if unit.stem in line]
