"""`pole`: one command for all roles, for accounts and for this machine. Also `python -m pole`."""

import importlib
import sys

import click
from click.shell_completion import get_completion_class

from pole import __version__
from pole.errors import BadInput
from pole.node.exit import exit_code

# By name, so that only what is asked for is imported: `pole --version` must not wait for what trains.
_COMMANDS = {
    "account": ("pole.node.account_commands:account", "Key files for people who do not use ape."),
    "backup": ("pole.node.backup_commands:backup", "Write a role's home into one file, also while the role runs."),
    "client": ("dataclient.__main__:cli", "Commission models, serve the tasks, collect and use what was trained."),
    "doctor": ("pole.node.doctor.command:doctor", "Say what is missing or wrong here, and what mends it."),
    "explorer": ("explorer.__main__:cli", "Watch the market in a browser, and see what proves each figure."),
    "miner": ("miner.__main__:cli", "Train the models that others commission, and earn their rewards."),
    "restore": ("pole.node.backup_commands:restore", "Make a home again from a backup."),
    "verifier": ("verifier.__main__:cli", "Evaluate what miners reveal, vote on it, and earn fees."),
}


class _Roles(click.Group):
    """Commands that are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*_COMMANDS, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return super().get_command(ctx, name)
        module, _, attribute = _COMMANDS[name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing them."""
        own = {name: command.get_short_help_str(80) for name, command in self.commands.items()}
        said = {name: text for name, (_, text) in _COMMANDS.items()} | own
        with formatter.section("Commands"):
            formatter.write_dl(sorted(said.items()))


@click.group(cls=_Roles)
@click.version_option(__version__, prog_name="pole")
def cli() -> None:
    """Useful proof of work: miners train the neural network that somebody pays for."""


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes SHELL complete this command: eval "$(pole completion bash)" in ~/.bashrc."""
    kind = get_completion_class(shell)
    if kind is None:
        raise BadInput(f"there is no completion for {shell}; use bash, zsh or fish")
    click.echo(kind(cli, {}, "pole", "_POLE_COMPLETE").source())


def main() -> None:
    """The entry point of the installed command."""
    sys.exit(exit_code(cli))


if __name__ == "__main__":
    main()
