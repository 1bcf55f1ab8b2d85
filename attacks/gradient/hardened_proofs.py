"""Attacks on the hardened rules by false proofs; every verifier must refuse each of them."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from torch import Tensor

from attacks.gradient.ground import Ground, perceptron
from attacks.gradient.hardened import (
    FAMILY,
    THRESHOLD,
    Block,
    honest_block,
    judge,
    propose,
    publish_claim,
    retrain,
)
from attacks.record import Attack, Outcome, Weakening
from pole.gradient.claim import ACCUSER_SHARE, LEAST_SAMPLE, ballot_seed, sample, sample_size
from pole.gradient.manifest import DIGEST_BITS
from pole.gradient.network import FlatNetwork, Snapshot
from pole.gradient.trajectory import Trajectory
from pole.gradient.verification import Replay, ReplayResult, verify


def stolen_proof(ground: Ground) -> Outcome:
    """As it is, and with the thief's name written into the document."""
    block, thief = honest_block(ground), ground.address(2)
    return _refused(
        ground,
        judge(ground, block, replace(block.claim, miner=thief)),
        propose(ground, block, block.candidate, miner=thief),
    )


def another_height(ground: Ground) -> Outcome:
    """The same block again on top of the next header, document rewritten."""
    block = honest_block(ground)
    following = ground.hash("the next header")
    return _refused(
        ground,
        judge(ground, block, replace(block.claim, previous_hash=following)),
        propose(ground, block, block.candidate, previous_hash=following),
    )


def another_chain(ground: Ground) -> Outcome:
    """The first block of a deployment with the same address on a chain of another id."""
    block, findings = honest_block(ground), []
    for chain_id in (1, 31337):
        text = encode(["string", "uint256", "address"], ["pole.gradient.v1", chain_id, ground.address(9)])
        findings.append(propose(ground, block, block.candidate, previous_hash=keccak(text)))
    return _refused(ground, *findings)


def wrong_checkpoint(ground: Ground) -> Outcome:
    """The right end, but a checkpoint from elsewhere: another, or one with a single weight moved."""
    block = honest_block(ground)
    first, *rest = block.candidate.checkpoints
    moved = first.clone()
    moved.weights[0] += (first.weights - block.start.weights).abs().max()
    return _refused(
        ground,
        propose(ground, block, replace(block.candidate, checkpoints=(rest[0], *rest))),
        propose(ground, block, replace(block.candidate, checkpoints=(moved, *rest))),
    )


def skipped_step(ground: Ground) -> Outcome:
    """One step left out, the first of a segment or one within."""
    return _retrained(ground, *(lambda batches, at=at: batches[:at] + batches[at + 1 :] for at in (0, 7, 20)))


def reordered_batches(ground: Ground) -> Outcome:
    """Two steps' batches swapped, and one batch replaced by one of the miner's choice."""

    def swapped(batches: list[Tensor]) -> Sequence[Tensor]:
        return [batches[1], batches[0], *batches[2:]]

    def chosen(batches: list[Tensor]) -> Sequence[Tensor]:
        return [torch.arange(4), *batches[1:]]

    return _retrained(ground, swapped, chosen)


def doctored_buffers(ground: Ground) -> Outcome:
    """Running statistics of BatchNorm changed in W', in a checkpoint, and the counter of its steps."""
    block = honest_block(ground, has_norm=True)
    end, (first, *rest) = block.candidate.state, block.candidate.checkpoints
    findings = [
        propose(ground, block, replace(block.candidate, state=_with_buffers(end, 1.1))),
        propose(ground, block, replace(block.candidate, checkpoints=(_with_buffers(first, 1.1), *rest))),
        propose(ground, block, replace(block.candidate, state=Snapshot(end.weights, end.buffers, end.counters + 1))),
    ]
    return _refused(ground, *findings)


def foreign_weights(ground: Ground) -> Outcome:
    """The right batches from weights that are not the previous header's: fresh ones, and ones with dead units."""
    block = honest_block(ground)
    fresh = FlatNetwork.genesis(block.network.manifest, ground.seed + 1).snapshot()
    dead = block.start.clone()
    dead.weights[: block.network.weight_parts[0].end // 2] = 0
    return _refused(ground, *(propose(ground, block, retrain(ground, block, start)) for start in (fresh, dead)))


def rescaled_or_permuted(ground: Ground) -> Outcome:
    """W' as another set of weights of the same function: units reordered, layers rescaled."""
    block = honest_block(ground)
    state, network = block.candidate.state, block.network
    parts = [state.weights[part.start : part.end].view(part.shape) for part in network.weight_parts]
    order = torch.arange(len(parts[1])).roll(1)
    permuted = (parts[0][order], parts[1][order], parts[2][:, order], parts[3])
    scaled = (parts[0] * 2, parts[1] * 2, parts[2] / 2, parts[3])
    findings = []
    for changed in (permuted, scaled):
        weights = torch.cat([part.reshape(-1) for part in changed])
        forged = Snapshot(weights, state.buffers, state.counters)
        findings.append(propose(ground, block, replace(block.candidate, state=forged)))
    return _refused(ground, *findings)


def false_digest(ground: Ground) -> Outcome:
    """A step that is no block, claimed as one: the step before the block, with a digest below the threshold."""
    block = honest_block(ground)
    claim = replace(block.claim, step=block.claim.step - 1)
    earlier = Block(block.network, block.start, claim, replace(block.candidate, step=claim.step))
    honest = retrain(ground, earlier)
    return _refused(ground, propose(ground, earlier, honest), judge(ground, block, replace(block.claim, threshold=1)))


def forged_segment(ground: Ground) -> Outcome:
    """One checkpoint of a long block is invented, so that the draws after it are others; all else is trained honestly.

    Verifiers replay samples: how often is it found, and what is left for the cheat when the bond is just large enough?
    """
    segments, members, reward_wei = 64, 3, 10**16
    block = _long_block(ground, segments, forged := ground.pick(9, 30, 30))
    wrong = Replay(FlatNetwork(block.network.manifest), ground.samples, ground.store, block.claim)
    found = wrong.wrong_segments(range(segments - 1))
    bond_wei = next(times for times in range(1, 1000) if sample_size(segments, members, times, 1) <= LEAST_SAMPLE)
    bond_wei, awake, caught = bond_wei * reward_wei, -(-2 * members // 3), 0
    ballots = ground.pick(2000, 20_000, 100_000)
    for ballot in range(ballots):
        seed = ballot_seed(ground.hash(f"ballot {ballot}"), ballot)
        drawn = (sample(seed, 0, ground.address(member), segments, LEAST_SAMPLE) for member in range(awake))
        caught += any(found >> segment & 1 for each in drawn for segment in each - {segments - 1})
    share = caught / ballots
    gain = (1 - share) * reward_wei - share * (bond_wei - bond_wei // ACCUSER_SHARE)
    judged = [
        verify(FlatNetwork(block.network.manifest), ground.samples, ground.store, block.claim, chosen).is_valid
        for chosen in ({forged, segments - 1}, {forged + 2, segments - 1})
    ]
    return Outcome(
        defended=gain < 0 and judged == [False, True] and found == 1 << forged,
        evidence=f"segment {forged} of {segments} alone is wrong; {members} verifiers, a third asleep, find it in "
        f"{share:.1%} of {ballots} ballots; with a bond of {bond_wei / reward_wei:.0f} rewards the cheat gains "
        f"{gain / reward_wei:.2f} rewards a block",
        figures={"gain": max(0.0, gain / reward_wei), "gain_in_rewards": gain / reward_wei, "found_share": share},
    )


def _long_block(ground: Ground, segments: int, forged: int) -> Block:
    """Trained honestly but for one weight at the end of a segment, with checkpoints every 4 steps."""
    interval = 4
    layers = perceptron("silu")
    manifest = ground.manifest(layers, learning_rate=0.01, checkpoint_interval=interval, replay_tolerance=0.01)
    network = FlatNetwork.genesis(manifest, ground.seed)
    start, miner = network.snapshot(), ground.address(1)
    trajectory = Trajectory(network, ground.samples, ground.hash("long block"), miner, (segments - 1) * interval + 1)
    while trajectory.step < segments * interval:
        if trajectory.advance() == (forged + 1) * interval:
            network.weights[0] += 1
    assert trajectory.best is not None
    claim = publish_claim(ground, network, start, trajectory.best, ground.hash("long block"), miner)
    return Block(network, start, replace(claim, threshold=1 << DIGEST_BITS), trajectory.best)


def _retrained(ground: Ground, *changes: Callable[[list[Tensor]], Sequence[Tensor]]) -> Outcome:
    block = honest_block(ground)
    return _refused(ground, *(propose(ground, block, retrain(ground, block, change=change)) for change in changes))


def _with_buffers(state: Snapshot, factor: float) -> Snapshot:
    return Snapshot(state.weights, state.buffers * factor, state.counters)


def _refused(ground: Ground, *findings: ReplayResult) -> Outcome:
    """None may be accepted, while the honest blocks that they were made from are."""
    honest = all(
        judge(ground, block, block.claim).is_valid for block in (honest_block(ground), honest_block(ground, True))
    )
    accepted = sum(finding.is_valid for finding in findings)
    return Outcome(
        defended=honest and not accepted,
        evidence=f"{accepted} of {len(findings)} accepted: {findings[-1].reason:.66}",
        figures={"gain": float(accepted), "trials": len(findings), "accepted": accepted, "threshold": THRESHOLD},
    )


_CREDULOUS = Weakening(
    "verifiers that do not compare what they replay",
    patches={
        "pole.gradient.verification._is_replayed": lambda *_: True,
        "pole.gradient.verification.is_accepted": lambda *_: True,
    },
)

ATTACKS = [
    Attack("hardened-forged-segment", FAMILY, "invent one checkpoint where verifiers replay samples", forged_segment),
    Attack("hardened-stolen-proof", FAMILY, "propose somebody else's proof", stolen_proof, _CREDULOUS),
    Attack("hardened-another-height", FAMILY, "propose a block again at another height", another_height, _CREDULOUS),
    Attack("hardened-another-chain", FAMILY, "propose a block of another chain", another_chain, _CREDULOUS),
    Attack(
        "hardened-wrong-checkpoint", FAMILY, "publish a checkpoint that was never trained", wrong_checkpoint, _CREDULOUS
    ),
    Attack("hardened-skipped-step", FAMILY, "leave out a step", skipped_step, _CREDULOUS),
    Attack("hardened-reordered-batches", FAMILY, "train on batches in another order", reordered_batches, _CREDULOUS),
    Attack("hardened-doctored-buffers", FAMILY, "change BatchNorm's statistics", doctored_buffers, _CREDULOUS),
    Attack(
        "hardened-foreign-weights", FAMILY, "start from weights that are not the chain's", foreign_weights, _CREDULOUS
    ),
    Attack("hardened-symmetry", FAMILY, "reorder units or rescale layers", rescaled_or_permuted, _CREDULOUS),
    Attack("hardened-false-digest", FAMILY, "claim a step that is no block", false_digest, _CREDULOUS),
]
