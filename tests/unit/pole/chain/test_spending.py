"""What transactions cost adds up until it is told, and is told once."""

from pole.chain.spending import Spending, Spent


def test_take__nothing_sent__is_nothing() -> None:
    assert str(Spending().take()) == "0 transactions, 0 gas, 0 ether"


def test_take__some_in_vain__sums_and_begins_anew() -> None:
    spending = Spending()
    spending.add(100_000, 2 * 10**9, is_in_vain=False)
    spending.add(50_000, 10**9, is_in_vain=True)
    taken = spending.take()
    assert taken == Spent(2, 1, 150_000, 250_000 * 10**9)
    assert str(taken) == "2 transactions, 1 of them in vain, 150000 gas, 0.00025 ether"
    spending.add(21_000, 10**9, is_in_vain=False)
    assert str(spending.take()) == "1 transaction, 21000 gas, 0.000021 ether"
