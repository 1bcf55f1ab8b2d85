"""How a round ended for a miner, in words."""

from miner.display import percent
from pole.chain.contracts.learning_chain import Ledger
from pole.chain.structs import Phase, Round
from pole.money import wei_to_ether


def outcome_of(ledger: Ledger, the_round: Round, miner: str) -> str:
    """One sentence about an ended round, from the chain alone."""
    index = ledger.submission_index(the_round.round_id, miner)
    if the_round.phase is not Phase.FINALISED:
        reason = the_round.abort_reason.name.lower().replace("_", " ")
        return f"ended without a block: {reason}"
    header = ledger.header(the_round.height)
    block = f"block {the_round.height} ({percent(header.train_ppm)} train, {percent(header.test_ppm)} test accuracy)"
    if header.winner == miner:
        reward_wei = 0 if the_round.is_idle else ledger.task(the_round.task_id).reward_wei
        tokens = wei_to_ether(ledger.chain_parameters().winner_reward)  # it has ether's 18 decimals
        return f"I won {block}, {wei_to_ether(reward_wei)} ether and {tokens} LEARN"
    if index is None:
        return f"{block} went to {header.winner}; I had not committed"
    for ommer in ledger.ommers(the_round.height):
        if ommer.miner == miner:
            return f"{block} went to {header.winner}; mine is an ommer with {percent(ommer.test_ppm)} test accuracy"
    if not ledger.submissions(the_round.round_id)[index].is_revealed:
        return f"{block} went to {header.winner}; I did not reveal and lost my bond"
    return f"{block} went to {header.winner}; I lost"
