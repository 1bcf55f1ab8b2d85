"""Whose turn it is to do what anybody may do, so that not all pay for the same step."""

from typing import TYPE_CHECKING

from pole.chain.client import Gateway
from pole.chain.contracts.learning_chain import Ledger
from pole.chain.structs import Round

if TYPE_CHECKING:
    pass


TURNS = 3


def turns(ledger: Ledger, latest: Round | None) -> int:
    """Over how many blocks so many participants spread what only one of them can do; a multiple of TURNS.

    Whoever loses a race pays for a transaction in vain, and the node runs each of them: about three a block is enough.
    """
    participants = len(ledger.seated()) + (latest.submission_count if latest else 0)
    return TURNS * max(1, participants // TURNS**2)


def is_my_turn(gateway: Gateway, slots: int = TURNS) -> bool:
    """Whether this block is the account's turn to do what anybody may do; see `advance_due`."""
    return slots <= 1 or (gateway.block_number() + int(gateway.address, 16)) % slots == 0
