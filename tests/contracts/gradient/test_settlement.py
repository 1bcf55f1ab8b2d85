"""GradientChain.advance: what is due when, what becomes of the proposals, and where the money goes, to the wei."""

from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from pole.gradient.claim import ACCUSER_SHARE
from pole.gradient.difficulty import threshold
from tests.contracts.heights import (
    BLOCK_WEI,
    BOND_WEI,
    COLLECT_S,
    FEE_WEI,
    GOOD,
    INITIAL,
    LIMIT_S,
    REWARD_WEI,
    STAKE_WEI,
    TARGET_S,
    Phase,
    Play,
    State,
    Stop,
)
from tests.contracts.rounds import ESCROW, GONE, INVALID, Vote, account_of, commit_vote, make_cid, valid, vote_on

SEAT_WAIT_S = 600

# --- what is not due ---


def test_advance__no_task__reverts(play: Play, reverts: Any) -> None:
    with reverts(play.gradient.NotDue, height=1, phase=Phase.IDLE, deadline=0):
        play.advance()


def test_advance__search_not_timed_out__reverts(searching: Play, reverts: Any) -> None:
    deadline = searching.current.deadline
    searching.network.mine(timestamp=deadline - 2)
    with reverts(searching.gradient.NotDue, height=2, phase=Phase.SEARCH, deadline=deadline):
        searching.advance()


def test_advance__others_may_still_propose__reverts(searching: Play, reverts: Any) -> None:
    searching.propose(searching.miners[0])
    deadline = searching.current.deadline
    with reverts(searching.gradient.NotDue, height=2, phase=Phase.COLLECT, deadline=deadline):
        searching.advance()


def test_advance__ballot_still_open__reverts(searching: Play, reverts: Any) -> None:
    searching.to_voting(searching.miners[0])
    searching.network.mine(deltatime=3_600)
    with reverts(searching.gradient.NotDue, height=2, phase=Phase.VOTING, deadline=0):
        searching.advance()


# --- opening the ballot ---


def test_advance__collected__opens_a_ballot_with_the_fee(searching: Play) -> None:
    searching.to_voting(*searching.miners[:2])
    current = searching.current
    ballot = searching.committee.ballot(current.ballotId)
    assert (current.phase, current.deadline, current.ballotId) == (Phase.VOTING, 0, 1)
    assert (ballot.chain, ballot.entryCount, ballot.refundAccount) == (searching.gradient, 2, account_of(1))
    assert searching.reservoir.balanceOf(searching.committee, ESCROW, account_of(1)) == FEE_WEI
    assert searching.budget_wei() == 3 * BLOCK_WEI - FEE_WEI
    assert current.votingBlock == searching.network.blocks.height


# --- one is valid ---


def test_advance__accepted__appends_the_block_and_pays_its_miner(searching: Play) -> None:
    miner, gradient = searching.miners[0], searching.gradient
    searching.at(searching.current.searchStartedAt + 42)
    searching.propose(miner, step=9, digest=77)
    weights = searching.weights(miner)
    searching.wait_for_deadline()
    searching.advance()
    searching.vote([GOOD])

    header = gradient.header(2)
    assert (header.height, header.taskId, header.miner, header.step, header.signDigest) == (2, 1, miner, 9, 77)
    assert (header.threshold, header.intervalS) == (threshold(INITIAL, 42, 0, TARGET_S), 42)
    assert (header.trainPpm, header.testPpm) == (500_000, 400_000)
    assert (tuple(header.weights.values()), tuple(header.proof.values())) == (weights, make_cid("proof"))
    assert header.previousHash == gradient.headerHash(1)
    assert gradient.headerHash(2) == header_hash(header)
    assert (searching.task().blocksDone, searching.task().searchedS) == (1, 42)

    current = searching.current
    assert (current.height, current.phase, current.proposalCount, current.ballotId) == (3, Phase.SEARCH, 0, 0)
    assert (current.searchStartedAt, current.deadline) == (header.timestamp, header.timestamp + LIMIT_S)
    assert (searching.credit_wei(miner), searching.bonded_wei(miner)) == (REWARD_WEI, BOND_WEI)
    assert [searching.credit_wei(verifier) for verifier in searching.verifiers[:2]] == [FEE_WEI // 2] * 2
    assert searching.budget_wei() == 2 * BLOCK_WEI
    searching.check_money()


def test_advance__two_valid__the_earlier_is_the_block_and_the_other_loses_nothing(searching: Play) -> None:
    first, second = searching.miners[:2]
    searching.to_voting(first, second)
    searching.vote([GOOD, valid(900_000, 900_000)])
    assert searching.gradient.header(2).miner == first
    assert (searching.credit_wei(second), searching.bonded_wei(second)) == (0, BOND_WEI)
    assert not searching.gradient.minerOf(second).hasProposal
    searching.propose(second)


def test_advance__earlier_ones_invalid__lose_their_bonds_to_the_client(searching: Play) -> None:
    bad, good, late = searching.miners[:3]
    searching.to_voting(bad, good, late)
    searching.vote([INVALID, GOOD, INVALID])
    assert searching.gradient.header(2).miner == good
    assert [searching.bonded_wei(miner) for miner in (bad, good, late)] == [0, BOND_WEI, 0]
    assert [searching.credit_wei(each) for each in (bad, good, late)] == [0, REWARD_WEI, 0]
    assert searching.credit_wei(searching.client) == 2 * BOND_WEI
    assert searching.budget_wei() == 2 * BLOCK_WEI
    searching.check_money()


def test_threshold__second_block__follows_the_schedule(searching: Play) -> None:
    searching.at(searching.current.searchStartedAt + 20)
    searching.mine_block(searching.miners[0])
    searching.at(searching.current.searchStartedAt + 10)
    searching.propose(searching.miners[0])
    assert searching.gradient.proposals()[0].threshold == threshold(INITIAL, 30, TARGET_S, TARGET_S) < INITIAL
    assert searching.gradient.proposals()[0].searchedS == 30


# --- none is valid ---


def test_advance__all_invalid__the_bonds_pay_the_ballot_and_the_search_goes_on(searching: Play) -> None:
    started_at, previous = searching.current.searchStartedAt, searching.gradient.headerHash(1)
    searching.at(started_at + 70)
    searching.to_voting(*searching.miners[:2])
    searching.vote([INVALID, INVALID])

    current, now = searching.current, searching.network.blocks.head.timestamp
    assert (current.height, current.phase, current.proposalCount, current.voidBallots) == (2, Phase.SEARCH, 0, 0)
    assert (now - current.searchStartedAt, current.deadline - now) == (70, LIMIT_S - 70)
    assert now - started_at > 70 + COLLECT_S
    assert searching.gradient.threshold() == threshold(INITIAL, 70, 0, TARGET_S)
    assert (searching.gradient.height(), searching.gradient.headerHash(1)) == (1, previous)
    assert searching.budget_wei() == 3 * BLOCK_WEI
    assert searching.credit_wei(searching.client) == 2 * BOND_WEI - FEE_WEI
    assert sum(searching.credit_wei(verifier) for verifier in searching.verifiers) == FEE_WEI
    assert list(searching.gradient.proposals()) == []
    searching.check_money()


def test_advance__slashed_miner__cannot_come_back_at_that_height(searching: Play, reverts: Any) -> None:
    miner = searching.miners[0]
    searching.mine_block(miner, INVALID)
    with reverts(searching.gradient.NotEnrolled, miner=miner.address):
        searching.propose(miner)
    searching.enrol(miner)
    enrolled_at, fixed_at = searching.network.blocks.height, searching.gradient.headerBlock(1)
    with reverts(
        searching.gradient.EnrolledTooLate, miner=miner.address, enrolledAtBlock=enrolled_at, headerBlock=fixed_at
    ):
        searching.propose(miner)


# --- nothing decided ---


def test_advance__void_ballot__bonds_stay_and_the_budget_has_its_fee_back(searching: Play) -> None:
    first, second = searching.miners[:2]
    searching.at(searching.current.searchStartedAt + 30)
    searching.to_voting(first, second)
    searching.lose_quorum()
    current = searching.current
    assert (current.height, current.phase, current.voidBallots, current.ballotId) == (2, Phase.SEARCH, 1, 0)
    assert searching.network.blocks.head.timestamp - current.searchStartedAt == 30
    assert [searching.bonded_wei(miner) for miner in (first, second)] == [BOND_WEI] * 2
    assert searching.credit_wei(searching.client) == 0
    assert searching.budget_wei() == 3 * BLOCK_WEI
    searching.propose(first)
    searching.check_money()


def test_advance__all_leave_after_the_first_proposal__they_are_members_all_the_same(searching: Play) -> None:
    """D5: its weights are public."""
    searching.propose(searching.miners[0])
    searching.network.mine(deltatime=2)
    searching.leave_committee(searching.verifiers[:2])
    searching.wait_for_deadline()
    searching.advance()
    assert searching.committee.members(searching.current.ballotId) == searching.verifiers[:2]
    vote_on(searching.committee, searching.commitments, 1, {each: [GOOD] for each in searching.verifiers[:2]})
    searching.advance()
    assert searching.gradient.header(2).miner == searching.miners[0]


def test_advance__three_void_ballots_in_a_row__stop_the_task(searching: Play) -> None:
    for _ in range(3):
        assert searching.phase == Phase.SEARCH
        searching.to_voting(searching.miners[0])
        searching.lose_quorum()
    assert searching.state() == (State.STOPPED, Stop.QUORUM_LOST)
    assert (searching.phase, searching.current.height, searching.current.taskId) == (Phase.IDLE, 2, 0)
    assert (searching.budget_wei(), searching.credit_wei(searching.client)) == (0, 3 * BLOCK_WEI)
    assert not searching.gradient.minerOf(searching.miners[0]).hasProposal
    searching.check_money()


def test_advance__rejection_between_void_ballots__starts_their_count_anew(searching: Play) -> None:
    searching.to_voting(searching.miners[0])
    searching.lose_quorum()
    searching.mine_block(searching.miners[1], INVALID)
    assert searching.current.voidBallots == 0


def test_advance__void_ballots__cost_no_block(searching: Play) -> None:
    searching.to_voting(searching.miners[0])
    searching.lose_quorum()
    for _ in range(3):
        searching.mine_block(searching.miners[0])
    assert searching.state() == (State.COMPLETED, Stop.NONE)
    assert (searching.task().blocksDone, searching.budget_wei(), searching.credit_wei(searching.client)) == (3, 0, 0)
    searching.check_money()


# --- some undecided ---


def vote_each(play: Play, *votes: Vote) -> dict[Any, Vote]:
    cast = dict(zip(play.verifiers, votes, strict=False))
    vote_on(play.committee, play.commitments, play.current.ballotId, cast)
    play.advance()
    return cast


def test_advance__earlier_one_undecided__the_first_decided_one_is_the_block(searching: Play) -> None:
    undecided, good, bad = searching.miners[:3]
    searching.to_voting(undecided, good, bad)
    vote_each(searching, [GOOD, GOOD, INVALID], [INVALID, GOOD, INVALID])
    assert searching.gradient.header(2).miner == good
    assert [searching.bonded_wei(miner) for miner in (undecided, good, bad)] == [BOND_WEI, BOND_WEI, 0]
    assert not searching.gradient.minerOf(undecided).hasProposal
    assert (searching.budget_wei(), searching.credit_wei(searching.client)) == (2 * BLOCK_WEI, BOND_WEI)
    searching.check_money()


def test_advance__nothing_decided__counts_as_void_and_costs_nothing(searching: Play) -> None:
    searching.to_voting(searching.miners[0])
    cast = vote_each(searching, [GOOD], [INVALID])
    assert (searching.phase, searching.current.voidBallots) == (Phase.SEARCH, 1)
    assert [searching.committee.verifier(each).stakeWei for each in cast] == [STAKE_WEI] * 2
    assert (searching.budget_wei(), searching.credit_wei(searching.client)) == (3 * BLOCK_WEI, 0)
    assert searching.bonded_wei(searching.miners[0]) == BOND_WEI
    searching.check_money()


def test_advance__only_scores_undecided__stops_in_the_end_for_want_of_money(searching: Play) -> None:
    """Verifiers that agree on the test accuracy earn their fee, though no block comes of it."""
    searching.to_voting(searching.miners[0])
    vote_each(searching, [valid(1, 400_000)], [valid(2, 400_000)])
    assert (searching.phase, searching.current.voidBallots) == (Phase.SEARCH, 1)
    assert (searching.budget_wei(), searching.credit_wei(searching.client)) == (3 * BLOCK_WEI - FEE_WEI, 0)
    searching.mine_block(searching.miners[0])
    searching.mine_block(searching.miners[0])
    assert searching.state() == (State.STOPPED, Stop.QUORUM_LOST)
    assert searching.task().blocksDone == 2
    assert (searching.budget_wei(), searching.credit_wei(searching.client)) == (0, BLOCK_WEI - FEE_WEI)
    searching.check_money()


def test_advance__one_bad_one_undecided__its_bond_pays_the_fee_first(searching: Play) -> None:
    bad, undecided = searching.miners[:2]
    searching.to_voting(bad, undecided)
    vote_each(searching, [INVALID, GOOD], [INVALID, INVALID])
    assert [searching.bonded_wei(miner) for miner in (bad, undecided)] == [0, BOND_WEI]
    assert (searching.phase, searching.current.voidBallots) == (Phase.SEARCH, 1)
    assert searching.budget_wei() == 3 * BLOCK_WEI
    assert searching.credit_wei(searching.client) == BOND_WEI - FEE_WEI
    searching.check_money()


def test_advance__content_that_most_could_not_fetch__loses_the_bond(searching: Play) -> None:
    searching.to_voting(searching.miners[0])
    vote_each(searching, [GONE], [GONE])
    assert searching.bonded_wei(searching.miners[0]) == 0
    # Nobody earned the fee by saying so.
    assert (searching.budget_wei(), searching.credit_wei(searching.client)) == (3 * BLOCK_WEI, BOND_WEI)
    searching.check_money()


def test_advance__test_accuracy_undecided__is_no_reason_against_the_block_and_reaches_no_target(play: Play) -> None:
    play.submit(targetTestPpm=1)
    play.open()
    play.to_voting(play.miners[0])
    vote_each(play, [valid(500_000, 400_000)], [valid(500_000, 400_001)])
    header = play.gradient.header(2)
    assert (header.miner, header.trainPpm, header.testPpm) == (play.miners[0], 500_000, 0)
    assert play.phase == Phase.SEARCH
    play.check_money()


# --- how a task ends ---


def test_advance__search_timed_out__stops_the_task_and_costs_one_fee(searching: Play) -> None:
    searching.mine_block(searching.miners[0])
    searching.wait_for_deadline()
    assert searching.gradient.isDue()
    before_wei = [searching.credit_wei(verifier) for verifier in searching.verifiers[:2]]
    searching.advance()
    assert searching.state() == (State.STOPPED, Stop.TIMED_OUT)
    assert (searching.phase, searching.current.height, searching.current.deadline) == (Phase.IDLE, 3, 0)
    assert (searching.budget_wei(), searching.credit_wei(searching.client)) == (0, 2 * BLOCK_WEI - FEE_WEI)
    after_wei = [searching.credit_wei(verifier) for verifier in searching.verifiers[:2]]
    assert after_wei == [each + FEE_WEI // 2 for each in before_wei]
    searching.check_money()


def test_advance__search_timed_out_with_nobody_seated__returns_everything(searching: Play) -> None:
    deadline = searching.current.deadline
    searching.leave_committee(searching.verifiers[:2])
    searching.network.mine(timestamp=deadline + SEAT_WAIT_S - 1)
    assert not searching.gradient.isDue()
    searching.network.mine(timestamp=deadline + SEAT_WAIT_S)
    searching.advance()
    assert searching.state() == (State.STOPPED, Stop.TIMED_OUT)
    assert searching.credit_wei(searching.client) == 3 * BLOCK_WEI
    searching.check_money()


def test_advance__last_block__completes_the_task_and_the_next_can_open(searching: Play) -> None:
    second = searching.submit(blockCount=1)
    for height in (2, 3, 4):
        assert searching.current.height == height
        searching.mine_block(searching.miners[height % 2])
    assert searching.state() == (State.COMPLETED, Stop.NONE)
    assert (searching.phase, searching.task().blocksDone, searching.budget_wei()) == (Phase.IDLE, 3, 0)
    assert searching.credit_wei(searching.client) == 0
    searching.open()
    assert (searching.current.taskId, searching.current.height) == (second, 6)
    opening = searching.gradient.header(5)
    assert (opening.previousHash, opening.taskId) == (searching.gradient.headerHash(4), second)
    searching.check_money()


@pytest.mark.parametrize(("test_ppm", "is_over"), [(399_999, False), (400_000, True)])
def test_advance__target_accuracy__completes_the_task_early(play: Play, test_ppm: int, is_over: bool) -> None:
    play.submit(targetTestPpm=400_000)
    play.open()
    play.mine_block(play.miners[0], valid(1_000_000, test_ppm))
    assert (play.state()[0] == State.COMPLETED) == is_over
    assert play.credit_wei(play.client) == (2 * BLOCK_WEI if is_over else 0)


def test_advance__no_fee__ballot_costs_nothing(
    deploy: Any, chain: Any, commitments: Any, client: Any, miners: Any, verifiers: Any, stranger: Any
) -> None:
    roles = {"client": client, "miners": miners, "verifiers": verifiers, "stranger": stranger}
    play = Play(deploy(gradient={"verifierFeePpm": 0}), chain, commitments, **roles)
    play.stake(*verifiers[:2])
    play.enrol(*miners[:1])
    play.submit()
    play.open()
    play.mine_block(miners[0])
    assert (play.task().feeWei, play.budget_wei(), play.credit_wei(miners[0])) == (0, 2 * REWARD_WEI, REWARD_WEI)
    play.check_money()


# --- reports ---


def test_report_segments__not_voting__reverts(searching: Play, reverts: Any) -> None:
    with reverts(searching.gradient.WrongPhase, height=2, phase=Phase.SEARCH):
        searching.gradient.reportSegments(1, 0, 0, 1, sender=searching.verifiers[0])


def test_report_segments__other_ballot__reverts(searching: Play, reverts: Any) -> None:
    searching.to_voting(searching.miners[0])
    with reverts(searching.gradient.WrongPhase, height=2, phase=Phase.VOTING):
        searching.gradient.reportSegments(2, 0, 0, 1, sender=searching.verifiers[0])


def test_report_segments__not_a_member__reverts(searching: Play, reverts: Any) -> None:
    searching.to_voting(searching.miners[0])
    with reverts(searching.committee.NotMember, ballotId=1, verifier=searching.verifiers[2].address):
        searching.gradient.reportSegments(1, 0, 0, 1, sender=searching.verifiers[2])


def test_report_segments__no_such_entry__reverts(searching: Play, reverts: Any) -> None:
    """D14: reports on entries that do not exist ended everybody's wait."""
    searching.to_voting(searching.miners[0])
    for entry in (1, 100, 2**16 - 1):
        with reverts(searching.gradient.UnknownEntry, entry=entry, entryCount=1):
            searching.gradient.reportSegments(1, 0, entry, 0, sender=searching.verifiers[0])


def test_report_segments__twice__reverts(searching: Play, reverts: Any) -> None:
    searching.to_voting(*searching.miners[:2])
    for index in (1, 0):
        for entry in (0, 1):
            searching.gradient.reportSegments(1, index, entry, 0, sender=searching.verifiers[index])
    again = {"ballotId": 1, "verifier": searching.verifiers[1].address, "entry": 1}
    with reverts(searching.gradient.AlreadyReported, **again):
        searching.gradient.reportSegments(1, 1, 1, 7, sender=searching.verifiers[1])


def test_report_segments__voter__is_the_members_report(searching: Play) -> None:
    searching.to_voting(searching.miners[0])
    searching.committee.setVoter(searching.stranger, sender=searching.verifiers[1])
    receipt = searching.gradient.reportSegments(1, 1, 0, 1, sender=searching.stranger)
    (event,) = receipt.decode_logs(searching.gradient.SegmentsReported)
    assert event.verifier == searching.verifiers[1]


def test_report_segments__member__is_an_event(searching: Play) -> None:
    searching.to_voting(*searching.miners[:2])
    receipt = searching.gradient.reportSegments(1, 1, 1, 0b101, sender=searching.verifiers[1])
    (event,) = receipt.decode_logs(searching.gradient.SegmentsReported)
    assert (event.ballotId, event.verifier, event.entry) == (1, searching.verifiers[1], 1)
    assert event.wrongSegments == 0b101


def test_advance__accused_and_bad__first_accuser_gets_a_tenth_of_the_bond(searching: Play) -> None:
    """The rest refills the budget with the ballot's fee, and goes to the client. Finding nothing accuses nobody."""
    searching.to_voting(*searching.miners[:2])
    first, second = searching.verifiers[:2]
    searching.gradient.reportSegments(1, 1, 0, 0, sender=second)
    searching.gradient.reportSegments(1, 0, 0, 0b10, sender=first)
    searching.gradient.reportSegments(1, 1, 1, 0b01, sender=second)
    searching.gradient.reportSegments(1, 0, 1, 0b01, sender=first)
    searching.vote([INVALID, INVALID])
    reward_wei, fees_wei = BOND_WEI // ACCUSER_SHARE, FEE_WEI // 2
    assert [searching.credit_wei(each) for each in (first, second)] == [reward_wei + fees_wei] * 2
    assert searching.credit_wei(searching.client) == 2 * (BOND_WEI - reward_wei) - FEE_WEI
    assert [searching.bonded_wei(miner) for miner in searching.miners[:2]] == [0, 0]
    searching.check_money()


def test_advance__accused_and_valid__accuser_gets_nothing_but_its_fee(searching: Play) -> None:
    searching.to_voting(searching.miners[0])
    searching.gradient.reportSegments(1, 0, 0, 1, sender=searching.verifiers[0])
    searching.vote([GOOD])
    assert [searching.credit_wei(verifier) for verifier in searching.verifiers[:2]] == [FEE_WEI // 2] * 2
    assert searching.bonded_wei(searching.miners[0]) == BOND_WEI


def test_advance__accused_in_another_ballot__accuser_gets_nothing(searching: Play) -> None:
    searching.to_voting(searching.miners[0])
    searching.gradient.reportSegments(1, 0, 0, 1, sender=searching.verifiers[0])
    searching.lose_quorum()
    before = searching.credit_wei(searching.verifiers[0])
    searching.to_voting(searching.miners[0])
    searching.vote([INVALID])
    assert searching.credit_wei(searching.verifiers[0]) - before == FEE_WEI // 2
    assert searching.bonded_wei(searching.miners[0]) == 0


def test_commit_vote__both_chains_ballots__do_not_meet(searching: Play) -> None:
    """The committee counts ballots for both chains; this one's first is number 1, its fee under that number."""
    searching.to_voting(searching.miners[0])
    commit_vote(searching.committee, searching.commitments, 1, searching.verifiers[0], [GOOD])
    assert searching.committee.ballot(1).chain == searching.gradient
    assert searching.committee.isChain(searching.system.chain)
    assert searching.reservoir.balanceOf(searching.system.chain, ESCROW, account_of(1)) == 0


def header_hash(header: Any) -> bytes:
    """Written from the Solidity by hand."""
    cid = "(uint8,bytes32)"
    types = f"(uint64,uint64,address,bytes32,{cid},{cid},uint32,uint32,uint32,uint32,uint32,uint32,bytes32,uint64)"
    values = (
        *(header.height, header.taskId, header.miner, header.previousHash),
        *(tuple(header.weights.values()), tuple(header.proof.values())),
        *(header.step, header.signDigest, header.threshold, header.intervalS, header.trainPpm, header.testPpm),
        *(header.anchorHash, header.timestamp),
    )
    return keccak(encode([types], [values]))
