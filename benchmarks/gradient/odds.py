"""How often a step is a block: against 2^-D, and with one R per block instead of one per step."""

import math

import numpy as np
from numpy.typing import NDArray

from benchmarks.gradient.tasks import MINER, Task
from pole.gradient.manifest import DIGEST_BITS
from pole.gradient.requirements import coordinates, directions
from pole.gradient.rules import MINER_MARGINS, sign_digest
from pole.gradient.trajectory import Draws
from testbed.markdown import markdown_table

Z95 = 1.96
RECORDED_STEPS = 2000
REQUIREMENT_SETS = 500


def odds_table(task: Task, steps: int) -> str:
    """Shares of steps with a digest below 2^(24-D), with 95 % Wilson intervals."""
    digests = _digests(task, steps)
    rows = []
    for bits in range(1, 11):
        hits = int((digests < 1 << (DIGEST_BITS - bits)).sum())
        low, high = _wilson(hits, steps)
        is_inside = low <= 2.0**-bits <= high
        rows.append(
            [
                str(bits),
                f"{2.0**-bits:.5f}",
                f"{hits / steps:.5f}",
                f"{low:.5f} to {high:.5f}",
                f"{hits / steps * 2**bits:.3f}",
                "yes" if is_inside else "no",
            ]
        )
    return markdown_table(["D", "2^-D", "measured", "95 % interval", "measured / 2^-D", "inside"], rows)


def fixed_table(task: Task) -> str:
    """One R per block: how unlike the odds of different R are, on the same recorded steps."""
    signs = _recorded_signs(task)
    generator = np.random.default_rng(2)
    rows = []
    for bits in (2, 4, 6):
        shares = np.array([_share(signs, generator, bits, is_fresh=False) for _ in range(REQUIREMENT_SETS)])
        fresh = np.array([_share(signs, generator, bits, is_fresh=True) for _ in range(REQUIREMENT_SETS)])
        rows.append([str(bits), *_spread(shares, bits), *_spread(fresh, bits)])
    header = ["D"]
    for what in ("one R", "fresh R"):
        header += [f"{what}: never in {RECORDED_STEPS} steps", f"{what}: 5th to 95th percentile of P * 2^D"]
    return markdown_table(header, rows)


def _digests(task: Task, steps: int) -> NDArray[np.int64]:
    network, found = task.network(), np.empty(steps, dtype=np.int64)
    draws = Draws.of(network, task.samples, bytes(32), MINER, 1, steps)
    border = MINER_MARGINS * task.manifest.margin
    for index, batch in enumerate(draws.batches.unbind()):
        network.step(task.samples.train_x[batch], task.samples.train_y[batch])
        last = network.last_step(draws.weights[index])
        found[index] = sign_digest(last.changes, draws.directions[index], border * last.rms)
    return found


def _wilson(hits: int, trials: int) -> tuple[float, float]:
    share, z2 = hits / trials, Z95**2 / trials
    middle, half = share + z2 / 2, Z95 * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials))
    return (middle - half) / (1 + z2), (middle + half) / (1 + z2)


def _recorded_signs(task: Task) -> NDArray[np.int8]:
    """Direction of every weight's change in every step, [steps, weights]."""
    network = task.network()
    everything = np.arange(network.weight_count)
    signs = np.empty((RECORDED_STEPS, network.weight_count), dtype=np.int8)
    draws = Draws.of(network, task.samples, bytes(32), MINER, 1, RECORDED_STEPS)
    for index, batch in enumerate(draws.batches.unbind()):
        network.step(task.samples.train_x[batch], task.samples.train_y[batch])
        signs[index] = np.sign(network.last_step(everything).changes)
    return signs


def _share(signs: NDArray[np.int8], generator: np.random.Generator, bits: int, is_fresh: bool) -> float:
    """Of the recorded steps, those that satisfy R: one set of requirements for all, or one each."""
    steps, weights = signs.shape
    drawn = generator.integers(0, 2 * weights, (steps if is_fresh else 1, bits))
    changes = np.take_along_axis(signs, np.broadcast_to(coordinates(drawn), (steps, bits)), axis=1)
    return float(((changes * directions(drawn)) > 0).all(axis=1).mean())


def _spread(shares: NDArray[np.float64], bits: int) -> list[str]:
    low, high = np.quantile(shares, (0.05, 0.95)) * 2**bits
    return [f"{(shares == 0).mean():.1%}", f"{low:.2f} to {high:.2f}"]
