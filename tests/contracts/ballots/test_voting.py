"""VerifierCommittee, ballots: who may vote, when, and how votes are counted."""

from typing import Any

import pytest
from eth_utils.crypto import keccak

from tests.contracts.ballots.conftest import REFUND_ACCOUNT, VOTE, Count
from tests.contracts.rounds import (
    ESCROW,
    GONE,
    INVALID,
    MIN_STAKE_WEI,
    NO_PREDICTIONS,
    SALT,
    ZERO_ADDRESS,
    ZERO_HASH,
    BallotPhase,
    account_of,
    commit_vote,
    digest_of,
    outcome_digest,
    packed,
    reveal_vote,
    valid,
)

WINDOW_S = 120
PREDICTIONS = (0x55, keccak(text="predictions"))


# --- openBallot ---


def test_open_ballot__not_a_chain__reverts(seated: Any, stranger: Any, reverts: Any) -> None:
    with reverts(seated.NotChain, caller=stranger.address):
        seated.openBallot(1, REFUND_ACCOUNT, 0, sender=stranger)


def test_open_ballot__no_entry__reverts(seated: Any, chain_account: Any, reverts: Any) -> None:
    with reverts(seated.EmptyBallot):
        seated.openBallot(0, REFUND_ACCOUNT, 0, sender=chain_account)


def test_open_ballot__65_entries__reverts(seated: Any, chain_account: Any, reverts: Any) -> None:
    with reverts(seated.TooManyEntries, given=65, maxEntries=64):
        seated.openBallot(65, REFUND_ACCOUNT, 0, sender=chain_account)


def test_open_ballot__nobody_was_seated_then__can_only_become_void(
    seated: Any, chain_account: Any, stranger: Any, reservoir: Any
) -> None:
    """A chain that asks for it must never be stuck."""
    reservoir.deposit(ESCROW, REFUND_ACCOUNT, sender=chain_account, value=9)
    reservoir.move(ESCROW, REFUND_ACCOUNT, seated, ESCROW, account_of(1), 9, sender=chain_account)
    seated.openBallot(1, REFUND_ACCOUNT, 1, sender=chain_account)
    assert seated.members(1) == []
    for _ in range(3):
        assert seated.isDue(1)
        seated.advance(1, sender=stranger)
    assert seated.ballot(1).phase == BallotPhase.VOID
    assert reservoir.balanceOf(reservoir.keeperOf(chain_account), ESCROW, REFUND_ACCOUNT) == 9


def test_open_ballot__seated_verifiers__are_its_members_by_stake(
    seated: Any, verifiers: list[Any], chain: Any, chain_account: Any
) -> None:
    seated.stake(sender=verifiers[2], value=7)
    receipt = seated.openBallot(2, REFUND_ACCOUNT, chain.blocks.head.timestamp, sender=chain_account)
    opened = seated.ballot(1)
    deadline = receipt.timestamp + WINDOW_S
    assert (opened.chain, opened.refundAccount) == (chain_account, REFUND_ACCOUNT)
    assert (opened.entryCount, opened.phase, outcome_digest(seated, 1)) == (2, BallotPhase.COMMIT, ZERO_HASH)
    assert (opened.memberCount, opened.snapshotStakeWei) == (4, 4 * MIN_STAKE_WEI + 7)
    assert opened.deadline == deadline
    assert seated.members(1) == seated.seated()
    assert seated.memberOf(1, verifiers[2]).weightWei == MIN_STAKE_WEI + 7
    assert seated.verifier(verifiers[2]).openBallots == 1
    assert seated.nextBallotId() == 2
    assert seated.BallotOpened(1, chain_account, 2, 4, 4 * MIN_STAKE_WEI + 7, deadline) in receipt.events


def test_open_ballot__later_stakes__change_nothing_in_it(
    seated: Any, ballot_id: int, verifiers: list[Any], stranger: Any
) -> None:
    seated.stake(sender=verifiers[0], value=MIN_STAKE_WEI)
    seated.stake(sender=stranger, value=MIN_STAKE_WEI)
    assert seated.memberOf(ballot_id, verifiers[0]).weightWei == MIN_STAKE_WEI
    assert seated.memberOf(ballot_id, stranger).weightWei == 0
    assert seated.members(ballot_id) == verifiers


def test_open_ballot__members_of_an_earlier_time__whatever_happened_to_their_seats(
    seated: Any, verifiers: list[Any], chain: Any, chain_account: Any, stranger: Any
) -> None:
    """D5: they are fixed before anybody reveals, and stay bound."""
    fixed_at = chain.blocks.head.timestamp
    chain.mine(deltatime=5)
    seated.stake(sender=verifiers[0], value=MIN_STAKE_WEI)
    seated.stake(sender=stranger, value=MIN_STAKE_WEI)
    for verifier in verifiers:
        seated.requestUnstake(sender=verifier)
    seated.openBallot(1, REFUND_ACCOUNT, fixed_at, sender=chain_account)
    assert seated.members(1) == verifiers
    assert [seated.memberOf(1, verifier).weightWei for verifier in verifiers] == [MIN_STAKE_WEI] * 4
    assert [seated.verifier(verifier).openBallots for verifier in (*verifiers, stranger)] == [1] * 4 + [0]


# --- keys apart ---


def test_commit_vote__voter_of_another__reverts(
    seated: Any, ballot_id: int, verifiers: list[Any], stranger: Any, reverts: Any
) -> None:
    seated.setVoter(stranger, sender=verifiers[0])
    with reverts(seated.NotMember, ballotId=ballot_id, verifier=stranger.address):
        seated.commitVote(ballot_id, 1, SALT, sender=stranger)
    with reverts(seated.NotMember, ballotId=ballot_id, verifier=stranger.address):
        seated.commitVote(ballot_id, 4, SALT, sender=stranger)


def test_commit_vote__former_voter__reverts(
    seated: Any, ballot_id: int, verifier: Any, stranger: Any, reverts: Any
) -> None:
    seated.setVoter(stranger, sender=verifier)
    seated.setVoter(ZERO_ADDRESS, sender=verifier)
    with reverts(seated.NotMember, ballotId=ballot_id, verifier=stranger.address):
        seated.commitVote(ballot_id, 0, SALT, sender=stranger)


def test_vote__by_the_voter__is_the_members_and_pays_the_member(
    seated: Any, ballot_id: int, verifiers: list[Any], stranger: Any, commitments: Any, reservoir: Any
) -> None:
    """The voter commits, is exchanged, and the new one reveals; stake and credits stay the owner's."""
    owner, others, second = verifiers[0], verifiers[1:], verifiers[1]
    receipt = seated.setVoter(stranger, sender=owner)
    assert seated.VoterChanged(owner, stranger) in receipt.events
    assert seated.verifier(owner).voter == stranger
    digest = digest_of(seated, commitments, ballot_id, VOTE)
    hashed = commitments.vote(seated.address, ballot_id, owner.address, digest, SALT)
    seated.commitVote(ballot_id, 0, hashed, sender=stranger)
    for verifier in others:
        commit_vote(seated, commitments, ballot_id, verifier, VOTE)
    seated.advance(ballot_id, sender=stranger)
    seated.setVoter(second, sender=owner)
    seated.revealVote(ballot_id, 0, digest, SALT, NO_PREDICTIONS, sender=second)
    for verifier in others:
        reveal_vote(seated, commitments, ballot_id, verifier, VOTE)
    seated.tally(ballot_id, [packed(VOTE)], sender=stranger)
    assert reservoir.creditOf(stranger) == 0
    assert [reservoir.creditOf(verifier) for verifier in verifiers] == [9_000 // 4] * 4


# --- commitVote ---


def test_commit_vote__unknown_ballot__reverts(seated: Any, verifier: Any, reverts: Any) -> None:
    with reverts(seated.WrongBallotPhase, ballotId=99, phase=BallotPhase.NONE, needed=BallotPhase.COMMIT):
        seated.commitVote(99, 0, SALT, sender=verifier)


def test_commit_vote__at_the_deadline__reverts(
    seated: Any, ballot_id: int, verifier: Any, chain: Any, reverts: Any
) -> None:
    deadline = seated.ballot(ballot_id).deadline
    chain.mine(timestamp=deadline)
    with reverts(seated.DeadlinePassed, ballotId=ballot_id, deadline=deadline):
        seated.commitVote(ballot_id, 0, SALT, sender=verifier)


def test_commit_vote__not_a_member__reverts(seated: Any, ballot_id: int, stranger: Any, reverts: Any) -> None:
    with reverts(seated.NotMember, ballotId=ballot_id, verifier=stranger.address):
        seated.commitVote(ballot_id, 0, SALT, sender=stranger)


def test_commit_vote__twice__reverts(seated: Any, ballot_id: int, verifier: Any, reverts: Any) -> None:
    seated.commitVote(ballot_id, 0, SALT, sender=verifier)
    with reverts(seated.AlreadyCommitted, ballotId=ballot_id, verifier=verifier.address):
        seated.commitVote(ballot_id, 0, SALT, sender=verifier)


def test_commit_vote__empty__reverts(seated: Any, ballot_id: int, verifier: Any, reverts: Any) -> None:
    with reverts(seated.EmptyCommitment):
        seated.commitVote(ballot_id, 0, ZERO_HASH, sender=verifier)


def test_commit_vote__member__is_counted(seated: Any, ballot_id: int, verifier: Any) -> None:
    before = seated.ballot(ballot_id).transcript
    receipt = seated.commitVote(ballot_id, 0, SALT, sender=verifier)
    voted = seated.ballot(ballot_id)
    assert (voted.committedCount, voted.committedStakeWei) == (1, MIN_STAKE_WEI)
    assert voted.transcript != before
    assert seated.memberOf(ballot_id, verifier).commitment == SALT
    assert seated.VoteCommitted(ballot_id, verifier) in receipt.events
    assert not seated.isDue(ballot_id)


def test_commit_vote__member_that_lost_its_seat__still_votes(seated: Any, ballot_id: int, verifier: Any) -> None:
    seated.requestUnstake(sender=verifier)
    seated.commitVote(ballot_id, 0, SALT, sender=verifier)
    assert seated.ballot(ballot_id).committedStakeWei == MIN_STAKE_WEI


# --- revealVote ---


@pytest.fixture
def digest(seated: Any, commitments: Any, revealing: int) -> bytes:
    """Of `VOTE`."""
    return digest_of(seated, commitments, revealing, VOTE)


def test_reveal_vote__commit_phase__reverts(seated: Any, ballot_id: int, verifier: Any, reverts: Any) -> None:
    expected = {"ballotId": ballot_id, "phase": BallotPhase.COMMIT, "needed": BallotPhase.REVEAL}
    with reverts(seated.WrongBallotPhase, **expected):
        seated.revealVote(ballot_id, 0, SALT, SALT, NO_PREDICTIONS, sender=verifier)


def test_reveal_vote__at_the_deadline__reverts(
    seated: Any, revealing: int, digest: bytes, verifier: Any, chain: Any, reverts: Any
) -> None:
    deadline = seated.ballot(revealing).deadline
    chain.mine(timestamp=deadline)
    with reverts(seated.DeadlinePassed, ballotId=revealing, deadline=deadline):
        seated.revealVote(revealing, 0, digest, SALT, NO_PREDICTIONS, sender=verifier)


def test_reveal_vote__did_not_commit__reverts(
    seated: Any, revealing: int, digest: bytes, verifiers: list[Any], reverts: Any
) -> None:
    with reverts(seated.NotCommitted, ballotId=revealing, verifier=verifiers[3].address):
        seated.revealVote(revealing, 3, digest, SALT, NO_PREDICTIONS, sender=verifiers[3])


def test_reveal_vote__no_digest__reverts(seated: Any, revealing: int, verifier: Any, reverts: Any) -> None:
    with reverts(seated.EmptyDigest):
        seated.revealVote(revealing, 0, ZERO_HASH, SALT, NO_PREDICTIONS, sender=verifier)


def test_reveal_vote__other_than_committed__reverts(
    seated: Any, revealing: int, verifier: Any, commitments: Any, reverts: Any
) -> None:
    other = digest_of(seated, commitments, revealing, [valid(950_000, 900_001), INVALID])
    actual = commitments.vote(seated.address, revealing, verifier.address, other, SALT)
    with reverts(seated.CommitmentMismatch, expected=seated.memberOf(revealing, verifier).commitment, actual=actual):
        seated.revealVote(revealing, 0, other, SALT, NO_PREDICTIONS, sender=verifier)


def test_reveal_vote__another_members_commitment__reverts(
    seated: Any, ballot_id: int, verifiers: list[Any], commitments: Any, cast: Any, reverts: Any
) -> None:
    """Who copies a commitment, and later the digest and the salt, has committed to nothing."""
    cast(dict.fromkeys(verifiers[:3], VOTE))
    copied = seated.memberOf(ballot_id, verifiers[0]).commitment
    seated.commitVote(ballot_id, 3, copied, sender=verifiers[3])
    seated.advance(ballot_id, sender=verifiers[0])
    reveal_vote(seated, commitments, ballot_id, verifiers[0], VOTE)
    digest = digest_of(seated, commitments, ballot_id, VOTE)
    actual = commitments.vote(seated.address, ballot_id, verifiers[3].address, digest, SALT)
    with reverts(seated.CommitmentMismatch, expected=copied, actual=actual):
        seated.revealVote(ballot_id, 3, digest, SALT, NO_PREDICTIONS, sender=verifiers[3])


def test_reveal_vote__twice__reverts(seated: Any, revealing: int, digest: bytes, verifier: Any, reverts: Any) -> None:
    seated.revealVote(revealing, 0, digest, SALT, NO_PREDICTIONS, sender=verifier)
    with reverts(seated.AlreadyRevealed, ballotId=revealing, verifier=verifier.address):
        seated.revealVote(revealing, 0, digest, SALT, NO_PREDICTIONS, sender=verifier)


def test_reveal_vote__as_committed__is_counted(seated: Any, revealing: int, digest: bytes, verifier: Any) -> None:
    assert seated.memberOf(revealing, verifier).digest == ZERO_HASH
    transcript = seated.ballot(revealing).transcript
    receipt = seated.revealVote(revealing, 0, digest, SALT, PREDICTIONS, sender=verifier)
    voted = seated.ballot(revealing)
    assert (voted.revealedCount, voted.revealedStakeWei) == (1, MIN_STAKE_WEI)
    assert seated.memberOf(revealing, verifier).digest == digest
    [event] = receipt.decode_logs(seated.VoteRevealed)
    assert (event.ballotId, event.verifier, event.digest) == (revealing, verifier, digest)
    assert tuple(event.predictions) == PREDICTIONS
    # Nobody varies by a late reveal what a block commits to.
    assert voted.transcript == transcript
    assert seated.outcome(revealing) == []


def test_reveal_vote__same_vote_in_two_ballots__has_two_digests(seated: Any, commitments: Any) -> None:
    assert digest_of(seated, commitments, 1, VOTE) != digest_of(seated, commitments, 2, VOTE)


# --- openVote ---

SPLIT = [[valid(5, 5), INVALID], [GONE, INVALID], [valid(6, 6), INVALID], [valid(6, 6), GONE]]


@pytest.fixture
def opening(count: Count, verifiers: list[Any]) -> Count:
    """The ballot in `Opening`, with a vote of its own from each of the four."""
    count.reveal(dict(zip(verifiers, SPLIT, strict=True)))
    return count


def test_open_vote__reveal_phase__reverts(
    seated: Any, revealing: int, digest: bytes, verifier: Any, reverts: Any
) -> None:
    seated.revealVote(revealing, 0, digest, SALT, NO_PREDICTIONS, sender=verifier)
    expected = {"ballotId": revealing, "phase": BallotPhase.REVEAL, "needed": BallotPhase.OPENING}
    with reverts(seated.WrongBallotPhase, **expected):
        seated.openVote(revealing, 0, packed(VOTE), sender=verifier)


def test_open_vote__at_the_deadline__reverts(seated: Any, opening: Count, verifier: Any, reverts: Any) -> None:
    opening.pass_deadline()
    deadline = seated.ballot(opening.ballot_id).deadline
    with reverts(seated.DeadlinePassed, ballotId=opening.ballot_id, deadline=deadline):
        opening.open(verifier)


def test_open_vote__of_somebody_who_did_not_reveal__reverts(
    seated: Any, opening: Count, stranger: Any, reverts: Any
) -> None:
    with reverts(seated.NotRevealed, ballotId=opening.ballot_id, index=9):
        seated.openVote(opening.ballot_id, 9, packed(SPLIT[0]), sender=stranger)


def test_open_vote__another_list__reverts(seated: Any, opening: Count, verifier: Any, reverts: Any) -> None:
    expected, actual = opening.digest(SPLIT[0]), opening.digest(SPLIT[1])
    with reverts(seated.CommitmentMismatch, expected=expected, actual=actual):
        seated.openVote(opening.ballot_id, 0, packed(SPLIT[1]), sender=verifier)


def test_open_vote__twice__reverts(seated: Any, opening: Count, verifier: Any, reverts: Any) -> None:
    opening.open(verifier)
    with reverts(seated.AlreadyOpened, ballotId=opening.ballot_id, digest=opening.digest(SPLIT[0])):
        opening.open(verifier)


def test_open_vote__too_short__reverts(seated: Any, count: Count, verifiers: list[Any], reverts: Any) -> None:
    count.reveal(dict.fromkeys(verifiers, VOTE) | {verifiers[0]: VOTE[:1]})
    with reverts(seated.WrongVerdictCount, given=1, needed=2):
        count.open(verifiers[0])


def test_open_vote__impossible_verdict__reverts(seated: Any, count: Count, verifiers: list[Any], reverts: Any) -> None:
    count.reveal(dict.fromkeys(verifiers, VOTE) | {verifiers[0]: [VOTE[0], valid(1_000_001, 0)]})
    with reverts(seated.InvalidVerdict, entry=1):
        count.open(verifiers[0])


def test_open_vote__by_a_stranger__counts_for_all_who_voted_so(
    seated: Any, opening: Count, verifier: Any, stranger: Any
) -> None:
    digest = opening.digest(SPLIT[0])
    assert not seated.isOpened(opening.ballot_id, digest)
    receipt = seated.openVote(opening.ballot_id, 0, packed(SPLIT[0]), sender=stranger)
    assert seated.isOpened(opening.ballot_id, digest)
    assert seated.VoteOpened(opening.ballot_id, digest, packed(SPLIT[0])) in receipt.events
    assert not seated.isDue(opening.ballot_id)
