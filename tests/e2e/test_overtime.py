"""A task that nobody can solve as asked."""

import pytest

from pole.chain.structs import Phase
from pole.task.weights import save_model
from tests.e2e.company import Company
from tests.e2e.models import Workshop
from tests.e2e.scripted import ScriptedMiner
from tests.e2e.site import PROFILE
from tests.e2e.tasks import write_mislabelled_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def test_overtime__nobody_reaches_the_accuracy__best_of_the_rest_wins_and_there_are_no_ommers(
    company: Company,
) -> None:
    world, untrained = company.world, company.world.scripted(ScriptedMiner, 12)
    company.gather()
    start = world.chain.block_number()
    rows = write_mislabelled_rows(world.folder / "mislabelled.csv")
    task_id = world.commission(company.client, rows, "impossible", solutions_wanted=2)
    in_time = world.in_phase(task_id, Phase.TRAINING)
    log = world.stage.log_of(company.miner)
    world.until("the miner to measure itself", lambda: f"round {in_time.round_id}, training" in log.read_text())
    world.pass_deadline(in_time.deadline)
    overtime = world.in_phase(task_id, Phase.OVERTIME)
    workshop = Workshop.of(world.site, world.contracts, overtime)
    model = workshop.new_model()
    untrained.commit(overtime, save_model(model), workshop.train_ppm(model))
    world.until("both commits", lambda: world.contracts.learning_chain.round(overtime.round_id).submission_count == 2)
    world.pass_deadline(overtime.deadline)
    untrained.reveal(world.in_phase(task_id, Phase.REVEAL))
    ended = world.ended(task_id)
    header, task = world.contracts.block_ledger.header(ended.height), world.contracts.task_market.task(task_id)
    assert (ended.phase, ended.is_overtime, ended.qualified_count) == (Phase.FINALISED, True, 0)
    assert header.winner == company.miner.address
    assert workshop.train_ppm(model) < header.train_ppm < task.terms.required_train_ppm
    assert world.contracts.block_ledger.ommers(ended.height) == []
    paid_wei, bond_wei = world.credited_since(start), PROFILE.chain.miner_bond_wei
    assert (paid_wei[header.winner], paid_wei[untrained.address]) == (task.reward_wei + bond_wei, bond_wei)
