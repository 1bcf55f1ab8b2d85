"""What a miner takes on, on either chain."""

from dataclasses import dataclass

from pole.errors import BadInput


@dataclass(frozen=True)
class MinerLimits:
    """What the miner is willing to take on."""

    min_reward_wei: int
    max_data_bytes: int


class NotWorthIt(BadInput):
    """The miner's own limits speak against this round."""
