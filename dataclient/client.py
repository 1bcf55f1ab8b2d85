"""What the data client's functions act with."""

from dataclasses import dataclass
from pathlib import Path

from pole.chain.client import ChainClient
from pole.chain.contracts import Contracts
from pole.journal.journal import Journal
from pole.node.context import RoleContext
from pole.storage.store import Store


@dataclass(frozen=True)
class Client:
    """One data client on one deployment. `home` holds its secrets, one folder per task."""

    address: str
    chain: ChainClient
    contracts: Contracts
    journal: Journal
    store: Store
    home: Path


def client_of(context: RoleContext) -> Client:
    """The client behind a command line."""
    return Client(context.address, context.chain, context.contracts, context.journal, context.store, context.home)
