"""An account's signed transactions at a node: broadcast, looked up, broadcast again, replaced at a higher fee.

Whatever is broadcast is in the journal before. A transaction and its replacements (same key, same nonce) differ in
their fees only, so whichever of them is mined, it happened once.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import structlog
from eth_account.signers.local import LocalAccount
from hexbytes import HexBytes
from web3 import Web3
from web3.exceptions import TransactionNotFound, Web3RPCError

from pole.chain.batch import together
from pole.chain.fees import FeePolicy, fees_of, gwei, with_fees
from pole.chain.node_errors import RevertDecoder, node_errors, raise_for_rpc_error, rpc_message
from pole.errors import InsufficientFunds, TransientChainError
from pole.journal.transactions import SignedTransaction, TransactionJournal, TransactionState

# It is there, or another one has its nonce: waiting for a receipt tells which.
_TAKEN = ("already known", "already imported", "nonce too low", "replacement")
_TOO_CHEAP = ("underpriced", "less than block base fee")

log = structlog.get_logger()


class Refused(TransientChainError):
    """The node will never take this signed transaction; a new one may be signed."""


class Underpriced(Refused):
    """It would take the same one at a higher fee."""


@dataclass(frozen=True)
class Head:
    """The latest block."""

    number: int
    base_fee_wei: int


@dataclass(frozen=True)
class AccountState:
    """`nonce`: the one that the next block can take; `pending_nonce`: behind what the node holds back."""

    nonce: int
    pending_nonce: int
    balance_wei: int
    base_fee_wei: int


class PendingTransactions:
    """For one account on one node. What sends or replaces must be called within `self._journal.sending()`."""

    def __init__(
        self,
        web3: Web3,
        account: LocalAccount,
        journal: TransactionJournal,
        decoder: RevertDecoder,
        fees: FeePolicy,
    ) -> None:
        self._web3 = web3
        self._account = account
        self._journal = journal
        self._decoder = decoder
        self.fees = fees

    # --- looking -----------------------------------------------------------------------------------------------------

    def state(self) -> AccountState:
        """What has to be known before a transaction is signed, in one request."""
        eth, address = self._web3.eth, self._account.address
        with node_errors(self._decoder, "reading the account"):
            nonce, count, balance, block = together(
                self._web3,
                [
                    lambda: eth.get_transaction_count(address, "latest"),
                    lambda: eth.get_transaction_count(address, "pending"),
                    lambda: eth.get_balance(address),
                    lambda: eth.get_block("latest"),
                ],
            )
        return AccountState(int(nonce), int(count), int(balance), int(block.get("baseFeePerGas", 0)))

    def head(self) -> Head:
        with node_errors(self._decoder, "reading the latest block"):
            block = self._web3.eth.get_block("latest")
        return Head(int(block["number"]), int(block.get("baseFeePerGas", 0)))

    def nonce(self) -> int:
        """The nonce that the next block can take."""
        with node_errors(self._decoder, "reading the nonce"):
            return int(self._web3.eth.get_transaction_count(self._account.address, "latest"))

    def free_nonce(self, state: AccountState) -> int:
        """The node's count alone is not enough: ganache leaves pending transactions out of it."""
        outstanding = [each.nonce + 1 for each in self._journal.outstanding() if each.nonce is not None]
        return max([state.pending_nonce, *outstanding])

    def find_receipt(self, transaction: SignedTransaction) -> tuple[SignedTransaction, dict[str, Any]] | None:
        """Which of the transaction and its replacements was mined, with its receipt; None if none was.

        The journal is brought up to date, back to `sent` if a reorg undid what it says.
        """
        replacements = self._journal.replacements_of(transaction)
        for each in replacements:
            receipt = self._receipt(each)
            if receipt is None:
                continue
            state = TransactionState.MINED if receipt["status"] == 1 else TransactionState.REVERTED
            block_number = int(receipt["blockNumber"])
            if (each.state, each.block_number) != (state, block_number):
                self._journal.settle(each, state, block_number)
            return each, receipt
        for each in replacements:
            if each.state in (TransactionState.MINED, TransactionState.REVERTED):
                log.warning("a transaction is not in the chain any more", key=each.key, hash=each.hash)
                self._journal.settle(each, TransactionState.SENT)
        return None

    def is_known(self, transaction: SignedTransaction) -> bool:
        """Whether the node has the transaction, mined or not."""
        with node_errors(self._decoder, "reading a transaction"):
            try:
                self._web3.eth.get_transaction(HexBytes(str(transaction.hash)))
            except TransactionNotFound:
                return False
        return True

    def _receipt(self, transaction: SignedTransaction) -> dict[str, Any] | None:
        with node_errors(self._decoder, f"reading the receipt of {transaction.description}"):
            try:
                return cast(dict[str, Any], self._web3.eth.get_transaction_receipt(HexBytes(str(transaction.hash))))
            except TransactionNotFound:
                return None

    # --- sending -----------------------------------------------------------------------------------------------------

    def tend(self, nonce: int) -> None:
        """Settle what ended meanwhile, take up what a reorg undid, send the rest again and replacement if it must be.

        Otherwise a transaction that the node dropped would leave a gap in the nonces, and all later ones stuck.
        """
        for transaction in self._journal.mined_from(nonce):
            self.find_receipt(transaction)
        for transaction in self._journal.outstanding():
            # The nonce first: one that is mined between two looks must not pass for replaced, and be sent again. What
            # became of one without a receipt whose nonce is used is for its own key to find out, patiently.
            if self.find_receipt(transaction) is None and int(transaction.nonce or 0) >= nonce:
                with suppress(InsufficientFunds, TransientChainError):  # its own key will say so, when it is due
                    self._tend(transaction)

    def _tend(self, transaction: SignedTransaction) -> None:
        if not self.is_known(transaction):
            self.submit(transaction)
        elif fees_of(transaction.raw or b"").max_wei < self.head().base_fee_wei:
            self.bump_fee(transaction)

    def submit(self, transaction: SignedTransaction) -> None:
        """Hand a journaled transaction to the node; if it is too cheap for it, a replacement one in its place.

        One that is refused for good is marked so, unless later nonces need it: then it waits with them.
        """
        try:
            self._broadcast(transaction)
        except Underpriced:
            self.bump_fee(transaction)
        except (InsufficientFunds, Refused):
            if transaction.nonce == max(each.nonce or 0 for each in self._journal.outstanding()):
                self._journal.settle(transaction, TransactionState.REFUSED)
            raise

    def bump_fee(self, transaction: SignedTransaction) -> None:
        """Put the same transaction at higher fees in its place; raises TransientChainError if that is over the cap."""
        base_fee_wei = self.head().base_fee_wei
        fees = self.fees.raised(fees_of(transaction.raw or b""), base_fee_wei)
        if fees is None:
            why = self.fees.refusal(base_fee_wei)
            raise TransientChainError(f"{transaction.description}: transaction {transaction.hash} is not mined: {why}")
        signed = self._account.sign_transaction(with_fees(transaction.raw or b"", fees))
        replacement = self._journal.replace(
            transaction, HexBytes(signed.hash).to_0x_hex(), bytes(signed.raw_transaction)
        )
        log.info("raising the fee", key=transaction.key, nonce=transaction.nonce, max_fee_gwei=gwei(fees.max_wei))
        try:
            self._broadcast(replacement)
        except InsufficientFunds:
            self._journal.settle(replacement, TransactionState.REFUSED)
            raise

    def _broadcast(self, transaction: SignedTransaction) -> None:
        with node_errors(self._decoder, transaction.description):
            try:
                self._web3.eth.send_raw_transaction(HexBytes(transaction.raw or b""))
            except Web3RPCError as exc:
                _raise_unless_taken(exc, transaction)
        log.debug("transaction sent", key=transaction.key, hash=transaction.hash, nonce=transaction.nonce)


def _raise_unless_taken(exc: Web3RPCError, transaction: SignedTransaction) -> None:
    message = rpc_message(exc)
    if any(words in message for words in _TAKEN):
        return
    if any(words in message for words in _TOO_CHEAP):
        raise Underpriced(f"{transaction.description}: the node refuses the transaction: {message}") from exc
    if "intrinsic gas" in message:
        raise Refused(f"{transaction.description}: the node refuses the transaction: {message}") from exc
    raise_for_rpc_error(exc, transaction.description)
