"""Accounts from encrypted key files (Web3 Secret Storage v3), the format that ape uses as well."""

import json
import os
from codecs import BOM_UTF8
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_keys.constants import SECPK1_N
from eth_utils.address import is_address, to_checksum_address
from pydantic_core import from_json

from pole.errors import BadInput
from pole.node.passwords import read_password
from pole.paths import expanded

KEY_BYTES = 32
_VERSION, _BLS_VERSION = 3, 4
_NEEDED = "need a version 3 key file, as `python -m pole account create FILE` writes it"
_MAX_QUOTED = 60
# Of the key derivation, a few times what wallets use; scrypt takes 128 n r bytes.
_LARGEST = {"n": 1 << 20, "r": 16, "p": 16, "c": 20_000_000, "dklen": 1024}
# What the library raises for a wrong password and for whatever else a file may hold.
_UNDECRYPTABLE = (ValueError, LookupError, TypeError, AttributeError, AssertionError, ArithmeticError, MemoryError)


def ape_accounts() -> Path:
    """Where ape keeps its accounts."""
    return expanded(os.environ.get("APE_DATA_FOLDER") or "~/.ape") / "accounts"


def load_account(source: str, password_file: Path | None = None) -> LocalAccount:
    """Decrypt a key file given by path, or by alias in ape's accounts. Takes seconds: do it once, at the start.

    The password comes from `password_file`, else from POLE_PASSWORD, else from a prompt.
    """
    path = find_keyfile(source)
    content = read_keyfile(path)
    password = read_password(password_file, f"Password for {path.name}: ")
    try:
        key = bytes(Account.decrypt(content, password))
    except _UNDECRYPTABLE as exc:
        raise BadInput(f"cannot decrypt {path}: wrong password or not a v3 key file ({type(exc).__name__})") from None
    return account_of(key)


def account_of(private_key: bytes) -> LocalAccount:
    """The account of a key; BadInput for bytes that are no key of the curve secp256k1."""
    if len(private_key) != KEY_BYTES:
        raise BadInput(f"the private key has {len(private_key)} bytes; need {KEY_BYTES}")
    if not 0 < int.from_bytes(private_key) < SECPK1_N:
        raise BadInput(
            "the private key is zero or not below the order of secp256k1, so it is no account's; give another"
        )
    account: LocalAccount = Account.from_key(private_key)
    return account


def create_account(
    path: Path, password: str, *, private_key: bytes | None = None, kdf_iterations: int | None = None
) -> str:
    """Write a key file (mode 0600) for a new key, or for `private_key`; returns its address.

    The file is read again and decrypted before this returns. `kdf_iterations`: scrypt's N, a power of two.
    """
    if not password:
        raise BadInput("the password is empty; a key file needs one")
    path = expanded(path)
    account: LocalAccount = Account.create() if private_key is None else account_of(private_key)
    content = Account.encrypt(account.key, password, kdf="scrypt", iterations=kdf_iterations)
    _write_new(path, json.dumps({**content, "address": account.address}))
    if Account.decrypt(read_keyfile(path), password) != account.key:
        raise BadInput(f"{path} does not decrypt to the key that was written; check the disk and do not use it")
    return str(account.address)


def find_keyfile(source: str) -> Path:
    """Path of a key file given by path or ape alias; raises BadInput naming both places."""
    direct = expanded(source)
    if direct.is_file():
        return direct
    aliased = ape_accounts() / f"{source}.json"
    if aliased.is_file():
        return aliased
    alias = f" and no ape account {aliased}" if aliased.stem == source and direct.suffix != ".json" else ""
    raise BadInput(
        f"no key file {direct}{alias}; create one with `ape accounts generate NAME` "
        "or `python -m pole account create FILE`"
    )


def read_keyfile(path: Path) -> dict[str, Any]:
    """The JSON of a v3 key file, still encrypted, its names in lower case; raises BadInput naming what is wrong."""
    try:
        # Not the standard library's parser: its recursion can overflow the C stack, and that kills the process.
        content = from_json(path.read_bytes().removeprefix(BOM_UTF8))
    except OSError as exc:
        raise BadInput(f"cannot read key file {path}: {exc.strerror}; check the path") from exc
    except ValueError as exc:
        raise BadInput(f"{path} is not a key file: {exc}; {_NEEDED}") from None
    parts = {name.lower(): part for name, part in content.items()} if isinstance(content, dict) else {}
    if "crypto" not in parts:
        raise BadInput(f"{path} is not a key file: it has no 'crypto' part; {_NEEDED}")
    version = parts.get("version")
    if version == _BLS_VERSION or "pubkey" in parts:
        raise BadInput(f"{path} is the BLS key file of a consensus validator (EIP-2335), not an account's; {_NEEDED}")
    if isinstance(version, bool) or not isinstance(version, int) or version != _VERSION:
        raise BadInput(f"{path} has version {_quoted(version)}, not the number {_VERSION}; {_NEEDED}")
    _check_cost(path, parts["crypto"])
    return parts


def told_address(path: Path) -> str | None:
    """The address that a key file says it is of, if it says one."""
    address = read_keyfile(path).get("address")
    if address is None:
        return None
    if not isinstance(address, str) or not is_address(address):
        raise BadInput(f"{path} tells an address that is none: {_quoted(address)}; use --check to see the right one")
    return str(to_checksum_address(address))


def _check_cost(path: Path, crypto: object) -> None:
    """Hostile parameters would take hours or all memory before the password turns out to be wrong."""
    parts = {str(name).lower(): part for name, part in crypto.items()} if isinstance(crypto, dict) else {}
    parameters = parts.get("kdfparams")
    if not isinstance(parameters, dict):
        raise BadInput(f"{path} is not a v3 key file: its 'crypto' part has no 'kdfparams'; {_NEEDED}")
    for name, value in parameters.items():
        largest = _LARGEST.get(str(name).lower())
        if largest is not None and not (isinstance(value, int) and 0 < value <= largest):
            raise BadInput(f"{path} has {name} = {_quoted(value)} in 'kdfparams'; need a number from 1 to {largest}")


def _quoted(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}..."


def _write_new(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError as exc:
        raise BadInput(f"{path} exists; key files are never overwritten, choose another name") from exc
    except OSError as exc:
        raise BadInput(f"cannot write {path}: {exc.strerror}; check the folder") from exc
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
