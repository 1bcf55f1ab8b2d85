"""Commands in messages can be copied into a shell, whatever the names in them are."""

import re
import shlex
from pathlib import Path

import pytest

from pole.shell import command

PRODUCT = ("pole", "miner", "verifier", "dataclient", "explorer", "scripts")
# A suggestion in an f-string with a value after it, such as f"python -m dataclient submit {path}".
BARE = re.compile(r"""f["'][^"'\n]*(python -m|ape run)[^"'\n]*\{(?!command\()""")
NUMBERS = ("{least}",)


@pytest.mark.parametrize("name", ["plain.toml", "my rows.csv", "a'b", "$(x)", "*", "caf\udce9", "-x"])
def test_command__any_name__shell_reads_it_back(name: str) -> None:
    line = command("python", "-m", "dataclient", "submit", Path(name))
    assert shlex.split(line) == ["python", "-m", "dataclient", "submit", name]


def test_source__suggested_commands__quote_their_values() -> None:
    root = Path(__file__).parents[3]
    found = [
        f"{path.relative_to(root)}: {line.strip()}"
        for folder in PRODUCT
        for path in (root / folder).rglob("*.py")
        for line in path.read_text().splitlines()
        if BARE.search(line) and not any(number in line for number in NUMBERS)
    ]
    assert found == []
