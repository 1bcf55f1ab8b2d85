"""What the command lines of all roles share: options, the context they open, and how errors end."""

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import structlog

from pole import logs, metrics
from pole.deployment import Deployment
from pole.errors import BadInput, JournalFull, PoleError, StoreUnavailable, TransientChainError
from pole.fees import DEFAULT_MAX_FEE_GWEI
from pole.filelock import account_lock
from pole.gateway import Gateway
from pole.journal import Journal
from pole.keyfile import PASSWORD_VARIABLE, load_account
from pole.ledger import Ledger
from pole.store import Store, open_store

DEFAULT_RPC = "http://127.0.0.1:8545"
METRICS_ADDRESS = "127.0.0.1"

# Documented in docs/operations.md; 64 and above as in sysexits.h.
EXIT_FAILED, EXIT_UNEXPECTED, EXIT_TRY_AGAIN, EXIT_INTERRUPTED = 1, 70, 75, 130


@dataclass(frozen=True)
class RoleContext:
    """Everything a command of a role works with."""

    role: str
    gateway: Gateway
    ledger: Ledger
    journal: Journal
    store: Store
    home: Path
    log: Any
    poll_s: float


@dataclass(frozen=True)
class RoleSettings:
    """The common options as given."""

    rpc: str
    deployment: Path | None
    store: str
    home: Path
    account: str | None
    password_file: Path | None
    poll_interval: float
    max_fee_gwei: float | None = None
    metrics_port: int | None = None
    metrics_address: str | None = None


def role_options(
    role: str, *, needs_account: bool = True, is_exclusive: bool = True
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the common options to a click command, which then gets a RoleContext as its first argument.

    `needs_account=False`: a command that only reads. `is_exclusive=False`: a short command that may run beside the
    role's long-running process (the journal is shared, nonces are chosen under a lock).
    """
    options = [
        click.option("--rpc", envvar="POLE_RPC", default=DEFAULT_RPC, show_default=True, help="Ethereum node (HTTP)."),
        click.option(
            "--deployment",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Deployment file.  [default: deployments/<chain id>.json]",
        ),
        click.option(
            "--store",
            envvar="POLE_STORE",
            default="~/.pole/store",
            show_default=True,
            help="Content store: a folder, or an IPFS daemon's API such as /ip4/127.0.0.1/tcp/5001.",
        ),
        click.option(
            "--home",
            type=click.Path(file_okay=False, path_type=Path),
            default=f"~/.pole/{role}",
            show_default=True,
            help="Folder for the journal and for secrets; one per account.",
        ),
        click.option(
            "--poll-interval", type=click.FloatRange(0.05, 60), default=0.5, show_default=True, help="Seconds."
        ),
        click.option("--log-level", type=click.Choice(logs.LEVELS), default="info", show_default=True),
        click.option("--log-json", is_flag=True, help="Log JSON lines."),
    ]
    if needs_account:
        options += [
            click.option("--account", required=True, help="ape account alias, or path of a key file."),
            click.option(
                "--password-file",
                type=click.Path(dir_okay=False, path_type=Path),
                help=f"File with the account's password.  [default: ${PASSWORD_VARIABLE}, else ask]",
            ),
            click.option(
                "--max-fee-gwei",
                type=click.FloatRange(0.001, 1_000_000),
                default=DEFAULT_MAX_FEE_GWEI,
                show_default=True,
                help="Never offer more for a unit of gas; wait instead.",
            ),
        ]

    if needs_account and is_exclusive:
        options += [
            click.option("--metrics-port", type=click.IntRange(1, 65535), help="Serve figures for Prometheus."),
            click.option("--metrics-address", default=METRICS_ADDRESS, show_default=True, help="Where to serve them."),
        ]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def wrapped(log_level: str, log_json: bool, **given: Any) -> Any:
            logs.configure(log_json, log_level)
            settings, rest = _split(given)
            with open_context(role, settings, is_exclusive=is_exclusive and needs_account) as context:
                return command(context, **rest)

        for option in reversed(options):
            wrapped = option(wrapped)
        return wrapped

    return decorate


@contextmanager
def open_context(role: str, settings: RoleSettings, is_exclusive: bool = True) -> Iterator[RoleContext]:
    """Open account, node, journal and store; raises PoleError before anything was sent."""
    home = settings.home.expanduser()
    with ExitStack() as held:
        if settings.metrics_port is not None:
            held.enter_context(metrics.served(settings.metrics_address or METRICS_ADDRESS, settings.metrics_port))
        yield held.enter_context(_opened(role, settings, home, is_exclusive))


@contextmanager
def _opened(role: str, settings: RoleSettings, home: Path, is_exclusive: bool) -> Iterator[RoleContext]:
    deployment = Deployment.load(settings.deployment) if settings.deployment else None
    account = None if settings.account is None else load_account(settings.account, settings.password_file)
    max_fee_gwei = settings.max_fee_gwei or DEFAULT_MAX_FEE_GWEI
    gateway = Gateway.connect(settings.rpc, deployment, account, settings.poll_interval, max_fee_gwei=max_fee_gwei)
    store = open_store(settings.store)
    _private_folder(home)
    with ExitStack() as held:
        if account is not None and is_exclusive:
            held.enter_context(account_lock(gateway.address, gateway.deployment, home))
        journal = held.enter_context(Journal(home / f"journal-{gateway.deployment.identity}.sqlite", is_exclusive))
        if account is not None:
            journal.bind("account", gateway.address)
        metrics.describe(role, gateway.address if gateway.has_account else "", gateway.deployment.chain_id)
        log = structlog.get_logger().bind(role=role)
        yield RoleContext(role, gateway, Ledger(gateway), journal, store, home, log, settings.poll_interval)


def exit_code(command: click.Command) -> int:
    """Run a role's command line; an error becomes one line on stderr and a status, as docs/operations.md lists them."""
    try:
        command.main(standalone_mode=False)
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code if isinstance(exc, click.UsageError) else EXIT_FAILED
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except PoleError as exc:
        logs.report(exc)
        return EXIT_TRY_AGAIN if isinstance(exc, (TransientChainError, StoreUnavailable, JournalFull)) else EXIT_FAILED
    except BrokenPipeError:  # the reader of a pipe is gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except Exception as exc:
        logs.report(exc)
        return EXIT_UNEXPECTED
    return 0


def _split(given: dict[str, Any]) -> tuple[RoleSettings, dict[str, Any]]:
    names = RoleSettings.__dataclass_fields__
    settings = RoleSettings(**{name: given.get(name) for name in names})  # type: ignore[arg-type]
    return settings, {name: value for name, value in given.items() if name not in names}


def _private_folder(home: Path) -> None:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise BadInput(f"cannot create --home {home}: {exc.strerror}; choose another folder") from exc
