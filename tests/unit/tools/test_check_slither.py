"""What `incorrect-equality` is for, which is off: no contract compares a time or a balance of ether for equality."""

from pathlib import Path

import pytest

from tools.check_slither import strict_equalities


@pytest.mark.parametrize(
    "line",
    [
        "if (block.timestamp == deadline) return;",
        "if (deadline == block.timestamp) return;",
        "if (block.number != last) return;",
        "if (owed != address(this).balance) return;",
        "if (payee.balance == 0) return;",
    ],
)
def test_strict_equalities__time_or_balance__is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "A.sol").write_text(f"contract A {{\n    {line}\n}}\n")
    assert strict_equalities(tmp_path) == [f"A.sol:2: {line}"]


@pytest.mark.parametrize(
    "line",
    [
        "if (block.timestamp >= deadline) return;",
        "if (phase == Phase.Voting) deadline = block.timestamp;",
        "if (balanceOf[keeper] == 0) return;",
        "found.balanceWei = account.balance;",
    ],
)
def test_strict_equalities__anything_else__is_none(tmp_path: Path, line: str) -> None:
    (tmp_path / "A.sol").write_text(f"contract A {{\n    {line}\n}}\n")
    assert strict_equalities(tmp_path) == []


def test_strict_equalities__contracts_of_tests__may(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "A.sol").write_text("x == block.timestamp\n")
    assert strict_equalities(tmp_path) == []
