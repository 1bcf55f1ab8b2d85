"""The ABIs and bytecode in the package equal what the compiler makes of contracts/ today."""

from typing import Any

import pytest
from web3 import Web3

from pole.chain.artifacts import FOLDER, Artifact, artifact, check_compiled, is_code_of
from pole.chain.deployment import CONTRACT_NAMES, ContractName, Deployment
from pole.errors import ChainError


@pytest.mark.parametrize("name", CONTRACT_NAMES)
def test_artifact__in_the_package__is_what_the_compiler_makes_today(
    name: ContractName, artifacts: dict[str, dict[str, Any]]
) -> None:
    made = Artifact(artifacts[name]["abi"], artifacts[name]["bytecode"])
    assert artifact(name).digest == made.digest, "contracts/ changed: run python -m tools.package_artifacts"


def test_artifacts__in_the_package__are_the_deployed_contracts_and_no_others() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(CONTRACT_NAMES)


def test_digest__any_other_byte__differs() -> None:
    one = artifact("TaskMarket")
    assert one.digest != Artifact(one.abi, one.bytecode[:-1] + ("0" if one.bytecode[-1] != "0" else "1")).digest


@pytest.mark.parametrize("place", [2, 21, -60])
def test_is_code_of__one_byte_differs__no(place: int, web3: Web3, deployment: Deployment) -> None:
    code = bytearray(web3.eth.get_code(web3.to_checksum_address(deployment.address("TaskMarket"))))
    assert is_code_of("TaskMarket", bytes(code))
    code[place] ^= 0xFF
    assert not is_code_of("TaskMarket", bytes(code))


def test_check_compiled__another_metadata_hash__refused_with_the_remedy() -> None:
    good = artifact("TaskMarket").bytecode
    check_compiled("TaskMarket", good)
    with pytest.raises(ChainError, match=r"TaskMarket was compiled to something else .* `ape compile --force`"):
        check_compiled("TaskMarket", good[:-60] + ("00" if good[-60:-58] != "00" else "11") + good[-58:])
