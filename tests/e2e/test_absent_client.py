"""A data client that vanishes: before the keys, and before the release of the test set."""

import pytest

from pole.chain.structs import AbortReason, Phase, TaskState
from pole.task.weights import save_model
from tests.e2e.company import Company
from tests.e2e.models import Workshop
from tests.e2e.scripted import ScriptedMiner
from tests.e2e.settled import fees_wei
from tests.e2e.site import PROFILE
from tests.e2e.tasks import write_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

CLIENT_BOND_WEI, MINER_BOND_WEI = PROFILE.market.client_bond_wei, PROFILE.chain.miner_bond_wei


def test_client__vanishes_before_keys__bond_to_the_verifiers_and_reward_refunded(company: Company) -> None:
    world, client = company.world, company.client
    if world.is_running(client):
        world.kill(client)
    company.gather(but=client)
    start = world.chain.block_number()
    task_id = world.commission(client, write_rows(world.folder / "rows.csv"), "no-keys")
    task = world.contracts.task_market.task(task_id)
    world.pass_deadline(world.in_phase(task_id, Phase.KEYS).deadline)
    ended = world.ended(task_id)
    assert (ended.phase, ended.abort_reason) == (Phase.ABORTED, AbortReason.KEYS_MISSING)
    assert world.contracts.task_market.task(task_id).state is TaskState.REFUNDED
    [paid] = world.chain.logs("LearningChain", "OccupancyPaid", roundId=ended.round_id)
    occupancy_wei = int(paid.arguments["amountWei"])
    assert 0 < occupancy_wei < task.reward_wei // 5
    assert world.credited_since(start) == {
        client.address: task.reward_wei + task.verifier_fee_wei - occupancy_wei,
        **{verifier.address: (CLIENT_BOND_WEI + occupancy_wei) // 2 for verifier in company.verifiers},
    }


def test_client__vanishes_before_release__best_by_training_wins_and_miners_share_the_bond(company: Company) -> None:
    world, weak = company.world, company.world.scripted(ScriptedMiner, 4)
    company.gather()
    start = world.chain.block_number()
    rows = write_rows(world.folder / "rows.csv")
    task_id = world.commission(company.client, rows, "no-release", required_train_ppm=400_000, solutions_wanted=2)
    current = world.in_phase(task_id, Phase.TRAINING)
    world.kill(company.client)
    workshop = Workshop.of(world.site, world.contracts, current)
    model = workshop.weak_model()
    weak.commit(current, save_model(model), workshop.train_ppm(model))
    world.pass_deadline(world.in_phase(task_id, Phase.RELEASE).deadline)
    weak.reveal(world.in_phase(task_id, Phase.REVEAL))
    ended = world.ended(task_id)
    header = world.contracts.block_ledger.header(ended.height)
    assert (ended.phase, ended.is_test_set_released) == (Phase.FINALISED, False)
    assert (header.winner, header.test_ppm) == (company.miner.address, 0)
    assert header.train_ppm > workshop.train_ppm(model) >= 400_000
    assert [ommer.miner for ommer in world.contracts.block_ledger.ommers(ended.height)] == [weak.address]
    task, share_wei = world.contracts.task_market.task(task_id), CLIENT_BOND_WEI // 2
    assert world.credited_since(start) == {
        company.miner.address: task.reward_wei + share_wei + MINER_BOND_WEI,
        weak.address: share_wei + MINER_BOND_WEI,
        **{verifier.address: fees_wei(world.contracts, ended) // 2 for verifier in company.verifiers},
    }
