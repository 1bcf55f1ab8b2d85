"""The command `pole`: it lists commands without importing them, and says which package is not installed."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from pole import __version__
from pole.__main__ import cli
from pole.node.exit import EXTRAS, exit_code

ROLES = ("account", "client", "miner", "verifier")


def test_pole__unknown_command__refused() -> None:
    assert CliRunner().invoke(cli, ["mine"]).exit_code == 2


@pytest.mark.parametrize(
    ("module", "extra"), [("torch", "train"), ("sklearn", "data"), ("PIL", "data"), ("ipfshttpclient", "ipfs")]
)
def test_exit_code__package_of_an_extra_is_missing__names_the_extra(
    module: str, extra: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def command() -> None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(sys, "argv", ["pole"])
    assert exit_code(command) == 1
    assert f"this needs {module}; install it: pip install 'useful-proof-of-work[{extra}]'" in capsys.readouterr().err


def test_exit_code__a_module_of_ours_is_missing__is_unexpected(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def command() -> None:
        raise ModuleNotFoundError("No module named 'pole.nothing'", name="pole.nothing")

    monkeypatch.setattr(sys, "argv", ["pole"])
    assert exit_code(command) == 70
    assert "pole.nothing" in capsys.readouterr().err


def test_pole__version__is_the_packages() -> None:
    assert CliRunner().invoke(cli, ["--version"]).output == f"pole, version {__version__}\n"


def test_pole__help__lists_every_role_and_imports_none() -> None:
    program = (
        "import sys\nfrom pole.__main__ import main\nsys.argv = ['pole', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('torch', 'numba', 'dataclient', 'miner', 'verifier') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.strip().endswith("[]")
    assert all(f"  {role} " in said for role in ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_pole__role__has_its_commands(role: str) -> None:
    said = CliRunner().invoke(cli, [role, "--help"])
    assert said.exit_code == 0
    assert "Commands:" in said.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion__every_shell__prints_a_script_for_pole(shell: str) -> None:
    said = CliRunner().invoke(cli, ["completion", shell])
    assert said.exit_code == 0
    assert "_POLE_COMPLETE" in said.output


def test_help__no_extra_installed__every_command_has_it() -> None:
    program = f"""
import sys
from importlib.abc import MetaPathFinder
import click
class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {sorted(EXTRAS)}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
from pole.__main__ import cli
def walk(command, path):
    with click.Context(command) as context:
        assert command.get_help(context)
        print(path)
        for name in command.list_commands(context) if isinstance(command, click.Group) else ():
            walk(command.get_command(context, name), f"{{path}} {{name}}")
walk(cli, "pole")
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert {"pole client submit", "pole miner gradient run", "pole verifier stake"} <= set(said.stdout.splitlines())
