"""The command `doctor`: its options, and its findings for people and for programs."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from pole.node import logs
from pole.node.cli import notify_options, rpc_option
from pole.node.doctor.account import ROLES
from pole.node.doctor.check import Check, Verdict
from pole.node.doctor.examine import Examination, examine
from pole.node.passwords import PASSWORD_VARIABLE
from pole.node.terminal import fold, longest_word
from pole.settings import variable

_STYLES = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.PROBLEM: "bold red"}
_VERDICT_WIDTH, _NAME_WIDTH, _NARROW, _GAP = 9, 14, 60, 2


def _notify_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(notify_options()):
        command = option(command)
    return command


@click.command()
@click.option("--role", type=click.Choice([*ROLES, "all"]), default="all", show_default=True, help="Check for this.")
@rpc_option()
@click.option(
    "--deployment",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Deployment file.  [default: deployments/<chain id>.json]",
)
@click.option(
    "--store", envvar=variable("store"), default="~/.pole/store", show_default=True, help="Folder or IPFS daemon."
)
@click.option("--home", type=click.Path(path_type=Path), help="The role's folder.  [default: ~/.pole/ROLE]")
@click.option("--account", help="ape account alias, or path of a key file; it is not decrypted.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    help=f"File with the account's password.  [default: ${PASSWORD_VARIABLE}, else asked for by the role]",
)
@_notify_options
@click.option("--test-notify", "is_told", is_flag=True, help="Send a test message to each address of --notify.")
@click.option("--json", "is_json", is_flag=True, help="One JSON list, for programs.")
def doctor(*, role: str, account: str | None, is_json: bool, **given: object) -> None:
    """Say what is missing or wrong on this machine and for an account, and what mends it.

    Nothing is made or changed, only --test-notify sends anything, and no password is asked for. Exit status 1 if
    anything is a problem.
    """
    logs.configure(level="error")
    roles = tuple(ROLES) if role == "all" else (role,)
    checks = examine(Examination(roles=roles, account=account, **given))  # type: ignore[arg-type]
    found = list(checks if is_json else _shown(checks))
    if is_json:
        click.echo(json.dumps([asdict(check) for check in found], indent=1))
    problems = sum(check.verdict is Verdict.PROBLEM for check in found)
    if problems:
        raise click.ClickException("1 problem" if problems == 1 else f"{problems} problems")


def _shown(checks: Iterable[Check]) -> Iterator[Check]:
    """Each check as soon as it is done; unwrapped lines where nobody sees them."""
    console = Console(highlight=False)
    for check in checks:
        if console.is_terminal:
            print_row(console, check)
        else:
            click.echo(f"{check.verdict:<{_VERDICT_WIDTH}}{check.name:<{_NAME_WIDTH}}{check.text}")
            if check.remedy:
                click.echo(f"{'':<{_VERDICT_WIDTH + _NAME_WIDTH}}-> {check.remedy}")
        yield check


def print_row(console: Console, check: Check) -> None:
    """One row of the table; where the terminal is too narrow, what was found stands below the name."""
    verdict, name = Text(check.verdict, style=_STYLES[check.verdict]), Text(check.name, style="bold")
    beside = console.width - _VERDICT_WIDTH - _NAME_WIDTH
    is_narrow = console.width < _NARROW or longest_word(f"{check.text} {check.remedy}") > beside
    indent = _GAP if is_narrow else _VERDICT_WIDTH + _NAME_WIDTH
    lines = [Text(line) for line in fold(check.text, console.width - indent)]
    lines += [Text(line, style="cyan") for line in fold(f"-> {check.remedy}", console.width - indent) if check.remedy]
    verdict.pad_right(_VERDICT_WIDTH - len(verdict))
    name.pad_right(_NAME_WIDTH - len(name))
    head = Text.assemble(verdict, name) if is_narrow else Text.assemble(verdict, name, lines.pop(0))
    for line in (head, *(Text.assemble(" " * indent, line) for line in lines)):
        line.rstrip()
        console.print(line, no_wrap=True)
