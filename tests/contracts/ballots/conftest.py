"""A committee of four and a ballot over two entries, opened by the account that stands in as the chain."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.contracts.rounds import ESCROW, INVALID, MIN_STAKE_WEI, Vote, account_of, commit_vote, valid

TOLERANCE_PPM = 5_000
FEE_WEI = 9_000
VOTE = [valid(950_000, 900_000), INVALID]


@pytest.fixture(scope="module")
def seated(committee: Any, verifiers: list[Any]) -> Any:
    """The committee with four verifiers, each with the smallest stake."""
    for verifier in verifiers:
        committee.stake(sender=verifier, value=MIN_STAKE_WEI)
    return committee


@pytest.fixture
def ballot_id(seated: Any, reservoir: Any, chain_account: Any, client: Any) -> int:
    """A ballot over two entries with a fee of 9,000 wei."""
    account, ballot_account = account_of(9), account_of(seated.nextBallotId())
    reservoir.deposit(ESCROW, account, sender=chain_account, value=FEE_WEI)
    reservoir.move(ESCROW, account, seated, ESCROW, ballot_account, FEE_WEI, sender=chain_account)
    seated.openBallot(2, TOLERANCE_PPM, client, sender=chain_account)
    return int(seated.nextBallotId()) - 1


@pytest.fixture
def cast(seated: Any, commitments: Any, ballot_id: int) -> Callable[[dict[Any, Vote]], None]:
    """`cast({verifier: vote})`: commits these votes."""

    def commit_all(votes: dict[Any, Vote]) -> None:
        for verifier, vote in votes.items():
            commit_vote(seated, commitments, ballot_id, verifier, vote)

    return commit_all


@pytest.fixture
def revealing(seated: Any, ballot_id: int, verifiers: list[Any], cast: Any, chain: Any) -> int:
    """The ballot in `Reveal`: three of four committed `VOTE`, the fourth was absent."""
    cast(dict.fromkeys(verifiers[:3], VOTE))
    chain.mine(timestamp=seated.ballot(ballot_id).deadline)
    seated.advance(ballot_id, sender=verifiers[0])
    return ballot_id
