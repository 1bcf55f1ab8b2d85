"""GradientChain.propose and the threshold: who may propose what, and when."""

from typing import Any

import pytest

from pole.gradient.difficulty import threshold
from tests.contracts.heights import (
    BOND_WEI,
    COLLECT_S,
    GOOD,
    HALF_LIFE_S,
    INITIAL,
    LIMIT_S,
    MAX_PROPOSALS,
    MAX_STEP,
    MAX_THRESHOLD,
    MIN_STEP,
    PAPER,
    TARGET_S,
    Phase,
    Play,
)
from tests.contracts.rounds import INVALID, ZERO_HASH, make_cid

PROOF = make_cid("proof")
ELAPSED_S = [1, TARGET_S, HALF_LIFE_S, 3 * HALF_LIFE_S]


@pytest.mark.parametrize("height", [0, 1, 3])
def test_propose__other_height__reverts(searching: Play, reverts: Any, height: int) -> None:
    with reverts(searching.gradient.WrongHeight, given=height, current=2):
        searching.propose_at(searching.miners[0], height=height)


def test_propose__no_task__reverts(play: Play, reverts: Any) -> None:
    with reverts(play.gradient.WrongPhase, height=1, phase=Phase.IDLE):
        play.propose(play.miners[0])


def test_propose__while_voting__reverts(searching: Play, reverts: Any) -> None:
    searching.to_voting(searching.miners[0])
    with reverts(searching.gradient.WrongPhase, height=2, phase=Phase.VOTING):
        searching.propose(searching.miners[1])


def test_propose__search_timed_out__reverts(searching: Play, reverts: Any) -> None:
    deadline = searching.current.deadline
    searching.wait_for_deadline()
    assert searching.gradient.threshold() == 0
    with reverts(searching.gradient.DeadlinePassed, height=2, deadline=deadline):
        searching.propose(searching.miners[0])


def test_propose__collecting_is_over__reverts(searching: Play, reverts: Any) -> None:
    searching.propose(searching.miners[0])
    deadline = searching.current.deadline
    searching.wait_for_deadline()
    assert searching.gradient.threshold() == 0
    with reverts(searching.gradient.DeadlinePassed, height=2, deadline=deadline):
        searching.propose(searching.miners[1])


def test_propose__not_enrolled__reverts(searching: Play, reverts: Any) -> None:
    with reverts(searching.gradient.NotEnrolled, miner=searching.miners[3].address):
        searching.propose(searching.miners[3])


def test_propose__leaving__reverts(searching: Play, reverts: Any) -> None:
    miner = searching.miners[0]
    searching.gradient.requestExit(sender=miner)
    exit_at = searching.gradient.minerOf(miner).exitAt
    with reverts(searching.gradient.StillLeaving, miner=miner.address, exitAt=exit_at):
        searching.propose(miner)


def test_propose__enrolled_after_the_previous_header__reverts_until_the_next(searching: Play, reverts: Any) -> None:
    late = searching.miners[3]
    searching.enrol(late)
    enrolled_at, fixed_at = searching.network.blocks.height, searching.gradient.headerBlock(1)
    assert enrolled_at > fixed_at
    with reverts(
        searching.gradient.EnrolledTooLate, miner=late.address, enrolledAtBlock=enrolled_at, headerBlock=fixed_at
    ):
        searching.propose(late)
    searching.mine_block(searching.miners[0])
    searching.propose(late)
    assert searching.gradient.minerOf(late).hasProposal


def test_propose__second_time_at_a_height__reverts(searching: Play, reverts: Any) -> None:
    searching.propose(searching.miners[0])
    with reverts(searching.gradient.AlreadyProposed, height=2, miner=searching.miners[0].address):
        searching.propose(searching.miners[0], step=MIN_STEP + 1)


@pytest.mark.parametrize("step", [MIN_STEP - 1, MAX_STEP + 1])
def test_propose__step_out_of_range__reverts(searching: Play, reverts: Any, step: int) -> None:
    with reverts(searching.gradient.StepOutOfRange, step=step, minStep=MIN_STEP, maxStep=MAX_STEP):
        searching.propose(searching.miners[0], step=step)


@pytest.mark.parametrize("field", ["proof", "weights"])
def test_propose__cid_that_names_nothing__reverts(searching: Play, reverts: Any, field: str) -> None:
    cids = {"proof": PROOF, "weights": PROOF} | {field: (0x55, ZERO_HASH)}
    with reverts(searching.gradient.EmptyDigest):
        previous = searching.gradient.headerHash(1)
        searching.gradient.propose(2, previous, MIN_STEP, 0, *cids.values(), sender=searching.miners[0])


@pytest.mark.parametrize("elapsed_s", ELAPSED_S)
def test_propose__digest_at_the_threshold__reverts(searching: Play, reverts: Any, elapsed_s: int) -> None:
    limit = threshold(INITIAL, elapsed_s, 0, TARGET_S)
    searching.at(searching.current.searchStartedAt + elapsed_s)
    with reverts(searching.gradient.DigestNotBelow, signDigest=limit, threshold=limit):
        searching.propose(searching.miners[0], digest=limit)


@pytest.mark.parametrize("elapsed_s", ELAPSED_S)
def test_propose__digest_just_below_the_threshold__is_taken(searching: Play, elapsed_s: int) -> None:
    limit = threshold(INITIAL, elapsed_s, 0, TARGET_S)
    searching.at(searching.current.searchStartedAt + elapsed_s)
    searching.propose(searching.miners[0], digest=limit - 1)
    proposal = searching.gradient.proposals()[0]
    assert (proposal.signDigest, proposal.threshold, proposal.searchedS) == (limit - 1, limit, elapsed_s)


def test_propose__paper_rules__only_step_and_digest_zero(play: Play, reverts: Any) -> None:
    play.submit(**PAPER)
    play.open()
    play.network.mine(timestamp=play.current.deadline - 10)
    assert play.gradient.threshold() == 1
    with reverts(play.gradient.DigestNotBelow, signDigest=1, threshold=1):
        play.propose(play.miners[0], step=0, digest=1)
    with reverts(play.gradient.StepOutOfRange, step=1, minStep=0, maxStep=0):
        play.propose(play.miners[0], step=1)
    play.propose(play.miners[0], step=0)
    assert play.phase == Phase.COLLECT


def test_propose__first__stops_the_search_clock_for_all(searching: Play) -> None:
    first, second = searching.miners[:2]
    searching.at(searching.current.searchStartedAt + 50)
    searching.propose(first, step=7, digest=3)
    at_first = threshold(INITIAL, 50, 0, TARGET_S)
    current = searching.current
    assert (current.phase, current.proposalCount) == (Phase.COLLECT, 1)
    assert current.deadline == searching.network.blocks.head.timestamp + COLLECT_S
    searching.at(current.deadline - 1)
    searching.propose(second, step=MAX_STEP, digest=at_first - 1)
    seen = [(each.miner, each.step, each.signDigest, each.threshold, each.searchedS) for each in proposals(searching)]
    assert seen == [(first, 7, 3, at_first, 50), (second, MAX_STEP, at_first - 1, at_first, 50)]
    assert tuple(proposals(searching)[1].weights.values()) == searching.weights(second)


def test_propose__on_top_of_another_block__reverts_and_costs_no_bond(searching: Play, reverts: Any) -> None:
    """D11: a proposal signed before a reorg, whose draws the new hash has made invalid."""
    miner, newest = searching.miners[0], searching.gradient.headerHash(1)
    for given in (searching.gradient.headerHash(0), ZERO_HASH):
        with reverts(searching.gradient.WrongPreviousHash, given=given, newest=newest):
            searching.gradient.propose(2, given, MIN_STEP, 0, PROOF, PROOF, sender=miner)
    assert (searching.phase, searching.bonded_wei(miner)) == (Phase.SEARCH, BOND_WEI)


def test_propose__too_few_seated__reverts_and_the_clock_stands_still(searching: Play, reverts: Any) -> None:
    """D5: weights are public once proposed, so there has to be somebody who will judge them."""
    miner, started_at = searching.miners[0], searching.current.searchStartedAt
    searching.at(started_at + 10)
    searching.leave_committee(searching.verifiers[:1])
    searching.at(started_at + 20)
    searching.leave_committee(searching.verifiers[1:2])
    searching.at(started_at + LIMIT_S + 30)
    with reverts(searching.gradient.TooFewSeated):
        searching.propose(miner)
    assert not searching.gradient.isDue()
    back_at = searching.network.pending_timestamp + 100
    searching.at(back_at)
    searching.committee.stake(sender=searching.verifiers[0])
    assert searching.current.deadline == back_at + LIMIT_S - 20
    searching.at(back_at + 7)
    searching.propose(miner)
    assert searching.gradient.proposals()[0].searchedS == 27


@pytest.fixture
def crowded(searching: Play, accounts: Any) -> tuple[Play, list[Any]]:
    """Eight junk proposals with the least bond, and everybody may still propose."""
    crowd = list(accounts[14 : 14 + MAX_PROPOSALS])
    searching.enrol(*crowd)
    searching.gradient.enrol(sender=searching.miners[3], value=BOND_WEI + 1)
    searching.mine_block(searching.miners[0])
    searching.propose(*crowd)
    return searching, crowd


def test_propose__full_height_with_no_higher_bond__reverts(crowded: tuple[Play, list[Any]], reverts: Any) -> None:
    play, _ = crowded
    with reverts(play.gradient.HeightFull, height=3, lowestWei=BOND_WEI):
        play.propose(play.miners[1])
    assert not play.gradient.isDue()
    assert play.gradient.threshold() > 0


def test_propose__full_height_with_a_higher_bond__takes_the_last_lowest_place(
    crowded: tuple[Play, list[Any]],
) -> None:
    """R1: eight junk proposals closed a height."""
    play, crowd = crowded
    play.propose(play.miners[3])
    expected = [*crowd[:-1], play.miners[3]]
    assert [proposal.miner for proposal in play.gradient.proposals()] == expected
    assert not play.gradient.minerOf(crowd[-1]).hasProposal
    play.wait_for_deadline()
    play.advance()
    play.vote([INVALID] * 7 + [GOOD])
    assert play.gradient.header(3).miner == play.miners[3]
    assert [play.bonded_wei(miner) for miner in crowd] == [0] * 7 + [BOND_WEI]
    play.check_money()


def test_propose__full_height__the_first_keeps_its_place_and_the_rest_their_order(
    searching: Play, accounts: Any, reverts: Any
) -> None:
    crowd = list(accounts[14 : 14 + MAX_PROPOSALS])
    for place, miner in enumerate(crowd):  # the first has the lowest of all
        searching.gradient.enrol(sender=miner, value=BOND_WEI + (0 if place == 0 else 5 if place == 3 else 9))
    searching.gradient.enrol(sender=searching.miners[3], value=BOND_WEI + 7)
    searching.mine_block(searching.miners[0])
    searching.propose(*crowd)
    with reverts(searching.gradient.HeightFull, height=3, lowestWei=BOND_WEI + 5):
        searching.propose(searching.miners[0])
    searching.propose(searching.miners[3])
    expected = [*crowd[:3], *crowd[4:], searching.miners[3]]
    assert [proposal.miner for proposal in searching.gradient.proposals()] == expected


def test_threshold__rises_through_the_search__and_is_zero_elsewhere(searching: Play) -> None:
    started_at = searching.current.searchStartedAt
    for elapsed_s in (1, HALF_LIFE_S, LIMIT_S - 10):
        searching.network.mine(timestamp=started_at + elapsed_s)
        assert searching.gradient.threshold() == threshold(INITIAL, elapsed_s, 0, TARGET_S) > INITIAL
    assert searching.gradient.threshold() < MAX_THRESHOLD
    searching.propose(searching.miners[0])
    assert searching.gradient.threshold() == proposals(searching)[0].threshold
    searching.wait_for_deadline()
    searching.advance()
    assert searching.gradient.threshold() == 0


def proposals(play: Play) -> Any:
    return play.gradient.proposals()
