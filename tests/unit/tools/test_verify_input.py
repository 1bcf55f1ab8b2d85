"""What explorers get to verify the sources gives the packaged bytecode, from the compiler and nothing else."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pole.chain.artifacts import artifact
from pole.chain.deployment import CONTRACT_NAMES, ContractName
from testbed.artifacts import VERSION
from tests.paths import ROOT
from tools import verify_input

SMALL: ContractName = "RewardToken"


def compiled_alone(standard: dict[str, Any], folder: Path) -> dict[str, Any]:
    """By the compiler in an empty folder: what the input lacks is not found."""
    compiler = ROOT / "tools" / "solc" / f"solc-v{VERSION}"
    command = [str(compiler), "--standard-json", "--base-path", str(folder)]
    done = subprocess.run(command, input=json.dumps(standard), capture_output=True, text=True, check=True, cwd=folder)
    output: dict[str, Any] = json.loads(done.stdout)
    assert not [error for error in output.get("errors", []) if error["severity"] == "error"], output["errors"]
    return output


@pytest.mark.parametrize(
    "name", [SMALL, *(pytest.param(each, marks=pytest.mark.full) for each in CONTRACT_NAMES if each != SMALL)]
)
@pytest.mark.timeout(300)
def test_standard_input__compiled_alone__is_the_deployed_bytecode_and_metadata(
    name: ContractName, tmp_path: Path
) -> None:
    standard = verify_input.standard_input(verify_input.metadata_of(name))
    made = compiled_alone(standard, tmp_path)["contracts"][verify_input.path_of(name)][name]
    creation = "0x" + made["evm"]["bytecode"]["object"]
    assert creation == artifact(name).bytecode
    # The hash of the metadata stands at the end of the code: 53 bytes with it and the compiler's version. Behind it the
    # creation code may hold that of a contract which the constructor creates.
    trailer = made["evm"]["deployedBytecode"]["object"][-106:]
    assert artifact(name).bytecode.count(trailer) == 1
    assert "ipfs" in bytes.fromhex(trailer).decode(errors="ignore")


def test_standard_input__one_letter_of_a_comment_changed__has_another_metadata_hash(tmp_path: Path) -> None:
    standard = verify_input.standard_input(verify_input.metadata_of(SMALL))
    path = verify_input.path_of(SMALL)
    standard["sources"][path]["content"] = standard["sources"][path]["content"].replace("@notice", "@notice A", 1)
    made = compiled_alone(standard, tmp_path)["contracts"][path][SMALL]
    assert made["evm"]["bytecode"]["object"][-106:] != artifact(SMALL).bytecode[-106:]
    assert made["evm"]["bytecode"]["object"][:-106] == artifact(SMALL).bytecode[2:-106]


def test_sourcify_request__names_contract_and_compiler() -> None:
    metadata = verify_input.metadata_of(SMALL)
    request = verify_input.sourcify_request(SMALL, verify_input.standard_input(metadata), metadata)
    assert request["contractIdentifier"] == "contracts/RewardToken.sol:RewardToken"
    assert request["compilerVersion"].startswith(f"{VERSION}+commit.")
    assert set(request["stdJsonInput"]["sources"]) == set(metadata["sources"])
