"""Attacks on the hardened rules with several bonded identities: a table predicts which of them will win.

A miner cannot leave out steps, so a prediction only helps to choose among trajectories. Each trajectory needs a bond,
and an enrolment before the previous header, whose hash all draws depend on.
"""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from attacks.gradient.ground import Ground, convolution, follow, honest_miner, measure, perceptron, train
from attacks.gradient.hardened import FAMILY
from attacks.gradient.rowtable import row_gradients
from attacks.record import Attack, Outcome
from pole.gradient.network import FlatNetwork, Snapshot
from pole.gradient.trajectory import Draws

_RATE = 0.001
_PATIENCE = 4


@dataclass(frozen=True)
class Plan:
    """Blocks of difficulty `bits`; `identities` that look `ahead` steps from `first_step` on."""

    bits: int
    identities: int
    first_step: int

    @property
    def ahead(self) -> int:
        """Four of all looked-at steps should be blocks."""
        return max(4, (4 << self.bits) // self.identities)

    @property
    def honest_steps(self) -> float:
        """Mean steps to a block for one miner that does not look ahead."""
        return self.first_step - 1 + 2.0**self.bits


def plain_network(ground: Ground) -> Outcome:
    """Without BatchNorm at a small rate, gradients hardly change within a block: the table predicts nearly all."""
    return _prescreen(ground, perceptron("silu"), "plain")


def norm_network(ground: Ground) -> Outcome:
    """With BatchNorm, for comparison."""
    return _prescreen(ground, convolution(), "norm")


def _prescreen(ground: Ground, layers: tuple[dict[str, object], ...], purpose: str) -> Outcome:
    bits, identities = ground.pick(5, 8, 10), ground.pick(8, 32, 64)
    network = FlatNetwork.genesis(ground.manifest(layers, learning_rate=_RATE), ground.seed)
    train(ground, network, 100, ground.generator(purpose))
    started = time.perf_counter()
    table = row_gradients(ground, network).numpy()
    table_s = time.perf_counter() - started
    honest = honest_miner(ground, network, ground.pick(50, 300, 2000))
    step_s = 1 / measure(honest, honest).honest_per_s
    gains, looking_s = {}, 0.0
    for first_step in (1, 64, 2**bits):
        plan, spent = Plan(bits, identities, first_step), []
        for number in range(ground.pick(3, 4, 10)):
            started = time.perf_counter()
            promises = _promises(ground, network, table, plan, f"{purpose} {number}")
            looking_s = time.perf_counter() - started
            spent.append(_work_off(ground, network, promises, plan, f"{purpose} {number}"))
        gains[first_step] = plan.honest_steps / float(np.mean(spent))
    honest_s = 2.0**bits * step_s
    attacker_s = honest_s / gains[1] + table_s + looking_s
    note = ", ".join(f"{gain:.1f}x with minStep {first}" for first, gain in gains.items())
    return Outcome(
        defended=gains[64] <= 1.1,
        evidence=f"{identities} bonds, D={bits}, in steps: {note}; predicting takes {table_s + looking_s:.2f} s",
        figures={
            "gain": gains[1],
            "gain_at_64": gains[64],
            "gain_at_mean": gains[2**bits],
            "identities": identities,
            "honest_per_s": 1 / step_s,
            "attacker_per_s": 2.0**bits / attacker_s,
            "speed_up": honest_s / attacker_s,
        },
    )


@dataclass(frozen=True)
class Promise:
    """A step that the table expects to be a block."""

    identity: int
    step: int
    chance: float


def _promises(
    ground: Ground, network: FlatNetwork, table: NDArray[np.float32], plan: Plan, purpose: str
) -> list[Promise]:
    """Best first: the chance of a block per real step that it takes to get there."""
    found = []
    for identity in range(plan.identities):
        draws = _draws(ground, network, plan, purpose, identity)
        wanted, weights = draws.directions[:, : plan.bits], draws.weights[:, : plan.bits]
        rows = table[draws.batches.numpy()[:, :, None], weights[:, None, :]]
        likely = -rows.mean(axis=1) * wanted / np.abs(rows).mean(axis=1).clip(1e-12)
        chances = (0.5 + 0.5 * np.tanh(4 * likely)).prod(axis=1)
        found += [Promise(identity, plan.first_step + at, float(chance)) for at, chance in enumerate(chances)]
    return sorted(found, key=lambda promise: promise.chance / promise.step, reverse=True)


def _work_off(ground: Ground, network: FlatNetwork, promises: list[Promise], plan: Plan, purpose: str) -> int:
    """Real steps until one of the promises is kept; every step on the way counts as a try, too."""
    start, done, spent = network.snapshot(), dict[int, tuple[int, Snapshot]](), 0
    for promise in promises:
        reached, state = done.get(promise.identity, (0, start))
        if promise.step <= reached:
            continue
        if spent > _PATIENCE * plan.honest_steps:
            break  # counted as if a block had been found here, in the attacker's favour
        network.restore(state)
        miner, steps = ground.address(promise.identity), promise.step - reached
        draws = Draws.of(network, ground.samples, ground.hash(purpose), miner, reached + 1, steps)
        moved = follow(ground, network, draws)[:, : plan.bits]
        is_block = (moved * draws.directions[:, : plan.bits] > 0).all(axis=1)
        is_block[: max(0, plan.first_step - reached - 1)] = False
        if is_block.any():
            network.restore(start)
            return spent + int(np.argmax(is_block)) + 1
        spent += steps
        done[promise.identity] = (promise.step, network.snapshot())
    network.restore(start)
    return spent


def _draws(ground: Ground, network: FlatNetwork, plan: Plan, purpose: str, identity: int) -> Draws:
    miner = ground.address(identity)
    return Draws.of(network, ground.samples, ground.hash(purpose), miner, plan.first_step, plan.ahead)


def address_grinding(ground: Ground) -> Outcome:
    """Thousands of fresh addresses at step 1, where all share the same weights and one table tells who wins.

    Whoever enrols after the header is refused (EnrolledTooLate), so addresses are chosen before its hash is known.
    """
    bits, numbers = ground.pick(5, 8, 10), iter(range(1 << 40))
    network = FlatNetwork.genesis(ground.manifest(perceptron("silu"), learning_rate=_RATE), ground.seed)
    table, winners, tries = row_gradients(ground, network), list[int](), ground.pick(400, 1000, 10_000)

    def grind() -> int:
        chosen = (next(numbers) for _ in range(tries))
        winners.extend(number for number in chosen if _wins_at_once(ground, network, table, "known", number, bits))
        return tries

    rates = measure(honest_miner(ground, network, ground.pick(50, 300, 2000)), grind)
    later = sum(_wins_at_once(ground, network, table, "header", number, bits) for number in winners)
    return Outcome(
        defended=later < len(winners) / 2,
        evidence=f"of {len(winners)} addresses that win at step 1 under a known hash (D={bits}), {later} win under "
        "the header fixed after they enrolled",
        figures={
            "gain": later / max(1, len(winners)) * 2**bits,
            "winners": len(winners),
            "addresses_per_s": rates.attacker_per_s,
        },
    )


def _wins_at_once(ground: Ground, network: FlatNetwork, table: Tensor, header: str, number: int, bits: int) -> bool:
    draws = Draws.of(network, ground.samples, ground.hash(header), ground.address(number), 1, 1)
    change = -table[draws.batches[0]][:, draws.weights[0, :bits]].sum(dim=0).numpy()
    return bool((change * draws.directions[0, :bits] > 0).all())


ATTACKS = [
    Attack(
        "hardened-prescreened-identities",
        FAMILY,
        "train only the bonded identity that a table predicts to win",
        plain_network,
        is_known_limit=True,
    ),
    Attack("hardened-prescreened-norm", FAMILY, "the same with BatchNorm in the network, minStep 64", norm_network),
    Attack("hardened-address-grinding", FAMILY, "fresh addresses until one wins at step 1", address_grinding),
]
