"""Attacks on the published rules that rename hidden units after the step, so that R holds; the function is the same."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

from attacks.gradient.ground import MINER, Ground, batch_of, measure, perceptron, take_step, train
from attacks.gradient.paper import FAMILY, honest_search
from attacks.record import Attack, Outcome
from pole.gradient.claim import BlockClaim
from pole.gradient.network import FlatNetwork, Snapshot
from pole.gradient.proof import publish_paper
from pole.gradient.requirements import coordinates, directions, paper_requirements
from pole.gradient.rules import check_requirements
from pole.gradient.trajectory import PaperCandidate
from pole.gradient.verification import verify

_FEW, _MANY = 8, 32


@dataclass(frozen=True)
class Renaming:
    """Position h is taken by unit `units[h]`, its weights multiplied by `signs[h]`."""

    units: NDArray[np.int64]
    signs: NDArray[np.float32]


def permutation(ground: Ground) -> Outcome:
    """One honest step of a ReLU network, then 64! orders of its hidden units to choose from."""
    return _rename(ground, "relu", has_signs=False)


def sign_symmetry(ground: Ground) -> Outcome:
    """tanh is odd: a unit's weights may be negated as well, in and out."""
    return _rename(ground, "tanh", has_signs=True)


def _rename(ground: Ground, activation: str, has_signs: bool) -> Outcome:
    manifest = ground.manifest(perceptron(activation), rules="paper", requirement_count=_FEW, learning_rate=0.01)
    network = FlatNetwork.genesis(manifest, ground.seed)
    train(ground, network, 100, ground.generator("before renaming"))
    step = _improving_step(ground, network)
    tries, found = ground.pick(20, 20, 200), {}
    for count in (_FEW, _MANY):
        draws = [
            paper_requirements(ground.hash(f"{activation} {number}"), count, network.weight_count)
            for number in range(tries)
        ]
        found[count] = sum(_is_met(network, step, draw, has_signs) for draw in draws)
    wanted = ground.hash(f"{activation} 0")
    is_accepted = _is_accepted(ground, network, step, wanted, has_signs)
    draw = paper_requirements(wanted, _FEW, network.weight_count)
    rates = measure(
        honest_search(ground, network, draw.tolist()),
        lambda: sum(_is_met(network, step, draw, has_signs) for _ in "x" * 20),
    )
    gain = found[_FEW] / tries * 2**_FEW
    return Outcome(
        defended=gain <= 1.1 or not is_accepted,
        evidence=f"from one step: |R|={_FEW} met {found[_FEW]} of {tries} times, |R|={_MANY} {found[_MANY]} times; "
        f"accepted by Algorithm 2: {is_accepted}",
        figures={
            "gain": gain,
            "honest_per_s": rates.honest_per_s,
            "attacker_per_s": rates.attacker_per_s * gain,
            "speed_up": rates.attacker_per_s * gain / rates.honest_per_s,
            "few_share": found[_FEW] / tries,
            "many_share": found[_MANY] / tries,
        },
    )


def _improving_step(ground: Ground, network: FlatNetwork) -> PaperCandidate:
    """The first honest step after which test accuracy is higher, as Algorithm 2 asks."""
    generator = ground.generator("improving step")
    while True:
        before, accuracy, batch = network.snapshot(), network.test_ppm(ground.samples), batch_of(ground, generator)
        take_step(ground, network, batch)
        if network.test_ppm(ground.samples) > accuracy:
            return PaperCandidate(tuple(batch.tolist()), before, network.snapshot())


def _is_met(network: FlatNetwork, step: PaperCandidate, draw: NDArray[np.int64], has_signs: bool) -> bool:
    renaming = _match(network, (step.after.weights - step.before.weights).numpy(), draw, has_signs)
    before, after = (_renamed(network, state, renaming).weights.numpy() for state in (step.before, step.after))
    return check_requirements(before, after, draw.tolist())


def _is_accepted(
    ground: Ground, network: FlatNetwork, step: PaperCandidate, previous_hash: bytes, has_signs: bool
) -> bool:
    """Publishes the renamed step and has it verified."""
    draw = paper_requirements(previous_hash, _FEW, network.weight_count)
    renaming = _match(network, (step.after.weights - step.before.weights).numpy(), draw, has_signs)
    renamed = PaperCandidate(
        step.batch, _renamed(network, step.before, renaming), _renamed(network, step.after, renaming)
    )
    published = publish_paper(ground.store, network, renamed)
    claim = BlockClaim(previous_hash, published.weights, MINER, 0, 0, 1, published.proof, published.weights)
    return verify(FlatNetwork(network.manifest), ground.samples, ground.store, claim).is_valid


def _match(network: FlatNetwork, moved: NDArray[np.float32], draw: NDArray[np.int64], has_signs: bool) -> Renaming:
    """Gives each position a unit that moved as the position must, as far as there are enough."""
    slots = _by_unit(network, moved)
    wanted = _by_unit(network, _demands(network, draw))
    unmet = {sign: ((slots[None] * wanted[:, None] * sign) < 0).sum(axis=2) for sign in (1, -1)}
    cost = np.minimum(unmet[1], unmet[-1]) if has_signs else unmet[1]
    _, units = linear_sum_assignment(cost)
    positions = np.arange(len(units))
    is_negated = has_signs & (unmet[-1][positions, units] < unmet[1][positions, units])
    return Renaming(units, np.where(is_negated, -1, 1).astype(np.float32))


def _demands(network: FlatNetwork, draw: NDArray[np.int64]) -> NDArray[np.float32]:
    flat = np.zeros(network.weight_count, dtype=np.float32)
    flat[coordinates(draw)] = directions(draw)
    return flat


def _by_unit(network: FlatNetwork, flat: NDArray[np.float32]) -> NDArray[np.float32]:
    """A hidden unit's weights in one row: in, bias, out; [hidden, slots]."""
    parts = [flat[part.start : part.end].reshape(part.shape) for part in network.weight_parts]
    return np.concatenate([parts[0], parts[1][:, None], parts[2].T], axis=1)


def _renamed(network: FlatNetwork, state: Snapshot, renaming: Renaming) -> Snapshot:
    units, signs = torch.from_numpy(renaming.units), torch.from_numpy(renaming.signs)
    parts = [state.weights[part.start : part.end].view(part.shape) for part in network.weight_parts]
    renamed = (parts[0][units] * signs[:, None], parts[1][units] * signs, parts[2][:, units] * signs, parts[3])
    return Snapshot(torch.cat([part.reshape(-1) for part in renamed]), state.buffers, state.counters)


ATTACKS = [
    Attack("paper-permutation", FAMILY, "reorder the hidden units after one step until R holds", permutation),
    Attack("paper-sign-symmetry", FAMILY, "negate units of an odd activation as well", sign_symmetry),
]
