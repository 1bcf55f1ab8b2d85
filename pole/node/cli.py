"""Shared by the command lines of all roles: options, and the context they open."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pole.chain.fees import DEFAULT_MAX_FEE_GWEI
from pole.money import WEI_PER_ETHER, ether_to_wei, wei_to_ether
from pole.node import logs
from pole.node.context import METRICS_ADDRESS, RoleSettings, open_context
from pole.node.notify.notices import STUCK_AFTER_S
from pole.node.notify.services import NOTIFY_FILE_VARIABLE, NOTIFY_VARIABLE
from pole.node.passwords import PASSWORD_VARIABLE
from pole.node.pins import UNPIN_AFTER_S
from pole.settings import variable

DEFAULT_RPC = "http://127.0.0.1:8545"
RPC_VARIABLE = variable("rpc")
MOST_ETHER = 10**9
"""More than there is on any network; whoever writes more means wei."""


class Ether(click.ParamType):
    """An amount of ether on the command line, in wei to the program."""

    name = "ether"

    def __init__(self, least_wei: int = 1) -> None:
        self._least_wei = least_wei

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            wei = ether_to_wei(value, self._least_wei)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)
        ether = wei // WEI_PER_ETHER
        if ether > MOST_ETHER:
            self.fail(f"{ether} ether is more than there is; for {ether} wei write {wei_to_ether(ether)}", param, ctx)
        return wei


ETHER = Ether()
ETHER_OR_NOTHING = Ether(least_wei=0)


def rpc_option() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--rpc`, several times for a primary and fallbacks; the variable separates them by spaces."""
    return click.option(
        "--rpc",
        envvar=RPC_VARIABLE,
        multiple=True,
        default=[DEFAULT_RPC],
        show_default=True,
        help="Ethereum node, over HTTP or a WebSocket; give it again for a node to ask when the first does not answer.",
    )


def notify_options() -> list[Callable[[Callable[..., Any]], Callable[..., Any]]]:
    """Where to tell a person what they must know. An argument can be read by every user of the machine."""
    return [
        click.option(
            "--notify",
            envvar=NOTIFY_VARIABLE,
            multiple=True,
            metavar="URL",
            help=f"Tell a person there, through apprise; repeatable. A secret: better in ${NOTIFY_VARIABLE} or a file.",
        ),
        click.option(
            "--notify-file",
            envvar=NOTIFY_FILE_VARIABLE,
            type=click.Path(dir_okay=False, path_type=Path),
            help="File with such addresses, one a line.",
        ),
    ]


def unpin_after_option(what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """How long the role keeps pinned what it published; `what` is that, and since when the time runs."""
    return click.option(
        "--unpin-after",
        type=click.IntRange(0),
        default=UNPIN_AFTER_S,
        show_default=True,
        metavar="SECONDS",
        help=f"Keep {what}; IPFS only.",
    )


def role_options(
    role: str, *, needs_account: bool = True, is_exclusive: bool = True
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the common options to a click command, which then gets a RoleContext as its first argument.

    `needs_account=False`: a command that only reads. `is_exclusive=False`: a short command that may run beside the
    role's long-running process (the journal is shared, nonces are chosen under a lock).
    """
    options = [
        rpc_option(),
        click.option(
            "--deployment",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Deployment file.  [default: deployments/<chain id>.json]",
        ),
        click.option(
            "--store",
            envvar=variable("store"),
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
            "--poll-interval",
            type=click.FloatRange(0.05, 60),
            help="Seconds between two looks at the chain.  [default: as seldom as nothing can be due]",
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
            *notify_options(),
            click.option(
                "--stuck-after",
                type=click.FloatRange(1, 10_000),
                default=STUCK_AFTER_S / 60,
                show_default=True,
                metavar="MINUTES",
                help="Tell that nothing has succeeded for so long.",
            ),
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


def _split(given: dict[str, Any]) -> tuple[RoleSettings, dict[str, Any]]:
    names = RoleSettings.__dataclass_fields__
    settings = RoleSettings(**{name: given.get(name) for name in names})  # type: ignore[arg-type]
    return settings, {name: value for name, value in given.items() if name not in names}
