"""Two lanes: a task that nobody solves holds one of them, and the other delivers meanwhile."""

import pytest

from pole.chain.structs import Phase, TaskState
from pole.money import wei_to_ether
from tests.e2e.site import PROFILE
from tests.e2e.tasks import write_rows
from tests.e2e.world import World

REQUIRED_PPM = 700_000
LEAST_REWARD_WEI = 10**18


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("world", [{"lanes": 2}], indirect=True, ids=["two lanes"])
def test_market__lane_held_by_a_task_nobody_solves__the_other_lane_delivers(world: World) -> None:
    rows = write_rows(world.folder / "rows.csv")
    client, miner = world.actor("client", "dataclient", 1), world.actor("miner-1", "miner", 2)
    verifiers = [world.actor(f"verifier-{number}", "verifier", number) for number in (3, 6)]
    for verifier in verifiers:
        world.start(verifier, "run", "--stake", "2")
    world.start(
        miner, "run", "--device", "cpu", "--threads", "1", "--seed", "1", "--min-reward", wei_to_ether(LEAST_REWARD_WEI)
    )
    seats = {verifier.address for verifier in verifiers}
    world.until("all seats", lambda: seats == set(world.contracts.verifier_committee.seated()))
    held = world.commission(client, rows, "held", reward_ether="0.1", time_limit_s=600)
    world.start(client, "serve")
    world.in_phase(held, Phase.TRAINING)

    for name in ("delivered", "delivered-too"):
        task_id = world.commission(
            client, rows, name, reward_ether="2", required_train_ppm=REQUIRED_PPM, solutions_wanted=1
        )
        assert world.ended(task_id).phase is Phase.FINALISED
        assert world.contracts.task_market.task(task_id).lane == 1

    first, second = world.contracts.lanes
    standing = world.round_of(held)
    assert standing is not None
    assert (standing.phase, standing.submission_count) == (Phase.TRAINING, 0)
    assert world.contracts.task_market.task(held).state is TaskState.IN_ROUND
    assert [lane.block_ledger.height() for lane in (first, second)] == [0, 2]
    assert {second.block_ledger.header(height).winner for height in (1, 2)} == {miner.address}
    assert world.contracts.reward_token.balance(miner.address) == 2 * PROFILE.ledger.winner_reward // 2
    world.check_processes()
    world.held_wei()
