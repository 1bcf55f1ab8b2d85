"""Signed transactions in the journal, from planned to mined."""

from dataclasses import dataclass
from enum import StrEnum

_UNSETTLED = "WHERE state = ? ORDER BY nonce, attempt"


class TransactionState(StrEnum):
    """`planned`: about to be signed. `sent`: signed, perhaps broadcast. `mined`: succeeded. `reverted`: mined in vain.
    `replaced`: its nonce went to another transaction, maybe to its own replacement at a higher fee. `refused`: the
    node would not take it.
    """

    PLANNED = "planned"
    SENT = "sent"
    MINED = "mined"
    REVERTED = "reverted"
    REPLACED = "replaced"
    REFUSED = "refused"


_FATE_OF_THE_FAMILY = {
    TransactionState.MINED: (TransactionState.SENT, TransactionState.REPLACED),
    TransactionState.REVERTED: (TransactionState.SENT, TransactionState.REPLACED),
    TransactionState.REPLACED: (TransactionState.SENT, TransactionState.REPLACED),
    TransactionState.SENT: (TransactionState.REPLACED, TransactionState.SENT),
}
"""When one ends like this: what the others of its family were, and what they become."""


@dataclass(frozen=True)
class Attempt:
    """One signed transaction for a key; `nonce`, `hash` and `raw` are None while only planned."""

    key: str
    attempt: int
    state: TransactionState
    description: str
    nonce: int | None
    hash: str | None
    raw: bytes | None
    block_number: int | None
