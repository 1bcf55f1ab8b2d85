"""Key files are refused with a reason, written privately, and read back as ape would."""

import io
import json
from pathlib import Path

import pytest
from eth_account import Account

from pole.errors import BadInput
from pole.node.keyfile import create_account, find_keyfile, load_account

KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
FAST = 2  # scrypt's N: weak on purpose, for speed


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("correct horse\n")
    return path


@pytest.fixture
def keyfile(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "miner.json"
    create_account(path, "correct horse", private_key=KEY, kdf_iterations=FAST)
    return path


# --- errors ----------------------------------------------------------------------------------------------------------


def test_load_account__unknown_alias__names_both_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APE_DATA_FOLDER", str(tmp_path))
    with pytest.raises(BadInput, match=rf"no key file nobody and no ape account {tmp_path}/accounts/nobody.json"):
        load_account("nobody")


def test_load_account__wrong_password__says_so_without_repeating_it(keyfile: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("hunter2")
    with pytest.raises(BadInput, match="wrong password") as caught:
        load_account(str(keyfile), wrong)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"address": "f39f"}', "\x00\xff"])
def test_load_account__not_a_keyfile__refused(tmp_path: Path, password_file: Path, content: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(content)
    with pytest.raises(BadInput, match="is not a key file"):
        load_account(str(path), password_file)


def test_load_account__crypto_part_is_nonsense__refused(tmp_path: Path, password_file: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text(json.dumps({"version": 3, "crypto": {"kdf": "none"}}))
    with pytest.raises(BadInput, match="not a v3 key file"):
        load_account(str(path), password_file)


def test_load_account__password_file_missing__refused(keyfile: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot read password file"):
        load_account(str(keyfile), tmp_path / "nowhere")


def test_load_account__no_password_and_no_terminal__says_how_to_give_one(
    keyfile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POLE_PASSWORD", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(BadInput, match="give --password-file or set POLE_PASSWORD"):
        load_account(str(keyfile))


def test_create_account__file_exists__refused_and_untouched(keyfile: Path) -> None:
    before = keyfile.read_bytes()
    with pytest.raises(BadInput, match="never overwritten"):
        create_account(keyfile, "other", kdf_iterations=FAST)
    assert keyfile.read_bytes() == before


def test_create_account__empty_password__refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="password is empty"):
        create_account(tmp_path / "key.json", "")


# --- what works ------------------------------------------------------------------------------------------------------


def test_create_account__known_key__has_its_address_and_is_private(keyfile: Path, password_file: Path) -> None:
    assert keyfile.stat().st_mode & 0o777 == 0o600
    account = load_account(str(keyfile), password_file)
    assert (account.address, bytes(account.key)) == (ADDRESS, KEY)
    assert KEY.hex() not in keyfile.read_text()


def test_create_account__without_key__makes_a_new_one_each_time(tmp_path: Path) -> None:
    addresses = {create_account(tmp_path / f"{i}.json", "pw", kdf_iterations=FAST) for i in range(3)}
    assert len(addresses) == 3


def test_load_account__ape_alias__finds_apes_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password_file: Path
) -> None:
    monkeypatch.setenv("APE_DATA_FOLDER", str(tmp_path / "ape"))
    folder = tmp_path / "ape" / "accounts"
    folder.mkdir(parents=True)
    content = Account.encrypt(KEY, "correct horse", iterations=FAST)  # as `ape accounts import` writes it
    (folder / "alice.json").write_text(json.dumps(content))
    assert find_keyfile("alice") == folder / "alice.json"
    assert load_account("alice", password_file).address == ADDRESS


def test_load_account__password_in_environment__used(keyfile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLE_PASSWORD", "correct horse")
    assert load_account(str(keyfile)).address == ADDRESS
