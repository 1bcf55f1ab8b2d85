"""Key file, password, home and journal: looked at, and neither decrypted nor changed."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from pole.chain.deployment import Deployment
from pole.journal.journal import Journal
from pole.journal.locks import account_lock
from pole.node.doctor import account
from pole.node.doctor.check import Verdict
from pole.node.passwords import PASSWORD_VARIABLE
from tests.unit.checking import KEY, OK, PROBLEM, WARNING, contents, says


def test_keyfile__missing__problem(tmp_path: Path) -> None:
    says(account.check_keyfile(str(tmp_path / "no.json")), PROBLEM, "no key file", "pole account create")


@pytest.mark.parametrize("text", ["", "[]", "{}", "no json", '{"crypto": {}, "address": "0x12"}', '{"crypto"'])
def test_keyfile__broken__problem(text: str, tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text(text)
    (tmp_path / "key.json").chmod(0o600)
    assert account.check_keyfile(str(tmp_path / "key.json")).verdict is PROBLEM


@pytest.mark.parametrize(("mode", "verdict"), [(0o644, WARNING), (0o620, PROBLEM), (0o600, OK), (0o400, OK)])
def test_keyfile__open_to_others__chmod_that_survives_spaces(mode: int, verdict: Verdict, keyfile: Path) -> None:
    keyfile.chmod(mode)
    says(account.check_keyfile(str(keyfile)), verdict, "", f"chmod 600 '{keyfile}'" if verdict is not OK else "")


@pytest.mark.parametrize(("text", "mode", "verdict"), [("", 0o600, PROBLEM), ("x", 0o644, WARNING), ("x", 0o600, OK)])
def test_password__file(text: str, mode: int, verdict: Verdict, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(text)
    (tmp_path / "password").chmod(mode)
    assert account.check_password(tmp_path / "password").verdict is verdict


def test_password__missing_file__problem(tmp_path: Path) -> None:
    says(account.check_password(tmp_path / "no"), PROBLEM, "No such file", "check the path")


def test_password__no_terminal__warning_and_variable_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    says(account.check_password(None), WARNING, "no terminal", "--password-file")
    monkeypatch.setenv(PASSWORD_VARIABLE, KEY)
    says(account.check_password(None), OK, f"from {PASSWORD_VARIABLE}")
    assert KEY not in str(account.check_password(None))


@pytest.mark.parametrize(("mode", "verdict"), [(0o755, WARNING), (0o777, PROBLEM), (0o700, OK)])
def test_home__permissions(mode: int, verdict: Verdict, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home").chmod(mode)
    assert account.check_home(tmp_path / "home").verdict is verdict


def test_home__file__problem(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    says(account.check_home(tmp_path / "home"), PROBLEM, "is not a folder", "--home")


def test_journal__damaged__problem(tmp_path: Path) -> None:
    (tmp_path / "journal-1.sqlite").write_bytes(b"no database" * 1000)
    says(account.check_journal(tmp_path / "journal-1.sqlite", None), PROBLEM, "is damaged", "restore")


def test_journal__of_another_account__problem(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal-1.sqlite") as journal:
        journal.bind("account", "0x01")
    says(account.check_journal(tmp_path / "journal-1.sqlite", "0x02"), PROBLEM, "belongs to account 0x01", "--home")


def test_journal__of_a_living_process__told_and_unchanged(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal-1.sqlite") as journal:
        journal.bind("account", "0x01")
        journal.transactions.sign(journal.transactions.plan("key", "what"), 4, "0xab", b"raw")
        before = contents(tmp_path)
        found = account.check_journal(journal.path, "0x01")
        assert contents(tmp_path) == before
    says(found, OK, "1 transactions under way, process")


def test_journal__of_a_killed_process__read_and_unchanged(tmp_path: Path) -> None:
    code = "import os, sys; from pathlib import Path; from pole.journal.journal import Journal\n"
    code += "Journal(Path(sys.argv[1])).bind('account', '0x01'); os._exit(0)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "journal-1.sqlite")], check=True)
    before = contents(tmp_path)
    assert (tmp_path / "journal-1.sqlite-wal").stat().st_size, "the account is only in the log yet"
    says(account.check_journal(tmp_path / "journal-1.sqlite", "0x01"), OK, "of 0x01: whole")
    assert contents(tmp_path) == before


def test_account_lock__held__names_the_holder(deployment: Deployment, tmp_path: Path) -> None:
    with account_lock("0x01", deployment.chain_id, deployment.genesis_hash, tmp_path):
        says(account.check_account_lock("0x01", deployment), OK, f"--home {tmp_path}")
    says(account.check_account_lock("0x01", deployment), OK, "no long-running process")
