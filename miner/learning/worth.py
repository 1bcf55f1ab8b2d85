"""What a round is worth to a miner that could work on several."""

from miner.learning.assignment import RoundTerms
from miner.learning.deadline import closing_s
from pole.chain.structs import Round


def worth(current: Round, terms: RoundTerms, now_s: int) -> float:
    """Wei of reward per second of own work, which lasts until commits close; idle rounds pay none.

    0 where enough others have committed and commits may close at any moment.
    """
    left_s = closing_s(current, terms.solutions_wanted) - now_s
    return terms.reward_wei / left_s if left_s > 0 else 0.0
