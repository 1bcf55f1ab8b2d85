"""What the command lines of all roles share: errors end in one line, contexts open, instances exclude each other."""

import json
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
import structlog
from eth_account.signers.local import LocalAccount

from pole.chain.deployment import Deployment
from pole.errors import (
    BadInput,
    InsufficientFunds,
    JournalError,
    JournalFull,
    StoreUnavailable,
    TransientChainError,
    WrongChain,
)
from pole.journal.journal import Journal
from pole.node.cli import role_options
from pole.node.context import RoleContext
from pole.node.exit import exit_code
from pole.node.keyfile import create_account

NOBODY = "http://127.0.0.1:1"
Invoke = Callable[..., int]


@pytest.fixture
def options(anvil: str, deployment: Deployment, tmp_path: Path, new_account: Callable[..., LocalAccount]) -> list[str]:
    """Everything a role needs, in a folder of its own."""
    deployment.save(tmp_path / "deployment.json")
    (tmp_path / "password").write_text("pw")
    create_account(tmp_path / "key.json", "pw", private_key=bytes(new_account().key), kdf_iterations=2)
    given = {"rpc": anvil, "deployment": "deployment.json", "store": "store", "home": "home", "account": "key.json"}
    paths = {name: value if name == "rpc" else str(tmp_path / value) for name, value in given.items()}
    return [f"--{name}={value}" for name, value in paths.items()] + [f"--password-file={tmp_path / 'password'}"]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Exit code of a command with arguments as from a shell."""

    def invoke(command: click.Command, *arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["role", *arguments])
        return exit_code(command)

    return invoke


def at_node(options: list[str], *urls: str) -> list[str]:
    """The same options with other nodes."""
    return [option for option in options if not option.startswith("--rpc")] + [f"--rpc={url}" for url in urls]


def without_account(options: list[str]) -> list[str]:
    return [option for option in options if not option.startswith(("--account", "--password-file"))]


@click.command()
@role_options("miner")
@click.option("--tasks", type=int, default=0)
def probe(context: RoleContext, tasks: int) -> None:
    click.echo(f"{context.role} {context.address} height {context.contracts.block_ledger.height()} tasks {tasks}")
    context.journal.remember("ran", {"tasks": tasks})


@click.command()
@role_options("miner", needs_account=False)
def look(context: RoleContext) -> None:
    click.echo(f"looking: {context.has_account} {context.journal.recall('ran')}")


@click.command()
def failing() -> None:
    raise BadInput("the file is upside down; turn it")


@click.command()
def broken() -> None:
    print(1 // 0)


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """Every test begins as a process does, without a configuration."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


# --- errors ----------------------------------------------------------------------------------------------------------


def test_exit_code__pole_error__one_line_and_1(run: Invoke, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(failing) == 1
    assert capsys.readouterr().err == "error: the file is upside down; turn it\n"


def test_exit_code__unexpected_error__is_70_with_the_traceback(run: Invoke, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(broken) == 70
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TransientChainError, 75),
        (StoreUnavailable, 75),
        (JournalFull, 75),
        (WrongChain, 1),
        (InsufficientFunds, 1),
        (JournalError, 1),
        (click.Abort, 130),
        (KeyboardInterrupt, 130),
    ],
)
def test_exit_code__each_error__has_its_status(error: type[BaseException], code: int, run: Invoke) -> None:
    @click.command()
    def raising() -> None:
        raise error("no")

    assert run(raising) == code


def test_exit_code__json__the_error_is_an_object_too(
    run: Invoke, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(probe, *at_node(options, NOBODY), "--log-json") == 75
    (line,) = capsys.readouterr().err.splitlines()
    written = json.loads(line)
    assert (written["level"], written["kind"]) == ("error", "TransientChainError")


def test_role__metrics_port_taken__fails_before_the_key_is_read(
    run: Invoke, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(probe, *options, "--password-file=/nonexistent", f"--metrics-port={port}") == 1
    assert f"cannot serve metrics on 127.0.0.1:{port}: Address already in use" in capsys.readouterr().err


def test_exit_code__wrong_usage__is_2(run: Invoke, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(failing, "--nonsense") == 2
    assert "No such option" in capsys.readouterr().err


def test_role__account_missing__is_wrong_usage(run: Invoke, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(probe) == 2
    assert "Missing option '--account'" in capsys.readouterr().err


def test_role__node_away__says_so(run: Invoke, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(probe, *at_node(options, NOBODY)) == 75
    assert "error: connecting to http://127.0.0.1:1: the node does not answer" in capsys.readouterr().err


def test_role__second_instance__refused(run: Invoke, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(probe, *options) == 0
    home = Path(next(option for option in options if option.startswith("--home")).split("=")[1])
    (path,) = home.glob("journal-*.sqlite")
    with Journal(path):
        assert run(probe, *options) == 1
        assert "already uses this journal" in capsys.readouterr().err
        assert run(look, *without_account(options)) == 0


def test_role__other_account_in_the_same_home__refused(
    run: Invoke, options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(probe, *options) == 0
    create_account(tmp_path / "other.json", "pw", kdf_iterations=2)
    assert run(probe, *options, f"--account={tmp_path / 'other.json'}") == 1
    assert "belongs to account 0x" in capsys.readouterr().err


def test_role__first_node_away__asks_the_second(
    run: Invoke, options: list[str], anvil: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(probe, *at_node(options, NOBODY, anvil)) == 0
    assert f"asking {anvil} now: {NOBODY}: the node does not answer" in capsys.readouterr().err
    monkeypatch.setenv("POLE_RPC", f"{NOBODY} {anvil}")
    assert run(probe, *at_node(options)) == 0


# --- what works ------------------------------------------------------------------------------------------------------


def test_role__options_given__opens_everything(
    run: Invoke, options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(probe, *options, "--tasks=3") == 0
    assert capsys.readouterr().out.startswith("miner 0x")
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700


def test_role__without_account__reads_what_the_role_remembers(
    run: Invoke, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(probe, *options, "--tasks=7") == 0
    assert run(look, *without_account(options)) == 0
    assert "looking: False {'tasks': 7}" in capsys.readouterr().out


def test_account_commands__create_import_show__agree(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("pw")
    password = f"--password-file={tmp_path / 'password'}"
    key = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"

    def pole(*arguments: str, typed: str = "") -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "pole", "account", *arguments]
        return subprocess.run(command, input=typed, capture_output=True, text=True, timeout=600, check=False)

    imported = pole("import", str(tmp_path / "key.json"), password, typed=key + "\n")
    assert (imported.returncode, imported.stdout) == (0, "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\n")
    shown = pole("show", str(tmp_path / "key.json"), password, "--check")
    assert shown.stdout == imported.stdout
    refused = pole("import", str(tmp_path / "bad.json"), password, typed="0x12\n")
    assert (refused.returncode, refused.stderr) == (1, "error: the private key has 1 bytes; need 32\n")
