"""LearningChain.commit: what is refused, what is kept, and how many fit."""

from typing import Any

import pytest

from tests.contracts.rounds import (
    BOND,
    GWEI,
    JUDGING_WEI,
    MINER_BOND_WEI,
    SALT,
    ZERO_HASH,
    Phase,
    Play,
)

REQUIRED_PPM = 900_000


@pytest.fixture(scope="module")
def training(play: Play, create_task: Any) -> Play:
    """A round in `Training` that wants two solutions of at least 90 %."""
    play.submit(create_task)
    play.open()
    return play


@pytest.fixture
def overtime(training: Play) -> Play:
    training.wait_for_deadline()
    training.advance()
    return training


def test_commit__unknown_round__reverts(training: Play, reverts: Any) -> None:
    with reverts(training.chain.WrongPhase, roundId=2, phase=Phase.NONE):
        training.commit_hash(training.miners[0], SALT, round_id=2)


def test_commit__commits_closed__reverts(training: Play, reverts: Any) -> None:
    training.commit(*training.miners[:2])
    training.advance()
    with reverts(training.chain.WrongPhase, roundId=1, phase=Phase.RELEASE):
        training.commit(training.miners[2])


def test_commit__at_the_deadline__reverts(training: Play, reverts: Any) -> None:
    deadline = training.round.deadline
    training.wait_for_deadline()
    with reverts(training.chain.DeadlinePassed, roundId=1, deadline=deadline):
        training.commit(training.miners[0])


def test_commit__empty__reverts(training: Play, reverts: Any) -> None:
    with reverts(training.chain.EmptyCommitment):
        training.commit_hash(training.miners[0], ZERO_HASH)


def test_commit__claim_above_one__reverts(training: Play, reverts: Any) -> None:
    with reverts(training.chain.InvalidAccuracy, ppm=1_000_001):
        training.commit(training.miners[0], claim_ppm=1_000_001)


def test_commit__claim_below_required__is_taken_and_does_not_close_commits(training: Play) -> None:
    training.commit(*training.miners[:2], claim_ppm=REQUIRED_PPM - 1)
    assert (training.round.submissionCount, training.round.qualifiedCount) == (2, 0)
    assert not training.chain.isDue(1)


@pytest.mark.parametrize("missing_wei", [1, MINER_BOND_WEI, MINER_BOND_WEI + JUDGING_WEI])
def test_commit__less_than_bond_and_judging_fee__reverts(training: Play, reverts: Any, missing_wei: int) -> None:
    needed_wei = MINER_BOND_WEI + JUDGING_WEI
    assert training.chain.judgingFeeOf(1) == JUDGING_WEI
    with reverts(training.chain.BondTooSmall, sentWei=needed_wei - missing_wei, neededWei=needed_wei):
        training.commit_hash(training.miners[0], SALT, value_wei=needed_wei - missing_wei)


def test_commit__twice__replaces_the_first_and_adds_to_the_bond(training: Play) -> None:
    miner = training.miners[0]
    training.commit(*training.miners[:2])
    training.commit_hash(miner, SALT, REQUIRED_PPM - 1, value_wei=7 * GWEI, place=1)
    kept = training.chain.submission(1, 0)
    assert (kept.miner, kept.commitment, kept.claimedTrainPpm) == (miner, SALT, REQUIRED_PPM - 1)
    assert (kept.order, kept.bondWei) == (3, MINER_BOND_WEI + 7 * GWEI)
    assert (training.round.submissionCount, training.round.qualifiedCount, training.round.commitCount) == (2, 1, 3)
    assert training.chain.balance == 2 * (MINER_BOND_WEI + JUDGING_WEI) + 7 * GWEI


def test_commit__place_of_another_or_none__reverts(training: Play, reverts: Any) -> None:
    training.commit(*training.miners[:2])
    for place in (1, 3, 64, 65, 255):
        with reverts(training.chain.NotYourPlace, roundId=1, place=place, caller=training.miners[1]):
            training.commit_hash(training.miners[1], SALT, value_wei=0, place=place)


@pytest.mark.parametrize("bond_wei", [MINER_BOND_WEI + 1, 2**40 * GWEI])
def test_commit__bond_that_is_not_kept_exactly__reverts(training: Play, reverts: Any, bond_wei: int) -> None:
    miner = training.miners[0]
    with reverts(training.chain.InvalidBond, bondWei=bond_wei):
        training.commit_hash(miner, SALT, value_wei=bond_wei + JUDGING_WEI)


def test_commit__new_place_twice__is_two_submissions(training: Play) -> None:
    miner = training.miners[0]
    for _ in range(2):
        training.commit_hash(miner, SALT)
    assert [each.miner for each in training.chain.submissions(1)] == [miner, miner]
    assert training.chain.placeOf(1, miner) == 1
    assert training.chain.balance == 2 * (MINER_BOND_WEI + JUDGING_WEI)


def test_commit__sixty_fifth__needs_a_higher_bond(training: Play, project: Any, deployer: Any, reverts: Any) -> None:
    training.commit(*training.miners[:1])
    crowd = deployer.deploy(project.Crowd)
    crowd.commit(training.chain, 1, REQUIRED_PPM, 63, sender=deployer, value=63 * (MINER_BOND_WEI + JUDGING_WEI))
    assert training.round.submissionCount == 64
    with reverts(training.chain.RoundFull, roundId=1, lowestBondWei=MINER_BOND_WEI):
        training.commit(training.miners[1])
    training.commit_hash(training.miners[1], SALT, value_wei=MINER_BOND_WEI + JUDGING_WEI + GWEI)
    assert training.chain.placeOf(1, training.miners[1]) == 64
    assert training.round.submissionCount == 64
    assert training.chain.balance == 64 * (MINER_BOND_WEI + JUDGING_WEI) + GWEI


def test_commit__qualified__is_kept(training: Play, money: Any) -> None:
    miner = training.miners[1]
    training.commit(training.miners[0])
    hashed = training.solution(miner)
    receipt = training.commit_hash(miner, hashed, REQUIRED_PPM)
    paid_wei = MINER_BOND_WEI + JUDGING_WEI
    kept = training.chain.submission(1, 1)
    assert (kept.miner, kept.claimedTrainPpm, kept.commitment) == (miner, REQUIRED_PPM, hashed)
    assert (kept.order, kept.bondWei, kept.isRevealed, kept.model.digest) == (2, MINER_BOND_WEI, False, ZERO_HASH)
    assert training.chain.placeOf(1, miner) == 2
    assert training.chain.placeOf(1, training.miners[2]) == 0
    assert (training.round.submissionCount, training.round.qualifiedCount) == (2, 2)
    assert [each.miner for each in training.chain.submissions(1)] == training.miners[:2]
    assert training.chain.SolutionCommitted(1, miner, 1, REQUIRED_PPM, paid_wei) in receipt.events
    assert (training.chain.balance, training.held_wei(BOND, 1)) == (2 * paid_wei, 0)
    training.advance()
    assert (training.chain.balance, training.held_wei(BOND, 1)) == (0, 2 * paid_wei)
    assert training.round.transcript == ZERO_HASH  # what is committed joins it when revealing ends
    money(training.reservoir)


def test_commit__enough_qualified__more_may_come_until_somebody_advances(training: Play) -> None:
    training.commit(*training.miners[:2])
    assert training.chain.isDue(1)
    training.commit(training.miners[2])
    assert training.round.submissionCount == 3


def test_commit__overtime__any_claim_counts(overtime: Play) -> None:
    overtime.commit(overtime.miners[0], claim_ppm=0)
    overtime.commit(overtime.miners[1], claim_ppm=REQUIRED_PPM)
    assert (overtime.round.submissionCount, overtime.round.qualifiedCount) == (2, 1)
    assert not overtime.chain.isDue(1)


def test_commit__overtime_over__reverts(overtime: Play, reverts: Any) -> None:
    deadline = overtime.round.deadline
    overtime.wait_for_deadline()
    with reverts(overtime.chain.DeadlinePassed, roundId=1, deadline=deadline):
        overtime.commit(overtime.miners[0], claim_ppm=0)
