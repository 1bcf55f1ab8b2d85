"""Limits of the published rules that need no attacker: saturation, requirements that nothing meets, and rounding."""

import numpy as np
import torch
from numpy.typing import NDArray

from attacks.gradient.ground import MINER, Ground, batch_of, perceptron, take_step, train
from attacks.gradient.paper import FAMILY
from attacks.gradient.rowtable import row_gradients
from attacks.record import Attack, Outcome
from pole.gradient.manifest import DIGEST_BITS
from pole.gradient.network import FlatNetwork, Snapshot
from pole.gradient.requirements import coordinates, directions, paper_requirements, step_requirements

_BATCH = 4


def saturation(ground: Ground) -> Outcome:
    """`accuracy(W') > accuracy(W)` as training goes on: fewer and fewer honest steps can ever be blocks."""
    network = FlatNetwork.genesis(
        ground.manifest(perceptron("silu"), rules="paper", requirement_count=8, learning_rate=0.05), ground.seed
    )
    generator, shares = ground.generator("saturation"), []
    for steps in (0, 500, ground.pick(3000, 6000, 30_000)):
        train(ground, network, steps, generator)
        start, accuracy, grown = network.snapshot(), network.test_ppm(ground.samples), 0
        tries = ground.pick(40, 150, 1000)
        for _ in range(tries):
            network.restore(start)
            take_step(ground, network, batch_of(ground, generator))
            grown += network.test_ppm(ground.samples) > accuracy
        network.restore(start)
        shares.append(grown / tries)
    return Outcome(
        defended=shares[-1] >= shares[0] / 2,
        evidence=f"accuracy grows in {shares[0]:.0%} of steps, {shares[1]:.0%} later, {shares[2]:.0%} in the end",
        figures={"early": shares[0], "late": shares[-1]},
    )


def unreachable(ground: Ground) -> Outcome:
    """R fixed for a whole block: contradictory demands on weights that move together, which no batch ever meets."""
    count = 10
    network = FlatNetwork.genesis(
        ground.manifest(perceptron("silu"), rules="paper", requirement_count=count), ground.seed
    )
    train(ground, network, 100, ground.generator("unreachable"))
    table, generator = row_gradients(ground, network).numpy(), ground.generator("batches")
    batches = generator.integers(len(table), size=(ground.pick(1 << 13, 1 << 14, 1 << 17), _BATCH))
    tries, stalled = ground.pick(60, 150, 1000), 0
    for number in range(tries):
        draw = paper_requirements(ground.hash(f"unreachable {number}"), count, network.weight_count)
        change = -table[:, coordinates(draw)][batches].sum(axis=1)
        stalled += not bool((change * directions(draw) > 0).all(axis=1).any())
    expected = len(batches) / 2**count
    fresh = _fresh_draws(ground, network, table, batches, count)
    return Outcome(
        defended=stalled == 0,
        evidence=f"|R|={count}: {stalled} of {tries} R met by none of {len(batches)} batches ({expected:.0f} due); "
        f"drawn afresh for every step, as hardened: {fresh} steps",
        figures={"stalled_share": stalled / tries, "fresh_share": fresh / expected},
    )


def _fresh_draws(
    ground: Ground, network: FlatNetwork, table: NDArray[np.float32], batches: NDArray[np.int64], count: int
) -> int:
    """How many of as many steps satisfy requirements of their own, as the hardened rules draw them."""
    draws = step_requirements(ground.hash("fresh"), MINER, 1, len(batches), DIGEST_BITS, network.weight_count)[
        :, :count
    ]
    change = -table[batches[:, :, None], coordinates(draws)[:, None, :]].sum(axis=1)
    return int((change * directions(draws) > 0).all(axis=1).sum())


def rounding(ground: Ground) -> Outcome:
    """Signs of one and the same step in float32 and float64, which stand for two devices."""
    manifest = ground.manifest(perceptron("silu"), rules="paper", requirement_count=8, learning_rate=0.01)
    network, wide = FlatNetwork.genesis(manifest, ground.seed), FlatNetwork(manifest, dtype=torch.float64)
    samples, generator = ground.samples.to("cpu", torch.float64), ground.generator("rounding")
    flips, seen, largest, everything = 0, 0, 0.0, np.arange(network.weight_count)
    for _ in range(ground.pick(20, 100, 1000)):
        batch = batch_of(ground, generator)
        wide.restore(Snapshot(network.weights.double(), network.buffers.double(), network.counters))
        take_step(ground, network, batch)
        wide.step(samples.train_x[batch], samples.train_y[batch])
        single, double = (each.last_step(everything).changes for each in (network, wide))
        is_flipped = single * double < 0
        flips += int(is_flipped.sum())
        seen += is_flipped.size
        if is_flipped.any():
            largest = max(largest, float(np.abs(double[is_flipped]).max() / np.median(np.abs(double))))
    return Outcome(
        defended=flips / seen <= 1e-4 and largest < 1e-2,
        evidence=f"{flips} of {seen} signs differ, at most {largest:.1e} of the median step; "
        "the published rules have no margin for them, the hardened ones have",
        figures={"flipped_share": flips / seen, "largest": largest},
    )


ATTACKS = [
    Attack("paper-saturation", FAMILY, "wait until no step improves accuracy any more", saturation),
    Attack("paper-unreachable", FAMILY, "requirements that no batch meets stall the chain", unreachable),
    Attack("paper-rounding", FAMILY, "signs that differ between devices", rounding),
]
