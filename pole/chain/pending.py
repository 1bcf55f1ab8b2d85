"""An account's signed transactions at a node: handed over, looked up, handed over again, replaced by dearer ones.

Whatever is handed over is in the journal before. All transactions of one family (same purpose, same nonce) differ in
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

from pole.chain.fees import FeePolicy, fees_of, gwei, with_fees
from pole.chain.node_errors import RevertDecoder, node_errors, raise_for_rpc_error, rpc_message
from pole.errors import InsufficientFunds, TransientChainError
from pole.journal.journal import Journal
from pole.journal.transactions import Attempt, TransactionState

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


class Outbox:
    """For one account on one node. What sends or replaces must be called within `journal.sending()`."""

    def __init__(self, web3: Web3, account: LocalAccount, decoder: RevertDecoder, fees: FeePolicy) -> None:
        self._web3 = web3
        self._account = account
        self._decoder = decoder
        self.fees = fees

    # --- looking -----------------------------------------------------------------------------------------------------

    def head(self) -> Head:
        with node_errors(self._decoder, "reading the latest block"):
            block = self._web3.eth.get_block("latest")
        return Head(int(block["number"]), int(block.get("baseFeePerGas", 0)))

    def nonce(self) -> int:
        """The nonce that the next block can take."""
        with node_errors(self._decoder, "reading the nonce"):
            return int(self._web3.eth.get_transaction_count(self._account.address, "latest"))

    def free_nonce(self, journal: Journal) -> int:
        """The node's count alone is not enough: ganache leaves pending transactions out of it."""
        with node_errors(self._decoder, "reading the nonce"):
            count = int(self._web3.eth.get_transaction_count(self._account.address, "pending"))
        return max([count, *(attempt.nonce + 1 for attempt in journal.outstanding() if attempt.nonce is not None)])

    def find_receipt(self, journal: Journal, attempt: Attempt) -> tuple[Attempt, dict[str, Any]] | None:
        """Which of the attempt's family was mined, with its receipt; None if none was.

        The journal is brought up to date, back to `sent` if a reorg undid what it says.
        """
        family = journal.family(attempt)
        for each in family:
            receipt = self._receipt(each)
            if receipt is None:
                continue
            state = TransactionState.MINED if receipt["status"] == 1 else TransactionState.REVERTED
            block_number = int(receipt["blockNumber"])
            if (each.state, each.block_number) != (state, block_number):
                journal.settle(each, state, block_number)
            return each, receipt
        for each in family:
            if each.state in (TransactionState.MINED, TransactionState.REVERTED):
                log.warning("a transaction is not in the chain any more", key=each.key, hash=each.hash)
                journal.settle(each, TransactionState.SENT)
        return None

    def is_known(self, attempt: Attempt) -> bool:
        """Whether the node has the transaction, mined or not."""
        with node_errors(self._decoder, "reading a transaction"):
            try:
                self._web3.eth.get_transaction(HexBytes(str(attempt.hash)))
            except TransactionNotFound:
                return False
        return True

    def _receipt(self, attempt: Attempt) -> dict[str, Any] | None:
        with node_errors(self._decoder, f"reading the receipt of {attempt.description}"):
            try:
                return cast(dict[str, Any], self._web3.eth.get_transaction_receipt(HexBytes(str(attempt.hash))))
            except TransactionNotFound:
                return None

    # --- sending -----------------------------------------------------------------------------------------------------

    def tend(self, journal: Journal) -> None:
        """Settle what ended meanwhile, take up what a reorg undid, send the rest again and dearer if it must be.

        Otherwise a transaction that the node dropped would leave a gap in the nonces, and all later ones stuck.
        """
        nonce = self.nonce()
        for attempt in journal.mined_from(nonce):
            self.find_receipt(journal, attempt)
        for attempt in journal.outstanding():
            # The nonce first: one that is mined between two looks must not pass for replaced, and be sent again. What
            # became of one without a receipt whose nonce is used is for its own key to find out, patiently.
            if self.find_receipt(journal, attempt) is None and int(attempt.nonce or 0) >= nonce:
                with suppress(InsufficientFunds, TransientChainError):  # its own key will say so, when it is due
                    self._tend(journal, attempt)

    def _tend(self, journal: Journal, attempt: Attempt) -> None:
        if not self.is_known(attempt):
            self.submit(journal, attempt)
        elif fees_of(attempt.raw or b"").max_wei < self.head().base_fee_wei:
            self.offer_more(journal, attempt)

    def submit(self, journal: Journal, attempt: Attempt) -> None:
        """Hand a journaled transaction to the node; if it is too cheap for it, a dearer one in its place.

        One that is refused for good is marked so, unless later nonces need it: then it waits with them.
        """
        try:
            self._hand_over(attempt)
        except Underpriced:
            self.offer_more(journal, attempt)
        except (InsufficientFunds, Refused):
            if attempt.nonce == max(each.nonce or 0 for each in journal.outstanding()):
                journal.settle(attempt, TransactionState.REFUSED)
            raise

    def offer_more(self, journal: Journal, attempt: Attempt) -> None:
        """Put the same transaction at higher fees in its place; raises TransientChainError if that is over the cap."""
        base_fee_wei = self.head().base_fee_wei
        fees = self.fees.raised(fees_of(attempt.raw or b""), base_fee_wei)
        if fees is None:
            raise TransientChainError(
                f"{attempt.description}: transaction {attempt.hash} is not mined: {self.fees.refusal(base_fee_wei)}"
            )
        signed = self._account.sign_transaction(with_fees(attempt.raw or b"", fees))
        dearer = journal.replace(attempt, HexBytes(signed.hash).to_0x_hex(), bytes(signed.raw_transaction))
        log.info("offering more for gas", key=attempt.key, nonce=attempt.nonce, max_fee_gwei=gwei(fees.max_wei))
        try:
            self._hand_over(dearer)
        except InsufficientFunds:
            journal.settle(dearer, TransactionState.REFUSED)
            raise

    def _hand_over(self, attempt: Attempt) -> None:
        with node_errors(self._decoder, attempt.description):
            try:
                self._web3.eth.send_raw_transaction(HexBytes(attempt.raw or b""))
            except Web3RPCError as exc:
                _raise_unless_taken(exc, attempt)
        log.debug("transaction sent", key=attempt.key, hash=attempt.hash, nonce=attempt.nonce)


def _raise_unless_taken(exc: Web3RPCError, attempt: Attempt) -> None:
    message = rpc_message(exc)
    if any(words in message for words in _TAKEN):
        return
    if any(words in message for words in _TOO_CHEAP):
        raise Underpriced(f"{attempt.description}: the node refuses the transaction: {message}") from exc
    if "intrinsic gas" in message:
        raise Refused(f"{attempt.description}: the node refuses the transaction: {message}") from exc
    raise_for_rpc_error(exc, attempt.description)
