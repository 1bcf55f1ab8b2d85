"""GradientChain's tasks: what they must say and pay, who may take them back, which is next."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.contracts.conftest import GRADIENT_PARAMETERS
from tests.contracts.heights import (
    BLOCK_WEI,
    BOND_WEI,
    FEE_WEI,
    LIMIT_S,
    MAX_THRESHOLD,
    PAPER,
    REWARD_WEI,
    TERMS,
    Phase,
    Play,
    State,
    Stop,
)
from tests.contracts.rounds import GWEI, ZERO_ADDRESS, ZERO_HASH

YEAR_S = 365 * 86_400


@pytest.fixture
def redeploy(play: Play, project: Any, deployer: Any, create_address: Any) -> Callable[..., Any]:
    """`redeploy(is_operator=False, committee=…, minerBondWei=…)`: another gradient chain beside the others."""

    def deploy_with(is_operator: bool = True, committee: Any = play.committee, **changes: Any) -> Any:
        # Of these two, one is the address in eth-tester's simulation and one the real address.
        predicted = [create_address(deployer.address, deployer.nonce + step) for step in (1, 2)]
        operators = predicted if is_operator else []
        reservoir = deployer.deploy(project.RewardReservoir, operators, operators)
        return deployer.deploy(project.GradientChain, reservoir, committee, GRADIENT_PARAMETERS | changes)

    return deploy_with


# --- constructor ---


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("minerBondWei", 0),
        ("minBlockRewardWei", 0),
        ("verifierFeePpm", 1_000_001),
        ("collectWindowS", 0),
        ("maxBlockTimeLimitS", 0),
        ("maxBlockTimeLimitS", YEAR_S + 1),
    ],
)
def test_constructor__parameter_no_task_could_work_with__reverts(
    play: Play, redeploy: Callable[..., Any], reverts: Any, name: str, value: int
) -> None:
    with reverts(play.gradient.InvalidParameter, name=name.encode().ljust(32, b"\0"), value=value):
        redeploy(**{name: value})


def test_constructor__zero_committee__reverts(play: Play, redeploy: Callable[..., Any], reverts: Any) -> None:
    with reverts(play.gradient.ZeroAddress):
        redeploy(committee=ZERO_ADDRESS)


def test_constructor__not_an_operator_of_the_reservoir__reverts(
    play: Play, redeploy: Callable[..., Any], deployer: Any, create_address: Any, reverts: Any
) -> None:
    # eth-tester simulates the creation under the next nonce, after the reservoir's.
    with reverts(play.gradient.NotOperator, caller=create_address(deployer.address, deployer.nonce + 2)):
        redeploy(is_operator=False)


def test_constructor__genesis__is_a_header_that_names_this_deployment(play: Play, redeploy: Callable[..., Any]) -> None:
    genesis = play.gradient.header(0)
    assert (genesis.height, genesis.taskId, genesis.miner, play.gradient.height()) == (0, 0, ZERO_ADDRESS, 0)
    assert (genesis.weights.digest, genesis.proof.digest) == (ZERO_HASH, ZERO_HASH)
    assert (play.current.height, play.phase, play.gradient.isDue(), play.gradient.threshold()) == (1, 0, False, 0)
    assert redeploy().headerHash(0) != play.gradient.headerHash(0)


def test_parameters__are_those_given(play: Play) -> None:
    assert dict(play.gradient.parameters().items()) == GRADIENT_PARAMETERS
    assert (play.gradient.RESERVOIR(), play.gradient.COMMITTEE()) == (play.reservoir, play.committee)


# --- submit ---


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("blockRewardWei", 1_000 * GWEI - 1),
        ("targetTestPpm", 1_000_001),
        ("blockTimeLimitS", 0),
        ("blockTimeLimitS", 3_601),
        ("blockCount", 0),
        ("blockCount", YEAR_S // LIMIT_S + 1),
        ("targetIntervalS", 0),
        ("targetIntervalS", LIMIT_S + 1),
        ("minStep", 0),
        ("maxStep", TERMS["minStep"] - 1),
        ("initialThreshold", 0),
        ("initialThreshold", MAX_THRESHOLD + 1),
    ],
)
def test_submit__term_out_of_range__reverts(play: Play, reverts: Any, name: str, value: int) -> None:
    with reverts(play.gradient.InvalidTerm, name=name.encode().ljust(32, b"\0"), value=value):
        play.submit(**{name: value})


@pytest.mark.parametrize(("name", "value"), [("minStep", 1), ("maxStep", 1), ("initialThreshold", 2)])
def test_submit__paper_rules_with_a_trajectory__reverts(play: Play, reverts: Any, name: str, value: int) -> None:
    with reverts(play.gradient.InvalidTerm, name=name.encode().ljust(32, b"\0"), value=value):
        play.submit(**PAPER | {name: value})


@pytest.mark.parametrize("field", ["manifest", "genesisWeights"])
def test_submit__cid_that_names_nothing__reverts(play: Play, reverts: Any, field: str) -> None:
    with reverts(play.gradient.EmptyDigest):
        play.submit(**{field: (0x55, ZERO_HASH)})
    with reverts(play.gradient.UnsupportedCodec, codec=0x71):
        play.submit(**{field: (0x71, TERMS["manifest"][1])})


def test_submit__fee_that_a_lost_bond_would_not_cover__reverts(play: Play, reverts: Any) -> None:
    """What is left of it without an accuser's part, nine tenths."""
    play.submit(blockRewardWei=9 * BOND_WEI)
    with reverts(play.gradient.FeeAboveBond, feeWei=BOND_WEI * 9 // 10 + 1, bondWei=BOND_WEI):
        play.submit(blockRewardWei=9 * BOND_WEI + 1)


@pytest.mark.parametrize("off_wei", [-1, 1])
def test_submit__wrong_payment__reverts(play: Play, reverts: Any, off_wei: int) -> None:
    needed_wei = 3 * BLOCK_WEI
    with reverts(play.gradient.WrongPayment, sentWei=needed_wei + off_wei, neededWei=needed_wei):
        play.gradient.submit(TERMS, sender=play.client, value=needed_wei + off_wei)


def test_submit__holds_the_budget_and_lists_the_task(play: Play) -> None:
    assert play.submit() == 1
    task = play.task()
    assert (task.client, task.feeWei, task.blocksDone, task.searchedS) == (play.client, FEE_WEI, 0, 0)
    assert (play.state(), play.gradient.pendingCount()) == ((State.PENDING, Stop.NONE), 1)
    assert (task.terms.blockRewardWei, tuple(task.terms.manifest.values())) == (REWARD_WEI, TERMS["manifest"])
    assert play.budget_wei() == 3 * BLOCK_WEI
    play.check_money()


def test_cost_of__odd_reward__rounds_the_fee_up(play: Play) -> None:
    assert play.gradient.costOf(TERMS | {"blockRewardWei": 1_000 * GWEI + 1, "blockCount": 7}) == 7 * (
        1_000 * GWEI + 1 + 100 * GWEI + 1
    )


def test_submit__extreme_terms__can_be_opened_and_proposed_for(play: Play) -> None:
    play.submit(blockCount=YEAR_S, blockTimeLimitS=1, targetIntervalS=1, maxStep=2**32 - 1, blockRewardWei=1_000 * GWEI)
    play.open()
    opened_at = play.current.searchStartedAt
    assert (play.current.deadline, play.gradient.isDue()) == (opened_at + 1, False)
    play.wait_for_deadline()
    play.advance()
    assert play.state() == (State.STOPPED, Stop.TIMED_OUT)
    assert play.credit_wei(play.client) == YEAR_S * 1_100 * GWEI - 100 * GWEI


# --- cancel ---


def test_cancel__not_its_client__reverts(play: Play, reverts: Any) -> None:
    play.submit()
    with reverts(play.gradient.NotClient, taskId=1, client=play.client.address, caller=play.stranger.address):
        play.gradient.cancel(1, sender=play.stranger)


@pytest.mark.parametrize(("task_id", "state"), [(0, State.NONE), (1, State.ACTIVE), (2, State.NONE)])
def test_cancel__not_pending__reverts(searching: Play, reverts: Any, task_id: int, state: State) -> None:
    with reverts(searching.gradient.NotPending, taskId=task_id, state=state):
        searching.gradient.cancel(task_id, sender=searching.client)


def test_cancel__returns_the_whole_budget_once(play: Play, reverts: Any) -> None:
    play.submit()
    play.gradient.cancel(1, sender=play.client)
    assert (play.state(), play.gradient.pendingCount()) == ((State.CANCELLED, Stop.NONE), 0)
    assert (play.budget_wei(), play.credit_wei(play.client)) == (0, 3 * BLOCK_WEI)
    play.check_money()
    with reverts(play.gradient.NotPending, taskId=1, state=State.CANCELLED):
        play.gradient.cancel(1, sender=play.client)


# --- openTask ---


def test_open_task__nothing_pending__reverts(play: Play, reverts: Any) -> None:
    with reverts(play.gradient.NoPendingTask):
        play.open()


def test_open_task__another_is_active__reverts(searching: Play, reverts: Any) -> None:
    searching.submit(blockRewardWei=REWARD_WEI + 1)
    with reverts(searching.gradient.TaskActive, taskId=1):
        searching.open()


def test_open_task__takes_the_highest_block_reward__ties_the_oldest(play: Play) -> None:
    play.submit(blockCount=100)
    highest = play.submit(blockRewardWei=REWARD_WEI + 1, blockCount=1)
    play.submit(blockRewardWei=REWARD_WEI + 1)
    play.open()
    assert (play.current.taskId, play.gradient.pendingCount()) == (highest, 2)
    assert play.state(highest) == (State.ACTIVE, Stop.NONE)


def test_open_task__appends_a_block_with_the_genesis_weights(searching: Play) -> None:
    gradient = searching.gradient
    opening = gradient.header(1)
    assert (opening.height, opening.taskId, opening.miner, opening.step) == (1, 1, ZERO_ADDRESS, 0)
    assert tuple(opening.weights.values()) == TERMS["genesisWeights"]
    assert opening.proof.digest == ZERO_HASH
    assert opening.previousHash == gradient.headerHash(0)
    assert gradient.headerBlock(1) == searching.network.blocks.height
    assert opening.anchorHash == searching.network.blocks[gradient.headerBlock(1) - 1].hash
    current = searching.current
    assert (current.height, current.phase, current.proposalCount) == (2, Phase.SEARCH, 0)
    assert (current.searchStartedAt, current.deadline) == (opening.timestamp, opening.timestamp + LIMIT_S)


def test_header__beyond_the_newest__reverts(searching: Play, reverts: Any) -> None:
    for view in (searching.gradient.header, searching.gradient.headerHash, searching.gradient.headerBlock):
        with reverts(searching.gradient.UnknownHeight, height=2):
            view(2)
