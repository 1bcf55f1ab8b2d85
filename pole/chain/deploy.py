"""How the contracts are deployed: order, predicted addresses, constructor arguments, checks afterwards.

The contracts have no owner and no setter, so each knows the later ones by the address that its creation will have.
One code path for `ape run deploy` and for tests: `deploy` is told how to create a contract and how to call one.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import rlp  # type: ignore[import-untyped]
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from pole import __version__
from pole.chain.abi import from_abi, to_abi
from pole.chain.deployment import ContractName, DeployedContract, Deployment, contract_names, of_lane
from pole.chain.profiles import Profile
from pole.chain.sender import MAX_GAS
from pole.chain.structs import IdleTask
from pole.errors import ChainError
from pole.storage.cid import Cid

Create = Callable[[ContractName, list[Any]], DeployedContract]
"""Creates a contract from its constructor arguments and waits until it is mined."""

_PARTS = ("market", "committee", "chain", "ledger", "gradient", "idle")

_LENS: dict[str, ContractName] = {
    "MARKET": "TaskMarket",
    "COMMITTEE": "VerifierCommittee",
    "GRADIENT": "GradientChain",
    "RESERVOIR": "RewardReservoir",
    "TOKEN": "RewardToken",
}
"""The contracts that the lens looks at, by its getters."""

View = Callable[[ContractName, str, list[Any]], Any]
"""Calls a view of a created contract."""


@dataclass(frozen=True)
class Creation:
    """One step of a deployment; `address` is where the contract must end up."""

    name: ContractName
    address: str
    arguments: list[Any]


def creation_gas(name: ContractName, estimated: int) -> int:
    """The gas limit of a creation: more than the estimate, never more than a transaction may have. Raises ChainError.

    Source of the limit: EIP-7825. What a node would give by default is often a whole block's.
    """
    if estimated > MAX_GAS:
        raise ChainError(
            f"creating {name} takes {estimated} gas, and no transaction may have more than {MAX_GAS}; "
            "compile with the optimizer on (ape-config.yaml)"
        )
    return min(estimated * 11 // 10, MAX_GAS)


def created_address(deployer: str, nonce: int) -> str:
    """Address of the contract that `deployer` creates with transaction number `nonce`. Source: Yellow Paper, 7"""
    return str(to_checksum_address(keccak(rlp.encode([bytes.fromhex(deployer[2:]), nonce]))[12:]))


def plan(deployer: str, nonce: int, profile: Profile, idle: IdleTask) -> list[Creation]:
    """The creations in order, from consecutive nonces; arguments as web3 and ape take them."""
    names = contract_names(profile.lanes)
    at = {name: created_address(deployer, nonce + step) for step, name in enumerate(names)}
    reservoir, market, committee, gradient = (
        at[name] for name in ("RewardReservoir", "TaskMarket", "VerifierCommittee", "GradientChain")
    )
    chains, ledgers = _of_lanes("LearningChain", at, profile), _of_lanes("BlockLedger", at, profile)
    alone = [market, committee, gradient]
    arguments: dict[ContractName, list[Any]] = {
        "RewardReservoir": [[*alone, *chains], [*alone, *[market] * len(chains)]],
        "RewardToken": [ledgers],
        "TaskMarket": [reservoir, chains, to_abi(profile.market)],
        "VerifierCommittee": [reservoir, [*chains, gradient], to_abi(profile.committee)],
        "GradientChain": [reservoir, committee, to_abi(profile.gradient)],
        "Lens": [market, committee, gradient, reservoir, at["RewardToken"]],
    }
    parameters = (to_abi(profile.chain), to_abi(idle))
    for lane, (chain, ledger) in enumerate(zip(chains, ledgers, strict=True)):
        arguments[of_lane("LearningChain", lane)] = [reservoir, market, committee, ledger, *parameters]
        arguments[of_lane("BlockLedger", lane)] = [
            at["RewardToken"],
            chain,
            to_abi(profile.share()),
            to_abi(idle.manifest),
        ]
    return [Creation(name, at[name], arguments[name]) for name in names]


def _of_lanes(name: ContractName, at: Mapping[ContractName, str], profile: Profile) -> list[str]:
    """The addresses of one kind, lane by lane."""
    return [at[of_lane(name, lane)] for lane in range(profile.lanes)]


def idle_task(profile: Profile, manifest: Cid) -> IdleTask:
    """The idle task of a profile over a published manifest."""
    terms = profile.idle
    return IdleTask(
        manifest, terms.time_limit_s, terms.required_train_ppm, terms.solutions_wanted, terms.earliest_close_s
    )


def deploy(
    deployer: str, nonce: int, profile: Profile, manifest: Cid, chain: tuple[int, str], create: Create, view: View
) -> Deployment:
    """Create and check everything; `chain` is (chain id, genesis hash). Raises ChainError if the wiring is wrong."""
    idle = idle_task(profile, manifest)
    contracts: dict[ContractName, DeployedContract] = {}
    for step in plan(deployer, nonce, profile, idle):
        contracts[step.name] = created = create(step.name, step.arguments)
        if created.address != step.address:
            raise ChainError(
                f"{step.name} was created at {created.address}, not at {step.address} as the others expect; "
                f"something else used account {deployer} meanwhile: deploy again from an account of its own"
            )
    check_wiring({name: contract.address for name, contract in contracts.items()}, profile, idle, view)
    return Deployment(
        software=__version__,
        chain_id=chain[0],
        genesis_hash=chain[1],
        block_number=min(contract.block_number for contract in contracts.values()),
        profile=profile.name,
        deployer=deployer,
        parameters={part: _numbers(getattr(profile, part)) for part in _PARTS},
        idle_manifest=str(manifest),
        contracts={str(name): contract for name, contract in contracts.items()},
    )


def check_wiring(at: Mapping[ContractName, str], profile: Profile, idle: IdleTask, view: View) -> None:
    """Ask the contracts themselves whether each knows the others and the parameters; raises ChainError."""
    expected: list[tuple[ContractName, str, list[Any], Any]] = [
        *(
            ("RewardReservoir", "keeperOf", [at[name]], at[name])
            for name in ("TaskMarket", "VerifierCommittee", "GradientChain")
        ),
        ("TaskMarket", "RESERVOIR", [], at["RewardReservoir"]),
        ("TaskMarket", "LANES", [], profile.lanes),
        ("VerifierCommittee", "RESERVOIR", [], at["RewardReservoir"]),
        ("VerifierCommittee", "isChain", [at["GradientChain"]], True),
        ("GradientChain", "RESERVOIR", [], at["RewardReservoir"]),
        ("GradientChain", "COMMITTEE", [], at["VerifierCommittee"]),
        ("TaskMarket", "parameters", [], profile.market),
        ("VerifierCommittee", "parameters", [], profile.committee),
        ("GradientChain", "parameters", [], profile.gradient),
        *(("Lens", getter, [], at[name]) for getter, name in _LENS.items()),
    ]
    for lane in range(profile.lanes):
        expected += _expected_of_lane(lane, at, profile, idle)
    for name, function, arguments, value in expected:
        actual = view(name, function, arguments)
        if dataclasses.is_dataclass(value):
            actual = from_abi(type(value), actual)
        if actual != value:
            raise ChainError(f"{name}.{function} is {actual} after the deployment, not {value}; do not use it")


def _expected_of_lane(
    lane: int, at: Mapping[ContractName, str], profile: Profile, idle: IdleTask
) -> list[tuple[ContractName, str, list[Any], Any]]:
    chain, ledger = of_lane("LearningChain", lane), of_lane("BlockLedger", lane)
    return [
        ("RewardReservoir", "keeperOf", [at[chain]], at["TaskMarket"]),
        ("RewardToken", "isMinter", [at[ledger]], True),
        ("VerifierCommittee", "isChain", [at[chain]], True),
        (chain, "RESERVOIR", [], at["RewardReservoir"]),
        (chain, "LEDGER", [], at[ledger]),
        (chain, "MARKET", [], at["TaskMarket"]),
        (chain, "COMMITTEE", [], at["VerifierCommittee"]),
        (chain, "parameters", [], profile.chain),
        (chain, "idleTask", [], idle),
        (ledger, "TOKEN", [], at["RewardToken"]),
        (ledger, "CHAIN", [], at[chain]),
        (ledger, "parameters", [], profile.share()),
    ]


def _numbers(part: Any) -> dict[str, int]:
    return {name: int(number) for name, number in dataclasses.asdict(part).items()}
