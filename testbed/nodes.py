"""How each kind of Ethereum node is started: anvil and ganache from npm, geth and hardhat's node from `make nodes`."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from eth_account import Account
from web3 import Web3

from pole.errors import BadInput
from pole.paths import expanded

Kind = Literal["anvil", "ganache", "geth", "hardhat"]
MNEMONIC = "test test test test test test test test test test test junk"
"""Published test phrase: the keys are known to everybody."""
FUNDS_WEI = 10_000 * 10**18

_ROOT = Path(__file__).parent.parent
_BINARIES = _ROOT / "node_modules" / ".bin"
_HARDHAT = _ROOT / "tools" / "hardhat"
_GETH_MODULE = "github.com/ethereum/go-ethereum"


@dataclass(frozen=True)
class NodeOptions:
    """Without `block_time_s` a node mines per transaction; `genesis` is a file, for anvil alone."""

    port: int
    block_time_s: float | None
    chain_id: int | None
    accounts: int
    genesis: Path | None = None


@dataclass(frozen=True)
class Command:
    """What to start, where, and what its environment gets beside this process's."""

    line: list[str]
    folder: Path = _ROOT
    environment: Mapping[str, str] = field(default_factory=dict)


def command(kind: Kind, options: NodeOptions) -> Command:
    """Raises BadInput if this kind of node is not installed."""
    return {"anvil": _anvil, "ganache": _ganache, "geth": _geth, "hardhat": _hardhat}[kind](options)


def is_installed(kind: Kind) -> bool:
    try:
        command(kind, NodeOptions(0, None, None, 1))
    except BadInput:
        return False
    return True


def fund(web3: Web3, count: int) -> None:
    """Gives the accounts of MNEMONIC what other development nodes begin with: geth has one rich account of its own."""
    Account.enable_unaudited_hdwallet_features()
    addresses = [
        Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}").address for index in range(count)
    ]
    rich = web3.eth.accounts[0]
    sent = [
        web3.eth.send_transaction(cast(Any, {"from": rich, "to": address, "value": FUNDS_WEI})) for address in addresses
    ]
    for each in sent:
        web3.eth.wait_for_transaction_receipt(each, timeout=60, poll_latency=0.05)


def _anvil(options: NodeOptions) -> Command:
    line = [_binary("anvil"), "--silent", f"--port={options.port}", f"--accounts={options.accounts}"]
    line += [f"--mnemonic={MNEMONIC}"]
    line += [f"--block-time={options.block_time_s}"] if options.block_time_s else []
    line += [f"--init={options.genesis}"] if options.genesis else []
    return Command(line + ([f"--chain-id={options.chain_id}"] if options.chain_id else []))


def _ganache(options: NodeOptions) -> Command:
    line = [_binary("ganache"), "--logging.quiet", f"--server.port={options.port}"]
    line += [f"--wallet.totalAccounts={options.accounts}", f"--wallet.mnemonic={MNEMONIC}"]
    line += ["--wallet.defaultBalance=10000"]
    line += [f"--miner.blockTime={options.block_time_s}"] if options.block_time_s else []
    return Command(line + ([f"--chain.chainId={options.chain_id}"] if options.chain_id else []))


def _geth(options: NodeOptions) -> Command:
    """Its development chain is always 1337."""
    if options.chain_id not in (None, 1337):
        raise BadInput(f"geth --dev has chain id 1337, not {options.chain_id}")
    line = [str(geth_binary()), "--dev", f"--dev.period={int(options.block_time_s or 0)}", "--verbosity=1"]
    line += ["--http", f"--http.port={options.port}", "--http.api=eth,net,web3", "--rpc.batch-request-limit=0"]
    return Command([*line, "--ipcdisable", "--nodiscover", "--maxpeers=0", "--port=0", "--authrpc.port=0"])


def _hardhat(options: NodeOptions) -> Command:
    binary = _HARDHAT / "node_modules" / ".bin" / "hardhat"
    if not binary.exists():
        raise BadInput("hardhat is not installed; run `make nodes`")
    environment = {
        "NODE_CHAIN_ID": str(options.chain_id or 31337),
        "NODE_INTERVAL_MS": str(int((options.block_time_s or 0) * 1000)),
        "NODE_ACCOUNTS": str(options.accounts),
        "NODE_MNEMONIC": MNEMONIC,
        "HARDHAT_DISABLE_TELEMETRY_PROMPT": "true",
    }
    return Command([str(binary), "node", "--hostname", "127.0.0.1", "--port", str(options.port)], _HARDHAT, environment)


def geth_binary() -> Path:
    """$POLE_GETH, or what `make nodes` built. Raises BadInput if there is none."""
    words = (_ROOT / "tools" / "geth" / "go.mod").read_text().split()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or expanded("~/.cache")) / "pole"
    named = os.environ.get("POLE_GETH")
    binary = Path(named) if named else cache / "geth" / words[words.index(_GETH_MODULE) + 1] / "geth"
    if not os.access(binary, os.X_OK):
        raise BadInput(f"there is no geth at {binary}; " + ("correct $POLE_GETH" if named else "run `make nodes`"))
    return binary


def _binary(name: str) -> str:
    binary = shutil.which(name, path=str(_BINARIES)) or shutil.which(name)
    if binary is None:
        raise BadInput(f"{name} is not installed; run `make setup`")
    return binary
