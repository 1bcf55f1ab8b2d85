"""Exactly-once transactions of one account: journaled before broadcast, resumed after a crash.

For every key the journal holds transactions. planned -> (simulated, signed) sent -> (broadcast) mined | reverted |
replaced | refused. The signed bytes are on disk before any node sees them, so a restart broadcasts the very same ones.
One that waits too long is replaced at a higher fee with the same nonce: of these only one can be mined; one with
another nonce is signed only when none of them can be any more.
"""

import time
from dataclasses import dataclass, field
from typing import Any, cast

import structlog
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from hexbytes import HexBytes
from web3.types import TxParams

from pole.chain.client import ChainClient, Receipt
from pole.chain.deployment import ContractName
from pole.chain.fees import DEFAULT_MAX_FEE_GWEI, GWEI, FeePolicy, fees_of, gwei
from pole.chain.node_errors import node_errors
from pole.chain.pending import AccountState, Head, PendingTransactions
from pole.errors import InsufficientFunds, TransactionReverted, TransientChainError
from pole.journal.transactions import SignedTransaction, TransactionJournal, TransactionState
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
class _Request:
    """What to send: `what` names it in messages."""

    what: str
    to: str
    data: str
    value_wei: int


@dataclass
class _Wait:
    """How long one call of `send` has been waiting, and since which block."""

    started_s: float = field(default_factory=time.monotonic)
    reported_s: float = field(default_factory=time.monotonic)
    looked_s: float = field(default_factory=time.monotonic)
    since_block: int | None = None
    nonce_used: int = 0
    was_lost: bool = False
    was_looked_for: bool = False

    @property
    def waited_s(self) -> int:
        return int(time.monotonic() - self.started_s)

    def is_look_due(self, every_s: float) -> bool:
        if time.monotonic() - self.looked_s < every_s:
            return False
        self.looked_s = time.monotonic()
        return True

    def is_stuck(self, transaction: SignedTransaction, head: Head) -> bool:
        """Whether blocks go by without it, or cannot take it at all."""
        if self.since_block is None:
            self.since_block = head.number
        passed = head.number - self.since_block
        return fees_of(transaction.raw or b"").max_wei < head.base_fee_wei or passed >= _STUCK_AFTER_BLOCKS


class Sender:
    """Sends for one account on one chain, and owns the journal of its transactions: nobody else writes it."""

    def __init__(
        self,
        client: ChainClient,
        account: LocalAccount,
        journal: TransactionJournal,
        max_fee_gwei: float = DEFAULT_MAX_FEE_GWEI,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self.client = client
        self.journal = journal
        self._account = account
        self._patience_s = patience_s
        self._look_every_s = _LOOK_EVERY_S
        fees = FeePolicy(int(max_fee_gwei * GWEI))
        self.pending = PendingTransactions(client.web3, account, journal, client.decoder, fees)

    @property
    def address(self) -> str:
        """Checksummed address of the account."""
        return str(self._account.address)

    def transact(self, key: str, contract: ContractName, function: str, *args: Any, value_wei: int = 0) -> Receipt:
        """Send a transaction exactly once per `key` and wait until it is mined.

        Called again with the same key, also after a crash, it resumes what was signed and returns the same receipt.
        Raises TransactionReverted (nothing was sent if the simulation refuses), InsufficientFunds, and
        TransientChainError while the node is away or the transaction is not mined yet: then call again.
        """
        address, data = self.client.encode(contract, function, args)
        request = _Request(f"{contract}.{function}", address, data, value_wei)
        for _ in range(_MAX_REPLANS):
            transaction = self.journal.newest(key)
            if transaction is None or transaction.state not in _RESUMED:
                transaction = self._start(key, request)
                time.sleep(self.client.pause_s())  # no receipt is there before the next block
            try:
                receipt = self._await_receipt(transaction, request)
            finally:
                self.client.changed()
            if receipt is not None:
                return receipt
            log.warning("transaction was replaced, planning it anew", key=key, nonce=transaction.nonce)
        raise TransientChainError(
            f"{request.what}: other transactions took the nonce {_MAX_REPLANS} times; "
            f"is another process using account {self._account.address}?"
        )

    # --- planning ----------------------------------------------------------------------------------------------------

    def _start(self, key: str, request: _Request) -> SignedTransaction:
        """Simulate, sign, store, broadcast; a refusal by the simulation leaves nothing that could be sent."""
        with self.journal.sending():
            state = self.pending.state()
            self.pending.tend(state.nonce)
            known = self.journal.newest(key)
            if known is not None and known.state in _RESUMED:  # another process was here while this one waited
                return known
            unsigned = self._prepare(request, state)
            planned = self.journal.plan(key, request.what)
            nonce = self.pending.free_nonce(state)
            signed = self._account.sign_transaction(cast(Any, {**unsigned, "nonce": nonce}))
            stored = self.journal.sign(planned, nonce, HexBytes(signed.hash).to_0x_hex(), bytes(signed.raw_transaction))
            self.pending.submit(stored)
        return stored

    def _prepare(self, request: _Request, state: AccountState) -> TxParams:
        """The unsigned transaction without its nonce; raises TransactionReverted or InsufficientFunds."""
        call = self._call(request)
        if request.value_wei > state.balance_wei:  # a node says so too, but not how much is missing
            raise InsufficientFunds(
                f"{request.what} pays {wei_to_ether(request.value_wei)} ether, but account "
                f"{self._account.address} has {wei_to_ether(state.balance_wei)}; send it "
                f"{wei_to_ether(request.value_wei - state.balance_wei)} ether more, and some for gas"
            )
        balance = state.balance_wei
        with node_errors(self.client.decoder, request.what):
            # What others have sent and nobody has mined counts too: a step that is being done already is refused here.
            estimate = self.client.web3.eth.estimate_gas(call, "pending")
        gas = min(estimate * 13 // 10 + 20_000, MAX_GAS)
        fees = self.pending.fees.first(state.base_fee_wei, request.what)
        if (needed := request.value_wei + gas * fees.max_wei) > balance:
            raise InsufficientFunds(
                f"{request.what} needs up to {wei_to_ether(needed)} ether ({wei_to_ether(request.value_wei)} to pay, "
                f"{gas} gas at {gwei(fees.max_wei)} gwei), but account {self._account.address} has "
                f"{wei_to_ether(balance)}; send it {wei_to_ether(needed - balance)} ether more"
            )
        call.update(
            {
                "type": cast(Any, 2),
                "chainId": self.client.deployment.chain_id,
                "gas": gas,
                "maxFeePerGas": cast(Any, fees.max_wei),
                "maxPriorityFeePerGas": cast(Any, fees.tip_wei),
            }
        )
        return call

    def _call(self, request: _Request) -> TxParams:
        return {
            "from": self._account.address,
            "to": cast(ChecksumAddress, request.to),
            "data": cast(Any, request.data),
            "value": cast(Any, request.value_wei),
        }

    # --- waiting -----------------------------------------------------------------------------------------------------

    def _await_receipt(self, transaction: SignedTransaction, request: _Request) -> Receipt | None:
        """Poll until mined; None if another transaction took the nonce. Raises TransactionReverted if it failed."""
        wait = _Wait()
        while True:
            found = self.pending.find_receipt(transaction)
            if found is not None:
                if transaction.state is TransactionState.SENT:  # else it was told before
                    self._count(found[1])
                return self._judge(*found, request)
            if not wait.was_looked_for:  # most need a second look, and nothing else
                wait.was_looked_for = True
                time.sleep(self.client.pause_s())
                continue
            nonce = self.pending.nonce()
            # Seen used once and then free again: a reorg between two looks, which took the transaction away.
            wait.nonce_used = wait.nonce_used + 1 if nonce > int(transaction.nonce or 0) else 0
            if wait.nonce_used >= _NONCE_CHECKS:
                self.journal.settle(transaction, TransactionState.REPLACED)
                return None
            if not wait.nonce_used:
                self._urge(transaction, wait, nonce)
            self._report(transaction, wait)
            time.sleep(self.client.pause_s())

    def _urge(self, transaction: SignedTransaction, wait: _Wait, nonce: int) -> None:
        """Hand over again what the node lost, and offer more when blocks go by without it."""
        alive = [each for each in self.journal.replacements_of(transaction) if each.state is TransactionState.SENT]
        if not alive:  # another process has settled it this moment
            return
        if not any(self.pending.is_known(each) for each in alive):
            if not wait.was_lost:
                log.info("sending a transaction that the node does not know", key=transaction.key, hash=alive[0].hash)
            wait.was_lost = True
            with self.journal.sending():
                self.pending.submit(alive[0])
        elif wait.is_look_due(self._look_every_s):
            with self.journal.sending():
                self._look(alive[0], wait, nonce)

    def _look(self, newest: SignedTransaction, wait: _Wait, nonce: int) -> None:
        if newest.nonce != nonce:
            self.pending.tend(nonce)  # it can only be mined after those before it
        elif wait.is_stuck(newest, self.pending.head()) and self.journal.newest(newest.key) == newest:
            wait.since_block = None
            if self.pending.is_known(newest):
                self.pending.bump_fee(newest)
            else:  # only a cheaper one of its replacements is there
                self.pending.submit(newest)

    def _report(self, transaction: SignedTransaction, wait: _Wait) -> None:
        if time.monotonic() - wait.reported_s >= _REPORT_EVERY_S:
            wait.reported_s = time.monotonic()
            log.warning(
                "transaction is not mined yet", key=transaction.key, hash=transaction.hash, waiting_s=wait.waited_s
            )
        if time.monotonic() - wait.started_s > self._patience_s:
            raise TransientChainError(
                f"{transaction.description}: transaction {transaction.hash} is not mined after {wait.waited_s} s; "
                "waiting goes on"
            )

    def _count(self, receipt: dict[str, Any]) -> None:
        gas, price_wei = int(receipt["gasUsed"]), int(receipt["effectiveGasPrice"])
        self.client.spending.add(gas, price_wei, is_in_vain=receipt["status"] != 1)

    def _judge(self, mined: SignedTransaction, receipt: dict[str, Any], request: _Request) -> Receipt:
        if receipt["status"] != 1:
            raise self._reason(request, receipt)
        return Receipt(
            str(mined.hash),
            int(receipt["blockNumber"]),
            int(receipt["gasUsed"]),
            int(receipt["effectiveGasPrice"]),
            receipt["logs"],
        )

    def _reason(self, request: _Request, receipt: dict[str, Any]) -> TransactionReverted:
        """Why it failed on chain, from running it again on that block's state."""
        try:
            with node_errors(self.client.decoder, request.what):
                self.client.web3.eth.call(self._call(request), receipt["blockNumber"])
        except TransactionReverted as reverted:
            return reverted
        except (TransientChainError, InsufficientFunds):
            pass
        return TransactionReverted(
            "Unknown", {}, f"{request.what} failed in block {receipt['blockNumber']} after {receipt['gasUsed']} gas"
        )
