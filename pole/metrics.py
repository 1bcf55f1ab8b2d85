"""Figures about this process for Prometheus: counted always, served with `--metrics-port`; see docs/operations.md."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Info, start_http_server
from web3.middleware import Web3Middleware
from web3.types import RPCEndpoint

from pole.errors import BadInput, TransientChainError
from pole.records import Phase

if TYPE_CHECKING:
    from pole.cli import RoleContext

_REFRESH_S = 5.0

REGISTRY = CollectorRegistry()
RPC_CALLS = Counter("pole_rpc_calls", "Requests to the Ethereum node.", ["method"], registry=REGISTRY)
TRANSACTIONS = Counter(
    "pole_transactions_sent", "Transactions broadcast; a repetition or a replacement counts again.", registry=REGISTRY
)
ERRORS = Counter("pole_errors", "Passes of the loop that failed, by error.", ["kind"], registry=REGISTRY)
BLOCK = Gauge("pole_last_block", "Number of the newest block seen.", registry=REGISTRY)
BLOCK_TIME = Gauge("pole_block_time_seconds", "Timestamp of the newest block read.", registry=REGISTRY)
_ROLE = Info("pole_role", "The role, its account and its chain.", registry=REGISTRY)
_ROUND = Gauge("pole_round", "Id of the current round; 0 before the first.", registry=REGISTRY)
_PHASE = Enum(
    "pole_phase", "Phase of the current round.", states=[phase.name.lower() for phase in Phase], registry=REGISTRY
)
_BALANCE = Gauge("pole_balance_wei", "Ether of the account itself.", registry=REGISTRY)
_CREDIT = Gauge("pole_credit_wei", "What the account can withdraw.", registry=REGISTRY)
_STAKE = Gauge("pole_stake_wei", "A verifier's stake.", registry=REGISTRY)
_SINCE_POLL = Gauge("pole_seconds_since_poll", "Since the last pass that did not fail.", registry=REGISTRY)


class _State:
    """When this process last did what."""

    def __init__(self) -> None:
        self.polled_at = time.monotonic()
        self.refreshed_at: float | None = None
        self.is_served = False


_STATE = _State()
_SINCE_POLL.set_function(lambda: time.monotonic() - _STATE.polled_at)


class CountRequests(Web3Middleware):
    """Counts what is asked of the node, by method."""

    def request_processor(self, method: RPCEndpoint, params: Any) -> Any:
        RPC_CALLS.labels(method).inc()
        if method == "eth_sendRawTransaction":
            TRANSACTIONS.inc()
        return method, params


@contextmanager
def served(address: str, port: int) -> Iterator[None]:
    """Answer `GET /metrics` meanwhile, from a thread; raises BadInput if the port cannot be had."""
    try:
        server, thread = start_http_server(port, addr=address, registry=REGISTRY)
    except OSError as exc:
        raise BadInput(
            f"cannot serve metrics on {address}:{port}: {exc.strerror}; choose another --metrics-port"
        ) from exc
    _STATE.is_served, _STATE.refreshed_at = True, None
    try:
        yield
    finally:
        _STATE.is_served = False
        server.shutdown()
        server.server_close()
        thread.join()


def describe(role: str, account: str, chain_id: int) -> None:
    """Say whose figures these are."""
    _ROLE.info({"role": role, "account": account, "chain_id": str(chain_id)})


def failed(exc: Exception) -> None:
    """A pass of the loop failed."""
    ERRORS.labels(type(exc).__name__).inc()


def polled(context: "RoleContext") -> None:
    """A pass of the loop succeeded; what nobody reads is not asked of the node."""
    _STATE.polled_at = now = time.monotonic()
    if not _STATE.is_served or (_STATE.refreshed_at is not None and now - _STATE.refreshed_at < _REFRESH_S):
        return
    _STATE.refreshed_at = now
    try:
        _refresh(context)
    except TransientChainError as exc:
        failed(exc)


def _refresh(context: "RoleContext") -> None:
    current = context.ledger.current_round()
    _ROUND.set(0 if current is None else current.round_id)
    _PHASE.state((Phase.NONE if current is None else current.phase).name.lower())
    context.gateway.block_time()
    if not context.gateway.has_account:
        return
    address = context.gateway.address
    _BALANCE.set(context.gateway.balance_wei(address))
    _CREDIT.set(context.ledger.credit_wei(address))
    if context.role == "verifier":
        _STAKE.set(context.ledger.verifier(address).stake_wei)
