"""Checks of an account: key file, password, home folder, journal, balance. Nothing is decrypted or asked for."""

import json
import os
import shlex
import shutil
import sqlite3
import stat
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from eth_utils.address import is_address, to_checksum_address

from pole.chain.client import ChainClient
from pole.chain.contracts import Contracts
from pole.chain.deployment import Deployment
from pole.errors import BadInput
from pole.journal.locks import account_lock_path, holder_of
from pole.money import wei_to_ether
from pole.node.doctor.chain import gas_price_wei, node_at, node_fault
from pole.node.doctor.check import Check, check, ok, problem, warning
from pole.node.doctor.machine import is_writable
from pole.node.keyfile import find_keyfile, read_keyfile
from pole.node.passwords import PASSWORD_VARIABLE
from pole.paths import expanded
from pole.settings import read_settings
from pole.urls import shown

_PPM = 10**6
_DEVELOPMENT_CHAIN = 31337


@dataclass(frozen=True)
class Role:
    """`folder` is what its --home is called by default, `gas` what its own transactions of one round take."""

    name: str
    folder: str
    gas: int


# Of 16 miners and 3 verifiers, in docs/benchmarks.md.
ROLES = {
    "miner": Role("miner", "miner", 85_900 + 45_799),
    "verifier": Role("verifier", "verifier", 205_830 + 79_634 + 62_078),
    "client": Role("client", "dataclient", 273_755 + 127_327 + 100_051),
}
# The steps that anybody may take for all, from the opening of a round to its block.
STEPS_GAS = 167_797 + 185_504 + 631_453 + 37_007 + 288_544 + 1_125_224


@check("key file")
def check_keyfile(source: str) -> Check:
    """Permissions and form, without decrypting it."""
    path = find_keyfile(source)
    address = keyfile_address(source)
    if (found := _open_to_others(path, "has the encrypted key", "600")) is not None:
        return found
    if address is None:
        return warning(
            f"{path} does not tell its address, so balance and journal are not checked against it",
            f"pole account show --check {shlex.quote(source)}",
        )
    return ok(f"{address} in {path}")


def keyfile_address(source: str) -> str | None:
    """Checksummed address as the key file tells it; None if it does not. Raises BadInput."""
    path = find_keyfile(source)
    text = read_keyfile(path).get("address")
    if text is None:
        return None
    if not isinstance(text, str) or not is_address(text):
        raise BadInput(f"{path} has no valid address; restore it from its backup")
    return str(to_checksum_address(text))


@check("password")
def check_password(file: Path | None) -> Check:
    """Where a role would take it from; only a file is looked into."""
    if file is not None:
        file = expanded(file)
        if not file.read_bytes().strip():
            return problem(f"{file} is empty", f"write the password into it: editor {shlex.quote(str(file))}")
        return _open_to_others(file, "has the password", "600") or ok(f"from {file}")
    if read_settings().password is not None:
        return ok(f"from {PASSWORD_VARIABLE}")
    if sys.stdin.isatty():
        return ok("asked for on this terminal")
    return warning("none given, and no terminal to ask on", f"give --password-file FILE, or set {PASSWORD_VARIABLE}")


def _open_to_others(path: Path, why: str, mode: str) -> Check | None:
    found = stat.S_IMODE(path.stat().st_mode)
    if not found & 0o077:
        return None
    others = f"{path} {why} and is open to other users (mode {found:o})"
    remedy = f"chmod {mode} {shlex.quote(str(path))}"
    return problem(others, remedy) if found & 0o022 else warning(others, remedy)


@check("home")
def check_home(home: Path) -> Check:
    home = expanded(home)
    quoted = shlex.quote(str(home))
    if home.exists() and not home.is_dir():
        return problem(f"{home} is not a folder", "give another --home")
    if not is_writable(home):
        return problem(f"{home} cannot be written", f"sudo chown -R $(id -u) {quoted}, or give another --home")
    if not home.exists():
        return ok(f"{home} is not there yet; the role makes it")
    return _open_to_others(home, "has salts", "700") or ok(str(home))


# --- journal ---------------------------------------------------------------------------------------------------------


def journals_of(home: Path, deployment: Deployment | None) -> list[Path]:
    """The deployment's journal in this home; without a deployment, all."""
    name = "*" if deployment is None else deployment.identity
    return sorted(home.glob(f"journal-{name}.sqlite"))


@check("journal")
def check_journal(path: Path, address: str | None) -> Check:
    """Whether it can be read, is whole, and is this account's."""
    owner = holder_of(path.with_name(f"{path.name}.lock"))
    if not os.access(path, os.R_OK | os.W_OK):
        return problem(f"{path} cannot be read and written", f"sudo chown $(id -u) {shlex.quote(str(path))}*")
    try:
        bound, pending = _read_journal(path, is_owned=owner is not None)
    except (sqlite3.DatabaseError, ValueError, LookupError, TypeError) as exc:
        return problem(
            f"{path} is damaged: {exc}",
            "stop the role and restore the file from a backup; it holds salts that nobody else has",
        )
    if bound is not None and address is not None and bound != address:
        return problem(f"{path} belongs to account {bound}", f"give --home of {address}, or the --account of {bound}")
    used = f"process {owner} works with it" if owner else "no process works with it"
    return ok(f"{path.name} of {bound or 'no account yet'}: whole, {pending} transactions under way, {used}")


def _read_journal(path: Path, is_owned: bool) -> tuple[str | None, int]:
    """The account it is bound to and how many transactions have no end yet; nothing beside the file changes.

    SQLite recovers what a killed process left behind as soon as it opens it, so without an owner a copy is read.
    """
    if is_owned:
        return _query_journal(path)
    with tempfile.TemporaryDirectory() as folder:
        for name in (path.name, f"{path.name}-wal"):
            if path.with_name(name).exists():
                shutil.copyfile(path.with_name(name), Path(folder) / name)
        return _query_journal(Path(folder) / path.name)


def _query_journal(path: Path) -> tuple[str | None, int]:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
        [state] = connection.execute("PRAGMA quick_check(1)").fetchone()
        if state != "ok":
            raise sqlite3.DatabaseError(state)
        row = connection.execute("SELECT value FROM facts WHERE key = 'journal/account'").fetchone()
        [pending] = connection.execute("SELECT COUNT(DISTINCT nonce) FROM transactions WHERE state = 'sent'").fetchone()
    return None if row is None else str(json.loads(row[0])["value"]), int(pending)


@check("account lock")
def check_account_lock(address: str, deployment: Deployment) -> Check:
    holder = holder_of(account_lock_path(address, deployment.chain_id, deployment.genesis_hash))
    return ok(f"in use by {holder}" if holder else "no long-running process uses the account on this chain")


# --- balance ---------------------------------------------------------------------------------------------------------


@check("balance", node_fault)
def check_balance(role: Role, rpc: str, deployment: Deployment, address: str) -> Check:
    """Ether of the account against what the role locks up, and the gas of a round at today's price."""
    client = ChainClient(node_at(rpc), deployment)
    contracts = Contracts.of(client)
    bond_wei, what = _bond(role, contracts, address)
    price_wei, balance_wei = gas_price_wei(client.web3), client.balance_wei(address)
    least_wei = bond_wei + role.gas * price_wei
    text = f"{role.name}: {wei_to_ether(balance_wei)} ether; {what} and a round's gas take {_rounded(least_wei)}"
    if balance_wei < least_wei:
        credit_wei = contracts.reward_reservoir.credit_wei(address)
        return problem(text, _money_remedy(role, rpc, deployment, address, least_wei - balance_wei, credit_wei))
    if balance_wei < least_wei + STEPS_GAS * price_wei:
        more_wei = least_wei + STEPS_GAS * price_wei - balance_wei
        return warning(
            f"{text}, but the steps that anybody may take {_rounded(STEPS_GAS * price_wei)} more",
            _money_remedy(role, rpc, deployment, address, more_wei, 0),
        )
    return ok(text)


def _bond(role: Role, contracts: Contracts, address: str) -> tuple[int, str]:
    if role.name == "miner":
        return contracts.learning_chain.parameters().miner_bond_wei, "the bond"
    if role.name == "verifier":
        missing_wei = contracts.verifier_committee.parameters().min_stake_wei
        missing_wei -= contracts.verifier_committee.verifier(address).stake_wei
        return max(0, missing_wei), "what is missing of the stake"
    market = contracts.task_market.parameters()
    fee_wei = -(-market.min_reward_wei * market.verifier_fee_ppm // _PPM)
    return market.client_bond_wei + market.min_reward_wei + fee_wei, "bond, least reward, fee"


def _money_remedy(role: Role, rpc: str, deployment: Deployment, address: str, missing_wei: int, credit_wei: int) -> str:
    if credit_wei >= missing_wei:
        return f"pole {role.name} withdraw"
    if deployment.chain_id == _DEVELOPMENT_CHAIN:
        return f"cast rpc --rpc-url {shown(rpc)} anvil_setBalance {address} {hex(100 * 10**18)}"
    return f"send {_rounded(missing_wei)} ether or more to {address}"


def _rounded(wei: int) -> str:
    """Ether, rounded up to six places."""
    return wei_to_ether(-(-wei // 10**12) * 10**12)
