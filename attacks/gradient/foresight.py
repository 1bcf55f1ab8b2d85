"""What an attacker can know of draws before it trains: where a segment leads to, and which seeds are within reach."""

from dataclasses import dataclass, replace
from itertools import chain, combinations

import numpy as np
import torch
from numpy.typing import NDArray

from attacks.gradient.ground import Ground
from pole.gradient.network import FlatNetwork, Snapshot
from pole.gradient.seeds import ROUNDING, cell_widths, flushed, places
from pole.gradient.trajectory import Draws, seed_of

_MOST_MOVED = 4
_SHARPNESS = 4


@dataclass(frozen=True)
class Look:
    """A segment that an attacker could train: where it starts, what is drawn, each step's chance to be a block."""

    segment: int
    start: Snapshot
    draws: Draws
    chances: NDArray[np.float64]

    @property
    def promise(self) -> float:
        """Of a block anywhere in it."""
        return 1 - float(np.prod(1 - self.chances))


class Foresight:
    """One block's header, and a table of each row's gradient at the weights that it starts from, [rows, weights]."""

    def __init__(
        self, ground: Ground, network: FlatNetwork, table: NDArray[np.float32], previous_hash: bytes, bits: int
    ) -> None:
        self.ground, self.network, self.table, self.bits = ground, network, table, bits
        self.previous_hash = previous_hash
        self.interval = network.manifest.checkpoint_interval

    def look(self, miner: str, segment: int, before: Snapshot | None, start: Snapshot, first_eligible: int) -> Look:
        """At a segment whose two checkpoints are known, or believed to be."""
        seed = seed_of(self.network, self.previous_hash, miner, segment, before, start)
        first = segment * self.interval + 1
        draws = Draws.of(self.network, self.ground.samples, seed, miner, first, self.interval)
        wanted, weights = draws.directions[:, : self.bits], draws.weights[:, : self.bits]
        rows = self.table[draws.batches.numpy()[:, :, None], weights[:, None, :]]
        likely = -rows.mean(axis=1) * wanted / np.abs(rows).mean(axis=1).clip(1e-12)
        chances = (0.5 + 0.5 * np.tanh(_SHARPNESS * likely)).prod(axis=1).astype(np.float64)
        chances[: max(0, first_eligible - first)] = 0
        return Look(segment, start, draws, chances)

    def foretold(self, look: Look) -> Snapshot:
        """Where the segment leads to if every row's gradient stays what it is in the table."""
        moved = -self.network.manifest.learning_rate * self.table[look.draws.batches.numpy()].mean(axis=1).sum(axis=0)
        return replace(look.start, weights=look.start.weights + torch.from_numpy(moved))

    def reachable(self, miner: str, segment: int, before: Snapshot, end: Snapshot) -> list[Snapshot]:
        """The checkpoint as it is, and altered within the replay tolerance so that its seed is another.

        Each coordinate near its cell's border is moved over it, alone and together with others.
        """
        old, new = (flushed(state.weights.numpy()) for state in (before, end))
        start = self.previous_hash + bytes.fromhex(miner[2:]) + segment.to_bytes(8, "big")
        chosen, offsets = places(start, len(new))
        tensors = [(part.start, part.end) for part in self.network.weight_parts]
        widths = cell_widths(old, new, tensors, self.network.manifest.replay_tolerance)[chosen]
        place = (new - old)[chosen] / widths + offsets
        above = np.ceil(place) - place
        steps = np.where(above < 0.5, above, above - 1) * widths  # to the nearer border
        allowed = self._allowed(old, new)[chosen]
        movable = [index for index in range(len(chosen)) if abs(steps[index]) < 0.9 * allowed[index]][:_MOST_MOVED]
        found = []
        for group in chain.from_iterable(combinations(movable, size) for size in range(len(movable) + 1)):
            altered = end.clone()
            for index in group:
                altered.weights[chosen[index]] += float(steps[index] + np.sign(steps[index]) * 0.05 * allowed[index])
            found.append(altered)
        return found

    def _allowed(self, old: NDArray[np.float64], new: NDArray[np.float64]) -> NDArray[np.float64]:
        """By how much each weight may differ from a replay."""
        allowed = ROUNDING * np.abs(new)
        for part in self.network.weight_parts:
            piece = slice(part.start, part.end)
            rms = np.sqrt(np.square(new[piece] - old[piece]).mean())
            allowed[piece] += self.network.manifest.replay_tolerance * rms
        return allowed
