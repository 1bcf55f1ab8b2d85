"""Signed transactions in the journal, from planned to mined."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from pole.journal.database import Database


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


_STATE_OF_THE_OTHERS = {
    TransactionState.MINED: (TransactionState.SENT, TransactionState.REPLACED),
    TransactionState.REVERTED: (TransactionState.SENT, TransactionState.REPLACED),
    TransactionState.REPLACED: (TransactionState.SENT, TransactionState.REPLACED),
    TransactionState.SENT: (TransactionState.REPLACED, TransactionState.SENT),
}
"""When a transaction ends like this: which state its replacements (same key and nonce) leave, and for which."""


@dataclass(frozen=True)
class SignedTransaction:
    """One transaction for a key, the `number`th; `nonce`, `hash` and `raw` are None while it is only planned."""

    key: str
    number: int
    state: TransactionState
    description: str
    nonce: int | None
    hash: str | None
    raw: bytes | None
    block_number: int | None


class TransactionJournal:
    """Every transaction of an account, by the key that says what it is for; written before a node sees it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Only one process at a time chooses a nonce and broadcasts; others wait here."""
        with self._database.alone("sending"):
            yield

    def newest(self, key: str) -> SignedTransaction | None:
        """The transaction under `key` that counts: the newest that is sent or mined, else the newest."""
        alive = (TransactionState.SENT, TransactionState.MINED)
        found = self._select("WHERE key = ? ORDER BY state IN (?, ?) DESC, attempt DESC LIMIT 1", key, *alive)
        return found[0] if found else None

    def all_of(self, key: str) -> list[SignedTransaction]:
        """All transactions under `key`, oldest first."""
        return self._select("WHERE key = ? ORDER BY attempt", key)

    def outstanding(self) -> list[SignedTransaction]:
        """Those that were signed and whose end is unknown, in order of their nonces; of replacements, the newest."""
        sent = self._select("WHERE state = ? ORDER BY nonce, attempt", TransactionState.SENT)
        return list({(each.key, each.nonce): each for each in sent}.values())

    def replacements_of(self, transaction: SignedTransaction) -> list[SignedTransaction]:
        """All that were signed for the same key and nonce, itself among them, newest first: one at most is mined."""
        return self._select(
            "WHERE key = ? AND nonce = ? AND raw IS NOT NULL ORDER BY attempt DESC", transaction.key, transaction.nonce
        )

    def mined_from(self, nonce: int) -> list[SignedTransaction]:
        """Those that were seen in a block, in vain or not, with this nonce or a later one."""
        ended = (TransactionState.MINED, TransactionState.REVERTED)
        return self._select("WHERE state IN (?, ?) AND nonce >= ? ORDER BY nonce", *ended, nonce)

    def plan(self, key: str, description: str) -> SignedTransaction:
        """Open the next transaction under `key`; one that was only planned is taken up again."""
        last = self.newest(key)
        if last is not None and last.state is TransactionState.PLANNED:
            return last
        with self._database.errors():
            [number] = self._database.connection.execute(
                "INSERT INTO transactions (key, attempt, state, description) "
                "SELECT ?, COALESCE(MAX(attempt), 0) + 1, ?, ? FROM transactions WHERE key = ? RETURNING attempt",
                (key, TransactionState.PLANNED, description, key),
            ).fetchone()
        return SignedTransaction(key, number, TransactionState.PLANNED, description, None, None, None, None)

    def sign(self, planned: SignedTransaction, nonce: int, transaction_hash: str, raw: bytes) -> SignedTransaction:
        """Store the signed transaction; only then may it be broadcast."""
        with self._database.errors():
            self._database.connection.execute(
                "UPDATE transactions SET state = ?, nonce = ?, hash = ?, raw = ? WHERE key = ? AND attempt = ?",
                (TransactionState.SENT, nonce, transaction_hash, raw, planned.key, planned.number),
            )
        return self._select("WHERE key = ? AND attempt = ?", planned.key, planned.number)[0]

    def replace(self, transaction: SignedTransaction, transaction_hash: str, raw: bytes) -> SignedTransaction:
        """Store another signed transaction for the same key and nonce; only then may it be broadcast."""
        with self._database.errors():
            [number] = self._database.connection.execute(
                "INSERT INTO transactions (key, attempt, state, description, nonce, hash, raw) "
                "SELECT key, MAX(attempt) + 1, ?, ?, ?, ?, ? FROM transactions WHERE key = ? RETURNING attempt",
                (
                    TransactionState.SENT,
                    transaction.description,
                    transaction.nonce,
                    transaction_hash,
                    raw,
                    transaction.key,
                ),
            ).fetchone()
        return self._select("WHERE key = ? AND attempt = ?", transaction.key, number)[0]

    def settle(self, transaction: SignedTransaction, state: TransactionState, block_number: int | None = None) -> None:
        """Record how a transaction ended (or, after a reorg, that it has not), and with it its replacements."""
        others = _STATE_OF_THE_OTHERS.get(state)
        with self._database.errors(), self._database.at_once():
            self._database.connection.execute(
                "UPDATE transactions SET state = ?, block_number = ? WHERE key = ? AND attempt = ?",
                (state, block_number, transaction.key, transaction.number),
            )
            if others is not None:
                self._database.connection.execute(
                    "UPDATE transactions SET state = ?, block_number = NULL "
                    "WHERE key = ? AND nonce = ? AND attempt <> ? AND state = ?",
                    (others[1], transaction.key, transaction.nonce, transaction.number, others[0]),
                )

    def _select(self, where: str, *values: object) -> list[SignedTransaction]:
        columns = "key, attempt, state, description, nonce, hash, raw, block_number"
        with self._database.errors():
            rows = self._database.connection.execute(
                f"SELECT {columns} FROM transactions {where}",  # noqa: S608 (constant text)
                values,
            ).fetchall()
        return [SignedTransaction(row[0], row[1], TransactionState(row[2]), *row[3:]) for row in rows]
