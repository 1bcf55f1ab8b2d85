"""Rounds under faults of clocks, balances and disks. Everybody is paid each time."""

import json
import time
from collections.abc import Iterator

import pytest

from pole.chain.structs import Phase
from pole.node.loop import STATUS_FILE
from testbed.processes import Actor
from tests.e2e.trouble import AHEAD_S, BEHIND_S, Trouble, troubled_company
from tests.e2e.world import World

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ETHER, GWEI = 10**18, 10**9
SPIKE_WEI = 400 * GWEI
BLOCK_S = 1.0  # long enough for everybody to see the block
HELP, STORE_TROUBLE = "waiting for somebody to help", "waiting for the content store to work again"


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trouble]:
    with troubled_company(tmp_path_factory.mktemp("trouble"), is_hasty=True) as company:
        yield company


# --- clocks ----------------------------------------------------------------------------------------------------------


def test_round__clocks_twenty_minutes_apart__only_block_time_counts(trouble: Trouble) -> None:
    trouble.finish(trouble.commission("skewed"))
    statuses = [json.loads((actor.home / STATUS_FILE).read_text()) for actor in trouble.company.actors[:2]]
    ahead_s, behind_s = (status["written_at_s"] - time.time() for status in statuses)
    assert ahead_s > AHEAD_S / 2
    assert behind_s < BEHIND_S / 2


# --- money for gas ---------------------------------------------------------------------------------------------------


def set_base_fee(world: World, wei: int) -> None:
    """Of the next block; from there it falls by an eighth with every empty one."""
    world.rpc("anvil_setNextBlockBaseFeePerGas", hex(wei))


def set_balance(world: World, actor: Actor, wei: int) -> None:
    world.rpc("anvil_setBalance", actor.address, hex(wei))


def test_round__base_fee_over_the_cap__waits_until_it_falls(trouble: Trouble) -> None:
    world, marks = trouble.world, trouble.marks()
    task_id = trouble.commission("dear-gas", solutions_wanted=2)
    world.until("the commit", lambda: world.has_committed(task_id, trouble.company.miner))
    world.freeze()
    set_base_fee(world, SPIKE_WEI)
    world.pass_deadline(world.in_phase(task_id, Phase.TRAINING).deadline)
    logs = {world.stage.log_of(actor): marks[actor.name] for actor in trouble.company.actors}

    def all_wait() -> bool:
        set_base_fee(world, SPIKE_WEI)
        world.mine()  # in every block it is somebody else's turn to move the round on
        time.sleep(BLOCK_S)
        return all("gas is too dear" in log.read_text()[mark:] for log, mark in logs.items())

    world.until("everybody to wait", all_wait)
    world.thaw()
    trouble.finish(task_id)
    set_base_fee(world, GWEI)


def test_round__no_ether_left__everybody_says_so_and_goes_on_when_funded(trouble: Trouble) -> None:
    world, marks = trouble.world, trouble.marks()
    task_id = trouble.commission("no-ether", solutions_wanted=2)
    world.until("the commit", lambda: world.has_committed(task_id, trouble.company.miner))
    for actor in trouble.company.actors:
        set_balance(world, actor, 0)
    world.pass_deadline(world.in_phase(task_id, Phase.TRAINING).deadline)
    for actor in trouble.company.actors:
        trouble.says(actor, f"{HELP} (LearningChain.advance needs up to", marks[actor.name])
        assert f"account {actor.address} has 0; send it" in world.stage.log_of(actor).read_text()
    for actor in trouble.company.actors:
        set_balance(world, actor, 10 * ETHER)
    trouble.finish(task_id)


# --- disks -----------------------------------------------------------------------------------------------------------


def test_round__disks_full_while_journaling_and_storing__go_on_when_there_is_space(trouble: Trouble) -> None:
    world, client, miner, verifier = trouble.world, *trouble.company.actors[:3]
    trouble.fill_disk(client)
    task_id = trouble.commission("full-disks", solutions_wanted=2)
    keys = world.in_phase(task_id, Phase.KEYS)
    trouble.fill_disk(miner)
    trouble.free_disk(client, HELP)  # it could not journal the keys' transaction
    trouble.free_disk(miner, HELP)  # it could not keep its model
    world.until("the commit", lambda: world.has_committed(task_id, miner))
    with world.paused(client):  # which would release at once
        world.pass_deadline(world.in_phase(task_id, Phase.TRAINING).deadline)
        world.in_phase(task_id, Phase.RELEASE)
        trouble.fill_disk(miner)
        trouble.fill_disk(verifier)
    trouble.free_disk(miner, STORE_TROUBLE)  # it could not publish its model
    trouble.free_disk(verifier, f"{HELP} (journal")  # it could not journal its vote
    assert trouble.finish(task_id).round_id == keys.round_id
