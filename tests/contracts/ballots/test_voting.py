"""VerifierCommittee, ballots: who may vote, when, and how votes are counted."""

from typing import Any

from tests.contracts.rounds import (
    INVALID,
    MIN_STAKE_WEI,
    SALT,
    ZERO_HASH,
    BallotPhase,
    plain,
    valid,
)

WINDOW_S = 120
TOLERANCE_PPM = 5_000
VOTE = [valid(950_000, 900_000), INVALID]


# --- openBallot ---


def test_open_ballot__not_a_chain__reverts(seated: Any, stranger: Any, reverts: Any) -> None:
    with reverts(seated.NotChain, caller=stranger.address):
        seated.openBallot(1, 0, stranger, sender=stranger)


def test_open_ballot__no_entry__reverts(seated: Any, chain_account: Any, reverts: Any) -> None:
    with reverts(seated.EmptyBallot):
        seated.openBallot(0, 0, chain_account, sender=chain_account)


def test_open_ballot__65_entries__reverts(seated: Any, chain_account: Any, reverts: Any) -> None:
    with reverts(seated.TooManyEntries, given=65, maxEntries=64):
        seated.openBallot(65, 0, chain_account, sender=chain_account)


def test_open_ballot__nobody_seated__reverts(
    seated: Any, verifiers: list[Any], chain_account: Any, reverts: Any
) -> None:
    for verifier in verifiers:
        seated.requestUnstake(sender=verifier)
    with reverts(seated.NoSeatedVerifier):
        seated.openBallot(1, 0, chain_account, sender=chain_account)


def test_open_ballot__seated_verifiers__are_its_members_by_stake(
    seated: Any, verifiers: list[Any], chain_account: Any, client: Any
) -> None:
    seated.stake(sender=verifiers[2], value=7)
    receipt = seated.openBallot(2, TOLERANCE_PPM, client, sender=chain_account)
    opened = seated.ballot(1)
    deadline = receipt.timestamp + WINDOW_S
    assert (opened.chain, opened.refundTo) == (chain_account, client)
    assert (opened.entryCount, opened.tolerancePpm, opened.phase) == (2, TOLERANCE_PPM, BallotPhase.COMMIT)
    assert (opened.memberCount, opened.snapshotStakeWei) == (4, 4 * MIN_STAKE_WEI + 7)
    assert opened.deadline == deadline
    assert seated.members(1) == seated.seated()
    assert seated.weightOf(1, verifiers[2]) == MIN_STAKE_WEI + 7
    assert seated.verifier(verifiers[2]).openBallots == 1
    assert seated.nextBallotId() == 2
    assert seated.BallotOpened(1, chain_account, 2, 4, 4 * MIN_STAKE_WEI + 7, deadline) in receipt.events


def test_open_ballot__later_stakes__change_nothing_in_it(
    seated: Any, ballot_id: int, verifiers: list[Any], stranger: Any
) -> None:
    seated.stake(sender=verifiers[0], value=MIN_STAKE_WEI)
    seated.stake(sender=stranger, value=MIN_STAKE_WEI)
    assert seated.weightOf(ballot_id, verifiers[0]) == MIN_STAKE_WEI
    assert seated.weightOf(ballot_id, stranger) == 0
    assert seated.members(ballot_id) == verifiers


# --- commitVote ---


def test_commit_vote__unknown_ballot__reverts(seated: Any, verifier: Any, reverts: Any) -> None:
    with reverts(seated.WrongBallotPhase, ballotId=99, phase=BallotPhase.NONE, needed=BallotPhase.COMMIT):
        seated.commitVote(99, SALT, sender=verifier)


def test_commit_vote__at_the_deadline__reverts(
    seated: Any, ballot_id: int, verifier: Any, chain: Any, reverts: Any
) -> None:
    deadline = seated.ballot(ballot_id).deadline
    chain.mine(timestamp=deadline)
    with reverts(seated.DeadlinePassed, ballotId=ballot_id, deadline=deadline):
        seated.commitVote(ballot_id, SALT, sender=verifier)


def test_commit_vote__not_a_member__reverts(seated: Any, ballot_id: int, stranger: Any, reverts: Any) -> None:
    with reverts(seated.NotMember, ballotId=ballot_id, verifier=stranger.address):
        seated.commitVote(ballot_id, SALT, sender=stranger)


def test_commit_vote__twice__reverts(seated: Any, ballot_id: int, verifier: Any, reverts: Any) -> None:
    seated.commitVote(ballot_id, SALT, sender=verifier)
    with reverts(seated.AlreadyCommitted, ballotId=ballot_id, verifier=verifier.address):
        seated.commitVote(ballot_id, SALT, sender=verifier)


def test_commit_vote__empty__reverts(seated: Any, ballot_id: int, verifier: Any, reverts: Any) -> None:
    with reverts(seated.EmptyCommitment):
        seated.commitVote(ballot_id, ZERO_HASH, sender=verifier)


def test_commit_vote__member__is_counted(seated: Any, ballot_id: int, verifier: Any) -> None:
    before = seated.ballot(ballot_id).transcript
    receipt = seated.commitVote(ballot_id, SALT, sender=verifier)
    voted = seated.ballot(ballot_id)
    assert (voted.committedCount, voted.committedStakeWei) == (1, MIN_STAKE_WEI)
    assert voted.transcript != before
    assert seated.commitmentOf(ballot_id, verifier) == SALT
    assert seated.VoteCommitted(ballot_id, verifier) in receipt.events
    assert not seated.isDue(ballot_id)


def test_commit_vote__member_that_lost_its_seat__still_votes(seated: Any, ballot_id: int, verifier: Any) -> None:
    seated.requestUnstake(sender=verifier)
    seated.commitVote(ballot_id, SALT, sender=verifier)
    assert seated.ballot(ballot_id).committedStakeWei == MIN_STAKE_WEI


# --- revealVote ---


def test_reveal_vote__commit_phase__reverts(seated: Any, ballot_id: int, verifier: Any, reverts: Any) -> None:
    expected = {"ballotId": ballot_id, "phase": BallotPhase.COMMIT, "needed": BallotPhase.REVEAL}
    with reverts(seated.WrongBallotPhase, **expected):
        seated.revealVote(ballot_id, VOTE, SALT, sender=verifier)


def test_reveal_vote__at_the_deadline__reverts(
    seated: Any, revealing: int, verifier: Any, chain: Any, reverts: Any
) -> None:
    deadline = seated.ballot(revealing).deadline
    chain.mine(timestamp=deadline)
    with reverts(seated.DeadlinePassed, ballotId=revealing, deadline=deadline):
        seated.revealVote(revealing, VOTE, SALT, sender=verifier)


def test_reveal_vote__did_not_commit__reverts(seated: Any, revealing: int, verifiers: list[Any], reverts: Any) -> None:
    with reverts(seated.NotCommitted, ballotId=revealing, verifier=verifiers[3].address):
        seated.revealVote(revealing, VOTE, SALT, sender=verifiers[3])


def test_reveal_vote__too_few_verdicts__reverts(seated: Any, revealing: int, verifier: Any, reverts: Any) -> None:
    with reverts(seated.WrongVerdictCount, given=1, needed=2):
        seated.revealVote(revealing, VOTE[:1], SALT, sender=verifier)


def test_reveal_vote__impossible_verdict__reverts(seated: Any, revealing: int, verifier: Any, reverts: Any) -> None:
    with reverts(seated.InvalidVerdict, entry=1):
        seated.revealVote(revealing, [VOTE[0], (False, 1, 0)], SALT, sender=verifier)


def test_reveal_vote__other_than_committed__reverts(
    seated: Any, revealing: int, verifier: Any, commitments: Any, reverts: Any
) -> None:
    other = [valid(950_000, 900_001), INVALID]
    actual = commitments.vote(seated.address, revealing, verifier.address, other, SALT)
    with reverts(seated.CommitmentMismatch, expected=seated.commitmentOf(revealing, verifier), actual=actual):
        seated.revealVote(revealing, other, SALT, sender=verifier)


def test_reveal_vote__twice__reverts(seated: Any, revealing: int, verifier: Any, reverts: Any) -> None:
    seated.revealVote(revealing, VOTE, SALT, sender=verifier)
    with reverts(seated.AlreadyRevealed, ballotId=revealing, verifier=verifier.address):
        seated.revealVote(revealing, VOTE, SALT, sender=verifier)


def test_reveal_vote__as_committed__is_counted(seated: Any, revealing: int, verifier: Any) -> None:
    assert seated.votes(revealing, verifier) == []
    receipt = seated.revealVote(revealing, VOTE, SALT, sender=verifier)
    voted = seated.ballot(revealing)
    assert (voted.revealedCount, voted.revealedStakeWei) == (1, MIN_STAKE_WEI)
    assert plain(seated.votes(revealing, verifier)) == VOTE
    revealed = next(event for event in receipt.events if event.event_name == "VoteRevealed")
    assert revealed.verifier == verifier
    assert seated.outcome(revealing) == []
