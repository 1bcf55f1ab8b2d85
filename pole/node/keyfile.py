"""Accounts from encrypted key files (Web3 Secret Storage v3), the format that ape uses as well."""

import getpass
import json
import os
import sys
from pathlib import Path

from eth_account import Account
from eth_account.signers.local import LocalAccount

from pole.errors import BadInput

PASSWORD_VARIABLE = "POLE_PASSWORD"  # noqa: S105 (the variable's name)


def ape_accounts() -> Path:
    """Where ape keeps its accounts."""
    return Path(os.environ.get("APE_DATA_FOLDER", str(Path.home() / ".ape"))) / "accounts"


def load_account(source: str, password_file: Path | None = None) -> LocalAccount:
    """Decrypt a key file given by path, or by alias in ape's accounts. Takes seconds: do it once, at the start.

    The password comes from `password_file`, else from POLE_PASSWORD, else from a prompt.
    """
    path = find_keyfile(source)
    content = read_keyfile(path)
    password = read_password(password_file, f"Password for {path.name}: ")
    try:
        account: LocalAccount = Account.from_key(Account.decrypt(content, password))
    except (ValueError, KeyError, TypeError) as exc:
        raise BadInput(f"cannot decrypt {path}: wrong password or not a v3 key file ({type(exc).__name__})") from None
    return account


def create_account(
    path: Path, password: str, *, private_key: bytes | None = None, kdf_iterations: int | None = None
) -> str:
    """Write a key file (mode 0600) for a new key, or for `private_key`; returns its address.

    The file is read again and decrypted before this returns. `kdf_iterations`: scrypt's N, a power of two.
    """
    if not password:
        raise BadInput("the password is empty; a key file needs one")
    account: LocalAccount = Account.create() if private_key is None else Account.from_key(private_key)
    content = Account.encrypt(account.key, password, kdf="scrypt", iterations=kdf_iterations)
    _write_new(path, json.dumps({**content, "address": account.address}))
    if Account.decrypt(read_keyfile(path), password) != account.key:
        raise BadInput(f"{path} does not decrypt to the key that was written; check the disk and do not use it")
    return str(account.address)


def find_keyfile(source: str) -> Path:
    """Path of a key file given by path or ape alias; raises BadInput naming both places."""
    direct, aliased = Path(source).expanduser(), ape_accounts() / f"{source}.json"
    for path in (direct, aliased):
        if path.is_file():
            return path
    alias = f" and no ape account {aliased}" if aliased.stem == source and direct.suffix != ".json" else ""
    raise BadInput(
        f"no key file {direct}{alias}; create one with `ape accounts generate NAME` "
        "or `python -m pole account create FILE`"
    )


def read_keyfile(path: Path) -> dict[str, object]:
    """The JSON of a key file, still encrypted."""
    try:
        content = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as exc:
        raise BadInput(f"{path} is not a key file: {exc}; need a v3 JSON key file") from exc
    if not isinstance(content, dict) or "crypto" not in {name.lower() for name in content}:
        raise BadInput(f"{path} is not a key file: it has no 'crypto' part; need a v3 JSON key file")
    return content


def read_password(password_file: Path | None, prompt: str) -> str:
    """From the file, else from POLE_PASSWORD, else asked for on the terminal; never from an argument."""
    if password_file is not None:
        try:
            return password_file.read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as exc:
            raise BadInput(f"cannot read password file {password_file}: {exc}; check the path") from exc
    if (password := os.environ.get(PASSWORD_VARIABLE)) is not None:
        return password
    if not sys.stdin.isatty():
        raise BadInput(f"no password: give --password-file or set {PASSWORD_VARIABLE} (there is no terminal to ask on)")
    return getpass.getpass(prompt)


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
