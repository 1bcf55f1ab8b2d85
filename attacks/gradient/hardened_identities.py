"""Attacks on the hardened rules with fresh addresses: one table at the block's start tells who wins at once."""

from torch import Tensor

from attacks.gradient.ground import Ground, honest_miner, measure, perceptron
from attacks.gradient.hardened import FAMILY
from attacks.gradient.rowtable import row_gradients
from attacks.record import Attack, Outcome
from pole.gradient.network import FlatNetwork
from pole.gradient.trajectory import Draws

_RATE = 0.001


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
    Attack("hardened-address-grinding", FAMILY, "fresh addresses until one wins at step 1", address_grinding),
]
