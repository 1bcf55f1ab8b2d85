"""Exactly-once transactions: journaled before broadcast, resumed after a crash.

For every key the journal holds attempts. planned -> (simulated, signed) sent -> (broadcast) mined | reverted |
replaced | refused. The raw transaction is on disk before any node sees it, so a restart broadcasts the very same one.
One that waits too long gets dearer twins with the same nonce, of which only one can be mined; one with another nonce is
signed only when none of them can be any more.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import structlog
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from hexbytes import HexBytes
from web3 import Web3
from web3.types import TxParams

from pole.chain.fees import FeePolicy, fees_of, gwei
from pole.chain.node_errors import RevertDecoder, node_errors
from pole.chain.pending import Head, Outbox
from pole.errors import InsufficientFunds, TransactionReverted, TransientChainError
from pole.journal.journal import Journal
from pole.journal.transactions import Attempt, TransactionState
from pole.money import wei_to_ether

MAX_GAS = 16_777_216  # EIP-7825: no transaction may have a higher limit
_PATIENCE_S = 120.0
_LOOK_EVERY_S = 5.0
_STUCK_AFTER_BLOCKS = 3
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


@dataclass
class _Wait:
    """How long one call of `send` has been waiting, and since which block."""

    started_s: float = field(default_factory=time.monotonic)
    reported_s: float = field(default_factory=time.monotonic)
    looked_s: float = field(default_factory=time.monotonic)
    since_block: int | None = None
    nonce_used: int = 0
    was_lost: bool = False

    @property
    def waited_s(self) -> int:
        return int(time.monotonic() - self.started_s)

    def is_look_due(self, every_s: float) -> bool:
        if time.monotonic() - self.looked_s < every_s:
            return False
        self.looked_s = time.monotonic()
        return True

    def is_stuck(self, attempt: Attempt, head: Head) -> bool:
        """Whether blocks go by without it, or cannot take it at all."""
        if self.since_block is None:
            self.since_block = head.number
        passed = head.number - self.since_block
        return fees_of(attempt.raw or b"").max_wei < head.base_fee_wei or passed >= _STUCK_AFTER_BLOCKS


class Sender:
    """Sends for one account on one node."""

    def __init__(
        self,
        web3: Web3,
        account: LocalAccount,
        decoder: RevertDecoder,
        chain_id: int,
        poll_s: float,
        fees: FeePolicy,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._web3 = web3
        self._account = account
        self._decoder = decoder
        self._chain_id = chain_id
        self._poll_s = poll_s
        self._patience_s = patience_s
        self._look_every_s = _LOOK_EVERY_S
        self.outbox = Outbox(web3, account, decoder, fees)

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
            self.outbox.tend(journal)
            known = journal.attempt(key)
            if known is not None and known.state in _RESUMED:  # another process was here while this one waited
                return known
            transaction = self._prepare(request)
            planned = journal.plan(key, request.what)
            transaction["nonce"] = cast(Any, self.outbox.free_nonce(journal))
            signed = self._account.sign_transaction(cast(Any, transaction))
            attempt = journal.sign(
                planned, int(transaction["nonce"]), HexBytes(signed.hash).to_0x_hex(), bytes(signed.raw_transaction)
            )
            self.outbox.submit(journal, attempt)
        return attempt

    def _prepare(self, request: Request) -> TxParams:
        """The unsigned transaction without its nonce; raises TransactionReverted or InsufficientFunds."""
        call = self._call(request)
        with node_errors(self._decoder, request.what):
            balance = int(self._web3.eth.get_balance(self._account.address))
            if request.value_wei > balance:  # a node says so too, but not how much is missing
                raise InsufficientFunds(
                    f"{request.what} pays {wei_to_ether(request.value_wei)} ether, but account "
                    f"{self._account.address} has {wei_to_ether(balance)}; send it "
                    f"{wei_to_ether(request.value_wei - balance)} ether more, and some for gas"
                )
            self._web3.eth.call(call)
            gas = min(self._web3.eth.estimate_gas(call) * 13 // 10 + 20_000, MAX_GAS)
        fees = self.outbox.fees.first(self.outbox.head().base_fee_wei, request.what)
        if (needed := request.value_wei + gas * fees.max_wei) > balance:
            raise InsufficientFunds(
                f"{request.what} needs up to {wei_to_ether(needed)} ether ({wei_to_ether(request.value_wei)} to pay, "
                f"{gas} gas at {gwei(fees.max_wei)} gwei), but account {self._account.address} has "
                f"{wei_to_ether(balance)}; send it {wei_to_ether(needed - balance)} ether more"
            )
        call.update(
            {
                "type": cast(Any, 2),
                "chainId": self._chain_id,
                "gas": gas,
                "maxFeePerGas": cast(Any, fees.max_wei),
                "maxPriorityFeePerGas": cast(Any, fees.tip_wei),
            }
        )
        return call

    def _call(self, request: Request) -> TxParams:
        return {
            "from": self._account.address,
            "to": cast(ChecksumAddress, request.to),
            "data": cast(Any, request.data),
            "value": cast(Any, request.value_wei),
        }

    # --- waiting -----------------------------------------------------------------------------------------------------

    def _await_receipt(self, journal: Journal, attempt: Attempt, request: Request) -> Receipt | None:
        """Poll until mined; None if another transaction took the nonce. Raises TransactionReverted if it failed."""
        wait = _Wait()
        while True:
            found = self.outbox.find_receipt(journal, attempt)
            if found is not None:
                return self._judge(*found, request)
            nonce = self.outbox.nonce()
            # Seen used once and then free again: a reorg between two looks, which took the transaction away.
            wait.nonce_used = wait.nonce_used + 1 if nonce > int(attempt.nonce or 0) else 0
            if wait.nonce_used >= _NONCE_CHECKS:
                journal.settle(attempt, TransactionState.REPLACED)
                return None
            if not wait.nonce_used:
                self._urge(journal, attempt, wait, nonce)
            self._report(attempt, wait)
            time.sleep(self._poll_s)

    def _urge(self, journal: Journal, attempt: Attempt, wait: _Wait, nonce: int) -> None:
        """Hand over again what the node lost, and offer more when blocks go by without it."""
        alive = [each for each in journal.family(attempt) if each.state is TransactionState.SENT]
        if not alive:  # another process has settled it this moment
            return
        if not any(self.outbox.is_known(each) for each in alive):
            if not wait.was_lost:
                log.info("sending a transaction that the node does not know", key=attempt.key, hash=alive[0].hash)
            wait.was_lost = True
            with journal.sending():
                self.outbox.submit(journal, alive[0])
        elif wait.is_look_due(self._look_every_s):
            with journal.sending():
                self._look(journal, alive[0], wait, nonce)

    def _look(self, journal: Journal, newest: Attempt, wait: _Wait, nonce: int) -> None:
        if newest.nonce != nonce:
            self.outbox.tend(journal)  # it can only be mined after those before it
        elif wait.is_stuck(newest, self.outbox.head()) and journal.attempt(newest.key) == newest:
            wait.since_block = None
            if self.outbox.is_known(newest):
                self.outbox.offer_more(journal, newest)
            else:  # only a cheaper twin of it is there
                self.outbox.submit(journal, newest)

    def _report(self, attempt: Attempt, wait: _Wait) -> None:
        if time.monotonic() - wait.reported_s >= _REPORT_EVERY_S:
            wait.reported_s = time.monotonic()
            log.warning("transaction is not mined yet", key=attempt.key, hash=attempt.hash, waiting_s=wait.waited_s)
        if time.monotonic() - wait.started_s > self._patience_s:
            raise TransientChainError(
                f"{attempt.description}: transaction {attempt.hash} is not mined after {wait.waited_s} s; "
                "waiting goes on"
            )

    def _judge(self, mined: Attempt, receipt: dict[str, Any], request: Request) -> Receipt:
        if receipt["status"] != 1:
            raise self._reason(request, receipt)
        return Receipt(
            str(mined.hash),
            int(receipt["blockNumber"]),
            int(receipt["gasUsed"]),
            int(receipt["effectiveGasPrice"]),
            receipt["logs"],
        )

    def _reason(self, request: Request, receipt: dict[str, Any]) -> TransactionReverted:
        """Why it failed on chain, from running it again on that block's state."""
        try:
            with node_errors(self._decoder, request.what):
                self._web3.eth.call(self._call(request), receipt["blockNumber"])
        except TransactionReverted as reverted:
            return reverted
        except (TransientChainError, InsufficientFunds):
            pass
        return TransactionReverted(
            "Unknown", {}, f"{request.what} failed in block {receipt['blockNumber']} after {receipt['gasUsed']} gas"
        )
