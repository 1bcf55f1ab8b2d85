"""What the data client's functions act with."""

from dataclasses import dataclass
from pathlib import Path

from pole.cli import RoleContext
from pole.gateway import Gateway
from pole.journal import Journal
from pole.ledger import Ledger
from pole.store import Store


@dataclass(frozen=True)
class Client:
    """One data client on one deployment. `home` holds its secrets, one folder per task."""

    gateway: Gateway
    ledger: Ledger
    journal: Journal
    store: Store
    home: Path


def client_of(context: RoleContext) -> Client:
    """The client behind a command line."""
    return Client(context.gateway, context.ledger, context.journal, context.store, context.home)
