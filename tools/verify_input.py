"""Writes the compiler's input for each contract: `python -m tools.verify_input [FOLDER]`, for explorers to verify.

The input holds the sources themselves, so that whoever has it gets the deployed bytecode from the compiler alone, down
to the hash of the metadata at its end.
"""

import json
import sys
from pathlib import Path
from typing import Any

from pole.chain.deployment import CONTRACT_NAMES
from testbed.artifacts import ROOT, SETTINGS, compile_standard, contract_sources

_OUTPUTS = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "metadata"]


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "verify"
    folder.mkdir(parents=True, exist_ok=True)
    for name in CONTRACT_NAMES:
        metadata = metadata_of(name)
        standard = standard_input(metadata)
        (folder / f"{name}.json").write_text(json.dumps(standard, indent=1) + "\n")
        (folder / f"{name}.sourcify.json").write_text(json.dumps(sourcify_request(name, standard, metadata)) + "\n")
        print(f"{folder / name}.json")


def metadata_of(name: str) -> dict[str, Any]:
    """What the compiler says that a contract was made from."""
    made = compile_standard(contract_sources(name), ["metadata"])
    found: dict[str, Any] = json.loads(made[path_of(name)][name]["metadata"])
    return found


def standard_input(metadata: dict[str, Any]) -> dict[str, Any]:
    """The compiler's input, complete: nothing is read from a disk."""
    return {
        "language": "Solidity",
        "sources": {path: {"content": (ROOT / path).read_text()} for path in sorted(metadata["sources"])},
        "settings": {**SETTINGS, "outputSelection": {"*": {"*": _OUTPUTS}}},
    }


def sourcify_request(name: str, standard: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
    """The body of Sourcify's `POST /v2/verify/{chainId}/{address}`."""
    return {
        "stdJsonInput": standard,
        "compilerVersion": metadata["compiler"]["version"],
        "contractIdentifier": f"{path_of(name)}:{name}",
    }


def path_of(name: str) -> str:
    return f"contracts/{name}.sol"


if __name__ == "__main__":
    main()
