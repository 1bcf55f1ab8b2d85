"""Attacks on the published rules that reuse a proof, which is not bound to miner, height or the chain's weights."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from attacks.gradient.ground import Ground, batch_of, measure, perceptron, take_step, train
from attacks.gradient.paper import FAMILY, honest_search, worth
from attacks.record import Attack, Outcome
from pole.gradient.claim import BlockClaim
from pole.gradient.network import FlatNetwork
from pole.gradient.proof import Published, publish_paper
from pole.gradient.requirements import coordinates, directions, paper_requirements
from pole.gradient.trajectory import PaperCandidate, PaperSearch
from pole.gradient.verification import verify

_COUNT = 6
_GROUND_COUNT = 10
_HEIGHTS = 20


def stolen_proof(ground: Ground) -> Outcome:
    """Another miner's proof, proposed under one's own address."""
    network = _network(ground)
    published, _ = next(_blocks(ground, network, ground.hash("stolen")))
    claim = _claim(ground.hash("stolen"), published, ground.address(1))
    victim, thief = (_is_valid(ground, network, replace(claim, miner=ground.address(each))) for each in (1, 2))
    return _free(victim and thief, f"valid for its miner: {victim}; for a thief without a single step: {thief}")


def foreign_weights(ground: Ground) -> Outcome:
    """W from nowhere: a block on top of a trained chain, made from untrained weights."""
    network = _network(ground)
    trained = network.snapshot()
    train(ground, network, 300, ground.generator("the chain"))
    previous, accuracy = ground.put_state(network), network.test_ppm(ground.samples)
    network.restore(trained)
    published, block = next(_blocks(ground, network, ground.hash("foreign")))
    claim = replace(_claim(ground.hash("foreign"), published, ground.address(1)), previous_weights=previous)
    is_valid = _is_valid(ground, network, claim)
    network.restore(block.after)
    after = network.test_ppm(ground.samples)
    return _free(
        is_valid and after < accuracy,
        f"accepted: {is_valid}; the chain's test accuracy falls from {accuracy / 1e6:.2f} to {after / 1e6:.2f}",
    )


def replayed_proof(ground: Ground) -> Outcome:
    """One proof for many heights: weights of which nearly nothing moves meet nearly every R."""
    network = _network(ground)
    for parameter in network.parameters:
        parameter.data.zero_()
    before, accuracy, generator = network.snapshot(), network.test_ppm(ground.samples), ground.generator("replay")
    while network.test_ppm(ground.samples) <= accuracy:
        network.restore(before)
        batch = batch_of(ground, generator)
        take_step(ground, network, batch)
    step = PaperCandidate(tuple(batch.tolist()), before, network.snapshot())
    published = publish_paper(ground.store, network, step)
    claims = [_claim(ground.hash(f"height {each}"), published, ground.address(1)) for each in range(_HEIGHTS)]
    valid = sum(_is_valid(ground, network, claim) for claim in claims)
    return _free(valid > _HEIGHTS // 2, f"one and the same proof is valid at {valid} of {_HEIGHTS} heights")


def address_grinding(ground: Ground) -> Outcome:
    """R bound to the miner's address as well, as a remedy against theft: fresh addresses are cheaper than steps."""
    network = _network(ground)
    before = network.weights.numpy().copy()
    take_step(ground, network, batch_of(ground, ground.generator("one step")))
    moved, hits, tried = network.weights.numpy() - before, 0, 0
    numbers = iter(range(1 << 40))

    def grind() -> int:
        nonlocal hits, tried
        addresses = ground.pick(4000, 20_000, 200_000)
        for _ in range(addresses):
            bound = hashlib.sha256(ground.hash("bound") + next(numbers).to_bytes(20, "big")).digest()
            draw = paper_requirements(bound, _GROUND_COUNT, network.weight_count)
            hits += bool((moved[coordinates(draw)] * directions(draw) >= 0).all())
        tried += addresses
        return addresses

    rates = measure(honest_search(ground, network, list(range(0, 2 * _GROUND_COUNT, 2))), grind)
    gain = hits / tried * 2**_GROUND_COUNT
    note = f"|R|={_GROUND_COUNT}: {hits} of {tried} addresses win with one and the same step"
    return replace(worth(gain, note, rates), defended=hits < 2)


def _network(ground: Ground) -> FlatNetwork:
    manifest = ground.manifest(perceptron("silu"), rules="paper", requirement_count=_COUNT, learning_rate=0.01)
    return FlatNetwork.genesis(manifest, ground.seed)


def _blocks(ground: Ground, network: FlatNetwork, previous_hash: bytes) -> Iterator[tuple[Published, PaperCandidate]]:
    """Honest blocks: Algorithm 1 until one also passes Algorithm 2's accuracy rule."""
    draw = paper_requirements(previous_hash, _COUNT, network.weight_count)
    search = PaperSearch(network, ground.samples, draw, ground.generator("honest block"))
    while True:
        candidate = search.advance()
        if candidate is None:
            continue
        published = publish_paper(ground.store, network, candidate)
        if _is_valid(ground, network, _claim(previous_hash, published, ground.address(1))):
            yield published, candidate


def _claim(previous_hash: bytes, published: Published, miner: str) -> BlockClaim:
    return BlockClaim(previous_hash, published.weights, miner, 0, 0, 1, published.proof, published.weights)


def _is_valid(ground: Ground, network: FlatNetwork, claim: BlockClaim) -> bool:
    return verify(FlatNetwork(network.manifest), ground.samples, ground.store, claim).is_valid


def _free(has_succeeded: bool, evidence: str) -> Outcome:
    """An attack that costs no candidate at all has no rate to compare."""
    return Outcome(not has_succeeded, evidence, {"gain": float(np.inf) if has_succeeded else 0.0})


ATTACKS = [
    Attack("paper-stolen-proof", FAMILY, "propose somebody else's proof", stolen_proof),
    Attack("paper-foreign-weights", FAMILY, "start from weights that are not the chain's", foreign_weights),
    Attack("paper-replayed-proof", FAMILY, "one proof for every height", replayed_proof),
    Attack("paper-address-grinding", FAMILY, "one step, many addresses, were R bound to them", address_grinding),
]
