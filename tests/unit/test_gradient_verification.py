"""Hardened blocks: what an honest miner proposes is accepted, on either precision; every forgery is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pole.cid import cid_of
from pole.directory import DirectoryStore
from pole.errors import ContentNotFound, ModelInvalid, ProofInvalid
from pole.gradient.network import FlatNetwork, Snapshot
from pole.gradient.trajectory import STEPS_PER_DRAW, Candidate, Draws, Trajectory
from pole.gradient.verification import BlockClaim, Finding, Replay, assignment, verify
from tests.unit.gradient_task import (
    MINER,
    OTHER_MINER,
    PREVIOUS_HASH,
    SMALL_CNN,
    THRESHOLD,
    GradientTask,
    Mined,
    digits_task,
)

MIN_STEP = 20  # so that with checkpoints every 8 steps there are at least three segments


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> GradientTask:
    return digits_task(DirectoryStore(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def mined(task: GradientTask) -> Mined:
    return task.mined(min_step=MIN_STEP)


@pytest.fixture
def judge(task: GradientTask) -> Callable[[BlockClaim], Finding]:
    return lambda claim: verify(FlatNetwork(task.manifest), task.samples, task.store, claim)


def shifted(state: Snapshot, weight: int, by: float) -> Snapshot:
    changed = state.clone()
    changed.weights[weight] += by
    return changed


def trained(task: GradientTask, rows: list[torch.Tensor]) -> list[Snapshot]:
    """States after every step on these batches, from genesis."""
    network, states = task.network(), []
    for batch in rows:
        network.step(task.samples.train_x[batch], task.samples.train_y[batch])
        states.append(network.snapshot())
    return states


def proper_batches(task: GradientTask, steps: int) -> list[torch.Tensor]:
    draws = Draws.of(task.network(), task.samples, PREVIOUS_HASH, MINER, 1, steps)
    return list(draws.batches.unbind())


def forged(task: GradientTask, mined: Mined, states: list[Snapshot]) -> BlockClaim:
    """The honest claim over the states of another training: its checkpoints and its end."""
    interval, step = task.manifest.checkpoint_interval, mined.candidate.step
    checkpoints = tuple(states[index - 1] for index in range(interval, step, interval))
    return task.claim(task.network(), replace(mined.candidate, state=states[step - 1], checkpoints=checkpoints))


# --- forgeries -------------------------------------------------------------------------------------------------------


def test_verify__wrong_checkpoint__names_both_segments_around_it(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], Finding]
) -> None:
    first, *others = mined.candidate.checkpoints
    wrong = replace(mined.candidate, checkpoints=(shifted(first, 7, 1e-3), *others))
    finding = judge(task.claim(task.network(), wrong))
    assert (finding.is_valid, finding.wrong_segments) == (False, 0b011)
    assert "segments [0, 1] do not lead to the next checkpoint" in finding.reason


def test_verify__checkpoint_that_is_no_model__names_both_segments_around_it(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], Finding]
) -> None:
    content, first = task.store.get(mined.claim.proof, 1 << 16), task.network().to_bytes(mined.candidate.checkpoints[0])
    hostile = content.replace(str(cid_of(first)).encode(), str(task.store.put(b"no model")).encode())
    finding = judge(replace(mined.claim, proof=task.store.put(hostile)))
    assert (hostile != content, finding.is_valid, finding.wrong_segments) == (True, False, 0b011)


def test_verify__skipped_step__is_refused(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], Finding]
) -> None:
    batches = proper_batches(task, mined.candidate.step + 1)
    finding = judge(forged(task, mined, trained(task, batches[:2] + batches[3:])))
    assert not finding.is_valid
    assert finding.wrong_segments & 1


def test_verify__skipped_step_with_its_counter_set_right__is_refused(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], Finding]
) -> None:
    """The steps of batch normalisation are counted exactly; the weights must betray the step as well."""
    batches = proper_batches(task, mined.candidate.step + 1)
    states = trained(task, batches[:2] + batches[3:])
    for state in states[2:]:
        state.counters.add_(1)
    assert judge(forged(task, mined, states)).wrong_segments & 1


def test_verify__batches_in_another_order__are_refused(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], Finding]
) -> None:
    batches = proper_batches(task, mined.candidate.step)
    batches[2], batches[3] = batches[3], batches[2]
    assert judge(forged(task, mined, trained(task, batches))).wrong_segments & 1


def test_verify__rows_of_own_choice__are_refused(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], Finding]
) -> None:
    batches = proper_batches(task, mined.candidate.step)
    batches[0] = (batches[0] + 1) % 300
    assert judge(forged(task, mined, trained(task, batches))).wrong_segments & 1


@pytest.mark.parametrize("index", [0, 5, -1])
def test_verify__doctored_buffers__are_refused(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], Finding], index: int
) -> None:
    doctored = mined.candidate.state.clone()
    doctored.buffers[index] += 0.01
    finding = judge(task.claim(task.network(), replace(mined.candidate, state=doctored)))
    assert not finding.is_valid
    assert "not those that the last segment yields" in finding.reason


def test_verify__doctored_counter__is_refused(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], Finding]
) -> None:
    doctored = mined.candidate.state.clone()
    doctored.counters[0] += 1
    assert not judge(task.claim(task.network(), replace(mined.candidate, state=doctored))).is_valid


def test_verify__weights_from_nowhere__are_refused(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], Finding]
) -> None:
    """A trajectory that is honest but for its start, which is not the previous block's W."""
    network = FlatNetwork.genesis(task.manifest, seed=2)
    trajectory = Trajectory(network, task.samples, PREVIOUS_HASH, MINER, MIN_STEP)
    while trajectory.best is None or trajectory.best.sign_digest >= THRESHOLD:
        trajectory.advance()
    finding = judge(task.claim(network, trajectory.best))
    assert (finding.is_valid, finding.wrong_segments) == (False, 1)


@pytest.mark.parametrize(
    "change",
    [{"previous_hash": bytes(32)}, {"miner": OTHER_MINER}],
    ids=["another height or chain", "another miner"],
)
def test_verify__proof_of_another__is_refused(
    mined: Mined, judge: Callable[[BlockClaim], Finding], change: dict[str, object]
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
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], Finding], miner: str, previous_hash: bytes
) -> None:
    """The stolen training under a new document: batches and requirements are others."""
    claim = task.claim(task.network(), mined.candidate, miner, previous_hash)
    finding = judge(claim)
    assert not finding.is_valid
    assert finding.wrong_segments & 1


def test_verify__other_step_than_the_proof__is_refused(mined: Mined, judge: Callable[[BlockClaim], Finding]) -> None:
    assert not judge(replace(mined.claim, step=mined.claim.step + 1)).is_valid


def test_verify__digest_below_the_true_one__is_refused(mined: Mined, judge: Callable[[BlockClaim], Finding]) -> None:
    finding = judge(replace(mined.claim, sign_digest=0))
    assert not finding.is_valid
    assert "claimed 0, threshold" in finding.reason


def test_verify__digest_at_the_threshold__is_refused(mined: Mined, judge: Callable[[BlockClaim], Finding]) -> None:
    assert not judge(replace(mined.claim, threshold=mined.claim.sign_digest)).is_valid


def test_verify__step_that_is_no_block__is_refused(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], Finding]
) -> None:
    """Honest training, but the claimed digest belongs to a later step."""
    states = trained(task, proper_batches(task, MIN_STEP))
    early = Candidate(MIN_STEP, mined.candidate.sign_digest, states[-1], (states[7], states[15]))
    finding = judge(task.claim(task.network(), early))
    assert not finding.is_valid
    assert finding.wrong_segments == 0b100
    assert "sign digest" in finding.reason


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"version":1,"rules":"hardened","step":"1"}', b"\xff"])
def test_verify__proof_that_is_no_document__is_refused(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], Finding], content: bytes
) -> None:
    finding = judge(replace(mined.claim, proof=task.store.put(content)))
    assert not finding.is_valid
    assert "proof is invalid" in finding.reason


def test_verify__proof_of_the_paper_rules__is_refused(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], Finding]
) -> None:
    content = b'{"version":1,"rules":"paper","batch":[0,1,2,3],"weights_before":"%s"}' % str(task.genesis).encode()
    finding = judge(replace(mined.claim, proof=task.store.put(content)))
    assert not finding.is_valid
    assert "this task's are 'hardened'" in finding.reason


def test_verify__proof_that_is_too_large__is_refused(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], Finding]
) -> None:
    assert not judge(replace(mined.claim, proof=task.store.put(bytes(1 << 17)))).is_valid


def test_verify__checkpoints_missing_or_spare__are_refused(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], Finding]
) -> None:
    for checkpoints in (mined.candidate.checkpoints[1:], (*mined.candidate.checkpoints, mined.candidate.state)):
        finding = judge(task.claim(task.network(), replace(mined.candidate, checkpoints=checkpoints)))
        assert not finding.is_valid
        assert "checkpoints; it needs" in finding.reason


def test_verify__file_that_nobody_has__is_not_held_against_the_miner_yet(
    mined: Mined, judge: Callable[[BlockClaim], Finding]
) -> None:
    with pytest.raises(ContentNotFound):
        judge(replace(mined.claim, weights=cid_of(b"nowhere")))


def test_publish__diverged_training__is_refused_before_it_costs_the_bond(task: GradientTask, mined: Mined) -> None:
    with pytest.raises(ModelInvalid, match="training diverged"):
        task.claim(task.network(), replace(mined.candidate, state=shifted(mined.candidate.state, 0, float("nan"))))


# --- honest blocks ---------------------------------------------------------------------------------------------------


def test_verify__honest_block__is_valid_with_its_accuracies(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], Finding]
) -> None:
    network = task.network()
    network.restore(mined.candidate.state)
    train_ppm, test_ppm = network.accuracies_ppm(task.samples)
    assert judge(mined.claim) == Finding(True, train_ppm=train_ppm, test_ppm=test_ppm)


def test_verify__in_float64__agrees(task: GradientTask, mined: Mined) -> None:
    """Stands in for another device: its rounding differs more from the miner's than any other device's would."""
    network = FlatNetwork(task.manifest, dtype=torch.float64)
    assert verify(network, task.samples.to("cpu", torch.float64), task.store, mined.claim).is_valid


def test_verify__chain_of_blocks__every_one_starts_from_the_one_before(task: GradientTask) -> None:
    start, previous_hash = task, PREVIOUS_HASH
    for _ in range(3):
        block = start.mined(previous_hash=previous_hash)
        assert verify(FlatNetwork(task.manifest), task.samples, task.store, block.claim).is_valid
        start, previous_hash = replace(start, genesis=block.claim.weights), bytes(reversed(previous_hash))


def test_trajectory__run_again__finds_the_same_block(task: GradientTask, mined: Mined) -> None:
    """How a miner resumes after a crash."""
    assert task.mined(min_step=MIN_STEP).claim == mined.claim


def test_trajectory__best__is_the_lowest_digest_from_min_step_on(task: GradientTask) -> None:
    trajectory = Trajectory(task.network(), task.samples, PREVIOUS_HASH, MINER, min_step=30)
    lowest = []
    for _ in range(STEPS_PER_DRAW + 10):
        step = trajectory.advance()
        assert (trajectory.best is None) == (step < 30)
        if trajectory.best is not None:
            assert 30 <= trajectory.best.step <= step
            lowest.append(trajectory.best.sign_digest)
    assert lowest == sorted(lowest, reverse=True)
    assert len(set(lowest)) > 1


def test_verify__block_without_a_checkpoint__is_valid(
    task: GradientTask, judge: Callable[[BlockClaim], Finding]
) -> None:
    trajectory = Trajectory(task.network(), task.samples, PREVIOUS_HASH, MINER)
    trajectory.advance()
    assert trajectory.best is not None
    claim = replace(task.claim(trajectory.network, trajectory.best), threshold=1 << 24)
    assert (claim.step, trajectory.best.checkpoints) == (1, ())
    assert judge(claim).is_valid


# --- divided segments ------------------------------------------------------------------------------------------------


def test_verify__chosen_segments__misses_wrong_ones_elsewhere_but_finds_its_own(
    task: GradientTask, mined: Mined
) -> None:
    first, *others = mined.candidate.checkpoints
    claim = task.claim(task.network(), replace(mined.candidate, checkpoints=(shifted(first, 7, 1e-3), *others)))
    network = FlatNetwork(task.manifest)
    last = (mined.candidate.step - 1) // task.manifest.checkpoint_interval
    assert verify(network, task.samples, task.store, claim, segments=[last]).is_valid
    assert verify(network, task.samples, task.store, claim, segments=[1, last]).wrong_segments == 0b10
    assert Replay(network, task.samples, task.store, claim).wrong_segments([0]) == 0b01


def test_replay__segment_out_of_range__is_refused(task: GradientTask, mined: Mined) -> None:
    replay = Replay(FlatNetwork(task.manifest), task.samples, task.store, mined.claim)
    for segment in (-1, replay.segment_count - 1):
        with pytest.raises(ProofInvalid, match=f"segment {segment} is none of"):
            replay.wrong_segments([segment])


@given(
    st.integers(1, 12),
    st.integers(1, 256),
    st.integers(1, 16),
    st.binary(min_size=32, max_size=32),
    st.integers(0, 7),
)
def test_assignment__every_segment_as_often_as_asked_and_shares_alike(
    count: int, segments: int, redundancy: int, seed: bytes, entry: int
) -> None:
    members = [f"0x{index:040x}" for index in range(count)]
    shares = assignment(seed, entry, members, segments, redundancy)
    assert set(shares) == set(members)
    for segment in range(segments - 1):
        assert sum(segment in share for share in shares.values()) == min(redundancy, count)
    assert all(segments - 1 in share for share in shares.values())
    sizes = [len(share) for share in shares.values()]
    assert max(sizes) - min(sizes) <= 1


def test_assignment__depends_on_seed_and_entry_not_on_the_order_of_members() -> None:
    members = [f"0x{index:040x}" for index in range(6)]
    usual = assignment(bytes(32), 0, members, 20, 1)
    assert usual == assignment(bytes(32), 0, members[::-1], 20, 1)
    assert usual != assignment(bytes(31) + b"\1", 0, members, 20, 1)
    assert usual != assignment(bytes(32), 1, members, 20, 1)


def test_verify__layer_norm_network_without_buffers__is_valid(tmp_path: Path) -> None:
    layers = [layer if layer["type"] != "batch_norm" else {"type": "layer_norm"} for layer in SMALL_CNN]
    task = digits_task(DirectoryStore(tmp_path), layers)
    assert verify(FlatNetwork(task.manifest), task.samples, task.store, task.mined().claim).is_valid
