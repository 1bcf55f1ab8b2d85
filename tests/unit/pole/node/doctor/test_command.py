"""`pole doctor`: nothing is sent, made or changed, no secret is shown, and the status says whether all is well."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.console import Console
from web3 import Web3

from pole.chain.deployment import Deployment
from pole.journal.journal import Journal
from pole.node.doctor.check import Check, check, problem
from pole.node.doctor.command import doctor, print_row
from pole.node.exit import exit_code
from pole.urls import keep_secret
from tests.unit.checking import KEY, PROBLEM, contents, says
from tests.unit.peer import nobody


def address_in(keyfile: Path) -> str:
    return str(json.loads(keyfile.read_text())["address"])


@pytest.fixture
def run(anvil: str, deployment: Deployment, tmp_path: Path, keyfile: Path) -> Callable[..., Result]:
    """`run(*options)` of a machine on which all is well; later options win."""
    deployment.save(tmp_path / "deployment.json")
    (tmp_path / "password").write_text("pw")
    (tmp_path / "password").chmod(0o600)
    given = {"deployment": "deployment.json", "store": "store", "home": "home", "password-file": "password"}
    options = [f"--{name}={tmp_path / value}" for name, value in given.items()]
    options += [f"--account={keyfile}"]

    def invoke(*more: str) -> Result:
        node = [] if any(option.startswith("--rpc") for option in more) else [f"--rpc={anvil}"]
        return CliRunner().invoke(doctor, [*options, *node, *more])

    return invoke


def test_doctor__node_down_behind_a_key__status_1_and_no_key(run: Callable[..., Result]) -> None:
    result = run(f"--rpc={nobody()}/v3/{KEY}?token={KEY}", f"--store=http://user:{KEY}@127.0.0.1:1/{KEY}")
    assert result.exit_code == 1
    assert "nobody listens" in result.output
    assert KEY not in result.output


def test_doctor__second_node_of_two_down__said_and_the_rest_is_checked(run: Callable[..., Result], anvil: str) -> None:
    result = run("--json", f"--rpc={nobody()}", f"--rpc={anvil}")
    verdicts = [(each["name"], each["verdict"]) for each in json.loads(result.stdout.partition("Error")[0])]
    assert [each for each in verdicts if each[0] in ("node", "contracts")] == [
        ("node", "problem"),
        ("node", "ok"),
        ("contracts", "ok"),
    ]


def test_doctor__no_home_variable_and_hostile_paths__no_traceback(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME", raising=False)
    nowhere = "~nobody-of-this-name/x"
    for option in (f"--home={nowhere}", f"--store={nowhere}", f"--password-file={nowhere}", "--account=\x1b[31m"):
        result = run(option)
        assert (result.exit_code, isinstance(result.exception, SystemExit)) == (1, True), result.exception
        assert "report this" not in result.output
        assert "\x1b" not in result.output


def test_doctor__all_well__status_0_and_nothing_changed(
    run: Callable[..., Result], tmp_path: Path, keyfile: Path, web3: Web3
) -> None:
    with Journal(tmp_path / "home" / "journal-0.sqlite"):
        pass
    before = contents(tmp_path)
    result = run("--json")
    changed = contents(tmp_path)
    del before[str(tmp_path / "deployment.json")], changed[str(tmp_path / "deployment.json")]
    assert result.exit_code == 0, result.output
    found = {entry["name"]: entry for entry in json.loads(result.stdout)}
    assert not [entry for entry in found.values() if entry["verdict"] == "problem"]
    assert {"python", "torch", "kernels", "disk", "store", "node", "requests", "synced", "clock"} <= set(found)
    assert {"gas price", "deployment", "contracts", "key file", "password", "home", "balance"} <= set(found)
    assert changed == before
    assert web3.eth.get_transaction_count(web3.to_checksum_address(address_in(keyfile))) == 0


def test_doctor__role__only_its_balance(run: Callable[..., Result]) -> None:
    lines = [line for line in run("--role=verifier").stdout.splitlines() if "balance" in line]
    assert len(lines) == 1
    assert "verifier: 100 ether" in lines[0]


def test_check__unexpected_error__problem_without_secrets() -> None:
    @check("broken")
    def look() -> Check:
        raise LookupError(f"at https://node.example/v3/{KEY}")

    keep_secret(f"https://node.example/v3/{KEY}")
    says(look(), PROBLEM, "LookupError: at https://node.example", "report this")
    assert KEY not in str(look())


@pytest.mark.parametrize("width", [40, 80])
def test_row__narrow_terminal_without_colour__fits(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    written = io.StringIO()
    row = problem("/a/very/long/path/that/has/no/space/in/it/at/all/anywhere [bold]is wrong[/]", "chmod 600 file")
    print_row(Console(file=written, width=width, force_terminal=True, highlight=False), row)
    lines = written.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()
    assert max(map(len, lines)) <= width
    assert "[bold]" in written.getvalue()
    assert "\x1b[3" not in written.getvalue()


def test_import__neither_ape_nor_torch() -> None:
    code = "import sys, pole.node.doctor.command; "
    code += "sys.exit(bool({'ape', 'torch', 'numba', 'ipfshttpclient'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_doctor__problem_as_json__only_json_on_stdout_and_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["doctor", "--json", f"--rpc={nobody()}"])
    assert exit_code(doctor) == 1
    said = capsys.readouterr()
    assert [entry["verdict"] for entry in json.loads(said.out) if entry["name"] == "node"] == ["problem"]
    assert "problem" in said.err
