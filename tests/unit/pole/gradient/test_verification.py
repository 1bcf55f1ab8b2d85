"""Hardened blocks of honest miners: accepted, in either precision; and how segments are divided."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pole.errors import ProofInvalid
from pole.gradient.claim import BlockClaim, assignment
from pole.gradient.network import FlatNetwork
from pole.gradient.trajectory import STEPS_PER_DRAW, Trajectory
from pole.gradient.verification import Replay, ReplayResult, verify
from pole.storage.folder import FolderStore
from tests.unit.gradient_task import (
    MIN_STEP,
    MINER,
    PREVIOUS_HASH,
    SMALL_CNN,
    GradientTask,
    Mined,
    digits_task,
    shifted,
)

# --- honest blocks ---------------------------------------------------------------------------------------------------


def test_verify__honest_block__is_valid_with_its_accuracies(
    task: GradientTask, mined: Mined, judge: Callable[[BlockClaim], ReplayResult]
) -> None:
    network = task.network()
    network.restore(mined.candidate.state)
    train_ppm, test_ppm = network.accuracies_ppm(task.samples)
    assert judge(mined.claim) == ReplayResult(True, train_ppm=train_ppm, test_ppm=test_ppm)


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


def test_trajectory__first_segment__holds_no_block_however_low_min_step_is(task: GradientTask) -> None:
    trajectory = Trajectory(task.network(), task.samples, PREVIOUS_HASH, MINER, min_step=1)
    for _ in range(task.manifest.checkpoint_interval):
        trajectory.advance()
        assert trajectory.best is None
    trajectory.advance()
    assert trajectory.best is not None
    assert len(trajectory.best.checkpoints) == 1


def test_trajectory__longer_segments_than_draws_at_once__replay_as_well(tmp_path: Path) -> None:
    task = digits_task(FolderStore(tmp_path), checkpoint_interval=STEPS_PER_DRAW + 8)
    trajectory = Trajectory(task.network(), task.samples, PREVIOUS_HASH, MINER)
    while trajectory.best is None or trajectory.step < STEPS_PER_DRAW + 20:
        trajectory.advance()
    claim = replace(task.claim(trajectory.network, trajectory.best), threshold=1 << 24)
    assert verify(FlatNetwork(task.manifest), task.samples, task.store, claim).is_valid


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
    task = digits_task(FolderStore(tmp_path), layers)
    assert verify(FlatNetwork(task.manifest), task.samples, task.store, task.mined().claim).is_valid
