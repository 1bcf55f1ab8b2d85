"""Fees: enough, never over the cap, and for a replacement enough more than before."""

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from pole.chain.fees import GWEI, TIP_WEI, FeePolicy, Fees, fees_of, gwei, with_fees
from pole.errors import TransientChainError

UNSIGNED = {
    "type": 2,
    "chainId": 31337,
    "nonce": 7,
    "to": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "value": 5,
    "data": "0x01020304",
    "gas": 50_000,
    "maxFeePerGas": 3 * GWEI,
    "maxPriorityFeePerGas": GWEI,
}


def test_first__base_fee_over_the_cap__waits_and_says_what_to_do() -> None:
    with pytest.raises(TransientChainError) as caught:
        FeePolicy(50 * GWEI).first(60 * GWEI, "LearningChain.commit")
    assert str(caught.value) == (
        "LearningChain.commit: gas is too dear: the base fee is 60 gwei, and --max-fee-gwei 50 allows no higher offer; "
        "wait until fees fall, or raise it"
    )


def test_first__cap_between_base_fee_and_its_double__offers_the_cap() -> None:
    assert FeePolicy(50 * GWEI).first(40 * GWEI, "x") == Fees(50 * GWEI, TIP_WEI)
    assert FeePolicy(500 * GWEI).first(40 * GWEI, "x") == Fees(81 * GWEI, TIP_WEI)


@given(
    fees=st.tuples(st.integers(1, 10**13), st.integers(1, 10**13)).map(lambda pair: Fees(max(pair), min(pair))),
    base_fee_wei=st.integers(0, 10**13),
    cap_wei=st.integers(1, 10**14),
)
def test_raised__any_fees__nodes_accept_it_and_it_fits_the_block_or_there_is_none(
    fees: Fees, base_fee_wei: int, cap_wei: int
) -> None:
    raised = FeePolicy(cap_wei).raised(fees, base_fee_wei)
    if raised is None:
        assert max(fees.max_wei * 9 // 8 + 1, base_fee_wei + fees.tip_wei * 9 // 8 + 1) > cap_wei
        return
    assert 1000 * raised.max_wei >= 1125 * fees.max_wei
    assert 1000 * raised.tip_wei >= 1125 * fees.tip_wei
    assert base_fee_wei + raised.tip_wei <= raised.max_wei <= cap_wei


def test_with_fees__signed_transaction__changes_nothing_else() -> None:
    account = Account.create()
    raw = bytes(account.sign_transaction(UNSIGNED).raw_transaction)
    assert fees_of(raw) == Fees(3 * GWEI, GWEI)
    dearer = bytes(account.sign_transaction(with_fees(raw, Fees(9 * GWEI, 2 * GWEI))).raw_transaction)
    assert fees_of(dearer) == Fees(9 * GWEI, 2 * GWEI)
    assert Account.recover_transaction(dearer) == account.address
    back = account.sign_transaction(with_fees(dearer, Fees(3 * GWEI, GWEI))).raw_transaction
    assert bytes(back) == raw


def test_gwei__odd_amounts__read_well() -> None:
    assert [gwei(wei) for wei in (0, 1, GWEI, 3 * GWEI // 2, 300 * GWEI)] == ["0", "0.000000001", "1", "1.5", "300"]
