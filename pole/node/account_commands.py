"""`pole account`: key files for people who do not use ape."""

import getpass
import sys
from pathlib import Path

import click

from pole.errors import BadInput
from pole.node.keyfile import PASSWORD_VARIABLE, create_account, find_keyfile, load_account, read_keyfile, read_password

_KEY_BYTES = 32


@click.group()
def account() -> None:
    """Encrypted key files (Web3 Secret Storage v3), as ape and geth use them."""


_password_file = click.option(
    "--password-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"File with the password.  [default: ${PASSWORD_VARIABLE}, else ask]",
)


@account.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_password_file
def create(file: Path, password_file: Path | None) -> None:
    """Make a new account and write its key file; prints its address."""
    click.echo(create_account(file, read_password(password_file, "Password for the new account: ")))


@account.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_password_file
def import_key(file: Path, password_file: Path | None) -> None:
    """Write the key file of an account whose private key is known, e.g. one of a development chain.

    The key is asked for, or read from standard input; never given as an argument, where other users could see it.
    """
    text = getpass.getpass("Private key (hex): ") if sys.stdin.isatty() else sys.stdin.readline()
    try:
        key = bytes.fromhex(text.strip().removeprefix("0x"))
    except ValueError:
        raise BadInput("the private key is not hex; need 64 hex digits") from None
    if len(key) != _KEY_BYTES:
        raise BadInput(f"the private key has {len(key)} bytes; need {_KEY_BYTES}")
    click.echo(create_account(file, read_password(password_file, "Password for the key file: "), private_key=key))


@account.command()
@click.argument("account")
@_password_file
@click.option("--check", is_flag=True, help="Decrypt it, to see that the password is right.")
def show(account: str, password_file: Path | None, check: bool) -> None:
    """Print the address of a key file or of an ape alias."""
    if check:
        click.echo(load_account(account, password_file).address)
        return
    address = read_keyfile(find_keyfile(account)).get("address")
    click.echo(address if address else "the file does not tell its address; use --check")
