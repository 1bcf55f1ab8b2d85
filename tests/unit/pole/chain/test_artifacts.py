"""The ABIs and bytecode in the package equal what the compiler makes of contracts/ today."""

from typing import Any

import pytest

from pole.chain.artifacts import FOLDER, Artifact, artifact
from pole.chain.deployment import CONTRACT_NAMES, ContractName


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
