"""Attacks on the hardened rules that do the same work faster, do less work, or choose among several blocks."""

import numpy as np
import torch
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from numpy.typing import NDArray
from torch import Tensor

from attacks.gradient.ground import (
    MINER,
    Ground,
    batch_of,
    follow,
    honest_miner,
    measure,
    perceptron,
    take_step,
    train,
)
from attacks.gradient.hardened import FAMILY, requirement_draws
from attacks.gradient.rowtable import row_gradients, stacked_gradients
from attacks.record import Attack, Outcome
from pole.errors import ManifestInvalid
from pole.gradient.network import FlatNetwork, Snapshot
from pole.gradient.requirements import coordinates, directions, step_requirements
from pole.gradient.rules import sign_digest
from pole.gradient.startup import check_startup
from pole.gradient.trajectory import Draws
from pole.gradient.verification import drift

_BITS = 4
_WINDOW = 16


def unmoved(ground: Ground) -> Outcome:
    """The networks that pay under the published rules: an unmoved weight is a violation, dead units are refused."""
    manifest = ground.manifest(perceptron("relu"), learning_rate=0.01)
    network, generator = FlatNetwork.genesis(manifest, ground.seed), ground.generator("unmoved")
    steps, tries, valid = ground.pick(60, 300, 2000), 20, 0
    draws = requirement_draws(ground, "unmoved", steps * tries, network.weight_count).numpy()
    for step in range(steps):
        take_step(ground, network, batch_of(ground, generator))
        for draw in draws[step * tries : (step + 1) * tries]:
            last = network.last_step(coordinates(draw))
            digest = sign_digest(last.changes, directions(draw), 2 * manifest.margin * last.rms)
            valid += digest < (1 << 24) >> _BITS
    gain = valid / (steps * tries) * 2**_BITS
    dead = FlatNetwork.genesis(manifest, ground.seed)
    with torch.no_grad():
        dead.parameters[0][32:] = 0
        dead.parameters[1][32:] = -1
    refusal = _refusal(ground, dead)
    return Outcome(
        defended=gain <= 1.1 and bool(refusal),
        evidence=f"ReLU, D={_BITS}: {valid} of {steps * tries} steps where 2^-D gives {steps * tries / 2**_BITS:.0f}; "
        f"half of the units dead: refused at the start: {bool(refusal)}",
        figures={"gain": gain},
    )


def parallel_steps(ground: Ground) -> Outcome:
    """Steps of one trajectory side by side: guess all its weights, take all gradients there, add up, repeat.

    Converges since steps are small (Picard iteration). Every candidate still takes at least one gradient.
    """
    network = FlatNetwork.genesis(ground.manifest(perceptron("silu")), ground.seed)
    train(ground, network, 100, ground.generator("parallel"))
    start, draws = network.snapshot(), _first_draws(ground, network, 0, _WINDOW)
    follow(ground, network, draws)
    exact = network.weights.clone()
    network.restore(start)
    rounds, error = 0, float("inf")
    while error > network.manifest.replay_tolerance / 4 and rounds < _WINDOW:
        rounds += 1
        error = _error(network, start, exact, _picard(ground, network, draws, rounds))

    def work() -> int:
        _picard(ground, network, draws, rounds)
        return _WINDOW

    rates = measure(honest_miner(ground, network, ground.pick(20, 200, 1000)), work)
    gain = 1 / rounds
    return Outcome(
        defended=error <= network.manifest.replay_tolerance and gain <= 1.1,
        evidence=f"{_WINDOW} steps at once pass as replayed after {rounds} rounds: {rounds} gradients per candidate",
        figures={
            "gain": gain,
            "rounds": rounds,
            "honest_per_s": rates.honest_per_s,
            "attacker_per_s": rates.attacker_per_s,
            "speed_up": rates.attacker_per_s / rates.honest_per_s,
        },
    )


def linear_segments(ground: Ground) -> Outcome:
    """Checkpoints added up from a table of gradients at the segment's start, instead of training to them."""
    seen = []
    for rate in (0.001, 0.01):
        network = FlatNetwork.genesis(ground.manifest(perceptron("silu"), learning_rate=rate), ground.seed)
        train(ground, network, 100, ground.generator("linear"))
        start, steps = network.snapshot(), network.manifest.checkpoint_interval
        draws, table = _first_draws(ground, network, 0, steps), row_gradients(ground, network)
        guessed = start.weights - rate * sum(table[batch].mean(dim=0) for batch in draws.batches.unbind())
        follow(ground, network, draws)
        seen.append(_error(network, start, network.weights, guessed))
    tolerance = network.manifest.replay_tolerance
    return Outcome(
        defended=min(seen) > tolerance,
        evidence=f"{steps} steps miss by {seen[0]:.2f} (rate 0.001) and {seen[1]:.2f} (rate 0.01) of the movement; "
        f"tolerance {tolerance}",
        figures={"gain": float(min(seen) <= tolerance), "least_error": min(seen), "tolerance": tolerance},
    )


def within_tolerance(ground: Ground) -> Outcome:
    """A checkpoint doctored as far as replays forgive, in the direction that turns one violated bit round.

    The direction is that of the bit's own second derivatives, which is the best that a small change can do.
    """
    network = FlatNetwork.genesis(ground.manifest(perceptron("silu"), learning_rate=0.01), ground.seed)
    train(ground, network, 100, ground.generator("tolerance"))
    start, steps = network.snapshot(), network.manifest.checkpoint_interval
    follow(ground, network, _first_draws(ground, network, 0, steps))
    checkpoint = network.snapshot()
    allowed = _allowed(network, start, checkpoint)
    turned, tried, generator = 0, 0, ground.generator("bits")
    for number in range(ground.pick(40, 200, 1000)):
        batch = batch_of(ground, generator)
        draw = step_requirements(ground.hash("bits"), MINER, number + 1, 1, 24, network.weight_count)[0]
        is_met = _bits(ground, network, checkpoint, batch, draw)
        for bit in np.flatnonzero(~is_met)[:1]:
            doctored = _doctored(ground, network, checkpoint, batch, int(draw[bit]), allowed)
            turned += bool(_bits(ground, network, doctored, batch, draw)[bit])
            tried += 1
    share = turned / tried
    # A step with exactly one violation among the first D bits becomes a block if that bit can be turned.
    gains = {bits: 1 + bits * share for bits in (8, 12)}
    return Outcome(
        defended=gains[8] <= 1.1,
        evidence=f"{turned} of {tried} violated bits can be turned; near misses become blocks: {gains[8]:.2f}x at D=8, "
        f"{gains[12]:.2f}x at D=12",
        figures={"gain": gains[8], "gain_at_12": gains[12], "turned_share": share},
    )


def withholding(ground: Ground) -> Outcome:
    """Holding back a block for the choice among several of one's own, which should favour the next height."""
    bits = 5
    network = FlatNetwork.genesis(ground.manifest(perceptron("silu"), learning_rate=0.01), ground.seed)
    steps = ground.pick(400, 2000, 20_000)
    draws = _first_draws(ground, network, 0, steps)
    moved = follow(ground, network, draws)[:, :bits]
    blocks = np.flatnonzero((moved * draws.directions[:, :bits] > 0).all(axis=1)) + 1
    gain = float(len(blocks) // 2) / len(blocks)
    hashes = [keccak(encode(["bytes32", "bytes32"], [ground.hash("proposal"), anchor])) for anchor in _anchors(ground)]
    first, second = (_miner_draw(each, network.weight_count) for each in hashes)
    return Outcome(
        defended=gain <= 1.1 and not np.array_equal(first, second),
        evidence=f"{len(blocks)} blocks in {steps} steps; the choice of two costs both, and the next "
        "draws depend on the hash of a later Ethereum block",
        figures={"gain": gain},
    )


def vanishing_rate(ground: Ground) -> Outcome:
    """A learning rate so small that a segment which was never trained looks like rounding; may a client offer it?"""
    accepted, refused, rates = 0, 0, [10.0**exponent for exponent in range(-3, -9, -1)]
    for rate in rates:
        network = FlatNetwork.genesis(ground.manifest(perceptron("silu"), learning_rate=rate), ground.seed)
        start = network.snapshot()
        follow(ground, network, _first_draws(ground, network, 0, network.manifest.checkpoint_interval))
        if _error(network, start, network.weights, start.weights) <= network.manifest.replay_tolerance:
            accepted += 1
            network.restore(start)
            refused += bool(_refusal(ground, network))
    return Outcome(
        defended=accepted == refused,
        evidence=f"untrained segments pass at {accepted} of {len(rates)} rates from {rates[0]:g} to {rates[-1]:g}; "
        f"{refused} of these networks are refused at the start",
        figures={"gain": float(accepted - refused)},
    )


def _error(network: FlatNetwork, start: Snapshot, replayed: Tensor, published: Tensor) -> float:
    """How far weights are from replayed ones, as a verifier measures it."""
    states = (Snapshot(weights, start.buffers, start.counters) for weights in (replayed, published))
    return drift(network, start, *states)


def _anchors(ground: Ground) -> tuple[bytes, bytes]:
    return ground.hash("one anchor"), ground.hash("another anchor")


def _miner_draw(previous_hash: bytes, weight_count: int) -> NDArray[np.int64]:
    return step_requirements(previous_hash, MINER, 1, 1, 24, weight_count)


def _refusal(ground: Ground, network: FlatNetwork) -> str:
    try:
        check_startup(network, ground.samples)
    except ManifestInvalid as exc:
        return str(exc)
    return ""


def _first_draws(ground: Ground, network: FlatNetwork, identity: int, steps: int) -> Draws:
    return Draws.of(network, ground.samples, ground.hash("work"), ground.address(identity), 1, steps)


def _picard(ground: Ground, network: FlatNetwork, draws: Draws, rounds: int) -> Tensor:
    """Weights after the last step, as these rounds find them, float32 [weights]."""
    batches, rate = draws.batches, network.manifest.learning_rate
    x, y = ground.samples.train_x[batches], ground.samples.train_y[batches]
    before = network.weights.expand(len(batches), -1).clone()
    for _ in range(rounds):
        after = network.weights - rate * stacked_gradients(network, before, x, y).cumsum(dim=0)
        before = torch.cat([network.weights[None], after[:-1]])
    return after[-1]


def _allowed(network: FlatNetwork, start: Snapshot, end: Snapshot) -> Tensor:
    """How far each weight of a checkpoint may be off, [weights]."""
    allowed = torch.empty_like(end.weights)
    for part in network.weight_parts:
        piece = slice(part.start, part.end)
        allowed[piece] = (end.weights[piece] - start.weights[piece]).square().mean().sqrt()
    return allowed * network.manifest.replay_tolerance * 0.9


def _bits(
    ground: Ground, network: FlatNetwork, state: Snapshot, batch: Tensor, draw: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which requirements this step satisfies by the verifier's margin, [24]."""
    network.restore(state)
    take_step(ground, network, batch)
    last = network.last_step(coordinates(draw))
    met: NDArray[np.bool_] = last.changes * directions(draw) > network.manifest.margin * last.rms
    return met


def _doctored(
    ground: Ground, network: FlatNetwork, state: Snapshot, batch: Tensor, requirement: int, allowed: Tensor
) -> Snapshot:
    """The checkpoint, moved as far as allowed so that this requirement's gradient changes most in its favour."""
    network.restore(state)
    samples = ground.samples
    loss = torch.nn.functional.cross_entropy(network.model(samples.train_x[batch]), samples.train_y[batch])
    gradients = torch.autograd.grad(loss, network.parameters, create_graph=True)
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    second = torch.autograd.grad(flat[requirement >> 1], network.parameters, allow_unused=True)
    curvature = torch.cat(
        [
            torch.zeros(parameter.numel()) if each is None else each.reshape(-1)
            for parameter, each in zip(network.parameters, second, strict=True)
        ]
    )
    wanted = 1 - 2 * (requirement & 1)
    return Snapshot(state.weights - wanted * allowed * curvature.sign(), state.buffers, state.counters)


ATTACKS = [
    Attack("hardened-unmoved-weights", FAMILY, "weights that do not move, dead units included", unmoved),
    Attack("hardened-linear-segments", FAMILY, "add up a segment from a table", linear_segments),
    Attack("hardened-within-tolerance", FAMILY, "doctor a checkpoint within the tolerance", within_tolerance),
    Attack("hardened-vanishing-rate", FAMILY, "publish segments that were never trained, as rounding", vanishing_rate),
    Attack("hardened-withholding", FAMILY, "choose among one's own blocks", withholding),
    Attack("hardened-parallel-steps", FAMILY, "many steps of one trajectory at once", parallel_steps),
]
