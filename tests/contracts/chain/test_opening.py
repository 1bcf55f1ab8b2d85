"""LearningChain: constructor, openRound, openIdleRound and publishKeys."""

from typing import Any

import pytest

from tests.contracts.rounds import (
    BOND,
    CLIENT_BOND_WEI,
    ESCROW,
    FEE_WEI,
    KEYS,
    MINER_BOND_WEI,
    REWARD_WEI,
    TIME_LIMIT_S,
    WINDOW_S,
    WINNER_REWARD,
    ZERO_ADDRESS,
    ZERO_HASH,
    Phase,
    Play,
    TaskState,
)

# --- constructor ---


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("chain", "keysWindowS", 0),
        ("chain", "overtimeWindowS", 0),
        ("chain", "releaseWindowS", 0),
        ("chain", "revealWindowS", 0),
        ("chain", "minerBondWei", 0),
        ("idle_task", "timeLimitS", 0),
        ("idle_task", "solutionsWanted", 0),
        ("idle_task", "solutionsWanted", 65),
    ],
)
def test_constructor__parameter_no_round_could_work_with__reverts(
    play: Play, redeploy: Any, reverts: Any, part: str, name: str, value: int
) -> None:
    with reverts(play.chain.InvalidParameter, name=name.encode().ljust(32, b"\0"), value=value):
        redeploy(part, name, value)


def test_constructor__idle_accuracy_above_one__reverts(play: Play, redeploy: Any, reverts: Any) -> None:
    with reverts(play.chain.InvalidAccuracy, ppm=1_000_001):
        redeploy("idle_task", "requiredTrainPpm", 1_000_001)


def test_constructor__idle_manifest_without_digest__reverts(play: Play, redeploy: Any, reverts: Any) -> None:
    with reverts(play.chain.EmptyDigest):
        redeploy("idle_task", "manifest", (0x55, ZERO_HASH))


@pytest.mark.parametrize("missing", ["market", "committee", "ledger"])
def test_constructor__zero_address__reverts(play: Play, redeploy: Any, reverts: Any, missing: str) -> None:
    with reverts(play.chain.ZeroAddress):
        redeploy("parts", missing, ZERO_ADDRESS)


def test_constructor__not_an_operator_of_the_reservoir__reverts(
    play: Play, redeploy: Any, deployer: Any, create_address: Any, reverts: Any
) -> None:
    # eth-tester simulates the creation under the next nonce; `redeploy` uses one for its own reservoir.
    with reverts(play.chain.NotOperator, caller=create_address(deployer.address, deployer.nonce + 2)):
        redeploy("parts", "reservoir", play.reservoir)


@pytest.fixture
def redeploy(play: Play, project: Any, deployer: Any, create_address: Any) -> Any:
    """`redeploy(part, name, value)`: another chain beside the others, with one argument changed."""

    def deploy_with(part: str, name: str, value: Any) -> Any:
        # Of these two, one is the address in eth-tester's simulation and one the real address.
        predicted = [create_address(deployer.address, deployer.nonce + step) for step in (1, 2)]
        idle = play.chain.idleTask()
        given = {
            "parts": {
                "reservoir": deployer.deploy(project.RewardReservoir, predicted, predicted),
                "market": play.market,
                "committee": play.committee,
                "ledger": play.ledger,
            },
            "chain": dict(play.chain.parameters().items()),
            "idle_task": dict(idle.items()) | {"manifest": (idle.manifest.codec, idle.manifest.digest)},
        }
        given[part][name] = value
        return deployer.deploy(project.LearningChain, *given["parts"].values(), given["chain"], given["idle_task"])

    return deploy_with


def test_constructor__genesis__is_the_header_at_height_zero(play: Play) -> None:
    genesis = play.ledger.header(0)
    assert play.ledger.height() == 0
    assert (genesis.height, genesis.taskId, genesis.winner) == (0, 0, ZERO_ADDRESS)
    assert genesis.previousHash == ZERO_HASH
    assert genesis.roundHash != ZERO_HASH
    assert genesis.timestamp > 0
    assert play.ledger.headerHash(0) != ZERO_HASH
    assert play.ledger.ommers(0) == []


def test_parameters__are_those_given(play: Play) -> None:
    parameters = play.chain.parameters()
    windows_s = [parameters.keysWindowS, parameters.overtimeWindowS, parameters.releaseWindowS]
    assert [*windows_s, parameters.revealWindowS] == [WINDOW_S] * 4
    assert parameters.minerBondWei == MINER_BOND_WEI
    assert play.ledger.parameters().winnerReward == WINNER_REWARD
    assert (play.chain.LEDGER(), play.ledger.CHAIN()) == (play.ledger, play.chain)
    assert play.chain.idleTask().requiredTrainPpm == 800_000
    assert play.chain.RESERVOIR() == play.reservoir
    assert play.ledger.TOKEN() == play.token
    assert play.chain.MARKET() == play.market
    assert play.chain.COMMITTEE() == play.committee


# --- openRound ---


def test_open_round__no_task__reverts(play: Play, reverts: Any) -> None:
    with reverts(play.market.NoPendingTask):
        play.chain.openRound(sender=play.stranger)


def test_open_round__round_in_progress__reverts(play: Play, create_task: Any, reverts: Any) -> None:
    play.submit(create_task)
    play.submit(create_task)
    play.open()
    with reverts(play.chain.RoundInProgress, roundId=1):
        play.chain.openRound(sender=play.stranger)


def test_open_round__pending_tasks__takes_the_most_valuable(play: Play, create_task: Any, money: Any) -> None:
    play.submit(create_task)
    play.submit(create_task, timeLimitS=TIME_LIMIT_S - 1)
    receipt = play.chain.openRound(sender=play.stranger)
    opened = play.round
    assert (opened.taskId, opened.height, opened.previousHash) == (2, 1, ZERO_HASH)
    assert opened.anchorBlock == receipt.block_number + 1
    assert (opened.phase, opened.deadline) == (Phase.KEYS, receipt.timestamp + WINDOW_S)
    assert play.chain.RoundOpened(1, 2, 1, opened.anchorBlock) in receipt.events
    assert play.chain.PhaseChanged(1, Phase.KEYS, opened.deadline) in receipt.events
    assert play.market.task(2).state == TaskState.IN_ROUND
    assert play.held_wei(ESCROW, 2) == REWARD_WEI + FEE_WEI + CLIENT_BOND_WEI
    assert play.held_wei(BOND, 2) == 0
    money(play.reservoir)


# --- openIdleRound ---


def test_open_idle_round__task_pending__reverts(play: Play, create_task: Any, reverts: Any) -> None:
    play.submit(create_task)
    with reverts(play.market.TasksPending, count=1):
        play.chain.openIdleRound(sender=play.stranger)


def test_open_idle_round__round_in_progress__reverts(play: Play, reverts: Any) -> None:
    play.chain.openIdleRound(sender=play.stranger)
    with reverts(play.chain.RoundInProgress, roundId=1):
        play.chain.openIdleRound(sender=play.stranger)


def test_open_idle_round__nothing_pending__trains_at_once(play: Play) -> None:
    receipt = play.chain.openIdleRound(sender=play.stranger)
    opened = play.round
    assert (opened.taskId, opened.phase) == (0, Phase.TRAINING)
    assert opened.deadline == receipt.timestamp + play.chain.idleTask().timeLimitS
    assert opened.anchorBlock == receipt.block_number + 1


# --- publishKeys ---


def test_publish_keys__unknown_round__reverts(play: Play, reverts: Any) -> None:
    with reverts(play.chain.WrongPhase, roundId=1, phase=Phase.NONE):
        play.chain.publishKeys(1, ZERO_HASH, KEYS, sender=play.client)


def test_publish_keys__twice__reverts(play: Play, create_task: Any, reverts: Any) -> None:
    play.submit(create_task)
    play.open()
    with reverts(play.chain.WrongPhase, roundId=1, phase=Phase.TRAINING):
        play.publish_keys()


def test_publish_keys__not_the_client__reverts(play: Play, create_task: Any, reverts: Any) -> None:
    play.submit(create_task)
    play.open(has_keys=False)
    with reverts(play.chain.NotClient, roundId=1, client=play.client.address, caller=play.stranger.address):
        play.publish_keys(play.stranger)


def test_publish_keys__at_the_deadline__reverts(play: Play, create_task: Any, reverts: Any) -> None:
    play.submit(create_task)
    play.open(has_keys=False)
    deadline = play.round.deadline
    play.wait_for_deadline()
    with reverts(play.chain.DeadlinePassed, roundId=1, deadline=deadline):
        play.publish_keys()


def test_publish_keys__other_codec__reverts(play: Play, create_task: Any, reverts: Any) -> None:
    play.submit(create_task)
    play.open(has_keys=False)
    with reverts(play.chain.UnsupportedCodec, codec=0x71):
        play.publish_keys(keys=(0x71, KEYS[1]))


def test_publish_keys__in_time__starts_the_training_clock(play: Play, create_task: Any) -> None:
    play.submit(create_task)
    play.open(has_keys=False)
    receipt = play.publish_keys()
    training = play.round
    assert (training.phase, training.deadline) == (Phase.TRAINING, receipt.timestamp + TIME_LIMIT_S)
    assert (training.keys.codec, training.keys.digest) == KEYS
    assert play.chain.PhaseChanged(1, Phase.TRAINING, training.deadline) in receipt.events
