"""The context of a role's command: chain, contracts, store, journal and home, opened from its options."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import structlog
from eth_account.signers.local import LocalAccount

from pole import metrics
from pole.chain.client import ChainClient
from pole.chain.contracts import Contracts
from pole.chain.deployment import Deployment
from pole.chain.fees import DEFAULT_MAX_FEE_GWEI
from pole.chain.sender import Sender
from pole.errors import BadInput
from pole.journal.journal import Journal
from pole.journal.locks import account_lock
from pole.node.keyfile import load_account
from pole.node.notify.notices import NOBODY, STUCK_AFTER_S, Notices, notifying
from pole.node.notify.services import addresses, services
from pole.paths import expanded
from pole.storage.store import Store, open_store

METRICS_ADDRESS = "127.0.0.1"


@dataclass(frozen=True)
class RoleContext:
    """Everything a command of a role works with. `poll_s`: None to look when something may be due, see `pace.py`."""

    role: str
    chain: ChainClient
    contracts: Contracts
    account: LocalAccount | None
    journal: Journal
    store: Store
    home: Path
    log: Any
    poll_s: float | None
    notices: Notices = NOBODY

    @property
    def address(self) -> str:
        """Checksummed address of the account; raises BadInput without one."""
        if self.account is None:
            raise BadInput("this command needs an account; give --account ALIAS or --account KEYFILE")
        return str(self.account.address)

    def on_lane(self, lane: int) -> "RoleContext":
        """The same, with the contracts as seen from another lane."""
        return replace(self, contracts=self.contracts.lanes[lane])

    @property
    def has_account(self) -> bool:
        return self.account is not None


@dataclass(frozen=True)
class RoleSettings:
    """The common options as given."""

    rpc: Sequence[str] = field(repr=False)  # with a provider's key in it, perhaps
    deployment: Path | None
    store: str
    home: Path
    account: str | None
    password_file: Path | None
    poll_interval: float | None
    max_fee_gwei: float | None = None
    metrics_port: int | None = None
    metrics_address: str | None = None
    notify: Sequence[str] = field(default=(), repr=False)  # passwords, perhaps
    notify_file: Path | None = None
    stuck_after: float | None = None


@contextmanager
def open_context(role: str, settings: RoleSettings, is_exclusive: bool = True) -> Iterator[RoleContext]:
    """Open account, node, journal and store; raises PoleError before anything was sent."""
    home = expanded(settings.home)
    with ExitStack() as held:
        if settings.metrics_port is not None:
            held.enter_context(metrics.served(settings.metrics_address or METRICS_ADDRESS, settings.metrics_port))
        yield held.enter_context(_opened(role, settings, home, is_exclusive))


@contextmanager
def _opened(role: str, settings: RoleSettings, home: Path, is_exclusive: bool) -> Iterator[RoleContext]:
    channels = services(addresses(settings.notify or (), settings.notify_file))
    deployment = Deployment.load(settings.deployment) if settings.deployment else None
    account = None if settings.account is None else load_account(settings.account, settings.password_file)
    client = ChainClient.connect(settings.rpc, deployment, settings.poll_interval)
    client.check_code()
    deployment = client.deployment
    store = open_store(settings.store)
    _private_folder(home)
    with ExitStack() as held:
        if account is not None and is_exclusive:
            held.enter_context(account_lock(account.address, deployment.chain_id, deployment.genesis_hash, home))
        journal = held.enter_context(Journal(home / f"journal-{deployment.identity}.sqlite", is_exclusive))
        if account is not None:
            journal.bind("account", account.address)
        address = account.address if account is not None else ""
        metrics.describe(role, address, deployment.chain_id)
        context = context_of(
            role,
            client,
            account,
            journal,
            store,
            home,
            poll_s=settings.poll_interval,
            max_fee_gwei=settings.max_fee_gwei or DEFAULT_MAX_FEE_GWEI,
        )
        title = f"pole {role} {address} on chain {deployment.chain_id}"
        stuck_after_s = STUCK_AFTER_S if settings.stuck_after is None else 60 * settings.stuck_after
        notices = held.enter_context(notifying(channels, title, journal, context.log, stuck_after_s))
        yield replace(context, notices=notices)


def context_of(
    role: str,
    client: ChainClient,
    account: LocalAccount | None,
    journal: Journal,
    store: Store,
    home: Path,
    *,
    poll_s: float | None = 0.5,
    max_fee_gwei: float = DEFAULT_MAX_FEE_GWEI,
) -> RoleContext:
    """The context of parts that are open already; with an account, its contracts can be written to."""
    sender = None if account is None else Sender(client, account, journal.transactions, max_fee_gwei)
    log = structlog.get_logger().bind(role=role)
    return RoleContext(role, client, Contracts.of(client, sender), account, journal, store, home, log, poll_s)


def _private_folder(home: Path) -> None:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise BadInput(f"cannot create --home {home}: {exc.strerror}; choose another folder") from exc
