"""Commands that every role has."""

import json
from pathlib import Path

import click

from pole.money import wei_to_ether
from pole.node.alive import is_alive
from pole.node.cli import role_options
from pole.node.context import RoleContext
from pole.node.loop import STATUS_FILE


class RunByDefault(click.Group):
    """A role's command line: what begins with an option of the role's, and not with a command, is `run`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in self.get_help_option_names(ctx):
            args = ["run", *args]
        return super().parse_args(ctx, args)


def withdraw_command(role: str) -> click.Command:
    """The role's `withdraw`."""

    @click.command("withdraw")
    @role_options(role, is_exclusive=False)
    @click.option("--to", "recipient", help="Address to send to.  [default: the account itself]")
    def withdraw(context: RoleContext, *, recipient: str | None) -> None:
        """Turn the account's credit in the reservoir into ether."""
        to, credit_wei = recipient or context.address, context.contracts.reward_reservoir.credit_wei(context.address)
        if credit_wei == 0:
            click.echo("there is nothing to withdraw")
            return
        key = f"withdraw/{context.chain.block_number()}"
        context.contracts.reward_reservoir.withdraw(to, key=key)
        click.echo(f"sent {wei_to_ether(credit_wei)} ether to {to}")

    return withdraw


def last_status(home: Path) -> str:
    """What the role's process last said of itself, for people who ask."""
    try:
        status = json.loads((home / STATUS_FILE).read_text())
        state, pid = status["state"], status["pid"]
    except PermissionError:
        return f"cannot be told: {home / STATUS_FILE} is another user's"
    except (OSError, ValueError, LookupError, TypeError):
        return "has not run from this --home yet"
    said = f", waiting for {status['what']}; then it will {status['then']}" if status.get("what") else ""
    if state != "stopped" and not is_alive(pid, status.get("process")):
        return f"not running (last said: {state}{said})"
    return f"{state}{said} (process {pid})"
