"""What a round is worth to a miner that could work on several."""

from miner.learning.assignment import RoundTerms
from pole.chain.structs import Phase, Round


def worth(current: Round, terms: RoundTerms, now_s: int) -> float:
    """Wei of reward per second of own work, which lasts until commits close; idle rounds pay none.

    0 where enough others have committed and commits may close at any moment.
    """
    is_enough = current.phase is Phase.TRAINING and current.qualified_count >= terms.solutions_wanted
    end_s = min(current.deadline, current.earliest_close_at) if is_enough else current.deadline
    return terms.reward_wei / (end_s - now_s) if end_s > now_s else 0.0
