"""Blocks from the order to the last one, by both rules, replayed whole and in parts."""

from functools import partial
from pathlib import Path

import pytest

from dataclient.sources.load import SourceOptions
from pole.chain.gradient_structs import GradientTaskState, HeightPhase, StopReason
from tests.e2e.gradient.company import REWARD_WEI, GradientCompany, read_table, write_pictures
from tests.e2e.tasks import LABEL, write_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

FEE_WEI = REWARD_WEI // 10


def test_commands__three_blocks__accuracy_grows_and_everybody_is_paid(company: GradientCompany) -> None:
    """Commissioned, looked at and fetched by the command lines that people use; two miners compete."""
    world, (first, second) = company.world, company.miners
    company.gather(first, second)
    start = world.chain.block_number()
    command = ["dataclient", "gradient", "submit", str(write_rows(world.folder / "rows.csv")), "--label", LABEL]
    command += ["--name", "first", "--blocks", "3", "--block-reward", "0.01", "--interval", "1", "--miners", "2"]
    command += ["--steps-per-block", "150", "--learning-rate", "0.01"]
    said = world.stage.run(command, company.client)
    task_id = company.gradient_chain.task_count()
    assert f"first is gradient task {task_id}, 3 blocks" in said
    task = company.ended(task_id)
    opening, *blocks = company.blocks_of(task_id)
    assert (task.state, task.blocks_done, len(blocks)) == (GradientTaskState.COMPLETED, 3, 3)
    assert opening.weights == task.terms.genesis_weights
    assert blocks[-1].test_ppm > 300_000 > 125_000  # eight classes
    credited = world.credited_since(start)
    mined = [block.miner for block in blocks]
    paid = {miner.address: REWARD_WEI * mined.count(miner.address) for miner in company.miners}
    assert {address: credited.get(address, 0) for address in paid} == paid
    assert sum(paid.values()) == 3 * REWARD_WEI
    assert [credited[verifier.address] for verifier in company.verifiers] == [3 * FEE_WEI // 2] * 2
    assert company.client.address not in credited
    [row] = read_table(world.stage.run(["dataclient", "gradient", "status"], company.client))[-1:]
    assert [cell.strip() for cell in row[1:5]] == ["first", str(task_id), "completed", "3 of 3"]
    _check_reports(company, [block.miner for block in blocks], blocks[-1].height)


def _check_reports(company: GradientCompany, mined: list[str], newest: int) -> None:
    """What logs and commands of miners and verifiers say of the blocks; anybody may replay one, without an account."""
    world, stage = company.world, company.world.stage
    said = {miner.name: [": I won block "] * mined.count(miner.address) for miner in company.miners}
    said |= {each.name: [f"height {newest}: ended with a block of {mined[-1]}"] for each in company.verifiers}
    for actor in (*company.miners, *company.verifiers):
        log, wanted = stage.log_of(actor), said[actor.name]
        company.once(f"reports of {actor.name}", partial(_is_said, log, wanted))
    assert f"; height {newest + 1}, idle" in stage.run(["miner", "gradient", "status"], company.miners[0])
    assert f"height    {newest + 1}, idle" in stage.run(["verifier", "gradient", "status"], company.verifiers[0])
    stranger = ["--deployment", str(stage.deployment), "--store", stage.store("verifier")]
    stranger += ["--home", str(world.folder / "stranger")]
    held = stage.run(["verifier", "gradient", "replay", str(newest), *stranger])
    assert f"block {newest} of {mined[-1]} holds" in held


def _is_said(log: Path, wanted: list[str]) -> bool:
    text = log.read_text()
    return all(text.count(said) >= wanted.count(said) for said in wanted)


@pytest.mark.parametrize("segments", ["divided", "sampled"])
def test_chain__shared_work__each_verifier_reports_its_own(company: GradientCompany, segments: str) -> None:
    """The share is drawn from the block after the one that opened the ballot."""
    company.gather(company.miners[0])
    task_id = company.commission(segments, segments=segments, redundancy=1, checkpoint_interval=64)
    start = company.world.chain.block_number()
    assert company.ended(task_id).state is GradientTaskState.COMPLETED
    reports = company.world.chain.logs("GradientChain", "SegmentsReported", from_block=start)
    assert {report.arguments["verifier"] for report in reports} == {each.address for each in company.verifiers}
    assert {report.arguments["wrongSegments"] for report in reports} == {0}


def test_chain__paper_rules__a_block_is_one_step(company: GradientCompany) -> None:
    company.gather(company.miners[0])
    task_id = company.commission("paper", rules="paper", requirement_count=1, learning_rate=0.002)
    task = company.ended(task_id)
    [_, block] = company.blocks_of(task_id)
    assert (task.state, block.step, block.sign_digest) == (GradientTaskState.COMPLETED, 0, 0)
    assert block.weights != task.terms.genesis_weights


@pytest.mark.full
def test_chain__resnet18_with_a_stem_for_small_images__blocks_follow_each_other(company: GradientCompany) -> None:
    """As in the paper, but for the size of the images and how long a search takes."""
    company.gather(company.miners[0])
    pictures = write_pictures(company.world.folder / "pictures.npz")
    task_id = company.commission(
        "resnet",
        data=SourceOptions(source=str(pictures)),
        model="resnet18",
        learning_rate=0.001,
        block_count=2,
        target_interval_s=2,
        steps_per_block=4,
        checkpoint_interval=8,
        check_steps=20,
    )
    task = company.ended(task_id, patience_s=180)
    assert (task.state, len(company.blocks_of(task_id))) == (GradientTaskState.COMPLETED, 3)


def test_chain__nobody_searches__task_is_stopped_and_refunded_less_one_fee(company: GradientCompany) -> None:
    company.gather(company.miners[0])
    start = company.world.chain.block_number()
    task_id = company.commission("abandoned", block_count=2, steps_per_block=1 << 17, checkpoint_interval=1024)
    current = company.in_phase(task_id, HeightPhase.SEARCH)
    company.dismiss()
    company.world.pass_deadline(current.deadline)
    task = company.ended(task_id)
    assert (task.state, task.stop_reason) == (GradientTaskState.STOPPED, StopReason.TIMED_OUT)
    credited = company.world.credited_since(start)
    assert credited.pop(company.client.address) == 2 * REWARD_WEI + FEE_WEI
    assert sum(credited.values()) == FEE_WEI  # the seated verifiers' part of a task that held the chain
