"""The options of the miner's commands, without a node."""

import pytest
from click import BadParameter
from click.testing import CliRunner

from miner.__main__ import cli
from pole.node.cli import ETHER, ETHER_OR_NOTHING


@pytest.mark.parametrize("command", [["run"], ["gradient", "run"]])
@pytest.mark.parametrize("option", ["--min-reward", "--withdraw-over"])
@pytest.mark.parametrize(
    ("amount", "problem"),
    [
        ("much", "'much' is not an amount of ether"),
        ("-1", "amount of whole wei"),
        ("-inf", "amount of whole wei"),
        ("0.0000000000000000001", "whole wei"),
        ("50000000000000000", "for 50000000000000000 wei write 0.05"),
    ],
)
def test_option__no_amount_of_ether__refused(command: list[str], option: str, amount: str, problem: str) -> None:
    result = CliRunner().invoke(cli, [*command, option, amount])
    assert result.exit_code == 2
    assert problem in " ".join(result.output.replace("│", " ").split())


def test_ether__nothing__refused_where_something_is_asked_for() -> None:
    with pytest.raises(BadParameter, match="'0' ether is not a positive amount of whole wei"):
        ETHER.convert("0", None, None)
    assert ETHER_OR_NOTHING.convert("0", None, None) == 0


def test_ether__fraction__is_exact_in_wei() -> None:
    assert ETHER.convert("0.05", None, None) == ETHER_OR_NOTHING.convert("0.05", None, None) == 5 * 10**16
