"""Shared by the attacks on the hardened rules: an honestly mined block, and proofs made to look like one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

from attacks.gradient.ground import Ground, convolution, perceptron, take_step, train
from pole.gradient.claim import BlockClaim
from pole.gradient.manifest import DIGEST_BITS
from pole.gradient.network import FlatNetwork, Snapshot
from pole.gradient.proof import publish_hardened
from pole.gradient.requirements import step_requirements
from pole.gradient.trajectory import CandidateStep, Trajectory
from pole.gradient.verification import ReplayResult, verify

FAMILY = "hardened"
INTERVAL = 16
THRESHOLD = (1 << DIGEST_BITS) >> 4
_FIRST = 2 * INTERVAL + 2  # so that a block has three segments


@dataclass(frozen=True)
class Block:
    """An honest miner's block: the state it starts from, the claim and what was published."""

    network: FlatNetwork
    start: Snapshot
    claim: BlockClaim
    candidate: CandidateStep


@cache
def honest_block(ground: Ground, has_norm: bool = False) -> Block:
    """On some trained weights; SiLU perceptron or, with buffers, the convolutional network."""
    layers = convolution() if has_norm else perceptron("silu")
    manifest = ground.manifest(layers, learning_rate=0.01, checkpoint_interval=INTERVAL, replay_tolerance=0.01)
    network = FlatNetwork.genesis(manifest, ground.seed)
    train(ground, network, 50, ground.generator("before the block"))
    start, previous_hash, miner = network.snapshot(), ground.hash("block"), ground.address(1)
    trajectory = Trajectory(network, ground.samples, previous_hash, miner, _FIRST)
    while trajectory.best is None or trajectory.best.sign_digest >= THRESHOLD:
        trajectory.advance()
    return Block(
        network, start, publish_claim(ground, network, start, trajectory.best, previous_hash, miner), trajectory.best
    )


def publish_claim(
    ground: Ground, network: FlatNetwork, start: Snapshot, candidate: CandidateStep, previous_hash: bytes, miner: str
) -> BlockClaim:
    previous = ground.put_state(network, start)
    published = publish_hardened(ground.store, network, previous_hash, miner, candidate)
    digest = candidate.sign_digest
    return BlockClaim(
        previous_hash, previous, miner, candidate.step, digest, THRESHOLD, published.proof, published.weights
    )


def propose(
    ground: Ground, block: Block, candidate: CandidateStep, previous_hash: bytes = b"", miner: str = ""
) -> ReplayResult:
    """What verifiers say of these weights and checkpoints, claimed as lowly as the threshold allows."""
    previous_hash, miner = previous_hash or block.claim.previous_hash, miner or block.claim.miner
    claim = publish_claim(ground, block.network, block.start, candidate, previous_hash, miner)
    return judge(ground, block, replace(claim, sign_digest=THRESHOLD - 1))


def judge(ground: Ground, block: Block, claim: BlockClaim) -> ReplayResult:
    return verify(FlatNetwork(block.network.manifest), ground.samples, ground.store, claim)


def retrain(
    ground: Ground,
    block: Block,
    start: Snapshot | None = None,
    change: Callable[[list[Tensor]], Sequence[Tensor]] = list,
) -> CandidateStep:
    """The block's trajectory with changed batches or from another start; as many steps, checkpoints on time."""
    network, claim = block.network, block.claim
    batches = change(_batches(ground, block))
    network.restore(start or block.start)
    checkpoints = []
    for index, batch in enumerate(batches):
        if index and index % INTERVAL == 0:
            checkpoints.append(network.snapshot())
        take_step(ground, network, batch)
    needed = (claim.step - 1) // INTERVAL
    checkpoints += [network.snapshot()] * (needed - len(checkpoints))
    return replace(block.candidate, state=network.snapshot(), checkpoints=tuple(checkpoints))


def _batches(ground: Ground, block: Block) -> list[Tensor]:
    """Those of the honest trajectory, up to the block's step."""
    network, claim, batches = block.network, block.claim, []
    network.restore(block.start)
    trajectory = Trajectory(network, ground.samples, claim.previous_hash, claim.miner)
    for _ in range(claim.step):
        draws, position = trajectory.next_draws()
        batches.append(draws.batches[position])
        trajectory.advance()
    return batches


def requirement_draws(ground: Ground, purpose: str, count: int, weight_count: int) -> Tensor:
    """R of `count` independent steps, [count, 24]."""
    drawn = step_requirements(ground.hash(purpose), ground.address(0), 1, count, DIGEST_BITS, weight_count)
    return torch.from_numpy(drawn)
