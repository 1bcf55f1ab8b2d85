"""The account's ether against bonds and the gas of a round."""

from collections.abc import Callable
from pathlib import Path

import pytest
from eth_account.signers.local import LocalAccount
from web3 import Web3

from pole.chain.deployment import Deployment
from pole.node.doctor import account, chain
from pole.node.doctor.check import Verdict
from tests.unit.checking import OK, PROBLEM, WARNING, says

ETHER = 10**18
DOCS = Path(__file__).parents[5] / "docs"


@pytest.mark.parametrize("role", account.ROLES)
@pytest.mark.parametrize(("balance_wei", "verdict"), [(10**15, PROBLEM), (50 * ETHER, OK)])
def test_balance__against_bond_and_gas(
    role: str,
    balance_wei: int,
    verdict: Verdict,
    anvil: str,
    deployment: Deployment,
    new_account: Callable[..., LocalAccount],
) -> None:
    address = new_account(balance_wei).address
    found = account.check_balance(account.ROLES[role], anvil, deployment, address)
    says(found, verdict, f"{role}: {'0.001' if verdict is PROBLEM else '50'} ether", "" if verdict is OK else address)


def test_balance__bond_but_not_the_steps__warning(
    anvil: str, deployment: Deployment, new_account: Callable[..., LocalAccount], web3: Web3
) -> None:
    own_wei = account.ROLES["miner"].gas * chain.gas_price_wei(web3)
    address = new_account(ETHER // 20 + own_wei * 2).address
    says(account.check_balance(account.ROLES["miner"], anvil, deployment, address), WARNING, "anybody may take")


@pytest.mark.parametrize(
    ("steps", "gas"),
    [
        (("commit", "reveal"), account.ROLES["miner"].gas),
        (("stake", "commit vote", "reveal vote"), account.ROLES["verifier"].gas),
        (("submit", "publish keys", "release the test set"), account.ROLES["client"].gas),
        (
            (
                *("open the round", "close commits", "end the reveals, open the ballot"),
                *("close vote commits", "tally, a digest decides", "finalise the block"),
            ),
            account.STEPS_GAS,
        ),
    ],
)
def test_gas__is_what_was_measured(steps: tuple[str, ...], gas: int) -> None:
    rows = [line.split("|") for line in (DOCS / "benchmarks.md").read_text().splitlines() if line.startswith("| ")]
    measured = {row[2].strip(): row[5].strip() for row in rows if len(row) > 5}
    assert sum(int(measured[step].replace(",", "")) for step in steps) == gas
