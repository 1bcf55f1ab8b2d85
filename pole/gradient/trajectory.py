"""A miner's training between two blocks: forced step by step (`hardened`), or a free search (`paper`).

The hardened miner chooses nothing: requirements and batch of every step follow from the previous hash, its address, the
checkpoint before it and the step's number. Requirements are fresh for every step, so trials are independent:
docs/adr/0015.
Source: DGG, Algorithm 1
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pole.errors import BadInput
from pole.gradient.manifest import DIGEST_BITS, GradientManifest
from pole.gradient.network import FlatNetwork, Snapshot
from pole.gradient.requirements import coordinates, directions, step_batches, step_requirements
from pole.gradient.rules import MINER_MARGINS, check_requirements, least_digest, sign_digest
from pole.gradient.samples import Samples
from pole.gradient.seeds import segment_seed

STEPS_PER_DRAW = 256


@dataclass(frozen=True)
class CandidateStep:
    """A step that could be a block. `checkpoints`: the states after every full interval before it."""

    step: int
    sign_digest: int
    state: Snapshot
    checkpoints: tuple[Snapshot, ...]


@dataclass(frozen=True)
class Draws:
    """What a segment's seed demands of the steps `first_step`, `first_step + 1`, ..., one row each."""

    first_step: int
    weights: NDArray[np.int64]
    directions: NDArray[np.float32]
    batches: torch.Tensor

    @classmethod
    def of(
        cls, network: FlatNetwork, samples: Samples, seed: bytes, miner: str, first_step: int, steps: int
    ) -> "Draws":
        """`seed`: see `seed_of`."""
        manifest = network.manifest
        requirements = step_requirements(
            seed, miner, first_step, steps, manifest.requirement_count, network.weight_count
        )
        batches = step_batches(seed, miner, first_step, steps, manifest.batch_size, len(samples.train_y))
        return cls(
            first_step,
            coordinates(requirements),
            directions(requirements),
            torch.from_numpy(batches).to(network.device),
        )


def seed_of(
    network: FlatNetwork, previous_hash: bytes, miner: str, segment: int, before: Snapshot | None, after: Snapshot
) -> bytes:
    """The seed of a segment's draws: the previous hash for segment 0, which needs no checkpoint `before`.

    From then on, the state `after` that it starts from, and the checkpoint `before` that, both as published.
    """
    if before is None:
        return previous_hash
    tensors = [(part.start, part.end) for part in network.weight_parts]
    old, new = (state.weights.cpu().numpy() for state in (before, after))
    return segment_seed(previous_hash, miner, segment, old, new, tensors, network.manifest.replay_tolerance)


def first_eligible_step(manifest: GradientManifest, min_step: int) -> int:
    """No step of the first segment is a block: its draws are known from the header on, to any number of identities."""
    return max(min_step, manifest.checkpoint_interval + 1)


class Trajectory:
    """The hardened miner's training on the CPU (any device: pole.gradient.cuda_graph), from the weights given.

    `best` is the step with the lowest sign digest so far among those that may be blocks: it may become one later, once
    the threshold has risen above its digest. A trajectory is a pure function of its arguments: to resume after a crash,
    run it again.
    """

    def __init__(
        self, network: FlatNetwork, samples: Samples, previous_hash: bytes, miner: str, min_step: int = 1
    ) -> None:
        if network.manifest.requirement_count != DIGEST_BITS:
            raise BadInput(f"{network.manifest.requirement_count} requirements; a sign digest has {DIGEST_BITS}")
        self.network, self.samples = network, samples
        self.previous_hash, self.miner = previous_hash, miner
        self.min_step = first_eligible_step(network.manifest, min_step)
        self.step = 0
        self.best: CandidateStep | None = None
        self.checkpoints: list[Snapshot] = []
        self._lowest = 1 << DIGEST_BITS
        self._values = network.weights.numpy() if network.device.type == "cpu" else np.empty(0, dtype=np.float32)
        self._start = network.snapshot()
        self._seed = previous_hash
        self._draws: Draws | None = None
        self._batches: Sequence[torch.Tensor] = ()

    def advance(self) -> int:
        """Trains one step; returns its number, from 1."""
        draws, position = self.next_draws()
        weights, wanted = draws.weights[position], draws.directions[position]
        before = self._values[weights]
        self._train(self._batches[position])
        self.step += 1
        # Nearly all steps are dismissed by this bound, without a look at the gradients.
        is_promising = least_digest(self._values[weights] - before, wanted) < self._lowest
        if is_promising and self.step >= self.min_step:
            self._consider(wanted, weights)
        return self.step

    def next_draws(self) -> tuple[Draws, int]:
        """The draws around the next step, and its place in them; a full interval leaves a checkpoint."""
        interval = self.network.manifest.checkpoint_interval
        into = self.step % interval
        if len(self.checkpoints) < self.step // interval:
            self._keep_checkpoint()
        if self._draws is None or self.step + 1 - self._draws.first_step >= len(self._batches):
            count = min(STEPS_PER_DRAW, interval - into)
            self._draws = Draws.of(self.network, self.samples, self._seed, self.miner, self.step + 1, count)
            self._batches = self._draws.batches.unbind()
        return self._draws, self.step + 1 - self._draws.first_step

    def _keep_checkpoint(self) -> None:
        before = self.checkpoints[-1] if self.checkpoints else self._start
        self.checkpoints.append(self.network.snapshot())
        segment = len(self.checkpoints)
        self._seed = seed_of(self.network, self.previous_hash, self.miner, segment, before, self.checkpoints[-1])

    def _train(self, batch: torch.Tensor) -> None:
        self.network.step(self.samples.train_x.index_select(0, batch), self.samples.train_y.index_select(0, batch))

    def _consider(self, wanted: NDArray[np.float32], weights: NDArray[np.int64]) -> None:
        last = self.network.last_step(weights)
        digest = sign_digest(last.changes, wanted, MINER_MARGINS * self.network.manifest.margin * last.rms)
        if digest < self._lowest:
            self._lowest = digest
            self.best = CandidateStep(self.step, digest, self.network.snapshot(), tuple(self.checkpoints))


@dataclass(frozen=True)
class PaperCandidate:
    """A step that satisfies R: batch P, W before it and W' after it."""

    batch: tuple[int, ...]
    before: Snapshot
    after: Snapshot


class PaperSearch:
    """Algorithm 1: steps on random mini-batches until one satisfies the block's requirements."""

    def __init__(
        self, network: FlatNetwork, samples: Samples, requirements: NDArray[np.int64], generator: np.random.Generator
    ) -> None:
        self.network, self.samples, self.requirements = network, samples, requirements.tolist()
        self.generator = generator
        self.steps = 0
        self._before = network.snapshot()

    def advance(self) -> PaperCandidate | None:
        """One pass of the loop, lines 3 to 7. Reading: row numbers count from 0, the paper's from 1."""
        size, rows = self.network.manifest.batch_size, len(self.samples.train_y)
        batch = np.sort(self.generator.choice(rows, size, replace=False))
        self._before.copy_(self.network.state)
        chosen = torch.from_numpy(batch).to(self.network.device)
        self.network.step(self.samples.train_x[chosen], self.samples.train_y[chosen])
        self.steps += 1
        before, after = self._before.weights.cpu().numpy(), self.network.weights.cpu().numpy()
        if not check_requirements(before, after, self.requirements):
            return None
        return PaperCandidate(tuple(batch.tolist()), self._before.clone(), self.network.snapshot())
