"""Decides whether a proposed block is valid, by repeating its steps.

Source: DGG, Algorithm 2; segments, checkpoints and margins are ours, see docs/gradient.md
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from pole.errors import ContentTooLarge, ModelInvalid, ProofInvalid
from pole.gradient.claim import BlockClaim
from pole.gradient.network import FlatNetwork, Part, Snapshot
from pole.gradient.proof import HardenedProof, PaperProof, fetch_proof
from pole.gradient.requirements import paper_requirements
from pole.gradient.rules import check_requirements, is_accepted, sign_digest
from pole.gradient.samples import Samples
from pole.gradient.seeds import ROUNDING
from pole.gradient.trajectory import Draws, first_eligible_step, seed_of
from pole.storage.cid import Cid
from pole.storage.store import Store

# Batch normalisation's statistics follow the activations, and no step depends on them: they may differ by more.
BUFFER_TOLERANCES = 5


@dataclass(frozen=True)
class ReplayResult:
    """`wrong_segments`: bit i is set if segment i was replayed and does not lead to the next checkpoint."""

    is_valid: bool
    reason: str = ""
    wrong_segments: int = 0
    train_ppm: int = 0
    test_ppm: int = 0


def verify(
    network: FlatNetwork, samples: Samples, store: Store, claim: BlockClaim, segments: Iterable[int] | None = None
) -> ReplayResult:
    """One proposal under the manifest's rules; the network's state is lost.

    `segments`: which to replay (None: all); the last, which holds the block's step, is always replayed. Raises
    StoreError if a file is not available at the moment; everything that is the miner's fault is a finding.
    """
    try:
        if network.manifest.rules == "paper":
            return verify_paper(network, samples, store, claim)
        return verify_hardened(network, samples, store, claim, segments)
    except (ProofInvalid, ModelInvalid, ContentTooLarge) as exc:
        return ReplayResult(False, str(exc))


def verify_paper(network: FlatNetwork, samples: Samples, store: Store, claim: BlockClaim) -> ReplayResult:
    """Algorithm 2 to the letter: W is whatever the proof says. The published W' must be what the step yields."""
    proof = fetch_proof(store, claim.proof)
    if not isinstance(proof, PaperProof):
        raise ProofInvalid(f"proof follows the rules {proof.rules!r}; this task's are 'paper'")
    batch = _paper_batch(proof, network, samples)
    before = network.read(store.get(Cid.parse(proof.weights_before), network.max_file_bytes))
    published = network.read(store.get(claim.weights, network.max_file_bytes))
    network.restore(before)
    accuracy_before = network.test_ppm(samples)
    network.step(samples.train_x[batch], samples.train_y[batch])
    if not _is_replayed(network, before, published):
        return ReplayResult(False, "the published weights are not those that the step yields")
    requirements = paper_requirements(claim.previous_hash, network.manifest.requirement_count, network.weight_count)
    if not check_requirements(before.weights.cpu().numpy(), network.weights.cpu().numpy(), requirements.tolist()):
        return ReplayResult(False, "the step does not satisfy the requirements")
    train_ppm, test_ppm = network.accuracies_ppm(samples)
    if test_ppm <= accuracy_before:
        return ReplayResult(False, f"test accuracy goes from {accuracy_before} to {test_ppm} ppm; it must grow")
    return ReplayResult(True, train_ppm=train_ppm, test_ppm=test_ppm)


def verify_hardened(
    network: FlatNetwork, samples: Samples, store: Store, claim: BlockClaim, segments: Iterable[int] | None = None
) -> ReplayResult:
    """Replays the chosen segments of the forced trajectory and the last one, with the sign digest at its end."""
    replay = Replay(network, samples, store, claim)
    last = replay.segment_count - 1
    chosen = range(last) if segments is None else sorted(set(segments) - {last})
    wrong = replay.wrong_segments(chosen)
    reason = replay.problem_of_last()
    if reason:
        wrong |= 1 << last
    if wrong:
        listed = [index for index in range(replay.segment_count) if wrong >> index & 1]
        return ReplayResult(False, reason or f"segments {listed} do not lead to the next checkpoint", wrong)
    train_ppm, test_ppm = replay.accuracies_ppm()
    return ReplayResult(True, train_ppm=train_ppm, test_ppm=test_ppm)


class Replay:
    """One hardened proposal's segments: segment i starts from checkpoint i, checkpoint 0 being the previous block's W.

    Raises ProofInvalid if the proof contradicts the proposal, or as the store does.
    """

    def __init__(self, network: FlatNetwork, samples: Samples, store: Store, claim: BlockClaim) -> None:
        self.network, self.samples, self.store, self.claim = network, samples, store, claim
        self._states: dict[int, Snapshot] = {}
        first = first_eligible_step(network.manifest, 1)
        if claim.step < first:
            raise ProofInvalid(f"step {claim.step} lies in the first segment; blocks begin at step {first}")
        proof = fetch_proof(store, claim.proof)
        self._files = [claim.previous_weights, *_checkpoints(proof, claim, self._interval), claim.weights]

    @property
    def segment_count(self) -> int:
        return len(self._files) - 1

    @property
    def _interval(self) -> int:
        return self.network.manifest.checkpoint_interval

    def wrong_segments(self, segments: Iterable[int]) -> int:
        """Those of these segments, except the last, that do not lead to the next checkpoint, as bits."""
        wrong = 0
        for index in segments:
            if not 0 <= index < self.segment_count - 1:
                raise ProofInvalid(f"segment {index} is none of the {self.segment_count - 1} before the last")
            if not self._leads_to_next(index):
                wrong |= 1 << index
        return wrong

    def problem_of_last(self) -> str:
        """Why the last segment does not end with a block of the claimed digest and weights; empty if it does."""
        last = self.segment_count - 1
        try:
            start, draws = self._begin(last, self.claim.step - last * self._interval)
            end = self._state(self.segment_count)
        except (ModelInvalid, ContentTooLarge) as exc:
            return str(exc)
        self.network.restore(start)
        self._train(draws)
        step = self.network.last_step(draws.weights[-1])
        digest = sign_digest(step.changes, draws.directions[-1], self.network.manifest.margin * step.rms)
        if not _is_replayed(self.network, start, end):
            return "the published weights are not those that the last segment yields"
        if not is_accepted(digest, self.claim.sign_digest, self.claim.threshold):
            return f"sign digest {digest}, claimed {self.claim.sign_digest}, threshold {self.claim.threshold}"
        return ""

    def accuracies_ppm(self) -> tuple[int, int]:
        """Training and test accuracy of the published weights."""
        self.network.restore(self._state(self.segment_count))
        return self.network.accuracies_ppm(self.samples)

    def _leads_to_next(self, index: int) -> bool:
        try:
            start, draws = self._begin(index, self._interval)
            end = self._state(index + 1)
        except (ModelInvalid, ContentTooLarge):
            return False
        self.network.restore(start)
        self._train(draws)
        return _is_replayed(self.network, start, end)

    def _begin(self, segment: int, steps: int) -> tuple[Snapshot, Draws]:
        """Where a segment starts, and what is drawn for it. Raises ModelInvalid, or as the store does."""
        before = self._state(segment - 1) if segment else None
        start, claim = self._state(segment), self.claim
        seed = seed_of(self.network, claim.previous_hash, claim.miner, segment, before, start)
        first = segment * self._interval + 1
        return start, Draws.of(self.network, self.samples, seed, claim.miner, first, steps)

    def _train(self, draws: Draws) -> None:
        for batch in draws.batches.unbind():
            self.network.step(self.samples.train_x[batch], self.samples.train_y[batch])

    def _state(self, index: int) -> Snapshot:
        """Checkpoint `index`; keeps the last three: a segment needs its end, its start, and the one before that."""
        if index not in self._states:
            content = self.store.get(self._files[index], self.network.max_file_bytes)
            self._states = {key: state for key, state in self._states.items() if key >= index - 2}
            self._states[index] = self.network.read(content)
        return self._states[index]


def _checkpoints(proof: HardenedProof | PaperProof, claim: BlockClaim, interval: int) -> list[Cid]:
    if not isinstance(proof, HardenedProof):
        raise ProofInvalid(f"proof follows the rules {proof.rules!r}; this task's are 'hardened'")
    stated = (proof.previous_hash, proof.miner.lower(), proof.step)
    if stated != ("0x" + claim.previous_hash.hex(), claim.miner.lower(), claim.step):
        raise ProofInvalid(
            f"proof is for step {proof.step} of {proof.miner} after {proof.previous_hash}; the proposal is for step "
            f"{claim.step} of {claim.miner} after 0x{claim.previous_hash.hex()}"
        )
    needed = (claim.step - 1) // interval
    if len(proof.checkpoints) != needed:
        raise ProofInvalid(f"proof of step {claim.step} has {len(proof.checkpoints)} checkpoints; it needs {needed}")
    return [Cid.parse(text) for text in proof.checkpoints]


def _paper_batch(proof: PaperProof, network: FlatNetwork, samples: Samples) -> torch.Tensor:
    size, rows = network.manifest.batch_size, len(samples.train_y)
    if len(proof.batch) != size or len(set(proof.batch)) != size or max(proof.batch) >= rows:
        raise ProofInvalid(f"batch {proof.batch!r:.100} is not {size} different rows out of {rows}")
    return torch.tensor(proof.batch, device=network.device)


def _is_replayed(network: FlatNetwork, start: Snapshot, end: Snapshot) -> bool:
    """Whether the network's state is `end`, but for rounding. Counters must be equal."""
    state = network.state
    return torch.equal(state.counters, end.counters) and (
        drift(network, start, state, end) <= network.manifest.replay_tolerance
    )


def drift(network: FlatNetwork, start: Snapshot, replayed: Snapshot, published: Snapshot) -> float:
    """The largest difference beyond rounding, as a share of its tensor's RMS movement since `start`; a buffer's counts
    a fifth.
    """
    return max(
        _divergence(network.weight_parts, start.weights, replayed.weights, published.weights),
        _divergence(network.buffer_parts, start.buffers, replayed.buffers, published.buffers) / BUFFER_TOLERANCES,
    )


def _divergence(parts: Sequence[Part], start: torch.Tensor, replayed: torch.Tensor, published: torch.Tensor) -> float:
    """Infinite where a number is not finite, or something differs that the replay does not move."""
    worst = 0.0
    excess = (replayed - published).abs() - ROUNDING * published.abs()
    for part in parts:
        piece = slice(part.start, part.end)
        largest = float(excess[piece].max())
        if not largest <= 0:
            movement = (replayed[piece] - start[piece]).square().mean().sqrt()
            worst = max(worst, largest / float(movement)) if float(movement) > 0 else float("inf")
    return worst
