"""Block intervals of the gradient chain under its retarget, simulated: `python -m benchmarks.simulate_retarget`.

Every miner's digests are uniform draws, one per training step; a miner keeps its lowest, which may become valid later
as the threshold rises. Many chains are simulated at once. Time goes in whole seconds, as the contract's does.
Collecting and voting stop the search clock, so they do not appear, but for the rivals that turn up meanwhile.
"""

import argparse
import sys
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from pole.gradient.difficulty import DIGEST_BITS, HALF_LIFE_INTERVALS, MAX_THRESHOLD

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MEAN_TOLERANCE = 0.15
MAX_VARIATION = 1.1
WARM_UP_BLOCKS, BLOCKS = 20, 200
_SETTLED_BLOCKS = 40


@dataclass(frozen=True)
class Setup:
    """`initial_error` is how many times too high the initial threshold is; at `change_at` the power becomes
    `power_factor` times as much. The first eligible step of a height comes `start_s` after its start."""

    target_interval_s: int = 12
    half_life_intervals: int = HALF_LIFE_INTERVALS
    steps_per_s: float = 200.0
    miners: int = 4
    initial_error: float = 1.0
    power_factor: float = 1.0
    change_at: int = 100
    start_s: int = 0
    collect_s: int = 1
    blocks: int = BLOCKS
    chains: int = 1_000
    seed: int = 1

    @property
    def initial_threshold(self) -> int:
        """Such that one step in as many as a target interval holds is a block, but for the error."""
        fair = MAX_THRESHOLD / (self.steps_per_s * self.target_interval_s)
        return int(min(max(fair * self.initial_error, 1), MAX_THRESHOLD))


@dataclass(frozen=True)
class Outcome:
    """`intervals_s` and `rivals` (other miners that had a valid proposal in time): one row per chain, one column per
    block."""

    setup: Setup
    intervals_s: Ints
    rivals: Ints

    def relative(self, first: int, last: int) -> Floats:
        """Intervals of these blocks (counted from 1, the last included) in target intervals."""
        return self.intervals_s[:, first - 1 : last] / self.setup.target_interval_s

    def means(self) -> Floats:
        """Each chain's mean interval after the warm-up, in target intervals."""
        means: Floats = self.relative(WARM_UP_BLOCKS, BLOCKS).mean(axis=1)
        return means

    def variations(self) -> Floats:
        """Each chain's coefficient of variation after the warm-up."""
        settled = self.relative(WARM_UP_BLOCKS, BLOCKS)
        variations: Floats = settled.std(axis=1) / settled.mean(axis=1)
        return variations

    def recovery_blocks(self) -> int:
        """Blocks after the change until the mean over all chains stays within the tolerance."""
        changed = self.setup.change_at
        means = self.relative(changed + 1, changed + _SETTLED_BLOCKS).mean(axis=0)
        off = np.flatnonzero(np.abs(means - 1) > MEAN_TOLERANCE)
        return 0 if off.size == 0 else int(off[-1]) + 1


def thresholds(setup: Setup, searched_s: Ints, blocks_done: Ints) -> Ints:
    """`pole.gradient.difficulty.threshold` of many chains at once, for any half-life."""
    target_s = setup.target_interval_s
    behind_s = searched_s - blocks_done * target_s
    doublings = np.true_divide(behind_s, setup.half_life_intervals * target_s)
    raised: Floats = setup.initial_threshold * np.exp2(np.clip(doublings, -25, DIGEST_BITS))
    found: Ints = np.clip(raised, 1, MAX_THRESHOLD).astype(np.int64)
    return found


def lowest_digests(generator: np.random.Generator, steps: Floats, miners: int) -> Floats:
    """The lowest of `steps` uniform digests, for every chain (row) and miner; by the minimum's own distribution."""
    draws: Floats = generator.random((steps.size, miners))
    highest: Floats = np.power(draws, np.reciprocal(steps)[:, None])
    return (1.0 - highest) * MAX_THRESHOLD


def simulate(setup: Setup) -> Outcome:
    """Simulate `setup.chains` chains of `setup.blocks` blocks."""
    generator = np.random.default_rng(setup.seed)
    rows = np.arange(setup.chains)
    intervals_s = np.zeros((setup.chains, setup.blocks), dtype=np.int64)
    rivals = np.zeros_like(intervals_s)
    searched_s, done, elapsed_s = (np.zeros(setup.chains, dtype=np.int64) for _ in range(3))
    lowest = np.full((setup.chains, setup.miners), np.inf)
    while (done < setup.blocks).any():
        searched_s, elapsed_s = searched_s + 1, elapsed_s + 1
        steps = _steps(setup, done)
        drawn = lowest_digests(generator, steps, setup.miners)
        lowest = np.where((elapsed_s > setup.start_s)[:, None], np.minimum(lowest, drawn), lowest)
        below = thresholds(setup, searched_s, done)[:, None]
        found = rows[(lowest < below).any(axis=1) & (done < setup.blocks)]
        if found.size == 0:
            continue
        late = np.minimum(lowest, lowest_digests(generator, steps * setup.collect_s, setup.miners))
        intervals_s[found, done[found]] = elapsed_s[found]
        rivals[found, done[found]] = (late < below)[found].sum(axis=1) - 1
        lowest[found], elapsed_s[found] = np.inf, 0
        done[found] += 1
    return Outcome(setup, intervals_s, rivals)


def _steps(setup: Setup, done: Ints) -> Floats:
    """Steps per second of each miner in every chain."""
    factor = np.where(done >= setup.change_at, setup.power_factor, 1.0)
    steps: Floats = np.maximum(setup.steps_per_s * factor / setup.miners, 1e-9)
    return steps


def row(setup: Setup) -> list[str]:
    """A line of the table: a steady run from a threshold 4 times wrong, and both changes of power."""
    wrong = [simulate(replace(setup, initial_error=error)) for error in (0.25, 4.0)]
    changed = [simulate(replace(setup, power_factor=factor)) for factor in (4.0, 0.25)]
    means = np.concatenate([outcome.means() for outcome in wrong])
    variations = np.concatenate([outcome.variations() for outcome in wrong])
    rivals = np.concatenate([outcome.rivals[:, WARM_UP_BLOCKS:] for outcome in wrong])
    return [
        str(setup.half_life_intervals),
        str(setup.target_interval_s),
        f"{means.mean():.3f}",
        f"{means.min():.2f} to {means.max():.2f}",
        f"{variations.mean():.2f}",
        f"{variations.max():.2f}",
        *(str(outcome.recovery_blocks()) for outcome in changed),
        f"{rivals.mean():.2f}",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chains", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--half-life", type=int, nargs="+", default=[2, 3, 4, 5, 6, 8], help="in intervals")
    parser.add_argument("--target", type=int, nargs="+", default=[3, 12, 60], help="target intervals, in seconds")
    parser.add_argument("--start", type=int, default=0, help="seconds until a height's first eligible step")
    given = parser.parse_args()
    table = Table(title=f"{given.chains} chains each, blocks {WARM_UP_BLOCKS} to {BLOCKS}, seed {given.seed}")
    for name in ("half-life", "target s", "mean", "of one chain", "variation", "at most", "4x up", "4x down", "rivals"):
        table.add_column(name, justify="right")
    for target_s in given.target:
        for half_life in given.half_life:
            setup = Setup(target_s, half_life, start_s=given.start, chains=given.chains, seed=given.seed)
            table.add_row(*row(setup))
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
