"""Every forgery of a hardened block is refused, with the segments that give it away."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from pole.errors import ContentNotFound, ModelInvalid
from pole.gradient.claim import BlockClaim
from pole.gradient.network import FlatNetwork, Snapshot
from pole.gradient.trajectory import CandidateStep, Draws, Trajectory
from pole.gradient.verification import ReplayResult
from pole.storage.cid import cid_of
from tests.unit.gradient_task import (
    MIN_STEP,
    MINER,
    OTHER_MINER,
    PREVIOUS_HASH,
    THRESHOLD,
    GradientTask,
    Mined,
    shifted,
)


def trained(task: GradientTask, rows: list[torch.Tensor]) -> list[Snapshot]:
    """States after every step on these batches, from genesis."""
    network, states = task.network(), []
    for batch in rows:
        network.step(task.samples.train_x[batch], task.samples.train_y[batch])
        states.append(network.snapshot())
    return states


def proper_batches(task: GradientTask, steps: int) -> list[torch.Tensor]:
    """Those of the honest trajectory, whose draws depend on its checkpoints."""
    trajectory, batches = Trajectory(task.network(), task.samples, PREVIOUS_HASH, MINER), []
    for _ in range(steps):
        draws, position = trajectory.next_draws()
        batches.append(draws.batches[position])
        trajectory.advance()
    return batches


def forged(task: GradientTask, mined: Mined, states: list[Snapshot]) -> BlockClaim:
    """The honest claim over the states of another training: its checkpoints and its end."""
    interval, step = task.manifest.checkpoint_interval, mined.candidate.step
    checkpoints = tuple(states[index - 1] for index in range(interval, step, interval))
    return task.claim(task.network(), replace(mined.candidate, state=states[step - 1], checkpoints=checkpoints))


def test_verify__wrong_checkpoint__names_both_segments_around_it(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], ReplayResult]
) -> None:
    first, *others = mined.candidate.checkpoints
    wrong = replace(mined.candidate, checkpoints=(shifted(first, 7, 1e-3), *others))
    finding = judge(task.claim(task.network(), wrong))
    assert (finding.is_valid, finding.wrong_segments) == (False, 0b011)
    assert "segments [0, 1] do not lead to the next checkpoint" in finding.reason


def test_verify__checkpoint_that_is_no_model__names_every_segment_that_needs_it(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], ReplayResult]
) -> None:
    content, first = task.store.get(mined.claim.proof, 1 << 16), task.network().to_bytes(mined.candidate.checkpoints[0])
    hostile = content.replace(str(cid_of(first)).encode(), str(task.store.put(b"no model")).encode())
    finding = judge(replace(mined.claim, proof=task.store.put(hostile)))
    assert (hostile != content, finding.is_valid, finding.wrong_segments) == (True, False, 0b111)


def test_verify__skipped_step__is_refused(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], ReplayResult]
) -> None:
    batches = proper_batches(task, mined.candidate.step + 1)
    finding = judge(forged(task, mined, trained(task, batches[:2] + batches[3:])))
    assert not finding.is_valid
    assert finding.wrong_segments & 1


def test_verify__skipped_step_with_its_counter_set_right__is_refused(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], ReplayResult]
) -> None:
    """The steps of batch normalisation are counted exactly; the weights must betray the step as well."""
    batches = proper_batches(task, mined.candidate.step + 1)
    states = trained(task, batches[:2] + batches[3:])
    for state in states[2:]:
        state.counters.add_(1)
    assert judge(forged(task, mined, states)).wrong_segments & 1


def test_verify__batches_in_another_order__are_refused(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], ReplayResult]
) -> None:
    batches = proper_batches(task, mined.candidate.step)
    batches[2], batches[3] = batches[3], batches[2]
    assert judge(forged(task, mined, trained(task, batches))).wrong_segments & 1


def test_verify__rows_of_own_choice__are_refused(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], ReplayResult]
) -> None:
    batches = proper_batches(task, mined.candidate.step)
    batches[0] = (batches[0] + 1) % 300
    assert judge(forged(task, mined, trained(task, batches))).wrong_segments & 1


@pytest.mark.parametrize("index", [0, 5, -1])
def test_verify__doctored_buffers__are_refused(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], ReplayResult], index: int
) -> None:
    doctored = mined.candidate.state.clone()
    doctored.buffers[index] += 0.01
    finding = judge(task.claim(task.network(), replace(mined.candidate, state=doctored)))
    assert not finding.is_valid
    assert "not those that the last segment yields" in finding.reason


def test_verify__doctored_counter__is_refused(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], ReplayResult]
) -> None:
    doctored = mined.candidate.state.clone()
    doctored.counters[0] += 1
    assert not judge(task.claim(task.network(), replace(mined.candidate, state=doctored))).is_valid


def test_verify__weights_from_nowhere__are_refused(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], ReplayResult]
) -> None:
    """A trajectory that is honest but for its start, which is not the previous block's W."""
    network = FlatNetwork.genesis(task.manifest, seed=2)
    trajectory = Trajectory(network, task.samples, PREVIOUS_HASH, MINER, MIN_STEP)
    while trajectory.best is None or trajectory.best.sign_digest >= THRESHOLD:
        trajectory.advance()
    finding = judge(task.claim(network, trajectory.best))
    assert (finding.is_valid, finding.wrong_segments) == (False, 0b011)  # the second one's seed is another, too


def test_verify__step_of_the_first_segment__is_refused_whatever_its_digest(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], ReplayResult]
) -> None:
    """Everybody knows its draws from the header on."""
    interval = task.manifest.checkpoint_interval
    states = trained(task, proper_batches(task, interval))
    early = CandidateStep(interval, mined.candidate.sign_digest, states[-1], ())
    finding = judge(replace(task.claim(task.network(), early), threshold=1 << 24))
    assert not finding.is_valid
    assert f"step {interval} lies in the first segment; blocks begin at step {interval + 1}" in finding.reason


def test_verify__draws_of_another_checkpoint__are_refused(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], ReplayResult]
) -> None:
    """Training that goes on with the draws of the previous hash alone, as if the checkpoint were none."""
    interval, steps = task.manifest.checkpoint_interval, mined.candidate.step
    own = Draws.of(task.network(), task.samples, PREVIOUS_HASH, MINER, 1, steps).batches
    batches = [*proper_batches(task, interval), *own[interval:]]
    assert judge(forged(task, mined, trained(task, batches))).wrong_segments & 0b11 == 0b10


@pytest.mark.parametrize(
    "change",
    [{"previous_hash": bytes(32)}, {"miner": OTHER_MINER}],
    ids=["another height or chain", "another miner"],
)
def test_verify__proof_of_another__is_refused(
    mined: Mined, judge: Callable[[BlockClaim], ReplayResult], change: dict[str, object]
) -> None:
    """The proof as it is, proposed by someone else or at another height: it names what it is for."""
    finding = judge(replace(mined.claim, **change))  # type: ignore[arg-type]
    assert not finding.is_valid
    assert "the proposal is for step" in finding.reason


@pytest.mark.parametrize(
    ("miner", "previous_hash"),
    [(OTHER_MINER, PREVIOUS_HASH), (MINER, bytes(32))],
    ids=["another miner", "another height or chain"],
)
def test_verify__proof_relabelled__is_refused(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], ReplayResult], miner: str, previous_hash: bytes
) -> None:
    """The stolen training under a new document: batches and requirements are others."""
    claim = task.claim(task.network(), mined.candidate, miner, previous_hash)
    finding = judge(claim)
    assert not finding.is_valid
    assert finding.wrong_segments & 1


def test_verify__other_step_than_the_proof__is_refused(
    mined: Mined, judge: Callable[[BlockClaim], ReplayResult]
) -> None:
    assert not judge(replace(mined.claim, step=mined.claim.step + 1)).is_valid


def test_verify__digest_below_the_true_one__is_refused(
    mined: Mined, judge: Callable[[BlockClaim], ReplayResult]
) -> None:
    finding = judge(replace(mined.claim, sign_digest=0))
    assert not finding.is_valid
    assert "claimed 0, threshold" in finding.reason


def test_verify__digest_at_the_threshold__is_refused(mined: Mined, judge: Callable[[BlockClaim], ReplayResult]) -> None:
    assert not judge(replace(mined.claim, threshold=mined.claim.sign_digest)).is_valid


def test_verify__step_that_is_no_block__is_refused(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], ReplayResult]
) -> None:
    """Honest training, but the claimed digest belongs to a later step."""
    states = trained(task, proper_batches(task, MIN_STEP))
    early = CandidateStep(MIN_STEP, mined.candidate.sign_digest, states[-1], (states[7], states[15]))
    finding = judge(task.claim(task.network(), early))
    assert not finding.is_valid
    assert finding.wrong_segments == 0b100
    assert "sign digest" in finding.reason


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"version":1,"rules":"hardened","step":"1"}', b"\xff"])
def test_verify__proof_that_is_no_document__is_refused(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], ReplayResult], content: bytes
) -> None:
    finding = judge(replace(mined.claim, proof=task.store.put(content)))
    assert not finding.is_valid
    assert "proof is invalid" in finding.reason


def test_verify__proof_of_the_paper_rules__is_refused(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], ReplayResult]
) -> None:
    content = b'{"version":1,"rules":"paper","batch":[0,1,2,3],"weights_before":"%s"}' % str(task.genesis).encode()
    finding = judge(replace(mined.claim, proof=task.store.put(content)))
    assert not finding.is_valid
    assert "this task's are 'hardened'" in finding.reason


def test_verify__proof_that_is_too_large__is_refused(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], ReplayResult]
) -> None:
    assert not judge(replace(mined.claim, proof=task.store.put(bytes(1 << 17)))).is_valid


def test_verify__checkpoints_missing_or_spare__are_refused(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], ReplayResult]
) -> None:
    for checkpoints in (mined.candidate.checkpoints[1:], (*mined.candidate.checkpoints, mined.candidate.state)):
        finding = judge(task.claim(task.network(), replace(mined.candidate, checkpoints=checkpoints)))
        assert not finding.is_valid
        assert "checkpoints; it needs" in finding.reason


def test_verify__file_that_nobody_has__is_not_held_against_the_miner_yet(
    mined: Mined, judge: Callable[[BlockClaim], ReplayResult]
) -> None:
    with pytest.raises(ContentNotFound):
        judge(replace(mined.claim, weights=cid_of(b"nowhere")))


def test_publish__diverged_training__is_refused_before_it_costs_the_bond(task: GradientTask, mined: Mined) -> None:
    with pytest.raises(ModelInvalid, match="training diverged"):
        task.claim(task.network(), replace(mined.candidate, state=shifted(mined.candidate.state, 0, float("nan"))))
