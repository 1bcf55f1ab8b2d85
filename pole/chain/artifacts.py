"""ABI and bytecode of every contract, as compiled for this version of the package: data files beside this module."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pole.chain.deployment import ContractName, kind_of

FOLDER = Path(__file__).parent / "artifacts"


@dataclass(frozen=True)
class Artifact:
    """One compiled contract; `bytecode` creates it, as 0x and hex digits."""

    abi: list[dict[str, Any]]
    bytecode: str

    def to_bytes(self) -> bytes:
        """The same bytes for the same contract."""
        return json.dumps({"abi": self.abi, "bytecode": self.bytecode}, sort_keys=True, indent=1).encode() + b"\n"

    @property
    def digest(self) -> str:
        """SHA-256 of the file, in hex."""
        return hashlib.sha256(self.to_bytes()).hexdigest()


def artifact(name: ContractName) -> Artifact:
    """The contract as this version of the package knows it."""
    document = json.loads((FOLDER / f"{kind_of(name)}.json").read_bytes())
    return Artifact(document["abi"], document["bytecode"])
