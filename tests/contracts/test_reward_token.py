"""RewardToken: only its minters issue rewards."""

from typing import Any

ZERO_ADDRESS = "0x" + "00" * 20


def test_constructor__zero_minter__reverts(project: Any, deployer: Any, token: Any, reverts: Any) -> None:
    with reverts(token.ZeroAddress):
        deployer.deploy(project.RewardToken, [deployer, ZERO_ADDRESS])


def test_mint__stranger__reverts(token: Any, stranger: Any, reverts: Any) -> None:
    with reverts(token.NotMinter, caller=stranger):
        token.mint(stranger, 1, sender=stranger)


def test_mint__deployer__reverts(token: Any, deployer: Any, reverts: Any) -> None:
    with reverts(token.NotMinter, caller=deployer):
        token.mint(deployer, 1, sender=deployer)


def test_mint__minter__adds_to_balance_and_supply(token: Any, chain_account: Any, miner: Any) -> None:
    token.mint(miner, 7, sender=chain_account)
    receipt = token.mint(miner, 5, sender=chain_account)

    assert token.balanceOf(miner) == 12
    assert token.totalSupply() == 12
    assert receipt.events == [token.Transfer(ZERO_ADDRESS, miner, 5)]


def test_is_minter__only_the_given_accounts(token: Any, chain_account: Any, deployer: Any) -> None:
    assert token.isMinter(chain_account)
    assert not token.isMinter(deployer)
