"""Attacks on the hardened rules by choosing among trajectories: of many bonded identities, and of altered checkpoints.

A miner cannot leave out steps, so foresight only helps to choose what to train. Each trajectory needs a bond, and an
enrolment before the previous header, whose hash all draws depend on.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attacks.gradient.foresight import Foresight, Look
from attacks.gradient.ground import Ground, convolution, perceptron, take_step, train
from attacks.gradient.hardened import FAMILY
from attacks.gradient.rowtable import row_gradients
from attacks.record import Attack, Outcome
from pole.gradient.network import FlatNetwork
from pole.gradient.startup import MIN_SURPRISE, measure_surprise
from pole.gradient.trajectory import first_eligible_step, seed_of

_RATE = 0.001
_LIKELY = 0.5

# The start-up check refuses shorter segments of the perceptron: at this rate, without batch normalisation, a table of
# gradients foretells where they lead to.
_PLAIN = {"learning_rate": _RATE, "checkpoint_interval": 256, "replay_tolerance": 0.0001}
_NORM = {"learning_rate": _RATE, "checkpoint_interval": 64}


@dataclass
class Runner:
    """One identity, and the segment that it would train next."""

    miner: str
    look: Look


def plain_network(ground: Ground) -> Outcome:
    """Without BatchNorm at a small rate, gradients hardly change within a block: a table predicts nearly all signs."""
    return _prescreen(ground, perceptron("silu"), _PLAIN, "plain")


def norm_network(ground: Ground) -> Outcome:
    """With BatchNorm, for comparison."""
    return _prescreen(ground, convolution(), _NORM, "norm")


def _prescreen(ground: Ground, layers: tuple[dict[str, Any], ...], changes: dict[str, Any], purpose: str) -> Outcome:
    bits, identities = ground.pick(8, 10, 10), ground.pick(4, 16, 32)
    network = FlatNetwork.genesis(ground.manifest(layers, **changes), ground.seed)
    train(ground, network, 100, ground.generator(purpose))
    table, mean = row_gradients(ground, network).numpy(), 2**bits
    firsts = {share: first_eligible_step(network.manifest, int(share * mean) or 1) for share in (0, 1 / 16, 1 / 4, 1)}
    miners, gains = [ground.address(each) for each in range(identities)], dict[int, tuple[float, float]]()
    for first in sorted(set(firsts.values())):
        spent = []
        for number in range(ground.pick(2, 8, 60)):
            foresight = Foresight(ground, network, table, ground.hash(f"{purpose} {number}"), bits)
            key = f"{purpose}, {identities} bonds, D={bits}, first step {first}, block {number}"
            spent.append(ground.counted(key, partial(_steps_to_a_block, foresight, miners, first)))
        gain = (first - 1 + mean) / float(np.mean(spent))
        gains[first] = gain, gain * float(np.std(spent) / np.mean(spent)) / max(1, len(spent) - 1) ** 0.5
    named = zip(("1", "a sixteenth of the mean", "a quarter", "one mean"), firsts.values(), strict=True)
    said = ", ".join(f"{gains[first][0]:.2f}x (+-{gains[first][1]:.2f}) with minStep {name}" for name, first in named)
    worst = max(gains[first][0] - 2 * gains[first][1] for first in gains)
    return Outcome(
        defended=worst <= 1.1,
        evidence=f"{identities} bonds, D={bits}, segments of {network.manifest.checkpoint_interval}, in steps: {said}",
        figures={
            "gain": max(gain for gain, _ in gains.values()),
            "least_gain": worst,
            "identities": identities,
            "blocks": len(spent),
        },
    )


def _steps_to_a_block(foresight: Foresight, miners: list[str], first: int) -> int:
    """Real steps until a block, by whoever always trains the segment with the best prospects."""
    network, start, spent = foresight.network, foresight.network.snapshot(), 0
    runners = [Runner(miner, foresight.look(miner, 0, None, start, first)) for miner in miners]
    hopes = {id(runner): _hope(foresight, runner, first) for runner in runners}
    while True:
        likely = [runner for runner in runners if runner.look.promise >= _LIKELY]
        runner = max(likely or runners, key=lambda each: each.look.promise + (0 if likely else hopes[id(each)]))
        took, is_block = _train(foresight, runner, first)
        spent += took
        if is_block:
            network.restore(start)
            return spent
        hopes[id(runner)] = _hope(foresight, runner, first)


def _hope(foresight: Foresight, runner: Runner, first: int) -> float:
    """What the segment after the next promises, if a table foretells it rightly; first those that come to their end."""
    look = runner.look
    end = foresight.foretold(look)
    behind = foresight.look(runner.miner, look.segment + 1, look.start, end, first)
    return behind.promise + (look.segment if (look.segment + 1) * foresight.interval < first - 1 else 0)


def _train(foresight: Foresight, runner: Runner, first: int) -> tuple[int, bool]:
    """The runner's segment, up to a block; else it stands at the next checkpoint, altered for the best of its seeds."""
    network, look = foresight.network, runner.look
    network.restore(look.start)
    wanted, weights = look.draws.directions[:, : foresight.bits], look.draws.weights[:, : foresight.bits]
    values = network.weights.numpy()
    for index, batch in enumerate(look.draws.batches.unbind()):
        before = values[weights[index]]
        take_step(foresight.ground, network, batch)
        is_block = bool(((values[weights[index]] - before) * wanted[index] > 0).all())
        if is_block and look.draws.first_step + index >= first:
            return index + 1, True
    segment = look.segment + 1
    ends = foresight.reachable(runner.miner, segment, look.start, network.snapshot())
    looks = [foresight.look(runner.miner, segment, look.start, end, first) for end in ends]
    runner.look = max(looks, key=lambda each: each.promise)
    return foresight.interval, False


def ground_checkpoints(ground: Ground) -> Outcome:
    """How many seeds an altered checkpoint can have, and how often a table foretells the next one."""
    seeds, right, count, notes = [], 0, 0, []
    for name, layers, changes in (("perceptron", perceptron("silu"), _PLAIN), ("convolution", convolution(), _NORM)):
        network = FlatNetwork.genesis(ground.manifest(layers, **changes), ground.seed)
        train(ground, network, 100, ground.generator(name))
        surprise = measure_surprise(network, ground.samples)
        table = row_gradients(ground, network).numpy()
        reached, known = _one_trajectory(ground, network, table, ground.pick(8, 40, 300))
        seeds.append(float(np.mean(reached)))
        right, count = right + known, count + len(reached)
        notes.append(f"{name} {seeds[-1]:.3f} seeds within reach, {known} of {len(reached)} foretold")
        assert surprise >= MIN_SURPRISE, surprise
    gain = max(seeds) * (1 + right / count)
    return Outcome(
        defended=gain <= 1.1,
        evidence=f"{'; '.join(notes)}; candidates per step at most {gain:.3f}x",
        figures={"gain": gain, "seeds": max(seeds), "foretold_share": right / count, "checkpoints": count},
    )


def _one_trajectory(
    ground: Ground, network: FlatNetwork, table: NDArray[np.float32], segments: int
) -> tuple[list[int], int]:
    """Seeds within reach at each checkpoint, and how many of the seeds were foretold one segment before."""
    foresight = Foresight(ground, network, table, ground.hash("ground"), 8)
    miner, before, reached, known = ground.address(0), None, list[int](), 0
    for segment in range(segments):
        look = foresight.look(miner, segment, before, network.snapshot(), 1)
        foretold = seed_of(network, foresight.previous_hash, miner, segment + 1, look.start, foresight.foretold(look))
        for batch in look.draws.batches.unbind():
            take_step(ground, network, batch)
        ends = foresight.reachable(miner, segment + 1, look.start, network.snapshot())
        found = {seed_of(network, foresight.previous_hash, miner, segment + 1, look.start, end) for end in ends}
        reached.append(len(found))
        known += foretold in found
        before = look.start
        foresight.table = row_gradients(ground, network).numpy()  # a fresh one for each segment, in its favour
    return reached, known


ATTACKS = [
    Attack(
        "hardened-prescreened-identities",
        FAMILY,
        "train only the bonded identity that a table predicts to win",
        plain_network,
    ),
    Attack("hardened-prescreened-norm", FAMILY, "the same with BatchNorm in the network", norm_network),
    Attack(
        "hardened-ground-checkpoints", FAMILY, "alter a checkpoint until its seed promises a block", ground_checkpoints
    ),
]
