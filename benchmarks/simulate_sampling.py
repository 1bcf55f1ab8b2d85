"""`python -m benchmarks.simulate_sampling`: what a forged segment earns where verifiers replay samples.

A cheat forges one segment of every block. Each member of the ballot draws its sample with the chain's own function;
where one draws the forged segment, the bond is lost, and the cheat itself is the accuser. A third of the members sleep.
"""

import argparse
import math

import numpy as np

from pole.gradient.claim import ACCUSER_SHARE, ballot_seed, sample, sample_size
from testbed.markdown import markdown_table

REWARD_WEI = 10**16
SETTINGS = ((64, 3, 34), (64, 3, 10), (64, 7, 10))
HEADER = (
    "segments",
    "members",
    "bond / reward",
    "each replays, besides the last",
    "found",
    "foreseen",
    "cheat's gain / reward",
)


def mean_gain(segments: int, members: int, bond_wei: int, blocks: int, seed: int = 1) -> tuple[float, float, float]:
    """Share of forged blocks that were found, the cheat's mean gain per block in rewards, and its standard error."""
    count, awake = sample_size(segments, members, bond_wei, REWARD_WEI), -(-2 * members // 3)
    generator = np.random.default_rng(seed)
    forged, found = generator.integers(0, segments - 1, blocks), np.zeros(blocks, dtype=bool)
    addresses = [f"0x{index + 1:040x}" for index in range(awake)]
    for block in range(blocks):
        drawn = ballot_seed(generator.bytes(32), block)
        found[block] = any(forged[block] in sample(drawn, 0, member, segments, count) for member in addresses)
    lost = (bond_wei - bond_wei // ACCUSER_SHARE) / REWARD_WEI
    gains = np.where(found, -lost, 1.0)
    return float(found.mean()), float(gains.mean()), float(gains.std() / math.sqrt(blocks))


def row(segments: int, members: int, times: int, blocks: int, seed: int) -> list[str]:
    """One setting; the bond is so many times the reward."""
    bond_wei = times * REWARD_WEI
    found, gain, error = mean_gain(segments, members, bond_wei, blocks, seed)
    count = sample_size(segments, members, bond_wei, REWARD_WEI)
    foreseen = 1 - (1 - count / (segments - 1)) ** -(-2 * members // 3)
    return [
        str(segments),
        str(members),
        str(times),
        str(count),
        f"{found:.4f}",
        f"{foreseen:.4f}",
        f"{gain:.3f} +- {error:.3f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.simulate_sampling", description=__doc__)
    parser.add_argument("--blocks", type=int, default=100_000, help="forged blocks per setting")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print(markdown_table(HEADER, [row(*setting, arguments.blocks, arguments.seed) for setting in SETTINGS]))


if __name__ == "__main__":
    main()
