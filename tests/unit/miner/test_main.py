"""The options of the miner's commands, without a node."""

import pytest
from click.testing import CliRunner

from miner.__main__ import cli
from pole.node.cli import ETHER


@pytest.mark.parametrize("command", [["run"], ["gradient", "run"]])
@pytest.mark.parametrize(
    ("amount", "problem"),
    [
        ("much", "'much' is not an amount of ether"),
        ("-1", "not a positive amount"),
        ("0.0000000000000000001", "whole wei"),
    ],
)
def test_min_reward__no_amount_of_ether__refused(command: list[str], amount: str, problem: str) -> None:
    result = CliRunner().invoke(cli, [*command, "--min-reward", amount])
    assert result.exit_code == 2
    assert problem in result.output


def test_ether__fraction__is_exact_in_wei() -> None:
    assert ETHER.convert("0.05", None, None) == 5 * 10**16
