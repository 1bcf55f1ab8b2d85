"""Key files are refused with a reason, written privately, and read back as ape would."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from eth_account import Account
from eth_keys.constants import SECPK1_N
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pole.errors import BadInput
from pole.node.keyfile import account_of, create_account, find_keyfile, load_account, told_address

KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
FAST = 2  # scrypt's N: weak on purpose, for speed
# Made once with the library's own parts: the key of 64 zeros, which its writer refuses.
ZERO: dict[str, object] = {
    "version": 3,
    "crypto": {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "00000000000000000000000000000000"},
        "ciphertext": "7adfb797c7373ca2a30c598374226c039c94406ccbd4decc3d90de85181d9c5a",
        "kdf": "scrypt",
        "kdfparams": {"dklen": 32, "n": 2, "r": 8, "p": 1, "salt": "00000000000000000000000000000000"},
        "mac": "d3e6c0d7841007d4b78b6c63ea462052a98d3b398683a7f4ae0b1c6c3635c58d",
    },
}


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


@pytest.mark.parametrize("content", ["", "[]", "[" * 100_000, "1" * 5000, "{}", '{"address": "f39f"}', "\x00\xff"])
def test_load_account__not_a_keyfile__refused(tmp_path: Path, password_file: Path, content: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(content)
    with pytest.raises(BadInput, match="is not a key file"):
        load_account(str(path), password_file)


def test_read_keyfile__nested_deeper_than_the_stack__refused_by_a_process_that_lives_on(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 1_000_000)
    program = "import sys; sys.setrecursionlimit(2_000_000)\n"  # as libraries for Ethereum do when they are imported
    program += "from pathlib import Path; from pole.node.keyfile import read_keyfile; read_keyfile(Path(sys.argv[1]))"
    command = [sys.executable, "-c", program, str(tmp_path / "deep.json")]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (finished.returncode, "is not a key file" in finished.stderr) == (1, True), finished.stderr


def test_load_account__crypto_part_is_nonsense__refused(tmp_path: Path, password_file: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text(json.dumps({"version": 3, "crypto": {"kdf": "none", "kdfparams": {}}}))
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


def changed(keyfile: Path, **parts: object) -> Path:
    """The key file with other parts."""
    keyfile.write_text(json.dumps({**json.loads(keyfile.read_text()), **parts}))
    return keyfile


@pytest.mark.parametrize("version", ["3", 1, 2, 5, 3.5, True, None, [3], {"3": 3}, "x" * 5000])
def test_load_account__version_other_than_3__refused_naming_it(
    version: object, keyfile: Path, password_file: Path
) -> None:
    with pytest.raises(BadInput, match=r"has version .*, not the number 3; need a version 3 key file") as caught:
        load_account(str(changed(keyfile, version=version)), password_file)
    assert len(str(caught.value)) < 500


def test_load_account__bls_key_file__refused_by_name(keyfile: Path, password_file: Path) -> None:
    with pytest.raises(BadInput, match=r"BLS key file of a consensus validator \(EIP-2335\)"):
        load_account(str(changed(keyfile, version=4, pubkey="8f", path="m/12381/60/0/0")), password_file)


@pytest.mark.parametrize("number", [0, SECPK1_N, (1 << 256) - 1])
def test_account_of__no_key_of_the_curve__refused(number: int) -> None:
    with pytest.raises(BadInput, match="zero or not below the order"):
        account_of(number.to_bytes(32))


def test_load_account__file_of_the_key_zero__refused(tmp_path: Path, password_file: Path) -> None:
    (tmp_path / "zero.json").write_text(json.dumps(ZERO))
    with pytest.raises(BadInput, match="zero or not below the order"):
        load_account(str(tmp_path / "zero.json"), password_file)


@pytest.mark.parametrize(("name", "value"), [("n", 1 << 40), ("r", 1 << 30), ("p", 0), ("dklen", 10**9), ("n", "2")])
def test_load_account__key_derivation_that_never_ends__refused_at_once(
    name: str, value: object, keyfile: Path, password_file: Path
) -> None:
    crypto = json.loads(keyfile.read_text())["crypto"]
    crypto["kdfparams"][name] = value
    with pytest.raises(BadInput, match=f"has {name} = .* in 'kdfparams'; need a number from 1 to"):
        load_account(str(changed(keyfile, crypto=crypto)), password_file)


@pytest.mark.parametrize("address", [7, ["0x"], "\x1b[31m", "0x12"])
def test_told_address__no_address__refused(address: object, keyfile: Path) -> None:
    with pytest.raises(BadInput, match="tells an address that is none"):
        told_address(changed(keyfile, address=address))


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("00") | st.just(3)
NAMES = st.sampled_from(
    [
        *("version", "crypto", "Crypto", "kdf", "kdfparams", "n", "r", "p", "c", "prf", "salt", "dklen"),
        *("ciphertext", "cipherparams", "iv", "mac", "scrypt", "pbkdf2"),
    ]
)
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(), inner, max_size=8)
)
PART = st.one_of(SCALARS, st.sampled_from(["scrypt", "pbkdf2", "hmac-sha256", "hmac-none", "ab" * 16]), DOCUMENTS)
KDF = st.dictionaries(st.sampled_from(["n", "r", "p", "c", "prf", "salt", "dklen"]), st.integers(1, 9) | PART)
CRYPTO = st.fixed_dictionaries(
    {"kdf": st.sampled_from(["scrypt", "pbkdf2"]) | PART, "kdfparams": KDF | PART},
    optional=dict.fromkeys(("ciphertext", "mac", "cipher"), PART)
    | {"cipherparams": st.fixed_dictionaries({}, optional={"iv": PART}) | PART},
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(DOCUMENTS | st.fixed_dictionaries({"version": st.just(3), "crypto": CRYPTO | DOCUMENTS}))
def test_load_account__any_json_document__refused_as_bad_input(
    tmp_path: Path, password_file: Path, document: object
) -> None:
    path = tmp_path / "any.json"
    path.write_text(json.dumps(document))
    with pytest.raises(BadInput):
        load_account(str(path), password_file)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(part=st.sampled_from(["kdf", "kdfparams", "mac", "ciphertext", "cipherparams", "cipher"]), value=PART)
def test_load_account__one_part_changed__refused_or_the_same_key(
    keyfile: Path, password_file: Path, part: str, value: object
) -> None:
    content = json.loads(keyfile.read_text())
    content["crypto"][part] = value
    other = keyfile.with_name("other.json")
    other.write_text(json.dumps(content))
    try:
        account = load_account(str(other), password_file)
    except BadInput:
        return
    assert account.address == ADDRESS or part == "cipherparams"


ODD = {"not UTF-8": b"caf\xe9.json", "a line break": b"a\nb.json", "a space": b"a b.json"}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_account_show__odd_file_name__no_traceback(name: str, is_there: bool, encoding: str, keyfile: Path) -> None:
    path = os.fsencode(keyfile.parent) + b"/" + ODD[name]
    if is_there:
        os.link(keyfile, path)
    finished = subprocess.run(
        [sys.executable.encode(), b"-m", b"pole", b"account", b"show", path],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        check=False,
    )
    assert (finished.returncode, b"Traceback" in finished.stderr) == (0 if is_there else 1, False), finished.stderr


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
