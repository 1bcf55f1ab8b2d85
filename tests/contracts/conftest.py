"""Fixtures of the contract tests: one account per role, deployments with small parameters, and factories.

`reservoir`, `token`, `market` and `committee` have a plain account (`chain_account`) standing in as the chain, so that
each contract is tested alone; `system` is the whole deployment with a real LearningChain.
"""

import ast
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import ape
import pytest
import rlp  # type: ignore[import-untyped]
from ape.exceptions import ContractLogicError, CustomError
from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

RAW_CODEC = 0x55
GWEI = 10**9
MINUTE_S = 60

MARKET_PARAMETERS = {
    "clientBondWei": 5_000 * GWEI,
    "minRewardWei": 1_000 * GWEI,
    "verifierFeePpm": 100_000,
    "maxTimeLimitS": 3_600,
    "minTimeLimitS": 10,
    "roundWindowsS": 14 * MINUTE_S,
}
COMMITTEE_PARAMETERS = {
    "minStakeWei": 10_000 * GWEI,
    "floorStakeWei": 5_000 * GWEI,
    "minSeated": 1,
    "seatWaitS": 10 * MINUTE_S,
    "displacementPpm": 100_000,
    "unbondingPeriodS": 10 * MINUTE_S,
    "voteCommitWindowS": 2 * MINUTE_S,
    "voteEntryS": 0,
    "voteRevealWindowS": 2 * MINUTE_S,
    "voteOpeningWindowS": 2 * MINUTE_S,
    "maxExtensions": 2,
    "absencePenaltyPpm": 50_000,
    "noisePenaltyPpm": 200_000,
}
CHAIN_PARAMETERS = {
    "keysWindowS": 2 * MINUTE_S,
    "overtimeWindowS": 2 * MINUTE_S,
    "releaseWindowS": 2 * MINUTE_S,
    "revealWindowS": 2 * MINUTE_S,
    "minerBondWei": 2_000 * GWEI,
    "judgingFeeWei": 10 * GWEI,
    "judgingFeePpm": 25_000,
    "occupancyPpm": 200_000,
}
LEDGER_PARAMETERS = {"winnerReward": 32 * 10**18, "ommerFormula": 0, "anchor": 0}
IDLE_TASK = {
    "manifest": {"codec": RAW_CODEC, "digest": keccak(text="idle manifest")},
    "timeLimitS": 5 * MINUTE_S,
    "requiredTrainPpm": 800_000,
    "solutionsWanted": 2,
    "earliestCloseS": 0,
}
TASK_TERMS = {
    "manifest": {"codec": RAW_CODEC, "digest": keccak(text="manifest")},
    "testSetCommitment": keccak(text="test-set commitment"),
    "timeLimitS": 5 * MINUTE_S,
    "requiredTrainPpm": 900_000,
    "minTestPpm": 500_000,
    "solutionsWanted": 2,
    "earliestCloseS": 0,
}
PAYMENT_WEI = 100_000 * GWEI
GRADIENT_PARAMETERS = {
    "minerBondWei": 2_000 * GWEI,
    "minBlockRewardWei": 1_000 * GWEI,
    "verifierFeePpm": 100_000,
    "collectWindowS": MINUTE_S,
    "exitDelayS": 10 * MINUTE_S,
    "maxBlockTimeLimitS": 3_600,
    "anchor": 0,
}


def predict_address(deployer: str, nonce: int) -> str:
    """Address of the contract that `deployer` creates with its transaction number `nonce`."""
    encoded: bytes = rlp.encode([bytes.fromhex(deployer[2:]), nonce])
    return to_checksum_address(keccak(encoded)[12:])


@contextmanager
def exact_reverts(error: Any, **inputs: Any) -> Iterator[None]:
    """Expect this custom error with exactly these arguments.

    `ape.reverts` accepts any revert that is not a custom error, and ignores arguments it does not know: a misspelt
    name would make the test unable to fail.
    """
    names = {parameter.name for parameter in error.abi.inputs}
    assert set(inputs) == names, f"{error.abi.name} has {sorted(names)}, the test gives {sorted(inputs)}"
    with pytest.raises(ContractLogicError) as caught:
        yield
    raised = caught.value
    if isinstance(raised, CustomError):
        assert raised.abi.selector == error.abi.selector, f"expected {error.abi.name}, got {raised!r}"
        assert raised.inputs == inputs
    else:
        assert revert_data(raised) == error_data(error, inputs), f"expected {error.abi.name}, got {raised!r}"


def error_data(error: Any, inputs: dict[str, Any]) -> bytes:
    """The bytes with which a contract reverts for this error."""
    types = [parameter.canonical_type for parameter in error.abi.inputs]
    values = [inputs[parameter.name] for parameter in error.abi.inputs]
    return keccak(text=error.abi.selector)[:4] + encode(types, [getattr(value, "address", value) for value in values])


def revert_data(raised: ContractLogicError) -> bytes:
    """The bytes of a revert that ape did not decode: errors of inner calls, or eth-tester data with a quote in it."""
    message = str(raised.message)
    return (
        bytes(ast.literal_eval(message)) if message[:2] in ("b'", 'b"') else bytes.fromhex(message.removeprefix("0x"))
    )


F = TypeVar("F", bound=Callable[..., Any])


def off_chain(function: F) -> F:
    """A session fixture that does not touch the chain, so that ape need not take a snapshot for it."""
    return cast(F, ape.fixture(scope="session", chain_isolation=False)(function))


@off_chain
def reverts() -> Callable[..., Any]:
    """`with reverts(market.PaymentTooSmall, sentWei=1, neededWei=2):`; every argument of the error must be given."""
    return exact_reverts


# --- roles ---


@off_chain
def deployer(accounts: Any) -> Any:
    return accounts[0]


@off_chain
def client(accounts: Any) -> Any:
    return accounts[1]


@off_chain
def other_client(accounts: Any) -> Any:
    return accounts[2]


@off_chain
def miner(accounts: Any) -> Any:
    return accounts[3]


@off_chain
def miners(accounts: Any) -> list[Any]:
    """Four miners; `miner` is the first."""
    return list(accounts[3:7])


@off_chain
def verifier(accounts: Any) -> Any:
    return accounts[7]


@off_chain
def verifiers(accounts: Any) -> list[Any]:
    """Four verifiers; `verifier` is the first. None has a stake yet."""
    return list(accounts[7:11])


@off_chain
def stranger(accounts: Any) -> Any:
    """Nobody in particular: has no role in anything."""
    return accounts[11]


@off_chain
def chain_account(accounts: Any) -> Any:
    """Plain account that stands in as the chain of `market` and `committee`, and as an operator of `reservoir`."""
    return accounts[12]


@off_chain
def other_operator(accounts: Any) -> Any:
    """Plain account that is a second operator of `reservoir`."""
    return accounts[13]


# --- deployments ---


def require(project: Any, name: str) -> Any:
    """The named contract of the project; skips the test while nobody has written it."""
    if name not in project.contracts:
        pytest.skip(f"{name} is not written yet")
    return getattr(project, name)


def deploy_stand_in(project: Any, deployer: Any, chain: Any, other_operator: Any) -> SimpleNamespace:
    market, committee = (predict_address(deployer.address, deployer.nonce + offset) for offset in (2, 3))
    reservoir = deployer.deploy(
        project.RewardReservoir,
        [market, committee, chain, other_operator],
        [market, committee, market, other_operator],
    )
    token = deployer.deploy(project.RewardToken, [chain])
    deployed = deployer.deploy(project.TaskMarket, reservoir, [chain], MARKET_PARAMETERS)
    assert deployed.address == market
    return SimpleNamespace(reservoir=reservoir, token=token, market=deployed)


def deploy_system(project: Any, deployer: Any, lanes: int = 1, **overrides: Any) -> SimpleNamespace:
    """All contracts, in the order that predicts each other's addresses.

    `chain` and `ledger` are those of the first lane, `lanes` has both of each.
    Overrides: `market`, `committee`, `chain`, `ledger`, `idle_task`, `gradient`: dicts that update those above.
    """
    committee_type, chain_type = require(project, "VerifierCommittee"), require(project, "LearningChain")
    first = deployer.nonce
    market, committee, chain, gradient, ledger = (predict_address(deployer.address, first + at) for at in range(2, 7))
    more = [predict_address(deployer.address, first + at) for at in range(7, 5 + 2 * lanes)]
    chains, ledgers = [chain, *more[::2]], [ledger, *more[1::2]]
    market_parameters = MARKET_PARAMETERS | overrides.get("market", {})
    committee_parameters = COMMITTEE_PARAMETERS | overrides.get("committee", {})
    chain_parameters = CHAIN_PARAMETERS | overrides.get("chain", {})
    ledger_parameters = LEDGER_PARAMETERS | overrides.get("ledger", {})
    idle_task = IDLE_TASK | overrides.get("idle_task", {})
    gradient_parameters = GRADIENT_PARAMETERS | overrides.get("gradient", {})
    system = SimpleNamespace()
    operators, keepers = [market, committee, gradient, *chains], [market, committee, gradient, *([market] * lanes)]
    system.reservoir = deployer.deploy(project.RewardReservoir, operators, keepers)
    system.token = deployer.deploy(project.RewardToken, ledgers)
    system.market = deployer.deploy(project.TaskMarket, system.reservoir, chains, market_parameters)
    system.committee = deployer.deploy(committee_type, system.reservoir, [*chains, gradient], committee_parameters)
    parts = (system.reservoir, system.market, system.committee, ledger)
    system.chain = deployer.deploy(chain_type, *parts, chain_parameters, idle_task)
    system.gradient = deployer.deploy(project.GradientChain, system.reservoir, system.committee, gradient_parameters)
    ledger_arguments = (ledger_parameters, idle_task["manifest"])
    system.ledger = deployer.deploy(project.BlockLedger, system.token, system.chain, *ledger_arguments)
    system.lanes = [SimpleNamespace(chain=system.chain, ledger=system.ledger)]
    for at in ledgers[1:]:
        another = deployer.deploy(chain_type, *parts[:3], at, chain_parameters, idle_task)
        kept = deployer.deploy(project.BlockLedger, system.token, another, *ledger_arguments)
        assert kept.address == at
        system.lanes.append(SimpleNamespace(chain=another, ledger=kept))
    deployed = (system.market, system.committee, system.chain, system.gradient, system.ledger)
    assert [contract.address for contract in deployed] == [market, committee, chain, gradient, ledger]
    return system


@pytest.fixture(scope="module")
def stand_in(project: Any, deployer: Any, chain_account: Any, other_operator: Any) -> SimpleNamespace:
    return deploy_stand_in(project, deployer, chain_account, other_operator)


@pytest.fixture(scope="module")
def reservoir(stand_in: SimpleNamespace) -> Any:
    return stand_in.reservoir


@pytest.fixture(scope="module")
def token(stand_in: SimpleNamespace) -> Any:
    return stand_in.token


@pytest.fixture(scope="module")
def market(stand_in: SimpleNamespace) -> Any:
    return stand_in.market


@pytest.fixture(scope="module")
def committee(project: Any, deployer: Any, stand_in: SimpleNamespace, chain_account: Any) -> Any:
    """A committee whose only chain is `chain_account`; depends on being deployed right after the stand-in market."""
    committee_type = require(project, "VerifierCommittee")
    return deployer.deploy(committee_type, stand_in.reservoir, [chain_account], COMMITTEE_PARAMETERS)


@pytest.fixture(scope="module")
def library(project: Any, deployer: Any) -> Any:
    """The libraries' pure functions, made external by a contract that only tests use."""
    return deployer.deploy(project.LibraryHarness)


@pytest.fixture(scope="module")
def system(project: Any, deployer: Any) -> SimpleNamespace:
    """`reservoir`, `token`, `market`, `committee`, `chain` and `gradient` with the parameters above."""
    return deploy_system(project, deployer)


@off_chain
def deploy(project: Any, deployer: Any) -> Callable[..., SimpleNamespace]:
    """`deploy(ledger={"ommerFormula": 1}, lanes=2)`: the whole system with other parameters."""
    return lambda **overrides: deploy_system(project, deployer, **overrides)


@off_chain
def create_address() -> Callable[[str, int], str]:
    """`create_address(deployer.address, nonce)`: where that transaction's contract will be."""
    return predict_address


# --- factories ---


def make_cid(name: str) -> tuple[int, bytes]:
    """A raw-block CID that stands for the content `name`."""
    return (RAW_CODEC, keccak(text=name))


@off_chain
def cid() -> Callable[[str], tuple[int, bytes]]:
    """`cid("model")`: a CID as the contracts take it."""
    return make_cid


@off_chain
def create_task(client: Any) -> Callable[..., int]:
    """`create_task(market, sender=…, payment_wei=…, timeLimitS=…)`: submits a task and returns its id.

    `payment_wei` excludes the client's bond; keyword arguments in the contract's spelling override TASK_TERMS.
    """

    def create(
        market: Any, *, sender: Any = client, payment_wei: int = PAYMENT_WEI, hint: int = 0, **terms: Any
    ) -> int:
        bond_wei = market.parameters().clientBondWei
        market.submit(TASK_TERMS | terms, hint, sender=sender, value=bond_wei + payment_wei)
        return int(market.taskCount())

    return create


@off_chain
def commitments(chain: Any) -> SimpleNamespace:
    """The commitment hashes, written from the Solidity by hand so that a test does not check the code with itself."""

    def digest(tag: str, types: list[str], values: list[Any]) -> bytes:
        head = [keccak(text=f"pole.{tag}"), chain.chain_id]
        return keccak(encode(["bytes32", "uint256", *types], [*head, *values]))

    def test_set(market: str, client: str, cid: tuple[int, bytes], salt: bytes) -> bytes:
        types = ["address", "address", "uint8", "bytes32", "bytes32"]
        return digest("test-set.v1", types, [market, client, *cid, salt])

    def solution(
        chain: str, round_id: int, miner: str, previous_hash: bytes, model: tuple[int, bytes], salt: bytes
    ) -> bytes:
        types = ["address", "uint64", "address", "bytes32", "uint8", "bytes32", "bytes32"]
        return digest("solution.v1", types, [chain, round_id, miner, previous_hash, *model, salt])

    def ballot(committee: str, ballot_id: int, words: list[int]) -> bytes:
        return digest("ballot.v2", ["address", "uint64", "uint256[]"], [committee, ballot_id, words])

    def vote(committee: str, ballot_id: int, verifier: str, hashed: bytes, salt: bytes) -> bytes:
        types = ["address", "uint64", "address", "bytes32", "bytes32"]
        return digest("vote.v2", types, [committee, ballot_id, verifier, hashed, salt])

    return SimpleNamespace(test_set=test_set, solution=solution, ballot=ballot, vote=vote)


@off_chain
def money() -> Callable[[Any], None]:
    """`money(reservoir)`: asserts the reservoir's one invariant."""

    def check(reservoir: Any) -> None:
        accounted_wei = sum(reservoir.total(pot) for pot in range(3)) + reservoir.totalCredits()
        assert reservoir.balance == accounted_wei

    return check
