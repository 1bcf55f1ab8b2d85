"""The command line: what it refuses, and the audit."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from explorer.__main__ import cli
from pole.errors import BadInput, TransientChainError
from tests.paths import ROOT
from tests.unit.explorer.world import World
from tests.unit.peer import nobody


def run(*arguments: str) -> str:
    """Standard output; raises what the command raises."""
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


def test_cli__deployment_given_twice__refused(played: World, tmp_path: Path) -> None:
    played.deployment.save(tmp_path / "d.json")
    twice = ["--deployment", str(tmp_path / "d.json")] * 2
    with pytest.raises(BadInput, match="given twice"):
        run("--rpc", played.rpc_url, *twice, "--home", str(tmp_path / "home"), "audit")


def test_cli__no_node__try_again(played: World, tmp_path: Path) -> None:
    played.deployment.save(tmp_path / "d.json")
    with pytest.raises(TransientChainError, match="does not answer"):
        run(
            "--rpc",
            "http://127.0.0.1:1",
            "--deployment",
            str(tmp_path / "d.json"),
            "--home",
            str(tmp_path / "h"),
            "audit",
        )


@pytest.mark.parametrize("is_from_environment", [False, True])
def test_audit__first_node_down__asks_the_second(
    is_from_environment: bool, played: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played.deployment.save(tmp_path / "d.json")
    arguments = ["--deployment", str(tmp_path / "d.json"), "--home", str(tmp_path / "home")]
    nodes = [nobody(), played.rpc_url]
    if is_from_environment:
        monkeypatch.setenv("POLE_RPC", " ".join(nodes))
    else:
        arguments += [f"--rpc={node}" for node in nodes]
    assert ": 0 disagreements" in run(*arguments, "audit")


def test_cli__home_under_a_file__refused(played: World, tmp_path: Path) -> None:
    played.deployment.save(tmp_path / "d.json")
    arguments = ["--deployment", str(tmp_path / "d.json"), "--home", str(tmp_path / "d.json" / "home")]
    with pytest.raises(BadInput, match="choose another folder"):
        run("--rpc", played.rpc_url, *arguments, "audit")


def test_audit__index_made_on_the_way__says_what_was_replayed(played: World, tmp_path: Path) -> None:
    played.deployment.save(tmp_path / "d.json")
    arguments = ["--deployment", str(tmp_path / "d.json"), "--home", str(tmp_path / "home")]
    assert ": 0 disagreements" in run("--rpc", played.rpc_url, *arguments, "audit")


def test_help__without_the_extra__works() -> None:
    """Only serving needs the web's libraries."""
    hidden = "import sys; sys.modules.update(dict.fromkeys(('fastapi', 'uvicorn', 'jinja2', 'starlette')))\n"
    code = f"{hidden}from explorer.__main__ import main; sys.argv = ['explorer', '--help']; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "audit" in done.stdout
