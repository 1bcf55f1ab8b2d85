"""Exactly-once transactions: journaled before broadcast, resumed after a crash.

For every key the journal holds attempts. planned -> (simulated, signed) sent -> (broadcast) mined | reverted |
replaced | refused. The raw transaction is on disk before any node sees it, so a restart broadcasts the very same one;
a second one is signed only when the first can no longer be mined.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import structlog
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from hexbytes import HexBytes
from web3 import Web3
from web3.exceptions import TransactionNotFound, Web3RPCError
from web3.types import TxParams

from pole.errors import InsufficientFunds, TransactionReverted, TransientChainError
from pole.journal import Attempt, Journal, TransactionState
from pole.reverts import RevertDecoder, node_errors, raise_for_rpc_error, rpc_message

MAX_GAS = 16_777_216  # EIP-7825: no transaction may have a higher limit
_TIP_WEI = 1_000_000_000
_PATIENCE_S = 120.0
_REPORT_EVERY_S = 15.0
_MAX_REPLANS = 5
_NONCE_CHECKS = 3  # behind a load balancer, receipts can lag behind nonces
_RESUMED = (TransactionState.SENT, TransactionState.MINED)

log = structlog.get_logger()


@dataclass(frozen=True)
class Request:
    """What to send: `what` names it in messages."""

    what: str
    to: str
    data: str
    value_wei: int


@dataclass(frozen=True)
class Receipt:
    """A mined, successful transaction; `logs` as web3 gives them (see `Gateway.events_of`)."""

    transaction_hash: str
    block_number: int
    gas_used: int
    gas_price_wei: int
    logs: Sequence[Any]

    @property
    def fee_wei(self) -> int:
        """What the gas cost."""
        return self.gas_used * self.gas_price_wei


class Sender:
    """Sends for one account on one node."""

    def __init__(
        self,
        web3: Web3,
        account: LocalAccount,
        decoder: RevertDecoder,
        chain_id: int,
        poll_s: float,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._web3 = web3
        self._account = account
        self._decoder = decoder
        self._chain_id = chain_id
        self._poll_s = poll_s
        self._patience_s = patience_s

    def send(self, journal: Journal, key: str, request: Request) -> Receipt:
        """See `Gateway.transact`."""
        for _ in range(_MAX_REPLANS):
            attempt = journal.attempt(key)
            if attempt is None or attempt.state not in _RESUMED:
                attempt = self._start(journal, key, request)
            receipt = self._await_receipt(journal, attempt, request)
            if receipt is not None:
                return receipt
            log.warning("transaction was replaced, planning it anew", key=key, nonce=attempt.nonce)
        raise TransientChainError(
            f"{request.what}: other transactions took the nonce {_MAX_REPLANS} times; "
            f"is another process using account {self._account.address}?"
        )

    # --- planning ----------------------------------------------------------------------------------------------------

    def _start(self, journal: Journal, key: str, request: Request) -> Attempt:
        """Simulate, sign, store, broadcast; a refusal by the simulation leaves nothing that could be sent."""
        with journal.sending():
            self._rebroadcast_outstanding(journal)
            known = journal.attempt(key)
            if known is not None and known.state in _RESUMED:  # another process was here while this one waited
                return known
            transaction = self._prepare(request)
            planned = journal.plan(key, request.what)
            transaction["nonce"] = cast(Any, self._next_nonce(journal))
            signed = self._account.sign_transaction(cast(Any, transaction))
            attempt = journal.sign(
                planned, int(transaction["nonce"]), HexBytes(signed.hash).to_0x_hex(), bytes(signed.raw_transaction)
            )
            self._broadcast(journal, attempt)
        return attempt

    def _prepare(self, request: Request) -> TxParams:
        """The unsigned transaction without its nonce; raises TransactionReverted or InsufficientFunds."""
        call: TxParams = {
            "from": self._account.address,
            "to": cast(ChecksumAddress, request.to),
            "data": cast(Any, request.data),
            "value": cast(Any, request.value_wei),
        }
        with node_errors(self._decoder, request.what):
            balance = int(self._web3.eth.get_balance(self._account.address))
            if request.value_wei > balance:  # a node says so too, but not how much is missing
                raise InsufficientFunds(
                    f"{request.what} pays {request.value_wei} wei, but account {self._account.address} has {balance} "
                    f"wei; send it {request.value_wei - balance} wei more, and some for gas"
                )
            self._web3.eth.call(call)
            gas = min(self._web3.eth.estimate_gas(call) * 13 // 10 + 20_000, MAX_GAS)
            base_fee = int(self._web3.eth.get_block("latest").get("baseFeePerGas", 0))
        fee = 2 * base_fee + _TIP_WEI
        if (needed := request.value_wei + gas * fee) > balance:
            raise InsufficientFunds(
                f"{request.what} needs up to {needed} wei ({request.value_wei} to pay, {gas} gas at {fee} wei), but "
                f"account {self._account.address} has {balance} wei; send it {needed - balance} wei more"
            )
        call.update(
            {
                "type": cast(Any, 2),
                "chainId": self._chain_id,
                "gas": gas,
                "maxFeePerGas": cast(Any, fee),
                "maxPriorityFeePerGas": cast(Any, _TIP_WEI),
            }
        )
        return call

    def _next_nonce(self, journal: Journal) -> int:
        """The node's count alone is not enough: ganache leaves pending transactions out of it."""
        with node_errors(self._decoder, "reading the nonce"):
            count = int(self._web3.eth.get_transaction_count(self._account.address, "pending"))
        return max([count, *(attempt.nonce + 1 for attempt in journal.outstanding() if attempt.nonce is not None)])

    def _rebroadcast_outstanding(self, journal: Journal) -> None:
        """Settle what ended meanwhile and send the rest again, lest a dropped transaction leave a gap in the nonces."""
        for attempt in journal.outstanding():
            # The nonce first: one that is mined between two looks must not pass for replaced, and be sent again. What
            # became of one without a receipt whose nonce is used is for its own key to find out, patiently.
            is_nonce_used = self._is_nonce_used(attempt)
            if self._find_receipt(journal, attempt) is None and not is_nonce_used and not self._is_known(attempt):
                with suppress(InsufficientFunds, _Refused):  # marked as refused: its key plans anew when it is due
                    self._broadcast(journal, attempt)

    # --- broadcast and wait ------------------------------------------------------------------------------------------

    def _broadcast(self, journal: Journal, attempt: Attempt) -> None:
        """Hand the raw transaction to the node; one that it refuses for good is marked, and frees its nonce."""
        try:
            with node_errors(self._decoder, attempt.description):
                self._send_raw(attempt)
        except (InsufficientFunds, _Refused):
            journal.settle(attempt, TransactionState.REFUSED)
            raise
        log.debug("transaction sent", key=attempt.key, hash=attempt.hash, nonce=attempt.nonce)

    def _send_raw(self, attempt: Attempt) -> None:
        try:
            self._web3.eth.send_raw_transaction(HexBytes(attempt.raw or b""))
        except Web3RPCError as exc:
            message = rpc_message(exc)
            if any(words in message for words in ("already known", "already imported", "nonce too low", "replacement")):
                return  # it is there, or another one has its nonce: waiting for the receipt tells which
            if any(words in message for words in ("underpriced", "less than block base fee", "intrinsic gas")):
                raise _Refused(f"{attempt.description}: the node refuses the transaction: {message}") from exc
            raise_for_rpc_error(exc, attempt.description)

    def _await_receipt(self, journal: Journal, attempt: Attempt, request: Request) -> Receipt | None:
        """Poll until mined; None if another transaction took the nonce. Raises TransactionReverted if it failed."""
        started, reported, nonce_used, was_lost = time.monotonic(), time.monotonic(), 0, False
        while True:
            receipt = self._find_receipt(journal, attempt)
            if receipt is not None:
                return self._judge(attempt, request, receipt)
            nonce_used += self._is_nonce_used(attempt)
            if nonce_used >= _NONCE_CHECKS:
                journal.settle(attempt, TransactionState.REPLACED)
                return None
            if not nonce_used and not self._is_known(attempt):
                if not was_lost:
                    log.info("sending a transaction that the node does not know", key=attempt.key, hash=attempt.hash)
                was_lost = True
                self._broadcast(journal, attempt)
            now = time.monotonic()
            if now - reported >= _REPORT_EVERY_S:
                reported = now
                log.warning(
                    "transaction is not mined yet", key=attempt.key, hash=attempt.hash, waiting_s=int(now - started)
                )
            if now - started > self._patience_s:
                raise TransientChainError(
                    f"{attempt.description}: transaction {attempt.hash} is not mined after {int(now - started)} s; "
                    "waiting goes on"
                )
            time.sleep(self._poll_s)

    def _judge(self, attempt: Attempt, request: Request, receipt: dict[str, Any]) -> Receipt:
        if receipt["status"] != 1:
            raise self._reason(request, receipt)
        return Receipt(
            str(attempt.hash),
            int(receipt["blockNumber"]),
            int(receipt["gasUsed"]),
            int(receipt["effectiveGasPrice"]),
            receipt["logs"],
        )

    def _find_receipt(self, journal: Journal, attempt: Attempt) -> dict[str, Any] | None:
        """The receipt if mined, with the journal brought up to date (back to `sent` if a reorg undid it)."""
        with node_errors(self._decoder, f"reading the receipt of {attempt.description}"):
            try:
                receipt = cast(dict[str, Any], self._web3.eth.get_transaction_receipt(HexBytes(str(attempt.hash))))
            except TransactionNotFound:
                receipt = None
        if receipt is None:
            if attempt.state is TransactionState.MINED:
                journal.settle(attempt, TransactionState.SENT)
            return None
        state = TransactionState.MINED if receipt["status"] == 1 else TransactionState.REVERTED
        journal.settle(attempt, state, int(receipt["blockNumber"]))
        return receipt

    def _is_nonce_used(self, attempt: Attempt) -> bool:
        with node_errors(self._decoder, "reading the nonce"):
            count = int(self._web3.eth.get_transaction_count(self._account.address, "latest"))
        return count > int(attempt.nonce or 0)

    def _is_known(self, attempt: Attempt) -> bool:
        with node_errors(self._decoder, "reading a transaction"):
            try:
                self._web3.eth.get_transaction(HexBytes(str(attempt.hash)))
            except TransactionNotFound:
                return False
        return True

    def _reason(self, request: Request, receipt: dict[str, Any]) -> TransactionReverted:
        """Why it failed on chain, from running it again on that block's state."""
        call: TxParams = {
            "from": self._account.address,
            "to": cast(ChecksumAddress, request.to),
            "data": cast(Any, request.data),
            "value": cast(Any, request.value_wei),
        }
        try:
            with node_errors(self._decoder, request.what):
                self._web3.eth.call(call, receipt["blockNumber"])
        except TransactionReverted as reverted:
            return reverted
        except (TransientChainError, InsufficientFunds):
            pass
        return TransactionReverted(
            "Unknown", {}, f"{request.what} failed in block {receipt['blockNumber']} after {receipt['gasUsed']} gas"
        )


class _Refused(TransientChainError):
    """The node will never take this signed transaction; a new one may be signed."""
