"""GradientChain.propose and the threshold: who may propose what, and when."""

from typing import Any

import pytest

from pole.gradient.difficulty import threshold
from tests.contracts.heights import (
    COLLECT_S,
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
        searching.gradient.propose(height, MIN_STEP, 0, PROOF, PROOF, sender=searching.miners[0])


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
        searching.gradient.propose(2, MIN_STEP, 0, cids["proof"], cids["weights"], sender=searching.miners[0])


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


def test_propose__eight__ends_collecting_at_once(searching: Play, reverts: Any, accounts: Any) -> None:
    crowd = list(accounts[14 : 14 + MAX_PROPOSALS])
    searching.enrol(*crowd)
    searching.mine_block(searching.miners[0])
    searching.propose(*crowd[:-1])
    assert not searching.gradient.isDue()
    searching.propose(crowd[-1])
    assert (searching.gradient.isDue(), searching.gradient.threshold()) == (True, 0)
    with reverts(searching.gradient.HeightFull, height=3, maxProposals=MAX_PROPOSALS):
        searching.propose(searching.miners[1])
    searching.advance()
    assert searching.phase == Phase.VOTING
    searching.vote([INVALID] * MAX_PROPOSALS)
    assert [searching.bonded_wei(miner) for miner in crowd] == [0] * MAX_PROPOSALS


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
