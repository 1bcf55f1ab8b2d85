"""How a round ended for a miner, in words."""

from miner.display import percent
from pole.chain.contracts import Contracts
from pole.chain.structs import Phase, Round


def outcome_of(contracts: Contracts, the_round: Round, miner: str) -> str:
    """One sentence about an ended round, from the chain alone."""
    index = contracts.learning_chain.submission_index(the_round.round_id, miner)
    if the_round.phase is not Phase.FINALISED:
        reason = the_round.abort_reason.name.lower().replace("_", " ")
        return f"ended without a block: {reason}"
    header = contracts.learning_chain.header(the_round.height)
    block = f"block {the_round.height} ({percent(header.train_ppm)} train, {percent(header.test_ppm)} test accuracy)"
    if header.winner == miner:
        reward_wei = 0 if the_round.is_idle else contracts.task_market.task(the_round.task_id).reward_wei
        issued = contracts.learning_chain.parameters().winner_reward
        return f"I won {block}, {reward_wei} wei and {issued} units of the token"
    if index is None:
        return f"{block} went to {header.winner}; I had not committed"
    for ommer in contracts.learning_chain.ommers(the_round.height):
        if ommer.miner == miner:
            return f"{block} went to {header.winner}; mine is an ommer with {percent(ommer.test_ppm)} test accuracy"
    if not contracts.learning_chain.submissions(the_round.round_id)[index].is_revealed:
        return f"{block} went to {header.winner}; I did not reveal and lost my bond"
    return f"{block} went to {header.winner}; I lost"
