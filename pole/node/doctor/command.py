"""The command `doctor`: its options, and its findings for people and for programs."""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from pole.node import logs
from pole.node.cli import DEFAULT_RPC
from pole.node.doctor.account import ROLES
from pole.node.doctor.check import Check, Verdict
from pole.node.doctor.examine import Examination, examine
from pole.node.keyfile import PASSWORD_VARIABLE

_STYLES = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.PROBLEM: "bold red"}
_INDENT = 9


@click.command()
@click.option("--role", type=click.Choice([*ROLES, "all"]), default="all", show_default=True, help="Check for this.")
@click.option("--rpc", envvar="POLE_RPC", default=DEFAULT_RPC, show_default=True, help="Ethereum node (HTTP).")
@click.option(
    "--deployment",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Deployment file.  [default: deployments/<chain id>.json]",
)
@click.option("--store", envvar="POLE_STORE", default="~/.pole/store", show_default=True, help="Folder or IPFS daemon.")
@click.option("--home", type=click.Path(path_type=Path), help="The role's folder.  [default: ~/.pole/ROLE]")
@click.option("--account", help="ape account alias, or path of a key file; it is not decrypted.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    help=f"File with the account's password.  [default: ${PASSWORD_VARIABLE}, else asked for by the role]",
)
@click.option("--json", "is_json", is_flag=True, help="One JSON list, for programs.")
def doctor(*, role: str, account: str | None, is_json: bool, **given: object) -> None:
    """Say what is missing or wrong on this machine and for an account, and what mends it.

    Nothing is sent, made or changed, and no password is asked for. Exit status 1 if anything is a problem.
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
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    for check in checks:
        if console.is_terminal:
            _print_wrapped(console, check)
        else:
            click.echo(f"{check.verdict:<{_INDENT}}{check.name}: {check.text}")
            if check.remedy:
                click.echo(f"{'':<{_INDENT}}-> {check.remedy}")
        yield check


def _print_wrapped(console: Console, check: Check) -> None:
    """On a narrow terminal too: the verdict before the name, what was found and what mends it indented below."""
    head = Text(f"{check.verdict:<{_INDENT}}", style=_STYLES[check.verdict])
    head.append(check.name, style="bold")
    console.print(head)
    indent = (0, 0, 0, _INDENT if console.width >= 60 else 2)
    console.print(Padding(Text(check.text), indent))
    if check.remedy:
        console.print(Padding(Text(f"-> {check.remedy}", style="cyan"), indent))
