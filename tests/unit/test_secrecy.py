"""No secret is in representations, tracebacks or messages. The search of the end-to-end tests finds planted ones."""

import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dataclient.task_folder import Prepared
from miner.learning.solutions import Solution
from pole.chain.structs import Verdict
from pole.encryption.keys import MasterKey
from pole.errors import BadInput, PoleError
from pole.node.keyfile import create_account, load_account
from pole.storage.cid import cid_of
from tests.e2e.secrecy import leaks
from tests.e2e.site import development_account
from verifier.votes import Vote

SALT = bytes(range(64, 96))


def holders() -> dict[str, tuple[Any, list[str]]]:
    """What holds a secret, and the forms in which it could show."""
    salt_forms = [SALT.hex(), repr(SALT), str(list(SALT))]
    master = MasterKey((123456789123456789, 987654321987654321))
    account = development_account(3)
    return {
        "solution": (Solution(cid_of(b"model"), SALT, 900_000), salt_forms),
        "vote": (Vote([Verdict(True, 1, 2)], SALT), salt_forms),
        "prepared": (Prepared(manifest="m", test_set="t", salt=SALT.hex()), salt_forms),
        "master": (master, ["123456789123456789", "987654321987654321"]),
        "account": (account, [bytes(account.key).hex(), repr(bytes(account.key))]),
    }


@pytest.mark.parametrize("name", ["solution", "vote", "prepared", "master", "account"])
def test_repr__holder_of_a_secret__does_not_show_it(name: str) -> None:
    holder, forms = holders()[name]
    shown = [repr(holder), str(holder), f"{SimpleNamespace(inner=holder)}"]
    assert not [form for form in forms for text in shown if form in text]


def test_load_account__wrong_password__no_traceback_shows_it(tmp_path: Path) -> None:
    create_account(tmp_path / "key.json", "right-word", private_key=bytes(development_account(3).key), kdf_iterations=2)
    (tmp_path / "password").write_text("wrong-word")
    with pytest.raises(BadInput) as caught:
        load_account(str(tmp_path / "key.json"), tmp_path / "password")
    shown = "".join(traceback.format_exception(caught.value))
    assert "wrong-word" not in shown
    assert "right-word" not in shown


def test_prepared__damaged_file__the_error_does_not_show_the_salt(tmp_path: Path) -> None:
    path = tmp_path / "prepared.json"
    path.write_text('{"manifest": 1, "test_set": "t", "salt": "' + SALT.hex() + '", "more": "' + SALT.hex() + '"}')
    with pytest.raises(PoleError) as caught:
        Prepared.read(path)
    assert SALT.hex()[:12] not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("index", [0, 7])
def test_leaks__planted_key__is_found(index: int, tmp_path: Path) -> None:
    (tmp_path / "miner.log").write_text(f"sent with {bytes(development_account(index).key).hex()}\n")
    stage: Any = SimpleNamespace(_password="a-long-password", processes={})
    assert leaks(stage, tmp_path) == [f"private key {index} in miner.log"]


def test_leaks__planted_password_and_salt__are_found(tmp_path: Path) -> None:
    home = tmp_path / "client" / "iris"
    home.mkdir(parents=True)
    Prepared(manifest="m", test_set="t", salt=SALT.hex()).write(home / "prepared.json")
    (tmp_path / "client.log").write_text(f"a-long-password\n{SALT.hex()}\n")
    stage: Any = SimpleNamespace(_password="a-long-password", processes={})
    assert leaks(stage, tmp_path) == ["the password in client.log", "salt of iris in client.log"]
