"""Proposals that are no blocks cost their miner its bond, and the search goes on from the same hash."""

import pytest

from pole.chain.gradient_structs import GradientTask, GradientTaskState, Height, HeightPhase
from pole.chain.verdicts import INVALID
from pole.gradient.manifest import fetch_gradient_manifest
from pole.gradient.network import FlatNetwork
from pole.gradient.proof import Published, publish_hardened
from pole.gradient.samples import fetch_samples
from pole.gradient.trajectory import CandidateStep, Trajectory
from tests.e2e.gradient.company import REWARD_WEI, GradientCompany, ScriptedMiner

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

FEE_WEI = REWARD_WEI // 10
CHEAT = 7
INTERVAL = 64


def test_proposal__files_that_prove_nothing__is_slashed_and_the_search_goes_on(company: GradientCompany) -> None:
    """The honest miner stands still until the cheat has proposed. The ballot's fee comes out of the lost bond."""
    world, (miner, _) = company.world, company.miners
    cheat = world.scripted(ScriptedMiner, CHEAT)
    cheat.enrol()
    company.gather(miner)
    start = world.chain.block_number()
    with world.paused(miner):
        task_id = company.commission("stolen")
        cheat.open_task()
        height = company.in_phase(task_id, HeightPhase.SEARCH).height
        rubbish = world.site.store.put(b"not a proof")
        cheat.propose(height, company.gradient_chain.task(task_id).terms.min_step, 0, rubbish, rubbish)
        previous_hash = company.gradient_chain.header_hash(height - 1)
    task = company.ended(task_id)
    block = company.blocks_of(task_id)[-1]
    assert (task.state, block.miner, block.height) == (GradientTaskState.COMPLETED, miner.address, height)
    assert block.previous_hash == previous_hash
    assert company.gradient_chain.miner(cheat.address).bond_wei == 0
    bond_wei = company.gradient_chain.parameters().miner_bond_wei
    credited = world.credited_since(start)
    assert (credited[miner.address], credited[company.client.address]) == (REWARD_WEI, bond_wei - FEE_WEI)
    assert [credited[verifier.address] for verifier in company.verifiers] == [FEE_WEI] * 2


def test_proposal__jump_in_one_segment__is_found_by_one_verifier_and_confirmed_by_the_other(
    company: GradientCompany,
) -> None:
    """Without redundancy a segment is one verifier's; the other replays it as well, because it was reported."""
    world = company.world
    cheat = world.scripted(ScriptedMiner, CHEAT)
    cheat.enrol()
    company.gather()
    start = world.chain.block_number()
    changes = {"steps_per_block": 4, "segments": "divided", "redundancy": 1, "checkpoint_interval": INTERVAL}
    task_id = company.commission("jump", **changes)
    cheat.open_task()
    current = company.in_phase(task_id, HeightPhase.SEARCH)
    block, published = _jump(company, cheat, current, company.gradient_chain.task(task_id))
    cheat.propose(current.height, block.step, block.sign_digest, published.proof, published.weights)
    company.once("the bond to be lost", lambda: company.gradient_chain.miner(cheat.address).bond_wei == 0)
    [reward] = world.chain.logs("GradientChain", "AccuserRewarded", from_block=start)
    assert reward.arguments["amountWei"] == company.gradient_chain.parameters().miner_bond_wei // 10
    reports = world.chain.logs("GradientChain", "SegmentsReported", from_block=start)
    assert sorted(report.arguments["wrongSegments"] for report in reports) == [0, 1]
    ballot_id = int(reports[0].arguments["ballotId"])
    committee = world.contracts.verifier_committee
    digests = [committee.member(ballot_id, verifier.address).digest for verifier in company.verifiers]
    assert digests == [committee.digest(ballot_id, [INVALID])] * 2
    world.pass_deadline(company.gradient_chain.current().deadline)
    assert company.ended(task_id).state is GradientTaskState.STOPPED


def _jump(
    company: GradientCompany, cheat: ScriptedMiner, current: Height, task: GradientTask
) -> tuple[CandidateStep, Published]:
    """A trajectory over more than two segments, honest but for one weight at the end of the first."""
    store, header = company.world.site.store, company.gradient_chain.header(current.height - 1)
    manifest = fetch_gradient_manifest(store, task.terms.manifest)
    assert header.weights is not None
    network, samples = FlatNetwork(manifest), fetch_samples(store, manifest)
    network.restore(network.read(store.get(header.weights, network.max_file_bytes)))
    previous_hash = company.gradient_chain.header_hash(current.height - 1)
    trajectory = Trajectory(network, samples, previous_hash, cheat.address, min_step=2 * INTERVAL + 1)
    while trajectory.best is None or trajectory.best.sign_digest >= task.terms.initial_threshold:
        if trajectory.advance() == INTERVAL:
            network.weights[0] += 0.1
    return trajectory.best, publish_hardened(store, network, previous_hash, cheat.address, trajectory.best)
