"""TaskMarket: what a task must say and pay, who may take it back, and what the chain alone may do."""

from collections.abc import Callable
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

NONE, PENDING, IN_ROUND, SOLVED, REFUNDED, CANCELLED = range(6)
ESCROW, BOND = 0, 1
ZERO_HASH = bytes(32)
ZERO_ADDRESS = "0x" + "00" * 20
GWEI = 10**9
BOND_WEI = 5_000 * GWEI
PAYMENT_WEI = 100_000 * GWEI
FEE_WEI = PAYMENT_WEI // 10
REWARD_WEI = PAYMENT_WEI - FEE_WEI

CreateTask = Callable[..., int]


def account_of(task_id: int) -> bytes:
    return task_id.to_bytes(32, "big")


def list_hash(previous: bytes, task_id: int, state: int) -> bytes:
    return keccak(encode(["bytes32", "uint64", "uint8"], [previous, task_id, state]))


# --- constructor ---


@pytest.mark.parametrize(("name", "value"), [("minRewardWei", 0), ("verifierFeePpm", 1_000_000), ("maxTimeLimitS", 0)])
def test_constructor__parameter_no_task_could_meet__reverts(
    project: Any, stand_in: Any, deployer: Any, chain_account: Any, reverts: Any, name: str, value: int
) -> None:
    given = dict(stand_in.market.parameters().items()) | {name: value}
    with reverts(stand_in.market.InvalidParameter, name=name.encode().ljust(32, b"\0"), value=value):
        deployer.deploy(project.TaskMarket, stand_in.reservoir, [chain_account], given)


def test_constructor__zero_chain__reverts(
    project: Any, deployer: Any, reservoir: Any, market: Any, reverts: Any
) -> None:
    with reverts(market.ZeroAddress):
        deployer.deploy(project.TaskMarket, reservoir, [ZERO_ADDRESS], market.parameters())


def test_constructor__not_an_operator_of_the_reservoir__reverts(
    project: Any, stranger: Any, reservoir: Any, market: Any, chain_account: Any, create_address: Any, reverts: Any
) -> None:
    # eth-tester simulates the creation under the next nonce.
    with reverts(market.NotOperator, caller=create_address(stranger.address, stranger.nonce + 1)):
        stranger.deploy(project.TaskMarket, reservoir, [chain_account], market.parameters())


def test_parameters__are_those_given(market: Any, reservoir: Any, chain_account: Any) -> None:
    parameters = market.parameters()
    assert parameters.clientBondWei == BOND_WEI
    assert parameters.minRewardWei == 1_000 * GWEI
    assert parameters.verifierFeePpm == 100_000
    assert parameters.maxTimeLimitS == 3_600
    assert market.RESERVOIR() == reservoir
    assert [lane.chain for lane in market.lanes()] == [chain_account]


# --- submit ---


def test_submit__codec_that_is_not_published__reverts(market: Any, create_task: CreateTask, reverts: Any) -> None:
    with reverts(market.UnsupportedCodec, codec=0x71):
        create_task(market, manifest=(0x71, keccak(text="manifest")))


def test_submit__empty_manifest_digest__reverts(market: Any, create_task: CreateTask, reverts: Any) -> None:
    with reverts(market.EmptyDigest):
        create_task(market, manifest=(0x55, ZERO_HASH))


def test_submit__empty_test_set_commitment__reverts(market: Any, create_task: CreateTask, reverts: Any) -> None:
    with reverts(market.EmptyTestSetCommitment):
        create_task(market, testSetCommitment=ZERO_HASH)


@pytest.mark.parametrize("time_limit_s", [0, 3_601])
def test_submit__time_limit_out_of_range__reverts(
    market: Any, create_task: CreateTask, reverts: Any, time_limit_s: int
) -> None:
    with reverts(market.InvalidTimeLimit, timeLimitS=time_limit_s, minTimeLimitS=10, maxTimeLimitS=3_600):
        create_task(market, timeLimitS=time_limit_s)


@pytest.mark.parametrize("field", ["requiredTrainPpm", "minTestPpm"])
def test_submit__accuracy_over_one__reverts(market: Any, create_task: CreateTask, reverts: Any, field: str) -> None:
    with reverts(market.InvalidAccuracy, ppm=1_000_001):
        create_task(market, **{field: 1_000_001})


@pytest.mark.parametrize("wanted", [0, 65])
def test_submit__solutions_wanted_out_of_range__reverts(
    market: Any, create_task: CreateTask, reverts: Any, wanted: int
) -> None:
    with reverts(market.InvalidSolutionsWanted, solutionsWanted=wanted, maxSolutions=64):
        create_task(market, solutionsWanted=wanted)


def test_submit__reward_after_fee_one_wei_short__reverts(market: Any, create_task: CreateTask, reverts: Any) -> None:
    # The least payment p with p - ceil(p / 10) >= 1000 gwei; one wei less leaves 1000 gwei - 1.
    least_wei = -(-1_000 * GWEI * 10 // 9)
    sent_wei = BOND_WEI + least_wei - 1
    with reverts(market.PaymentTooSmall, sentWei=sent_wei, neededWei=sent_wei + 1):
        create_task(market, payment_wei=least_wei - 1)


def test_submit__less_than_the_bond__reverts(market: Any, client: Any, reverts: Any) -> None:
    terms = ((0x55, keccak(text="manifest")), keccak(text="commitment"), 60, 900_000, 0, 1, 0)
    needed_wei = BOND_WEI + -(-1_000 * GWEI * 10 // 9)
    with reverts(market.PaymentTooSmall, sentWei=1, neededWei=needed_wei):
        market.submit(terms, 0, sender=client, value=1)


def test_submit__least_payment__keeps_exactly_the_minimum_reward(market: Any, create_task: CreateTask) -> None:
    task = market.task(create_task(market, payment_wei=-(-1_000 * GWEI * 10 // 9)))
    assert task.rewardWei == 1_000 * GWEI


def test_submit__limits_of_every_term__are_accepted(market: Any, create_task: CreateTask) -> None:
    terms = {"timeLimitS": 3_600, "requiredTrainPpm": 1_000_000, "minTestPpm": 1_000_000}
    task_id = create_task(market, **terms, solutionsWanted=64)
    assert market.task(task_id).state == PENDING


def test_submit__odd_payment__rounds_the_fee_up_and_loses_nothing(market: Any, create_task: CreateTask) -> None:
    task = market.task(create_task(market, payment_wei=PAYMENT_WEI + 1))
    assert task.verifierFeeWei == FEE_WEI + 1
    assert task.rewardWei == REWARD_WEI


def test_submit__stores_the_task_and_escrows_all(
    market: Any, reservoir: Any, client: Any, cid: Any, create_task: CreateTask, money: Callable[[Any], None]
) -> None:
    task_id = create_task(market, manifest=cid("my manifest"))
    task = market.task(task_id)

    assert task_id == market.taskCount() == market.pendingCount() == market.mostValuable() == 1
    assert (task.client, task.state) == (client, PENDING)
    assert (task.rewardWei, task.verifierFeeWei, task.bondWei) == (REWARD_WEI, FEE_WEI, BOND_WEI)
    assert tuple(task.terms.manifest) == cid("my manifest")
    assert task.terms.timeLimitS == 300
    assert reservoir.balanceOf(market, ESCROW, account_of(task_id)) == PAYMENT_WEI + BOND_WEI
    assert reservoir.balanceOf(market, BOND, account_of(task_id)) == 0
    assert market.balance == 0
    money(reservoir)


def test_submit__emits_what_the_client_gave(market: Any, client: Any, cid: Any, create_task: CreateTask) -> None:
    create_task(market, manifest=cid("my manifest"))
    (submitted,) = market.TaskSubmitted.query("*", start_block=-1).event_arguments
    assert (submitted["taskId"], submitted["client"]) == (1, client)
    assert (submitted["rewardWei"], submitted["verifierFeeWei"]) == (REWARD_WEI, FEE_WEI)
    assert submitted["bondWei"] == BOND_WEI


# --- cancel ---


def test_cancel__unknown_task__reverts(market: Any, client: Any, reverts: Any) -> None:
    with reverts(market.NotPending, taskId=9, state=NONE):
        market.cancel(9, sender=client)


def test_cancel__somebody_elses__reverts(
    market: Any, client: Any, stranger: Any, create_task: CreateTask, reverts: Any
) -> None:
    task_id = create_task(market)
    with reverts(market.NotClient, taskId=task_id, client=client, caller=stranger):
        market.cancel(task_id, sender=stranger)


def test_cancel__in_round__reverts(
    market: Any, client: Any, chain_account: Any, create_task: CreateTask, reverts: Any
) -> None:
    task_id = create_task(market)
    market.popMostValuable(sender=chain_account)
    with reverts(market.NotPending, taskId=task_id, state=IN_ROUND):
        market.cancel(task_id, sender=client)


def test_cancel__second_time__reverts(market: Any, client: Any, create_task: CreateTask, reverts: Any) -> None:
    task_id = create_task(market)
    market.cancel(task_id, sender=client)
    with reverts(market.NotPending, taskId=task_id, state=CANCELLED):
        market.cancel(task_id, sender=client)


def test_cancel__pending__credits_the_client_with_everything(
    market: Any, reservoir: Any, client: Any, create_task: CreateTask, money: Callable[[Any], None]
) -> None:
    task_id = create_task(market)
    receipt = market.cancel(task_id, sender=client)

    assert market.TaskClosed(task_id, CANCELLED) in receipt.events
    assert market.task(task_id).state == CANCELLED
    assert market.pendingCount() == market.mostValuable() == 0
    assert reservoir.creditOf(client) == reservoir.balance == PAYMENT_WEI + BOND_WEI
    money(reservoir)


# --- popMostValuable ---


def test_pop_most_valuable__stranger__reverts(
    market: Any, stranger: Any, create_task: CreateTask, reverts: Any
) -> None:
    create_task(market)
    with reverts(market.NotChain, caller=stranger):
        market.popMostValuable(sender=stranger)


def test_pop_most_valuable__empty_list__reverts(market: Any, chain_account: Any, reverts: Any) -> None:
    with reverts(market.NoPendingTask):
        market.popMostValuable(sender=chain_account)


def test_pop_most_valuable__value_is_reward_per_second_of_a_whole_round(
    market: Any, chain_account: Any, create_task: CreateTask
) -> None:
    long_rich = create_task(market, payment_wei=3 * PAYMENT_WEI, timeLimitS=600)
    short_poor = create_task(market, timeLimitS=100)
    middle = create_task(market, timeLimitS=150)

    assert market.valueOf(long_rich) == (3 * REWARD_WEI << 32) // (600 + 14 * 60)
    popped = []
    for _ in range(3):
        popped.append(market.mostValuable())
        receipt = market.popMostValuable(sender=chain_account)
        assert market.TaskPopped(popped[-1]) in receipt.events
        market.close(popped[-1], SOLVED, sender=chain_account)
    assert popped == [long_rich, short_poor, middle]


def test_pop_most_valuable__equal_values__older_first(market: Any, create_task: CreateTask) -> None:
    tasks = [create_task(market) for _ in range(3)]
    assert market.mostValuable() == tasks[0]


def test_pop_most_valuable__leaves_the_money_where_the_lane_can_spend_it(
    market: Any, reservoir: Any, chain_account: Any, create_task: CreateTask, money: Callable[[Any], None]
) -> None:
    task_id = create_task(market)
    market.popMostValuable(sender=chain_account)

    assert market.task(task_id).state == IN_ROUND
    reservoir.credit(ESCROW, account_of(task_id), chain_account, PAYMENT_WEI + BOND_WEI, sender=chain_account)
    assert reservoir.balanceOf(market, ESCROW, account_of(task_id)) == 0
    money(reservoir)


# --- close ---


def test_close__stranger__reverts(market: Any, stranger: Any, create_task: CreateTask, reverts: Any) -> None:
    task_id = create_task(market)
    with reverts(market.NotChain, caller=stranger):
        market.close(task_id, SOLVED, sender=stranger)


def test_close__pending_task__reverts(market: Any, chain_account: Any, create_task: CreateTask, reverts: Any) -> None:
    task_id = create_task(market)
    with reverts(market.NotInRound, taskId=task_id, state=PENDING):
        market.close(task_id, SOLVED, sender=chain_account)


@pytest.mark.parametrize("outcome", [NONE, PENDING, IN_ROUND, CANCELLED])
def test_close__not_an_outcome__reverts(
    market: Any, chain_account: Any, create_task: CreateTask, reverts: Any, outcome: int
) -> None:
    task_id = create_task(market)
    market.popMostValuable(sender=chain_account)
    with reverts(market.InvalidOutcome, outcome=outcome):
        market.close(task_id, outcome, sender=chain_account)


@pytest.mark.parametrize("outcome", [SOLVED, REFUNDED])
def test_close__in_round__is_final(
    market: Any, chain_account: Any, create_task: CreateTask, reverts: Any, outcome: int
) -> None:
    task_id = create_task(market)
    market.popMostValuable(sender=chain_account)
    receipt = market.close(task_id, outcome, sender=chain_account)

    assert receipt.events == [market.TaskClosed(task_id, outcome)]
    assert market.task(task_id).state == outcome
    with reverts(market.NotInRound, taskId=task_id, state=outcome):
        market.close(task_id, outcome, sender=chain_account)


# --- raiseReward ---


def test_raise_reward__not_the_client_or_not_pending__reverts(
    market: Any, client: Any, stranger: Any, create_task: CreateTask, reverts: Any
) -> None:
    task_id = create_task(market)
    with reverts(market.NotClient, taskId=task_id, client=client.address, caller=stranger.address):
        market.raiseReward(task_id, 0, sender=stranger, value=1)
    with reverts(market.PaymentTooSmall, sentWei=1, neededWei=2):
        market.raiseReward(task_id, 0, sender=client, value=1)
    market.cancel(task_id, sender=client)
    with reverts(market.NotPending, taskId=task_id, state=CANCELLED):
        market.raiseReward(task_id, 0, sender=client, value=2)


def test_raise_reward__pending__is_worth_more_and_comes_back_whole(
    market: Any, reservoir: Any, client: Any, create_task: CreateTask, money: Any
) -> None:
    first, second = create_task(market), create_task(market)
    receipt = market.raiseReward(second, second, sender=client, value=PAYMENT_WEI)
    assert market.RewardRaised(second, 2 * REWARD_WEI, 2 * (PAYMENT_WEI - REWARD_WEI)) in receipt.events
    assert (market.mostValuable(), market.pendingCount()) == (second, 2)
    assert market.valueOf(second) in (2 * market.valueOf(first), 2 * market.valueOf(first) + 1)
    market.cancel(second, sender=client)
    assert reservoir.creditOf(client) == 2 * PAYMENT_WEI + market.parameters().clientBondWei
    money(reservoir)


# --- hashes ---


def test_new_tasks_hash__chains_every_task_ever_submitted(market: Any, client: Any, create_task: CreateTask) -> None:
    chained = ZERO_HASH
    for _ in range(2):
        chained = keccak(encode(["bytes32", "uint64"], [chained, create_task(market)]))
    market.cancel(2, sender=client)
    assert market.newTasksHash() == chained
    assert list(market.listHashes()) == [market.taskListHash(), chained]


def test_task_list_hash__follows_every_change_of_the_list(
    market: Any, reservoir: Any, client: Any, chain_account: Any, create_task: CreateTask
) -> None:
    assert market.taskListHash() == ZERO_HASH
    first, second = create_task(market), create_task(market)
    market.cancel(second, sender=client)
    market.popMostValuable(sender=chain_account)
    market.close(first, REFUNDED, sender=chain_account)

    expected = ZERO_HASH
    for task_id, state in ((first, PENDING), (second, PENDING), (second, CANCELLED), (first, IN_ROUND)):
        expected = list_hash(expected, task_id, state)
    assert market.taskListHash() == expected


def test_views__unknown_task__are_empty(market: Any) -> None:
    assert market.task(7).state == NONE
    assert market.valueOf(7) == 0
    assert market.mostValuable() == 0
