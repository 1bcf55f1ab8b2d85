"""A development chain as a child process, for the demo and for tests, on a free port."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from web3 import HTTPProvider, Web3
from web3.types import RPCEndpoint

from pole.errors import ChainError
from testbed.children import end
from testbed.nodes import MNEMONIC, Kind, NodeOptions, command, fund

__all__ = ["MNEMONIC", "DevChain", "development_chain", "free_port", "undone", "web3_at"]

_START_TIMEOUT_S, _STOP_TIMEOUT_S = 60.0, 10.0


@dataclass(frozen=True)
class DevChain:
    """A running node; account i has the key at m/44'/60'/0'/0/i of MNEMONIC and 10,000 ether."""

    process: subprocess.Popen[bytes]
    rpc_url: str


def web3_at(rpc_url: str) -> Web3:
    """A node, without the check that asks for the chain's id twice with every call: half of all requests."""
    web3 = Web3(HTTPProvider(rpc_url, exception_retry_configuration=None))
    web3.middleware_onion.remove("validation")
    return web3


@contextmanager
def undone(web3: Web3) -> Iterator[None]:
    """What happens on an anvil meanwhile has not happened afterwards; its clock goes back too."""
    snapshot = _result(web3, "evm_snapshot")
    try:
        yield
    finally:
        _result(web3, "evm_revert", snapshot)


def _result(web3: Web3, method: str, *parameters: object) -> Any:
    reply = web3.provider.make_request(RPCEndpoint(method), list(parameters))
    if "error" in reply:
        raise ChainError(f"{method}: {reply['error']}")
    return reply["result"]


@contextmanager
def development_chain(
    kind: Kind = "anvil",
    block_time_s: float | None = 1,
    chain_id: int | None = None,
    port: int | None = None,
    accounts: int = 20,
    mines_at_once: bool = False,
    genesis_time_s: int | None = None,
    genesis: Path | None = None,
) -> Iterator[DevChain]:
    """Start a node, wait until it answers, stop it at the end; without `block_time_s` it mines per transaction.

    `mines_at_once`: anvil mines per transaction and at intervals as well, so that time passes and nothing waits for it.
    `genesis_time_s` (anvil): a fixed start, so that the same transactions at the same times give the same hashes.
    `genesis` (anvil): a file with accounts and code that the chain begins with.
    """
    port = port or free_port()
    node = command(kind, NodeOptions(port, block_time_s, chain_id, accounts, genesis))
    process = subprocess.Popen(
        node.line
        + (["--mixed-mining"] if mines_at_once else [])
        + ([f"--timestamp={genesis_time_s}"] if genesis_time_s else []),
        cwd=node.folder,
        env=os.environ | node.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C reaches the caller only, which then stops the node in its own order
    )
    chain = DevChain(process, f"http://127.0.0.1:{port}")
    try:
        _wait_until_up(chain, kind)
        if kind == "geth":
            fund(web3_at(chain.rpc_url), accounts)
        yield chain
    finally:
        end(process, _STOP_TIMEOUT_S)


def free_port() -> int:
    """A TCP port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_up(chain: DevChain, kind: str) -> None:
    web3 = web3_at(chain.rpc_url)
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not web3.is_connected():
        if chain.process.poll() is not None:
            raise ChainError(f"{kind} ended at once with status {chain.process.returncode}; is its port taken?")
        if time.monotonic() > deadline:
            raise ChainError(f"{kind} does not answer on {chain.rpc_url} after {_START_TIMEOUT_S:.0f} s")
        time.sleep(0.05)
