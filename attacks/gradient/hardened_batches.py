"""An attack on the hardened rules that fills an idle device: steps of many bonded identities in the same calls."""

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from attacks.gradient.ground import Ground, convolution, honest_miner, perceptron
from attacks.gradient.hardened import FAMILY
from attacks.gradient.rowtable import stacked_gradients
from attacks.record import Attack, Outcome
from pole.gradient.network import FlatNetwork
from pole.gradient.trajectory import Draws

_BITS = 4
_ROUNDS = 3
_FAIR = 1.1


def batched(ground: Ground) -> Outcome:
    """Beside the default miner with one identity, and beside a miner with just enough identities for its device.

    Every candidate is a real step. Draws are made beforehand, in the attacker's favour.
    """
    notes, over_one, over_batching = [], dict[str, float](), list[float]()
    for name, layers in (
        ("perceptron", perceptron("silu")),
        ("convolution", convolution()),
        ("75,978 weights", convolution(64)),
    ):
        network = FlatNetwork.genesis(ground.manifest(layers), ground.seed)
        bonds = [count for count in (1, 4, 16, 64, 256) if count <= ground.pick(4, 64, 256)]
        works = [honest_miner(ground, network, ground.pick(20, 100, 500))]
        works += [_together(ground, network, count, ground.pick(1, 4, 8)) for count in bonds]
        one, *rates = _per_second(works)
        best = max(rates)
        enough = next(index for index, rate in enumerate(rates) if rate * _FAIR >= best)
        over_one[name], gain = best / one, best / rates[enough]
        over_batching.append(gain)
        notes.append(f"{name} {over_one[name]:.1f}x one bond, {gain:.2f}x {bonds[enough]} bonds")
        if name == "perceptron":
            first = one, best
    return Outcome(
        defended=False,
        evidence=f"up to {bonds[-1]} bonds, each candidate a real step, per CPU second of one core: {'; '.join(notes)}",
        figures={
            "gain": 1.0,
            "honest_per_s": first[0],
            "attacker_per_s": first[1],
            "speed_up": over_one["perceptron"],
            "speed_up_convolution": over_one["convolution"],
            "speed_up_large": over_one["75,978 weights"],
            "over_batching": max(over_batching),
        },
    )


def _per_second(works: list[Callable[[], int]]) -> list[float]:
    """Candidates per second of CPU time, medians of turns."""
    seen: list[list[float]] = [[] for _ in works]
    for _ in range(_ROUNDS):
        for rates, work in zip(seen, works, strict=True):
            started = time.process_time()
            count = work()
            rates.append(count / (time.process_time() - started))
    return [statistics.median(rates) for rates in seen]


def _together(ground: Ground, network: FlatNetwork, bonds: int, steps: int) -> Callable[[], int]:
    """All identities' steps, with each one's movements looked at; each call returns the number of candidates."""
    draws = [
        Draws.of(network, ground.samples, ground.hash("draws"), ground.address(number), 1, steps)
        for number in range(bonds)
    ]
    batches = torch.stack([each.batches for each in draws], dim=1)
    spots = torch.from_numpy(np.stack([each.weights for each in draws], axis=1))
    wanted = torch.from_numpy(np.stack([each.directions for each in draws], axis=1))

    def work() -> int:
        weights, found = network.weights.expand(bonds, -1).clone(), 0
        for batch, spot, direction in zip(batches, spots, wanted, strict=True):
            x, y = ground.samples.train_x[batch], ground.samples.train_y[batch]
            change = -network.manifest.learning_rate * stacked_gradients(network, weights, x, y)
            weights += change
            found += int(((change.gather(1, spot) * direction)[:, :_BITS] > 0).all(dim=1).sum())
        return steps * bonds

    return work


ATTACKS = [
    Attack(
        "hardened-batched-identities", FAMILY, "steps of many bonded identities at once", batched, is_known_limit=True
    ),
]
