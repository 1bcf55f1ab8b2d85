"""A committee of four and a ballot over two entries, opened by the account that stands in as the chain."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.contracts.rounds import (
    ESCROW,
    INVALID,
    MIN_STAKE_WEI,
    BallotPhase,
    Vote,
    account_of,
    commit_vote,
    digest_of,
    index_of,
    lists_of,
    outcome_of,
    packed,
    reveal_vote,
    valid,
)

FEE_WEI = 9_000
REFUND_ACCOUNT = account_of(9)
VOTE = [valid(950_000, 900_000), INVALID]


@pytest.fixture(scope="module")
def seated(committee: Any, verifiers: list[Any]) -> Any:
    """The committee with four verifiers, each with the smallest stake."""
    for verifier in verifiers:
        committee.stake(sender=verifier, value=MIN_STAKE_WEI)
    return committee


@pytest.fixture
def ballot_id(seated: Any, open_ballot: Any) -> int:
    """A ballot over two entries with a fee of 9,000 wei."""
    return int(open_ballot(seated, 2))


@pytest.fixture
def open_ballot(reservoir: Any, chain: Any, chain_account: Any) -> Callable[[Any, int], int]:
    """`open_ballot(committee, entries)`: a ballot with a fee of 9,000 wei."""

    def open_it(committee: Any, entries: int) -> int:
        ballot_account = account_of(committee.nextBallotId())
        reservoir.deposit(ESCROW, REFUND_ACCOUNT, sender=chain_account, value=FEE_WEI)
        reservoir.move(ESCROW, REFUND_ACCOUNT, committee, ESCROW, ballot_account, FEE_WEI, sender=chain_account)
        committee.openBallot(entries, REFUND_ACCOUNT, chain.blocks.head.timestamp, sender=chain_account)
        return int(committee.nextBallotId()) - 1

    return open_it


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


class Count:
    """A ballot that is taken to `Opening` with given votes, and then counted."""

    def __init__(self, committee: Any, commitments: Any, network: Any, ballot_id: int) -> None:
        self.committee, self.commitments, self.network, self.ballot_id = committee, commitments, network, ballot_id
        self.votes: dict[Any, Vote] = {}

    @property
    def phase(self) -> BallotPhase:
        return BallotPhase(self.committee.ballot(self.ballot_id).phase)

    @property
    def outcome(self) -> list[Any]:
        return outcome_of(self.committee, self.ballot_id)

    def digest(self, vote: Vote) -> bytes:
        return digest_of(self.committee, self.commitments, self.ballot_id, vote)

    def reveal(self, votes: dict[Any, Vote]) -> None:
        """Commits and reveals; whoever is not among them is absent."""
        self.votes = votes
        for verifier, vote in votes.items():
            commit_vote(self.committee, self.commitments, self.ballot_id, verifier, vote)
        self.end_phase()
        for verifier, vote in votes.items():
            reveal_vote(self.committee, self.commitments, self.ballot_id, verifier, vote)
        self.end_phase()

    def end_phase(self) -> None:
        if not self.committee.isDue(self.ballot_id):
            self.pass_deadline()
        self.committee.advance(self.ballot_id, sender=next(iter(self.votes)))

    def pass_deadline(self) -> None:
        self.network.mine(timestamp=self.committee.ballot(self.ballot_id).deadline)

    def open(self, *voters: Any, sender: Any = None) -> None:
        for voter in voters:
            words = packed(self.votes[voter])
            index = index_of(self.committee, self.ballot_id, voter)
            self.committee.openVote(self.ballot_id, index, words, sender=sender or voter)

    def tally(self, *voters: Any, sender: Any = None) -> Any:
        """With the lists of these voters."""
        lists = lists_of({voter: self.votes[voter] for voter in voters})
        return self.committee.tally(self.ballot_id, lists, sender=sender or next(iter(self.votes)))

    def stakes_lost_wei(self) -> list[int]:
        return [MIN_STAKE_WEI - self.committee.verifier(verifier).stakeWei for verifier in self.votes]


@pytest.fixture
def count(seated: Any, commitments: SimpleNamespace, chain: Any, ballot_id: int) -> Count:
    return Count(seated, commitments, chain, ballot_id)
