"""VerifierCommittee, advance: quorum, medians, penalties and what they pay."""

from typing import Any

from tests.contracts.rounds import (
    INVALID,
    MIN_STAKE_WEI,
    SALT,
    STAKE,
    BallotPhase,
    Vote,
    commit_vote,
    plain,
    valid,
    vote_on,
)

WINDOW_S = 120
TOLERANCE_PPM = 5_000
FEE_WEI = 9_000
ABSENCE_WEI = MIN_STAKE_WEI // 20
NOISE_WEI = MIN_STAKE_WEI // 5
VOTE = [valid(950_000, 900_000), INVALID]


def reveal_all(committee: Any, ballot_id: int, votes: dict[Any, Vote]) -> None:
    for verifier, vote in votes.items():
        committee.revealVote(ballot_id, vote, SALT, sender=verifier)


def phase(committee: Any, ballot_id: int) -> BallotPhase:
    return BallotPhase(committee.ballot(ballot_id).phase)


def stakes_wei(committee: Any, verifiers: list[Any]) -> list[int]:
    return [committee.verifier(verifier).stakeWei for verifier in verifiers]


def test_advance__unknown_ballot__reverts(seated: Any, stranger: Any, reverts: Any) -> None:
    with reverts(seated.NotDue, ballotId=5, phase=BallotPhase.NONE, deadline=0):
        seated.advance(5, sender=stranger)


def test_advance__before_anybody_voted__reverts(seated: Any, ballot_id: int, stranger: Any, reverts: Any) -> None:
    deadline = seated.ballot(ballot_id).deadline
    with reverts(seated.NotDue, ballotId=ballot_id, phase=BallotPhase.COMMIT, deadline=deadline):
        seated.advance(ballot_id, sender=stranger)


def test_advance__closed_ballot__reverts(
    seated: Any, ballot_id: int, verifiers: list[Any], commitments: Any, stranger: Any, reverts: Any
) -> None:
    vote_on(seated, commitments, ballot_id, dict.fromkeys(verifiers, VOTE))
    with reverts(seated.NotDue, ballotId=ballot_id, phase=BallotPhase.CLOSED, deadline=0):
        seated.advance(ballot_id, sender=stranger)


def test_advance__all_committed__reveal_starts_at_once(
    seated: Any, ballot_id: int, verifiers: list[Any], cast: Any, stranger: Any
) -> None:
    cast(dict.fromkeys(verifiers, VOTE))
    assert seated.isDue(ballot_id)
    receipt = seated.advance(ballot_id, sender=stranger)
    assert phase(seated, ballot_id) == BallotPhase.REVEAL
    deadline = receipt.timestamp + WINDOW_S
    assert seated.BallotPhaseChanged(ballot_id, BallotPhase.REVEAL, deadline) in receipt.events
    assert stakes_wei(seated, verifiers) == [MIN_STAKE_WEI] * 4


def test_advance__all_agree__closes_and_shares_the_fee(
    seated: Any, ballot_id: int, verifiers: list[Any], commitments: Any, reservoir: Any, money: Any
) -> None:
    vote_on(seated, commitments, ballot_id, dict.fromkeys(verifiers, VOTE))
    assert phase(seated, ballot_id) == BallotPhase.CLOSED
    assert plain(seated.outcome(ballot_id)) == VOTE
    assert [reservoir.creditOf(verifier) for verifier in verifiers] == [FEE_WEI // 4] * 4
    assert [seated.verifier(verifier).openBallots for verifier in verifiers] == [0] * 4
    assert not seated.isDue(ballot_id)
    money(reservoir)


def test_advance__vote_outside_the_tolerance__pays_those_inside(
    seated: Any, ballot_id: int, verifiers: list[Any], commitments: Any, reservoir: Any, money: Any
) -> None:
    noise = [valid(950_000 - TOLERANCE_PPM - 1, 900_000), INVALID]
    edge = [valid(950_000 + TOLERANCE_PPM, 900_000), INVALID]
    votes: dict[Any, Vote] = dict(zip(verifiers, [VOTE, noise, edge, VOTE], strict=True))
    vote_on(seated, commitments, ballot_id, votes)
    assert plain(seated.outcome(ballot_id)) == VOTE
    assert stakes_wei(seated, verifiers) == [MIN_STAKE_WEI, MIN_STAKE_WEI - NOISE_WEI, MIN_STAKE_WEI, MIN_STAKE_WEI]
    shares_wei = [reservoir.creditOf(verifier) for verifier in verifiers]
    assert shares_wei[1] == 0
    assert sum(shares_wei) == FEE_WEI + NOISE_WEI
    assert max(shares_wei) - min(shares_wei[:1] + shares_wei[2:]) <= 2
    # Its stake is under the minimum now.
    assert not seated.verifier(verifiers[1]).isSeated
    assert seated.verifier(verifiers[1]).releaseAt > 0
    money(reservoir)


def test_advance__wrong_validity__is_noise(seated: Any, ballot_id: int, verifiers: list[Any], commitments: Any) -> None:
    votes: dict[Any, Vote] = dict.fromkeys(verifiers, VOTE) | {verifiers[0]: [VOTE[0], valid(1, 1)]}
    vote_on(seated, commitments, ballot_id, votes)
    assert stakes_wei(seated, verifiers) == [MIN_STAKE_WEI - NOISE_WEI] + [MIN_STAKE_WEI] * 3


def test_advance__nobody_inside__refunds(
    seated: Any, ballot_id: int, verifiers: list[Any], commitments: Any, reservoir: Any, client: Any, money: Any
) -> None:
    # The medians come from different votes, so that no vote is near all of them.
    votes = [
        [valid(100_000, 500_000), valid(300_000, 0)],
        [valid(300_000, 500_000), valid(100_000, 0)],
        [valid(300_000, 100_000), valid(300_000, 0)],
        [valid(900_000, 900_000), valid(500_000, 0)],
    ]
    vote_on(seated, commitments, ballot_id, dict(zip(verifiers, votes, strict=True)))
    assert plain(seated.outcome(ballot_id)) == [valid(300_000, 500_000), valid(300_000, 0)]
    assert stakes_wei(seated, verifiers) == [MIN_STAKE_WEI - NOISE_WEI] * 4
    assert reservoir.creditOf(client) == FEE_WEI + 4 * NOISE_WEI
    assert seated.seated() == []
    money(reservoir)


def test_advance__a_third_is_absent__slashes_and_ejects_it(
    seated: Any, revealing: int, verifiers: list[Any], reservoir: Any
) -> None:
    assert phase(seated, revealing) == BallotPhase.REVEAL
    assert stakes_wei(seated, verifiers) == [MIN_STAKE_WEI] * 3 + [MIN_STAKE_WEI - ABSENCE_WEI]
    reveal_all(seated, revealing, dict.fromkeys(verifiers[:3], VOTE))
    assert seated.isDue(revealing)
    seated.advance(revealing, sender=verifiers[0])
    assert phase(seated, revealing) == BallotPhase.CLOSED
    assert sum(reservoir.creditOf(verifier) for verifier in verifiers[:3]) == FEE_WEI + ABSENCE_WEI
    assert reservoir.creditOf(verifiers[3]) == 0


def test_advance__commit_quorum_missed__extends_and_late_votes_count(
    seated: Any, ballot_id: int, verifiers: list[Any], cast: Any, chain: Any
) -> None:
    cast(dict.fromkeys(verifiers[:2], VOTE))
    chain.mine(timestamp=seated.ballot(ballot_id).deadline)
    receipt = seated.advance(ballot_id, sender=verifiers[0])
    extended = seated.ballot(ballot_id)
    assert (extended.phase, extended.extensions) == (BallotPhase.COMMIT, 1)
    assert extended.deadline == receipt.timestamp + WINDOW_S
    assert seated.BallotExtended(ballot_id, 1, extended.deadline) in receipt.events
    assert seated.Slashed(ballot_id, verifiers[2], ABSENCE_WEI, True) in receipt.events
    cast(dict.fromkeys(verifiers[2:], VOTE))
    seated.advance(ballot_id, sender=verifiers[0])
    assert phase(seated, ballot_id) == BallotPhase.REVEAL
    assert stakes_wei(seated, verifiers) == [MIN_STAKE_WEI] * 2 + [MIN_STAKE_WEI - ABSENCE_WEI] * 2


def test_advance__commit_quorum_never_met__void_and_refunded(
    seated: Any,
    ballot_id: int,
    verifiers: list[Any],
    cast: Any,
    chain: Any,
    reservoir: Any,
    client: Any,
    money: Any,
) -> None:
    cast(dict.fromkeys(verifiers[:2], VOTE))
    for _ in range(3):
        chain.mine(timestamp=seated.ballot(ballot_id).deadline)
        seated.advance(ballot_id, sender=verifiers[0])
    assert phase(seated, ballot_id) == BallotPhase.VOID
    assert stakes_wei(seated, verifiers) == [MIN_STAKE_WEI] * 2 + [MIN_STAKE_WEI - 3 * ABSENCE_WEI] * 2
    # The penalties are all members', so that nobody has an interest in a ballot that others cannot take part in.
    assert reservoir.creditOf(client) == FEE_WEI
    assert [reservoir.creditOf(verifier) for verifier in verifiers] == [6 * ABSENCE_WEI // 4] * 4
    assert [seated.verifier(verifier).openBallots for verifier in verifiers] == [0] * 4
    assert seated.outcome(ballot_id) == []
    money(reservoir)


def test_advance__reveal_quorum_missed__extends_then_void(
    seated: Any, revealing: int, verifiers: list[Any], chain: Any, reservoir: Any, client: Any, money: Any
) -> None:
    reveal_all(seated, revealing, dict.fromkeys(verifiers[:1], VOTE))
    for extensions in (1, 2):
        chain.mine(timestamp=seated.ballot(revealing).deadline)
        seated.advance(revealing, sender=verifiers[0])
        extended = seated.ballot(revealing)
        assert (extended.phase, extended.extensions) == (BallotPhase.REVEAL, extensions)
    chain.mine(timestamp=seated.ballot(revealing).deadline)
    seated.advance(revealing, sender=verifiers[0])
    assert phase(seated, revealing) == BallotPhase.VOID
    # The fourth missed the commit deadline, the second and the third three reveal deadlines each.
    assert stakes_wei(seated, verifiers) == [
        MIN_STAKE_WEI,
        MIN_STAKE_WEI - 3 * ABSENCE_WEI,
        MIN_STAKE_WEI - 3 * ABSENCE_WEI,
        MIN_STAKE_WEI - ABSENCE_WEI,
    ]
    assert reservoir.creditOf(client) == FEE_WEI
    assert [reservoir.creditOf(verifier) for verifier in verifiers] == [7 * ABSENCE_WEI // 4] * 4
    money(reservoir)


def test_advance__nobody_could_judge__costs_nobody_anything(
    seated: Any, ballot_id: int, verifiers: list[Any], chain: Any, reservoir: Any, client: Any, money: Any
) -> None:
    for _ in range(3):
        chain.mine(timestamp=seated.ballot(ballot_id).deadline)
        seated.advance(ballot_id, sender=client)
    assert phase(seated, ballot_id) == BallotPhase.VOID
    assert reservoir.creditOf(client) == FEE_WEI
    assert [reservoir.creditOf(verifier) for verifier in verifiers] == [3 * ABSENCE_WEI] * 4
    money(reservoir)


def test_advance__large_stake_alone__is_a_quorum(
    seated: Any, verifiers: list[Any], chain: Any, chain_account: Any, commitments: Any
) -> None:
    seated.stake(sender=verifiers[0], value=5 * MIN_STAKE_WEI)  # 6 of 9
    seated.openBallot(2, TOLERANCE_PPM, chain_account, sender=chain_account)
    commit_vote(seated, commitments, 1, verifiers[0], VOTE)
    chain.mine(timestamp=seated.ballot(1).deadline)
    seated.advance(1, sender=verifiers[0])
    assert phase(seated, 1) == BallotPhase.REVEAL
    seated.revealVote(1, VOTE, SALT, sender=verifiers[0])
    seated.advance(1, sender=verifiers[0])
    assert plain(seated.outcome(1)) == VOTE


def test_advance__slashed_in_two_ballots__never_below_zero(
    project: Any, deploy: Any, deployer: Any, verifiers: list[Any], create_address: Any, chain: Any, money: Any
) -> None:
    committee_address = create_address(deployer.address, deployer.nonce + 1)
    reservoir = deployer.deploy(project.RewardReservoir, [committee_address, deployer])
    parameters = {
        "minStakeWei": 100,
        "unbondingPeriodS": 0,
        "voteCommitWindowS": 10,
        "voteRevealWindowS": 10,
        "maxExtensions": 0,
        "absencePenaltyPpm": 600_000,
        "noisePenaltyPpm": 0,
    }
    committee = deployer.deploy(project.VerifierCommittee, reservoir, [deployer], parameters)
    verifier = verifiers[0]
    committee.stake(sender=verifier, value=101)
    committee.openBallot(1, 0, deployer, sender=deployer)
    committee.openBallot(1, 0, deployer, sender=deployer)
    chain.mine(deltatime=10)
    committee.advance(1, sender=deployer)
    assert committee.verifier(verifier).stakeWei == 101 - 61  # 60 % of 101, rounded up
    committee.advance(2, sender=deployer)
    assert committee.verifier(verifier).stakeWei == 0
    assert reservoir.total(STAKE) == 0
    assert reservoir.creditOf(verifier) == 101  # as the only member
    committee.completeUnstake(sender=verifier)  # nothing left, but free to start again
    committee.stake(sender=verifier, value=100)
    money(reservoir)
