"""What a miner trains: a task's network and rows, checked once, and set to each new block's weights."""

from dataclasses import dataclass
from typing import Literal

import torch

from miner.limits import MinerLimits, NotWorthIt
from pole.chain.gradient_structs import GradientHeader, GradientTask, Rules
from pole.errors import ManifestInvalid
from pole.gradient.manifest import MAX_SEGMENTS, GradientManifest, fetch_gradient_manifest
from pole.gradient.network import FlatNetwork
from pole.gradient.samples import Samples, fetch_samples
from pole.gradient.startup import check_startup
from pole.gradient.trajectory import first_eligible_step
from pole.money import wei_to_ether
from pole.storage.store import Store


@dataclass(frozen=True)
class LoadedTask:
    """`network` holds whatever the last search left in it."""

    task: GradientTask
    manifest: GradientManifest
    network: FlatNetwork
    samples: Samples

    def start_from(self, store: Store, header: GradientHeader) -> None:
        """Sets the network to a block's weights. Raises ModelInvalid, or as the store does."""
        assert header.weights is not None
        content = store.get(header.weights, self.network.max_file_bytes)
        self.network.restore(self.network.read(content))


def load_task(
    store: Store, task: GradientTask, limits: MinerLimits, device: torch.device, check_steps: int
) -> LoadedTask:
    """Fetches and checks a task. Raises NotWorthIt, what is wrong with its files, or as the store does."""
    if task.terms.block_reward_wei < limits.min_reward_wei:
        raise NotWorthIt(
            f"gradient task {task.task_id} pays {wei_to_ether(task.terms.block_reward_wei)} ether a block; the "
            f"minimum here is {wei_to_ether(limits.min_reward_wei)} (--min-reward)"
        )
    manifest = fetch_gradient_manifest(store, task.terms.manifest)
    _check_terms(task, manifest)
    size_bytes = sum(file.size_bytes for file in (*manifest.data.training_set, manifest.test_set))
    if size_bytes > limits.max_data_bytes:
        raise NotWorthIt(
            f"gradient task {task.task_id} has {size_bytes} bytes of data; the limit here is {limits.max_data_bytes}"
        )
    samples = fetch_samples(store, manifest).to(device)
    loaded = LoadedTask(task, manifest, FlatNetwork(manifest, device), samples)
    content = store.get(task.terms.genesis_weights, loaded.network.max_file_bytes)
    loaded.network.restore(loaded.network.read(content))
    if manifest.rules == "hardened" and check_steps:
        check_startup(loaded.network, samples, check_steps)
    return loaded


def _check_terms(task: GradientTask, manifest: GradientManifest) -> None:
    """A proposal that keeps to the terms must be one that verifiers can replay."""
    rules: Literal["paper", "hardened"] = "paper" if task.terms.rules is Rules.PAPER else "hardened"
    if rules != manifest.rules:
        raise ManifestInvalid(f"gradient task {task.task_id} has the rules {rules!r}, its manifest {manifest.rules!r}")
    first, longest = first_eligible_step(manifest, 1), MAX_SEGMENTS * manifest.checkpoint_interval
    if rules == "hardened" and task.terms.max_step < first:
        raise ManifestInvalid(
            f"gradient task {task.task_id} lets trajectories go on to step {task.terms.max_step}; with a checkpoint "
            f"every {manifest.checkpoint_interval} steps, blocks begin at step {first}"
        )
    if task.terms.max_step > longest:
        raise ManifestInvalid(
            f"gradient task {task.task_id} lets trajectories go on to step {task.terms.max_step}; with a checkpoint "
            f"every {manifest.checkpoint_interval} steps, proofs end at step {longest}"
        )
