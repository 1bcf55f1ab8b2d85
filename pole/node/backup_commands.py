"""`pole backup` and `pole restore`."""

from pathlib import Path

import click

from pole.node.backup import back_up
from pole.node.backup import restore as restore_home


@click.command()
@click.argument("home", type=click.Path(path_type=Path))
@click.argument("archive", type=click.Path(path_type=Path))
def backup(home: Path, archive: Path) -> None:
    """Write a role's HOME into ARCHIVE, also while the role runs.

    It holds the role's secrets, and no account key unless that lies in HOME.
    """
    click.echo(f"{back_up(home, archive)} files in {archive}")


@click.command()
@click.argument("archive", type=click.Path(path_type=Path))
@click.argument("home", type=click.Path(path_type=Path))
def restore(archive: Path, home: Path) -> None:
    """Make HOME, a new folder, from an ARCHIVE of `pole backup`.

    The process that used the old home must be dead for good: two that act for one account cost it its bond.
    """
    click.echo(f"{restore_home(archive, home)} files in {home}; start the role with --home {home}")
