"""`kill -9` at the worst moment of each role: the restarted process finishes what the dead one began."""

import pytest

from pole.chain.gradient_structs import GradientTaskState, HeightPhase
from pole.chain.structs import BallotPhase
from tests.e2e.gradient.company import REWARD_WEI, GradientCompany

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_miner__killed_while_it_searches__does_the_same_steps_again_after_restart(company: GradientCompany) -> None:
    """Hardly any step is a block until the test lets time pass: then the best one so far is proposed."""
    world, miner = company.world, company.miners[0]
    company.gather(miner)
    task_id = company.commission(
        "killed-search", steps_per_block=1 << 14, checkpoint_interval=1000, block_time_limit_s=300
    )
    current = company.in_phase(task_id, HeightPhase.SEARCH)
    log = world.stage.log_of(miner)
    company.once("the search to begin", lambda: f"a step that is block {current.height}" in log.read_text())
    world.kill(miner)
    world.restart(miner)
    begun = f"a step that is block {current.height}"
    company.once("the search to begin again", lambda: log.read_text().count(begun) == 2)
    assert company.gradient_chain.current().phase is HeightPhase.SEARCH
    world.pass_deadline(current.search_started_at + 40)
    assert company.ended(task_id, patience_s=150).state is GradientTaskState.COMPLETED
    assert company.blocks_of(task_id)[-1].miner == miner.address


def test_miner__killed_between_proposal_and_settlement__is_paid_and_mines_the_next_block(
    company: GradientCompany,
) -> None:
    """The verifiers stand still until the kill, so that nothing is settled before."""
    world, miner = company.world, company.miners[0]
    company.gather(miner)
    start = world.chain.block_number()
    with world.paused(company.verifiers[0]), world.paused(company.verifiers[1]):
        task_id = company.commission("killed-proposer", block_count=2)
        company.once("its proposal", lambda: bool(company.gradient_chain.proposals()))
        world.kill(miner)
        assert company.gradient_chain.task(task_id).blocks_done == 0
    company.once("the first block", lambda: company.gradient_chain.task(task_id).blocks_done == 1)
    assert world.credited_since(start)[miner.address] == REWARD_WEI
    world.restart(miner)
    assert company.ended(task_id).state is GradientTaskState.COMPLETED
    assert world.credited_since(start)[miner.address] == 2 * REWARD_WEI


def test_verifier__killed_between_vote_commit_and_reveal__reveals_the_same_vote_after_restart(
    company: GradientCompany,
) -> None:
    """The other verifier stands still until the kill, so that no vote can be revealed before."""
    world, (verifier, other) = company.world, company.verifiers
    company.gather(company.miners[0])
    start = world.chain.block_number()
    with world.paused(other):
        task_id = company.commission("killed-verifier")
        ballot_id = company.in_phase(task_id, HeightPhase.VOTING).ballot_id
        company.once(
            "its vote", lambda: world.contracts.verifier_committee.member(ballot_id, verifier.address).has_committed
        )
        world.kill(verifier)
    company.once(
        "the reveals", lambda: world.contracts.verifier_committee.ballot(ballot_id).phase is BallotPhase.REVEAL
    )
    assert not any(world.contracts.verifier_committee.member(ballot_id, verifier.address).digest)
    world.restart(verifier)
    assert company.ended(task_id).state is GradientTaskState.COMPLETED
    committee = world.contracts.verifier_committee
    assert committee.member(ballot_id, verifier.address).digest == committee.outcome_digest(ballot_id)
    assert world.slashed_since(start) == {}
