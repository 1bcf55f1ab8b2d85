"""ABI and bytecode of every contract, as compiled for this version of the package: data files beside this module."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pole.chain.deployment import ContractName, kind_of
from pole.errors import ChainError

FOLDER = Path(__file__).parent / "artifacts"
_TRAILER_BYTES = 53  # the compiler's: a hash of sources and settings, its version, the length of both


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


def check_compiled(name: ContractName, bytecode: str) -> None:
    """Raise ChainError unless this creates the contract that roles of this version expect, to its metadata's hash."""
    if bytecode != artifact(name).bytecode:
        raise ChainError(
            f"{kind_of(name)} was compiled to something else than this version of the package expects, so roles would "
            "refuse it; run `ape compile --force`, and after a change of contracts/ `python -m tools.package_artifacts`"
        )


def is_code_of(name: ContractName, code: bytes) -> bool:
    """Whether deployed code is what the packaged creation code leaves, but for immutables, which are zeros in that."""
    creation = bytes.fromhex(artifact(name).bytecode.removeprefix("0x"))
    place = creation.rfind(code[-_TRAILER_BYTES:]) + _TRAILER_BYTES - len(code)
    template = creation[place : place + len(code)] if place >= 0 else b""
    return len(template) == len(code) and all(there in (found, 0) for there, found in zip(template, code, strict=True))
