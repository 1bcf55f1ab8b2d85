"""`python -m <role>` with nothing but options is `run`."""

import click
import pytest
from click.testing import CliRunner

from pole.node.commands import RunByDefault


@click.group(cls=RunByDefault)
def role() -> None:
    pass


@role.command()
@click.option("--chain", default="learning")
def run(chain: str) -> None:
    click.echo(f"runs on {chain}")


@role.command()
def status() -> None:
    click.echo("is well")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--chain", "gradient"], "runs on gradient"),
        (["run", "--chain", "gradient"], "runs on gradient"),
        (["status"], "is well"),
    ],
)
def test_role__with_and_without_a_command__does_what_is_meant(arguments: list[str], said: str) -> None:
    assert CliRunner().invoke(role, arguments).output.strip() == said


def test_role__help__lists_the_commands() -> None:
    assert "status" in CliRunner().invoke(role, ["--help"]).output


def test_role__unknown_option__refused() -> None:
    assert CliRunner().invoke(role, ["--nonsense"]).exit_code == 2
