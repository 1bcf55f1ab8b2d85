"""Attacks on the published rules that predict steps without taking them."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from attacks.gradient.ground import Ground, batch_of, convolution, measure, perceptron, take_step, train
from attacks.gradient.paper import FAMILY, honest_search
from attacks.gradient.rowtable import row_gradients
from attacks.record import Attack, Outcome
from pole.gradient.network import FlatNetwork
from pole.gradient.requirements import coordinates, directions, paper_requirements
from pole.gradient.rules import check_requirements

_COUNT = 8
_BATCH = 4
_GUESSES = 1 << 14


@dataclass(frozen=True)
class Table:
    """Each row's gradient on the weights of R, [rows, |R|], and the demanded directions [|R|]."""

    gradients: NDArray[np.float32]
    wanted: NDArray[np.float32]

    def guess(self, generator: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Batches [n, batch] and which of them should satisfy R; repeated rows are left out."""
        batches = np.sort(generator.integers(len(self.gradients), size=(_GUESSES, _BATCH)), axis=1)
        batches = batches[(np.diff(batches, axis=1) > 0).all(axis=1)]
        predicted = -self.gradients[batches].sum(axis=1)
        return batches, (predicted * self.wanted > 0).all(axis=1)


def frozen_table(ground: Ground) -> Outcome:
    """Sums of four table rows instead of steps, at a W that never changes: nothing is learned."""
    return _by_table(ground, _network(ground, perceptron("silu")), "table")


def batch_norm_table(ground: Ground) -> Outcome:
    """BatchNorm makes rows depend on each other; the table still says which batches are worth a real step."""
    return _by_table(ground, _network(ground, convolution()), "prescreen", is_prescreen=True)


def _network(ground: Ground, layers: tuple[dict[str, object], ...]) -> FlatNetwork:
    manifest = ground.manifest(layers, rules="paper", requirement_count=_COUNT)
    network = FlatNetwork.genesis(manifest, ground.seed)
    train(ground, network, ground.pick(50, 300, 1000), ground.generator("before the table"))
    return network


def _by_table(ground: Ground, network: FlatNetwork, purpose: str, is_prescreen: bool = False) -> Outcome:
    generator, start = ground.generator(purpose), network.snapshot()
    full = row_gradients(ground, network).numpy()
    agreement, steps, hits = _agreement(ground, network, full, generator), 0, 0
    for number in range(ground.pick(3, 8, 30)):
        requirements = paper_requirements(ground.hash(f"{purpose} {number}"), _COUNT, network.weight_count)
        table = Table(full[:, coordinates(requirements)], directions(requirements))
        batches, is_hit = table.guess(generator)
        for batch in batches[is_hit][: ground.pick(10, 20, 50)]:
            network.restore(start)
            before = network.weights.numpy().copy()
            take_step(ground, network, torch.from_numpy(batch))
            hits += check_requirements(before, network.weights.numpy(), requirements.tolist())
            steps += 1
    network.restore(start)
    rates = measure(honest_search(ground, network, requirements.tolist()), lambda: len(table.guess(generator)[0]))
    confirmed, step_s = hits / steps, 1 / rates.honest_per_s
    # A prescreened block also costs the real steps that tell right guesses from wrong ones.
    block_s = 2**_COUNT / rates.attacker_per_s + (step_s / max(confirmed, 1e-9) if is_prescreen else 0.0)
    return Outcome(
        defended=confirmed * 2**_COUNT <= 1.1,
        evidence=f"{agreement:.0%} of the signs predicted; |R|={_COUNT}: {hits} of {steps} predicted batches pass",
        figures={
            "gain": confirmed * 2**_COUNT,
            "honest_per_s": rates.honest_per_s,
            "attacker_per_s": 2**_COUNT / block_s,
            "speed_up": 2**_COUNT / block_s * step_s,
            "agreement": agreement,
        },
    )


def _agreement(
    ground: Ground, network: FlatNetwork, table: NDArray[np.float32], generator: np.random.Generator
) -> float:
    """Share of the signs of real steps that the table predicts."""
    start, right = network.snapshot(), []
    for _ in range(ground.pick(10, 30, 100)):
        network.restore(start)
        batch = batch_of(ground, generator)
        take_step(ground, network, batch)
        moved = (network.weights - start.weights).numpy()
        right.append(np.mean(np.sign(moved) == np.sign(-table[batch.numpy()].sum(axis=0))))
    network.restore(start)
    return float(np.mean(right))


ATTACKS = [
    Attack("paper-frozen-table", FAMILY, "sum four rows of a gradient table instead of training", frozen_table),
    Attack("paper-batch-norm-table", FAMILY, "try only batches that a table predicts", batch_norm_table),
]
