"""All checks in their order; a check is skipped where one that it needs has failed."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pole.chain.deployment import Deployment
from pole.errors import BadInput
from pole.node.doctor import account, chain, machine, notify, storage
from pole.node.doctor.check import Check, Verdict, warning
from pole.node.doctor.check import check as named
from pole.paths import expanded
from pole.urls import keep_secret


@dataclass(frozen=True)
class Examination:
    """What to look at, as given on the command line; `home` None is each role's own."""

    rpc: Sequence[str]
    store: str
    roles: tuple[str, ...] = tuple(account.ROLES)
    home: Path | None = None
    account: str | None = None
    password_file: Path | None = None
    deployment: Path | None = None
    notify: Sequence[str] = field(default=(), repr=False)
    notify_file: Path | None = None
    is_told: bool = False


def examine(of: Examination) -> Iterator[Check]:
    """Every check as it is done. Nothing is made or changed, and nothing sent but test messages."""
    _keep_secrets(of)
    yield machine.check_python()
    yield machine.check_settings()
    yield machine.check_torch()
    yield machine.check_kernels()
    yield machine.check_disk(_homes(of) + ([] if storage.is_daemon(of.store) else [Path(of.store)]))
    yield storage.check_store(of.store)
    yield notify.check_notify(of.notify, of.notify_file, is_told=of.is_told)
    rpc = ""  # the first node that answers, as a role would ask it
    for each in of.rpc:
        yield (node := chain.check_rpc(each))
        rpc = rpc or (each if node.verdict is Verdict.OK else "")
    is_up = bool(rpc)
    chain_id = _chain_id(rpc) if is_up else None
    if is_up:
        yield from _node_checks(rpc)
    yield chain.check_deployment(of.deployment, chain_id)
    deployment = _deployment(of.deployment, chain_id)
    if is_up and deployment is not None:
        yield (contracts := chain.check_contracts(rpc, deployment))
        is_up = contracts.verdict is Verdict.OK
    yield from _account_checks(of, deployment, rpc if is_up else "")


def _homes(of: Examination) -> list[Path]:
    return [of.home] if of.home else [Path("~/.pole") / account.ROLES[role].folder for role in of.roles]


def _node_checks(rpc: str) -> Iterator[Check]:
    web3 = chain.node_at(rpc)
    yield chain.check_rate(web3)
    yield chain.check_synced(web3)
    yield chain.check_clock(web3)
    yield chain.check_gas_price(web3)


def _account_checks(of: Examination, deployment: Deployment | None, rpc: str) -> Iterator[Check]:
    """`rpc`: of a node that is up, "" without one."""
    address = None
    if of.account is None:
        yield _no_account()
    else:
        yield account.check_keyfile(of.account)
        yield account.check_password(of.password_file)
        with suppress(Exception):  # the check has said why
            address = account.keyfile_address(of.account)
    for home in _homes(of):
        yield account.check_home(home)
        with suppress(BadInput, OSError):  # the check has said why
            for path in account.journals_of(expanded(home), deployment):
                yield account.check_journal(path, address)
    if address is not None and deployment is not None:
        yield account.check_account_lock(address, deployment)
        for role in of.roles if rpc else ():
            yield account.check_balance(account.ROLES[role], rpc, deployment, address)


@named("key file")
def _no_account() -> Check:
    return warning(
        "no --account given, so key file, password and balance are not checked",
        "pole doctor --account FILE (a new one: pole account create FILE)",
    )


def _keep_secrets(of: Examination) -> None:
    for rpc in of.rpc:
        keep_secret(rpc)
    if "://" in of.store:
        keep_secret(of.store)


def _chain_id(rpc: str) -> int | None:
    with suppress(Exception):
        return int(chain.node_at(rpc).eth.chain_id)
    return None


def _deployment(path: Path | None, chain_id: int | None) -> Deployment | None:
    with suppress(Exception):  # the check has said why
        return chain.find_deployment(path, chain_id)
    return None
