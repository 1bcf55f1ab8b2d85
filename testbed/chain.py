"""A development chain as a child process, for the demo and for tests: anvil or ganache on a free port."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from web3 import HTTPProvider, Web3
from web3.types import RPCEndpoint

from pole.errors import BadInput, ChainError
from testbed.children import end

MNEMONIC = "test test test test test test test test test test test junk"
"""Published test phrase: the keys are known to everybody."""

_BINARIES = Path(__file__).parent.parent / "node_modules" / ".bin"
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
    kind: Literal["anvil", "ganache"] = "anvil",
    block_time_s: int | None = 1,
    chain_id: int | None = None,
    port: int | None = None,
    accounts: int = 20,
    mines_at_once: bool = False,
    genesis_time_s: int | None = None,
) -> Iterator[DevChain]:
    """Start a node, wait until it answers, stop it at the end; without `block_time_s` it mines per transaction.

    `mines_at_once`: anvil mines per transaction and at intervals as well, so that time passes and nothing waits for it.
    `genesis_time_s` (anvil): a fixed start, so that the same transactions at the same times give the same hashes.
    """
    port = port or free_port()
    process = subprocess.Popen(
        _command(kind, port, block_time_s, chain_id, accounts)
        + (["--mixed-mining"] if mines_at_once else [])
        + ([f"--timestamp={genesis_time_s}"] if genesis_time_s else []),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C reaches the caller only, which then stops the node in its own order
    )
    chain = DevChain(process, f"http://127.0.0.1:{port}")
    try:
        _wait_until_up(chain, kind)
        yield chain
    finally:
        end(process, _STOP_TIMEOUT_S)


def free_port() -> int:
    """A TCP port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _command(kind: str, port: int, block_time_s: int | None, chain_id: int | None, accounts: int) -> list[str]:
    binary = shutil.which(kind, path=str(_BINARIES)) or shutil.which(kind)
    if binary is None:
        raise BadInput(f"{kind} is not installed; run `make setup`")
    if kind == "anvil":
        command = [binary, "--silent", f"--port={port}", f"--accounts={accounts}", f"--mnemonic={MNEMONIC}"]
        command += [f"--block-time={block_time_s}"] if block_time_s else []
        return command + ([f"--chain-id={chain_id}"] if chain_id else [])
    command = [binary, "--logging.quiet", f"--server.port={port}", f"--wallet.totalAccounts={accounts}"]
    command += [f"--wallet.mnemonic={MNEMONIC}", "--wallet.defaultBalance=10000"]
    command += [f"--miner.blockTime={block_time_s}"] if block_time_s else []
    return command + ([f"--chain.chainId={chain_id}"] if chain_id else [])


def _wait_until_up(chain: DevChain, kind: str) -> None:
    web3 = web3_at(chain.rpc_url)
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not web3.is_connected():
        if chain.process.poll() is not None:
            raise ChainError(f"{kind} ended at once with status {chain.process.returncode}; is its port taken?")
        if time.monotonic() > deadline:
            raise ChainError(f"{kind} does not answer on {chain.rpc_url} after {_START_TIMEOUT_S:.0f} s")
        time.sleep(0.05)
