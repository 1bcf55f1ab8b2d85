"""The deployment file: which contracts, on which chain, with which ABIs. The deploy script writes it, roles read it."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

from eth_utils.address import is_checksum_address
from eth_utils.crypto import keccak
from pydantic import Field, ValidationError

from pole.atomicfile import write_atomically
from pole.document import Document, first_problem
from pole.errors import BadInput

ContractName = Literal[
    "RewardReservoir",
    "RewardToken",
    "TaskMarket",
    "VerifierCommittee",
    "LearningChain",
    "GradientChain",
    "BlockLedger",
    "Lens",
]
CONTRACT_NAMES: tuple[ContractName, ...] = get_args(ContractName)

LANE_NAMES: tuple[ContractName, ...] = ("LearningChain", "BlockLedger")
"""What each lane has of its own."""

Hash = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]
_MAX_BYTES = 16 << 20


def in_lane(name: str | int, lane: int) -> str:
    """A key or the name of a file that follows from a round's id, which other lanes have too."""
    return str(name) if lane == 0 else f"{name}@{lane + 1}"


def of_lane(name: ContractName, lane: int) -> ContractName:
    """What a deployment file calls a lane's contract: `LearningChain` and `LearningChain2` of the first two."""
    return name if lane == 0 else cast(ContractName, f"{name}{lane + 1}")


def kind_of(name: ContractName) -> ContractName:
    """Which of the compiled contracts it is."""
    return cast(ContractName, name.rstrip("0123456789"))


def contract_names(lanes: int) -> list[ContractName]:
    """All of a deployment, in the order of their creation."""
    return [*CONTRACT_NAMES, *(of_lane(name, lane) for lane in range(1, lanes) for name in LANE_NAMES)]


class DeployedContract(Document):
    """One contract; `block_number` is where it was created."""

    address: str
    transaction_hash: Hash
    block_number: int
    abi: list[dict[str, Any]]


class Deployment(Document):
    """Contents of `deployments/<chain id>.json`; `parameters` are the constructor parameters, for people.

    `version` is that of the file's form, `software` that of the package that deployed; empty before 0.3.0.
    """

    version: Literal[1] = 1
    software: str = ""
    chain_id: int
    genesis_hash: Hash
    block_number: int
    profile: str
    deployer: str
    parameters: dict[str, dict[str, int]]
    idle_manifest: str
    contracts: dict[str, DeployedContract]

    @classmethod
    def load(cls, path: Path) -> "Deployment":
        """Read and check a deployment file; raises BadInput."""
        try:
            if path.stat().st_size > _MAX_BYTES:
                raise BadInput(f"{path} is too large for a deployment file ({path.stat().st_size} bytes)")
            deployment = cls.model_validate_json(path.read_bytes())
        except OSError as exc:
            raise BadInput(f"cannot read deployment file {path}: {exc.strerror}; run `ape run deploy` first") from exc
        except ValidationError as exc:
            raise BadInput(f"{path} is not a deployment file: {first_problem(exc)}; run `ape run deploy`") from exc
        for name in contract_names(deployment.lanes):
            if name not in deployment.contracts or not is_checksum_address(deployment.contracts[name].address):
                raise BadInput(f"{path} has no valid address of {name}; run `ape run deploy` again")
        return deployment

    @classmethod
    def find(cls, chain_id: int, folder: Path | None = None) -> "Deployment":
        """Load `<chain id>.json` from `folder`, else from deployments/ here, else one that came with the package."""
        folders = [folder] if folder else [Path("deployments"), Path(__file__).parent / "deployments"]
        for candidate in (place / f"{chain_id}.json" for place in folders):
            if candidate.is_file():
                return cls.load(candidate)
        raise BadInput(
            f"no deployment file {folders[0] / f'{chain_id}.json'} for chain {chain_id}; run `ape run deploy`, "
            "or give --deployment PATH"
        )

    def save(self, path: Path) -> None:
        """Write the file so that a reader sees the old content or the new, never half of it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(self.model_dump(mode="json"), indent=1).encode())

    @property
    def deployed_by(self) -> str:
        """For people."""
        return f"version {self.software} deployed it" if self.software else "a version before 0.3.0 deployed it"

    @property
    def lanes(self) -> int:
        """How many chains of blocks there are side by side."""
        return max(1, sum(name.startswith("LearningChain") for name in self.contracts))

    def address(self, contract: ContractName) -> str:
        return self.contracts[contract].address

    def abi(self, contract: ContractName) -> list[dict[str, Any]]:
        return self.contracts[contract].abi

    @property
    def identity(self) -> str:
        """16 hex digits that tell this deployment from every other, also after a development chain starts anew."""
        parts = [str(self.chain_id), self.genesis_hash]
        parts += [f"{self.contracts[name].address}{self.contracts[name].transaction_hash}" for name in CONTRACT_NAMES]
        return keccak(text="/".join(parts)).hex()[:16]
