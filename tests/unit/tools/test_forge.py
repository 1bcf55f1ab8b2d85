"""The forge that `make` runs says so where it fails, unlike the launcher of its npm package."""

import subprocess
from pathlib import Path

import pytest

from tests.paths import ROOT

FORGE = ROOT / "tools" / "bin" / "forge"
CONTRACT = "// SPDX-License-Identifier: MIT\npragma solidity 0.8.37;\n\ncontract Ill { uint256   private x; }\n"


@pytest.mark.parametrize(
    ("arguments", "is_well"), [(["--version"], True), (["no-such-command"], False), (["fmt", "--check", "."], False)]
)
def test_forge__exit_status__is_its_own(tmp_path: Path, arguments: list[str], is_well: bool) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "Ill.sol").write_text(CONTRACT)
    done = subprocess.run([FORGE, *arguments], cwd=tmp_path, capture_output=True, timeout=120)
    assert (done.returncode == 0) == is_well, done.stderr
