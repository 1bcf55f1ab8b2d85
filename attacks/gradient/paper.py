"""Shared by the attacks on the published rules: how many honest candidates a success is worth."""

from collections.abc import Callable

import numpy as np

from attacks.gradient.ground import Ground, Rates
from attacks.record import Outcome
from pole.gradient.network import FlatNetwork
from pole.gradient.trajectory import PaperSearch

FAMILY = "paper"
NO_RATES = Rates(0.0, 0.0)


def worth(gain: float, evidence: str, rates: Rates = NO_RATES, **figures: float) -> Outcome:
    """`gain`: in honest candidates per candidate of the attacker's, whose rates are those of `rates`.

    A candidate is worth 2^-|R|: a step that passes with probability q is as good as q * 2^|R| of them.
    """
    speed_up = gain * (rates.attacker_per_s / rates.honest_per_s if rates.honest_per_s else 1.0)
    return Outcome(
        defended=gain <= 1.1,
        evidence=evidence,
        figures={
            "gain": gain,
            "honest_per_s": rates.honest_per_s,
            "attacker_per_s": rates.attacker_per_s * gain,
            "speed_up": speed_up,
            **figures,
        },
    )


def honest_search(ground: Ground, network: FlatNetwork, requirements: list[int]) -> Callable[[], int]:
    """Work for `measure`: the core's Algorithm 1, from the network's present state each time."""
    steps, start = ground.pick(20, 300, 2000), network.snapshot()

    def work() -> int:
        network.restore(start)
        search = PaperSearch(network, ground.samples, np.array(requirements), ground.generator("honest"))
        for _ in range(steps):
            search.advance()
        network.restore(start)
        return steps

    return work
