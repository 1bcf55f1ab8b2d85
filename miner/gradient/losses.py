"""How many bonds a miner has lost so far, from the chain's events, none of which is read twice."""

from pole.node.context import RoleContext

_PIECE_BLOCKS = 10_000
_FINAL_AFTER_BLOCKS = 64
_KEY = "lost-bonds"


def lost_bonds(context: RoleContext) -> int:
    """Since the deployment; what is final is remembered, and an account that never sent anything has lost nothing."""
    client, journal = context.chain, context.journal
    if client.nonce(context.address) == 0:
        return 0
    newest = client.block_number()
    known = journal.recall(_KEY) or {"count": 0, "next_block": client.deployment.block_number}
    count, first = int(known["count"]), int(known["next_block"])
    final = newest - _FINAL_AFTER_BLOCKS
    while first <= newest:
        last = min(newest, first + _PIECE_BLOCKS - 1, final if first <= final else newest)
        count += len(client.logs("GradientChain", "MinerSlashed", first, last, miner=context.address))
        first = last + 1
        if last <= final:
            journal.remember(_KEY, {"count": count, "next_block": first})
    return count
