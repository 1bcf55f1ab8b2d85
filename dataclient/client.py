"""What the data client's functions act with."""

from dataclasses import dataclass
from pathlib import Path

from pole.chain.client import Gateway
from pole.chain.contracts.learning_chain import Ledger
from pole.journal.journal import Journal
from pole.node.context import RoleContext
from pole.storage.store import Store


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
