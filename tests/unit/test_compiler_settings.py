"""Every tool compiles the contracts with one compiler and one set of options, those of foundry.toml."""

import json
import re
import tomllib
from typing import Any

import pytest
import yaml

from pole.chain.deployment import CONTRACT_NAMES, ContractName
from testbed import artifacts
from tests.paths import ROOT

LARGEST_CODE = 24_576
"""Bytes: EIP-170."""
ROOM = 2_000


@pytest.fixture(scope="module")
def foundry() -> dict[str, Any]:
    profile: dict[str, Any] = tomllib.loads((ROOT / "foundry.toml").read_text())["profile"]["default"]
    return profile


@pytest.fixture(scope="module")
def version(foundry: dict[str, Any]) -> str:
    return str(foundry["solc"]).rpartition("solc-v")[2]


def test_version__every_tool__the_same(version: str) -> None:
    ape = yaml.safe_load((ROOT / "ape-config.yaml").read_text())["solidity"]
    package = json.loads((ROOT / "package.json").read_text())["devDependencies"]
    locked = json.loads((ROOT / "package-lock.json").read_text())["packages"]["node_modules/solc"]
    solhint = json.loads((ROOT / ".solhint.json").read_text())["rules"]["compiler-version"]
    [wrapper] = re.findall(r'const VERSION = "(.*)"', (ROOT / "tools" / "solc" / f"solc-v{version}").read_text())
    found = [ape["version"], package["solc"], locked["version"], solhint[1], wrapper, artifacts.VERSION]
    assert found == [version] * 6


def test_options__every_tool__the_same(foundry: dict[str, Any]) -> None:
    ape = yaml.safe_load((ROOT / "ape-config.yaml").read_text())["solidity"]
    hits = (ROOT / "tools" / "source_hits.py").read_text()
    assert ape["evm_version"] == foundry["evm_version"] == artifacts.SETTINGS["evmVersion"]
    assert f'"evmVersion": "{foundry["evm_version"]}"' in hits
    expected = {"enabled": foundry["optimizer"], "runs": foundry["optimizer_runs"]}
    assert artifacts.SETTINGS["optimizer"] == expected
    remapping = [f"{name}" for name in foundry["remappings"]]
    assert artifacts.SETTINGS["remappings"] == ape["import_remapping"] == remapping


@pytest.mark.parametrize("name", CONTRACT_NAMES)
def test_runtime_code__of_every_contract__leaves_room_for_a_fix(name: ContractName) -> None:
    size = len(bytes.fromhex(artifacts.compiled()[name]["runtime"].removeprefix("0x")))
    assert 0 < size <= LARGEST_CODE - ROOM
