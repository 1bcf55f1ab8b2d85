"""Transactions that do not get mined: priced out, stuck, dropped, undone. Whatever happens, they happen once."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pole.chain.fees import GWEI, fees_of
from pole.chain.pending import PendingTransactions
from pole.errors import InsufficientFunds, TransientChainError
from pole.journal.journal import Journal
from tests.unit.account_client import AccountClient
from tests.unit.conftest import ETHER
from tests.unit.sending import CONTRACT, Died, DyingJournal, Manual, manual_chain, newest, nonce_of, states

SPIKE_WEI = 50 * GWEI
TINY_BLOCK, USUAL_BLOCK = 30_000, 30_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def manual(manual_rpc: str, artifacts: dict[str, dict[str, Any]], path: Path) -> Iterator[Manual]:
    for prepared in manual_chain(manual_rpc, artifacts, path):
        yield prepared
        prepared.request("evm_setBlockGasLimit", hex(USUAL_BLOCK))
        base_fee(prepared, GWEI)
        prepared.request("evm_mine")


def base_fee(manual: Manual, wei: int) -> None:
    """Of the next block."""
    manual.request("anvil_setNextBlockBaseFeePerGas", hex(wei))


def hurry(client: AccountClient, patience_s: float = 0.3) -> None:
    """Its senders give up waiting at once, and look for the reason at every poll."""
    client.patience_s, client.look_every_s = patience_s, 0.01


def pending_of(manual: Manual, journal: Journal) -> PendingTransactions:
    return manual.chain.sender(journal).pending


def until(what: str, look: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not look():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


def count(manual: Manual) -> int:
    return int(manual.chain.call(CONTRACT, "count"))


def sent_in_vain(manual: Manual, journal: Journal, key: str) -> None:
    """Sent, and in no block when the sender's patience ends; what is sent later may take as long as it takes."""
    hurry(manual.chain)
    with pytest.raises(TransientChainError):
        manual.chain.transact(journal, key, CONTRACT, "add", 1)
    hurry(manual.chain, 60)


def with_replacement(manual: Manual, journal: Journal) -> None:
    """Sent, and replaced by a replacement, which waits as well."""
    sent_in_vain(manual, journal, "k")
    pending_of(manual, journal).bump_fee(newest(journal, "k"))
    assert states(journal, "k") == ["sent", "sent"]


# --- too dear --------------------------------------------------------------------------------------------------------


def test_transact__base_fee_over_the_cap__signs_nothing_until_it_falls(manual: Manual) -> None:
    chain_client = manual.connect(max_fee_gwei=20)
    base_fee(manual, SPIKE_WEI)
    manual.request("evm_mine")
    with Journal(manual.path) as journal:
        with pytest.raises(TransientChainError, match=r"the base fee is 50 gwei, and --max-fee-gwei 20 allows no"):
            chain_client.transact(journal, "k", CONTRACT, "add", 1)
        assert journal.transactions.all_of("k") == []
        base_fee(manual, GWEI)
        manual.request("evm_mine")
        manual.request("evm_setAutomine", True)
        chain_client.transact(journal, "k", CONTRACT, "add", 1)
        assert states(journal, "k") == ["mined"]


def test_transact__priced_out_over_the_cap__waits_and_the_first_is_mined_when_fees_fall(manual: Manual) -> None:
    manual.chain = manual.connect(max_fee_gwei=20)
    with Journal(manual.path) as journal:
        sent_in_vain(manual, journal, "k")
        first = newest(journal, "k")
        base_fee(manual, SPIKE_WEI)
        manual.request("evm_mine")
        with pytest.raises(TransientChainError, match=f"transaction {first.hash} is not mined: gas is too dear"):
            manual.chain.transact(journal, "k", CONTRACT, "add", 1)
        assert newest(journal, "k") == first
        base_fee(manual, GWEI)
        manual.request("evm_mine")
        manual.request("evm_setAutomine", True)
        assert manual.chain.transact(journal, "k", CONTRACT, "add", 1).transaction_hash == first.hash


def test_transact__account_emptied_after_signing__says_so_and_sends_when_funded(manual: Manual) -> None:
    before = count(manual)
    with DyingJournal(manual.path, "sign") as dying, pytest.raises(Died):
        manual.chain.transact(dying, "k", CONTRACT, "add", 1)
    manual.request("anvil_setBalance", manual.account.address, "0x0")
    with Journal(manual.path) as journal:
        for _ in range(3):
            with pytest.raises(InsufficientFunds):
                manual.chain.transact(journal, "k", CONTRACT, "add", 1)
        manual.request("anvil_setBalance", manual.account.address, hex(ETHER))
        manual.request("evm_setAutomine", True)
        manual.chain.transact(journal, "k", CONTRACT, "add", 1)
    assert (nonce_of(manual.chain), count(manual)) == (1, before + 1)


# --- replaced at a higher fee -----------------------------------------------------------------------------------------


def test_transact__base_fee_jumps_over_its_fee__replacement_takes_its_place(manual: Manual) -> None:
    before = count(manual)
    with Journal(manual.path) as journal:
        sent_in_vain(manual, journal, "k")
        base_fee(manual, SPIKE_WEI)
        manual.request("evm_mine")
        sent_in_vain(manual, journal, "k")
        first, second = journal.transactions.all_of("k")
        assert (second.nonce, states(journal, "k")) == (first.nonce, ["sent", "sent"])
        assert fees_of(first.raw or b"").max_wei < SPIKE_WEI < fees_of(second.raw or b"").max_wei
        manual.request("evm_mine")
        receipt = manual.chain.transact(journal, "k", CONTRACT, "add", 1)
        assert (receipt.transaction_hash, states(journal, "k")) == (second.hash, ["replaced", "mined"])
    assert (nonce_of(manual.chain), count(manual)) == (1, before + 1)


def test_transact__blocks_pass_it_over__replacement_is_offered(manual: Manual) -> None:
    before = count(manual)
    with Journal(manual.path) as journal:
        sent_in_vain(manual, journal, "k")
    manual.request("evm_setBlockGasLimit", hex(TINY_BLOCK))
    hurry(manual.chain, 60)
    future = manual.transact("k")
    with Journal(manual.path, is_exclusive=False) as journal:

        def is_refused() -> bool:
            manual.request("evm_mine")
            return future.done()

        until("a replacement, which the tiny block cannot take either", is_refused)
        with pytest.raises(TransientChainError, match="the node refuses the transaction"):
            future.result()
        assert states(journal, "k") == ["sent", "sent"]
    manual.request("evm_setBlockGasLimit", hex(USUAL_BLOCK))
    manual.request("evm_setAutomine", True)
    with Journal(manual.path) as journal:
        manual.request("evm_mine")
        manual.chain.transact(journal, "k", CONTRACT, "add", 1)
        assert sorted(states(journal, "k")) == ["mined", "replaced"]
    assert (nonce_of(manual.chain), count(manual)) == (1, before + 1)


@pytest.mark.parametrize("winner", [0, 1])
def test_transact__either_of_two_is_mined__counts_and_is_not_sent_again(manual: Manual, winner: int) -> None:
    before = count(manual)
    with Journal(manual.path) as journal:
        with_replacement(manual, journal)
        chosen = journal.transactions.all_of("k")[winner]
        manual.request("anvil_dropAllTransactions")
        manual.web3.eth.send_raw_transaction(chosen.raw or b"")
        manual.request("evm_mine")
        for _ in range(2):
            receipt = manual.chain.transact(journal, "k", CONTRACT, "add", 1)
            assert receipt.transaction_hash == chosen.hash
        assert states(journal, "k")[winner] == "mined"
        assert states(journal, "k")[1 - winner] == "replaced"
    assert (nonce_of(manual.chain), count(manual)) == (1, before + 1)


def test_transact__killed_before_the_replacement_is_broadcast__sends_one_of_them(manual: Manual) -> None:
    before = count(manual)
    with DyingJournal(manual.path, "replace") as dying:
        sent_in_vain(manual, dying, "k")
        base_fee(manual, SPIKE_WEI)
        manual.request("evm_mine")
        with pytest.raises(Died):
            manual.chain.transact(dying, "k", CONTRACT, "add", 1)
    manual.request("evm_setAutomine", True)
    with Journal(manual.path) as journal:
        receipt = manual.chain.transact(journal, "k", CONTRACT, "add", 1)
        assert receipt.transaction_hash in [each.hash for each in journal.transactions.all_of("k")]
    assert (nonce_of(manual.chain), count(manual)) == (1, before + 1)


# --- others of the account, and reorganised chains -------------------------------------------------------------------


def test_transact__an_earlier_one_was_dropped__is_sent_again_by_who_waits_behind_it(manual: Manual) -> None:
    before = count(manual)
    with Journal(manual.path) as journal:
        sent_in_vain(manual, journal, "first")
        sent_in_vain(manual, journal, "second")
        manual.request("anvil_dropTransaction", newest(journal, "first").hash)
        sent_in_vain(manual, journal, "second")
        manual.request("evm_mine")
        manual.chain.transact(journal, "second", CONTRACT, "add", 1)
        manual.chain.transact(journal, "first", CONTRACT, "add", 1)
    assert (nonce_of(manual.chain), count(manual)) == (2, before + 2)


def test_transact__reorg_undid_an_earlier_one__is_sent_again_before_the_next(manual: Manual) -> None:
    """Nobody asks for the first again: its role believes it done."""
    before, snapshot = count(manual), manual.request("evm_snapshot")
    with Journal(manual.path) as journal:
        manual.request("evm_setAutomine", True)
        first = manual.chain.transact(journal, "first", CONTRACT, "add", 1)
        manual.request("evm_revert", snapshot)
        assert count(manual) == before
        manual.chain.transact(journal, "second", CONTRACT, "add", 1)
        assert (newest(journal, "first").nonce, newest(journal, "second").nonce) == (0, 1)
        again = manual.chain.transact(journal, "first", CONTRACT, "add", 1)
        assert again.transaction_hash == first.transaction_hash
    assert (nonce_of(manual.chain), count(manual)) == (2, before + 2)


def test_find_receipt__reorg_undid_the_mined_replacement__both_may_be_mined_again(manual: Manual) -> None:
    before = count(manual)
    with Journal(manual.path) as journal:
        with_replacement(manual, journal)
        snapshot = manual.request("evm_snapshot")
        manual.request("evm_mine")
        manual.chain.transact(journal, "k", CONTRACT, "add", 1)
        assert states(journal, "k") == ["replaced", "mined"]
        manual.request("evm_revert", snapshot)
        manual.request("anvil_dropAllTransactions")
        assert pending_of(manual, journal).find_receipt(newest(journal, "k")) is None
        assert states(journal, "k") == ["sent", "sent"]
        manual.request("evm_setAutomine", True)
        manual.chain.transact(journal, "k", CONTRACT, "add", 1)
    assert (nonce_of(manual.chain), count(manual)) == (1, before + 1)


def test_transact__reorg_between_two_looks__is_sent_again(manual: Manual, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its nonce was seen used, and is free again at the next look."""
    nonce, seen = PendingTransactions.nonce, iter([1])
    with Journal(manual.path) as journal:
        sent_in_vain(manual, journal, "k")
        manual.request("anvil_dropAllTransactions")
        monkeypatch.setattr(PendingTransactions, "nonce", lambda pending: next(seen, None) or nonce(pending))
        sent_in_vain(manual, journal, "k")
        manual.request("evm_mine")
        manual.chain.transact(journal, "k", CONTRACT, "add", 1)
    assert nonce_of(manual.chain) == 1
