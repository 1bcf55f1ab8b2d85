"""Metrics of this process for Prometheus: always counted, served with `--metrics-port`; see docs/operations.md."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Info, start_http_server
from web3.middleware import Web3Middleware
from web3.types import RPCEndpoint

from pole.errors import BadInput

REGISTRY = CollectorRegistry()
RPC_CALLS = Counter("pole_rpc_calls", "Requests to the Ethereum node.", ["method"], registry=REGISTRY)
TRANSACTIONS = Counter(
    "pole_transactions_sent", "Transactions broadcast; a repetition or a replacement counts again.", registry=REGISTRY
)
ERRORS = Counter("pole_errors", "Passes of the loop that failed, by error.", ["kind"], registry=REGISTRY)
BLOCK = Gauge("pole_last_block", "Number of the newest block seen.", registry=REGISTRY)
BLOCK_TIME = Gauge("pole_block_time_seconds", "Timestamp of the newest block read.", registry=REGISTRY)
_ROLE = Info("pole_role", "The role, its account and its chain.", registry=REGISTRY)
_SINCE_POLL = Gauge("pole_seconds_since_poll", "Since the last pass that did not fail.", registry=REGISTRY)


class State:
    """When this process last did what."""

    def __init__(self) -> None:
        self.polled_at = time.monotonic()
        self.refreshed_at: float | None = None
        self.is_served = False


STATE = State()
_SINCE_POLL.set_function(lambda: time.monotonic() - STATE.polled_at)


class CountRequests(Web3Middleware):
    """Counts what is asked of the node, by method."""

    def request_processor(self, method: RPCEndpoint, params: Any) -> Any:
        RPC_CALLS.labels(method).inc()
        if method == "eth_sendRawTransaction":
            TRANSACTIONS.inc()
        return method, params


@contextmanager
def served(address: str, port: int) -> Iterator[None]:
    """Answer `GET /metrics` meanwhile, from a thread; raises BadInput if the port is taken."""
    try:
        server, thread = start_http_server(port, addr=address, registry=REGISTRY)
    except OSError as exc:
        raise BadInput(
            f"cannot serve metrics on {address}:{port}: {exc.strerror}; choose another --metrics-port"
        ) from exc
    STATE.is_served, STATE.refreshed_at = True, None
    try:
        yield
    finally:
        STATE.is_served = False
        server.shutdown()
        server.server_close()
        thread.join()


def describe(role: str, account: str, chain_id: int) -> None:
    """Say whose figures these are."""
    _ROLE.info({"role": role, "account": account, "chain_id": str(chain_id)})


def failed(exc: Exception) -> None:
    """A pass of the loop failed."""
    ERRORS.labels(type(exc).__name__).inc()
