"""The GPU's trajectory beside the CPU's. Skipped where there is no GPU."""

import pytest
import torch

from pole.gradient.cuda_graph import FusedTrajectory, start_trajectory
from pole.gradient.network import FlatNetwork
from pole.gradient.trajectory import Trajectory
from pole.gradient.verification import verify
from pole.storage.folder import FolderStore
from tests.unit.gradient_task import MINER, PREVIOUS_HASH, THRESHOLD, GradientTask, digits_task

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> GradientTask:
    return digits_task(FolderStore(tmp_path_factory.mktemp("store")))


def fused(task: GradientTask) -> FusedTrajectory:
    network = FlatNetwork(task.manifest, "cuda")
    network.restore(network.read(task.store.get(task.genesis, network.max_file_bytes)))
    return FusedTrajectory(network, task.samples.to("cuda"), PREVIOUS_HASH, MINER)


def test_start_trajectory__on_the_cpu__is_the_plain_one(task: GradientTask) -> None:
    assert type(start_trajectory(task.network(), task.samples, PREVIOUS_HASH, MINER)) is Trajectory


@needs_gpu
def test_fused__block_mined_on_the_gpu__is_valid_on_the_cpu(task: GradientTask) -> None:
    trajectory = fused(task)
    while trajectory.best is None or trajectory.best.sign_digest >= THRESHOLD:
        trajectory.advance()
    claim = task.claim(trajectory.network, trajectory.best)
    assert verify(FlatNetwork(task.manifest), task.samples, task.store, claim).is_valid


@needs_gpu
def test_verify__on_the_gpu__accepts_the_cpus_block(task: GradientTask) -> None:
    claim = task.mined().claim
    assert verify(FlatNetwork(task.manifest, "cuda"), task.samples.to("cuda"), task.store, claim).is_valid


@needs_gpu
def test_fused__best_steps__are_those_of_the_cpu(task: GradientTask) -> None:
    gpu, cpu = fused(task), Trajectory(task.network(), task.samples, PREVIOUS_HASH, MINER)
    while gpu.step < 320:
        gpu.advance()
    while cpu.step < gpu.step:
        cpu.advance()
    assert gpu.best is not None
    assert cpu.best is not None
    assert (gpu.best.step, gpu.best.sign_digest) == (cpu.best.step, cpu.best.sign_digest)
    assert len(gpu.checkpoints) == len(cpu.checkpoints)
