"""RewardReservoir: only operators account, only payees withdraw, and the balance is always the sum of the accounts."""

from collections.abc import Callable
from typing import Any

import pytest
from ape.exceptions import ContractLogicError
from eth_utils.crypto import keccak

ZERO_ADDRESS = "0x" + "00" * 20
ESCROW, BOND, STAKE = 0, 1, 2
ACCOUNT = keccak(text="account")
OTHER_ACCOUNT = keccak(text="other account")


@pytest.fixture
def filled(reservoir: Any, chain_account: Any) -> Any:
    """A reservoir in which `chain_account` has 100 wei of escrow."""
    reservoir.deposit(ESCROW, ACCOUNT, sender=chain_account, value=100)
    return reservoir


@pytest.fixture
def credited(filled: Any, chain_account: Any, miner: Any) -> Any:
    """A reservoir that owes `miner` 60 wei and holds 40 wei of escrow."""
    filled.credit(ESCROW, ACCOUNT, miner, 60, sender=chain_account)
    return filled


def short(keeper: Any, pot: int, balance_wei: int, amount_wei: int) -> dict[str, Any]:
    """What `InsufficientFunds` says of `ACCOUNT`."""
    return {"keeper": keeper, "pot": pot, "account": ACCOUNT, "balanceWei": balance_wei, "amountWei": amount_wei}


# --- constructor ---


def test_constructor__zero_operator__reverts(project: Any, deployer: Any, reservoir: Any, reverts: Any) -> None:
    with reverts(reservoir.ZeroAddress):
        deployer.deploy(project.RewardReservoir, [deployer, ZERO_ADDRESS], [deployer, deployer])
    with reverts(reservoir.ZeroAddress):
        deployer.deploy(project.RewardReservoir, [deployer], [ZERO_ADDRESS])


def test_constructor__not_one_keeper_each__reverts(
    project: Any, deployer: Any, reservoir: Any, stranger: Any, reverts: Any
) -> None:
    with reverts(reservoir.LengthMismatch, payees=2, amounts=1):
        deployer.deploy(project.RewardReservoir, [deployer, stranger], [deployer])


def test_keeper_of__is_as_given_and_no_keeper_of_others(
    reservoir: Any, market: Any, chain_account: Any, other_operator: Any, deployer: Any
) -> None:
    keepers = [reservoir.keeperOf(each) for each in (market, chain_account, other_operator, deployer)]
    assert keepers == [market, market, other_operator, ZERO_ADDRESS]


def test_plain_transfer__reverts_and_leaves_no_unaccounted_ether(reservoir: Any, stranger: Any) -> None:
    with pytest.raises(ContractLogicError):
        stranger.transfer(reservoir, 1)
    assert reservoir.balance == 0


# --- operators only ---


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("deposit", [ESCROW, ACCOUNT]),
        ("move", [ESCROW, ACCOUNT, ZERO_ADDRESS, BOND, ACCOUNT, 1]),
        ("credit", [ESCROW, ACCOUNT, ZERO_ADDRESS, 1]),
        ("creditMany", [ESCROW, ACCOUNT, [ZERO_ADDRESS], [1]]),
    ],
)
def test_operator_functions__stranger__revert(
    filled: Any, stranger: Any, reverts: Any, method: str, arguments: list[Any]
) -> None:
    with reverts(filled.NotOperator, caller=stranger):
        getattr(filled, method)(*arguments, sender=stranger)


# --- deposit ---


def test_deposit__twice__adds_up(reservoir: Any, chain_account: Any, money: Callable[[Any], None]) -> None:
    reservoir.deposit(STAKE, ACCOUNT, sender=chain_account, value=3)
    receipt = reservoir.deposit(STAKE, ACCOUNT, sender=chain_account, value=4)

    assert receipt.events == [reservoir.Deposited(reservoir.keeperOf(chain_account), STAKE, ACCOUNT, 4)]
    assert reservoir.balanceOf(reservoir.keeperOf(chain_account), STAKE, ACCOUNT) == 7
    assert reservoir.total(STAKE) == 7
    assert reservoir.total(ESCROW) == reservoir.total(BOND) == 0
    money(reservoir)


# --- move ---


def test_move__more_than_the_account_holds__reverts(
    filled: Any, chain_account: Any, other_operator: Any, reverts: Any
) -> None:
    expected = short(filled.keeperOf(chain_account), ESCROW, 100, 101)
    with reverts(filled.InsufficientFunds, **expected):
        filled.move(ESCROW, ACCOUNT, other_operator, BOND, OTHER_ACCOUNT, 101, sender=chain_account)


def test_move__other_operators_account__reverts(
    filled: Any, chain_account: Any, other_operator: Any, reverts: Any
) -> None:
    expected = short(other_operator, ESCROW, 0, 1)
    with reverts(filled.InsufficientFunds, **expected):
        filled.move(ESCROW, ACCOUNT, other_operator, ESCROW, ACCOUNT, 1, sender=other_operator)


def test_move__other_pot_of_the_same_account__reverts(filled: Any, chain_account: Any, reverts: Any) -> None:
    expected = short(filled.keeperOf(chain_account), BOND, 0, 1)
    with reverts(filled.InsufficientFunds, **expected):
        filled.move(BOND, ACCOUNT, chain_account, ESCROW, ACCOUNT, 1, sender=chain_account)


def test_move__to_a_stranger__reverts(filled: Any, chain_account: Any, stranger: Any, reverts: Any) -> None:
    with reverts(filled.NotOperator, caller=stranger):
        filled.move(ESCROW, ACCOUNT, stranger, ESCROW, ACCOUNT, 1, sender=chain_account)


def test_move__part__changes_both_accounts_and_totals(
    filled: Any, chain_account: Any, other_operator: Any, money: Callable[[Any], None]
) -> None:
    receipt = filled.move(ESCROW, ACCOUNT, other_operator, BOND, OTHER_ACCOUNT, 30, sender=chain_account)

    expected = filled.Moved(filled.keeperOf(chain_account), ESCROW, ACCOUNT, other_operator, BOND, OTHER_ACCOUNT, 30)
    assert receipt.events == [expected]
    assert filled.balanceOf(filled.keeperOf(chain_account), ESCROW, ACCOUNT) == 70
    assert filled.balanceOf(other_operator, BOND, OTHER_ACCOUNT) == 30
    assert (filled.total(ESCROW), filled.total(BOND), filled.total(STAKE)) == (70, 30, 0)
    money(filled)


def test_move__onto_itself__changes_nothing(filled: Any, chain_account: Any, money: Callable[[Any], None]) -> None:
    filled.move(ESCROW, ACCOUNT, chain_account, ESCROW, ACCOUNT, 100, sender=chain_account)

    assert filled.balanceOf(filled.keeperOf(chain_account), ESCROW, ACCOUNT) == 100
    assert filled.total(ESCROW) == 100
    money(filled)


# --- credit ---


def test_credit__more_than_the_account_holds__reverts(
    filled: Any, chain_account: Any, miner: Any, reverts: Any
) -> None:
    expected = short(filled.keeperOf(chain_account), ESCROW, 100, 101)
    with reverts(filled.InsufficientFunds, **expected):
        filled.credit(ESCROW, ACCOUNT, miner, 101, sender=chain_account)


def test_credit__zero_address__reverts(filled: Any, chain_account: Any, reverts: Any) -> None:
    with reverts(filled.ZeroAddress):
        filled.credit(ESCROW, ACCOUNT, ZERO_ADDRESS, 1, sender=chain_account)


def test_credit__part__is_owed_to_the_payee(
    filled: Any, chain_account: Any, miner: Any, money: Callable[[Any], None]
) -> None:
    receipt = filled.credit(ESCROW, ACCOUNT, miner, 60, sender=chain_account)

    assert receipt.events == [filled.Credited(filled.keeperOf(chain_account), ESCROW, ACCOUNT, miner, 60)]
    assert filled.creditOf(miner) == filled.totalCredits() == 60
    assert filled.balanceOf(filled.keeperOf(chain_account), ESCROW, ACCOUNT) == filled.total(ESCROW) == 40
    money(filled)


# --- creditMany ---


def test_credit_many__lengths_differ__reverts(filled: Any, chain_account: Any, miner: Any, reverts: Any) -> None:
    with reverts(filled.LengthMismatch, payees=1, amounts=2):
        filled.creditMany(ESCROW, ACCOUNT, [miner], [1, 2], sender=chain_account)


def test_credit_many__sum_over_balance__reverts_whole(
    filled: Any, chain_account: Any, miners: list[Any], reverts: Any
) -> None:
    expected = short(filled.keeperOf(chain_account), ESCROW, 100, 101)
    with reverts(filled.InsufficientFunds, **expected):
        filled.creditMany(ESCROW, ACCOUNT, miners[:2], [60, 41], sender=chain_account)
    assert filled.creditOf(miners[0]) == 0


def test_credit_many__zero_amount_to_zero_address__is_skipped(
    filled: Any, chain_account: Any, miners: list[Any], money: Callable[[Any], None]
) -> None:
    payees = [miners[0], ZERO_ADDRESS, miners[1], miners[0]]
    receipt = filled.creditMany(ESCROW, ACCOUNT, payees, [10, 0, 20, 5], sender=chain_account)

    assert [event.amountWei for event in receipt.events] == [10, 20, 5]
    assert [filled.creditOf(payee) for payee in miners[:2]] == [15, 20]
    assert filled.totalCredits() == 35
    money(filled)


# --- withdraw ---


def test_withdraw__nothing_owed__reverts(credited: Any, stranger: Any, reverts: Any) -> None:
    with reverts(credited.NothingToWithdraw, payee=stranger):
        credited.withdraw(stranger, sender=stranger)


def test_withdraw__to_zero_address__reverts(credited: Any, miner: Any, reverts: Any) -> None:
    with reverts(credited.ZeroAddress):
        credited.withdraw(ZERO_ADDRESS, sender=miner)


def test_withdraw__to_contract_without_receive__reverts_and_keeps_the_credit(
    credited: Any, market: Any, miner: Any, reverts: Any
) -> None:
    with reverts(credited.WithdrawalFailed, to=market.address, amountWei=60):
        credited.withdraw(market, sender=miner)
    assert credited.creditOf(miner) == 60


def test_withdraw__to_other_account__pays_all_and_clears_the_credit(
    credited: Any, miner: Any, stranger: Any, money: Callable[[Any], None]
) -> None:
    before_wei = stranger.balance
    receipt = credited.withdraw(stranger, sender=miner)

    assert receipt.events == [credited.Withdrawn(miner, stranger, 60)]
    assert stranger.balance == before_wei + 60
    assert credited.creditOf(miner) == credited.totalCredits() == 0
    assert credited.balance == 40
    money(credited)


def test_withdraw__second_time__reverts(credited: Any, miner: Any, reverts: Any) -> None:
    credited.withdraw(miner, sender=miner)
    with reverts(credited.NothingToWithdraw, payee=miner):
        credited.withdraw(miner, sender=miner)


def test_withdraw__receiver_calls_back__is_paid_once(
    project: Any, deployer: Any, credited: Any, chain_account: Any, money: Callable[[Any], None], reverts: Any
) -> None:
    greedy = deployer.deploy(project.GreedyPayee, credited)
    credited.credit(ESCROW, ACCOUNT, greedy, 10, sender=chain_account)

    with reverts(credited.WithdrawalFailed, to=greedy.address, amountWei=10):
        greedy.collect(sender=deployer)
    greedy.behave(sender=deployer)
    greedy.collect(sender=deployer)

    assert greedy.balance == 10
    assert credited.creditOf(greedy) == 0
    money(credited)
