"""Lens: says in one call what the other contracts' views say one by one."""

from typing import Any

import pytest
from eth_utils.crypto import keccak

from tests.contracts.chain.halves import split
from tests.contracts.rounds import MINER_BOND_WEI, Phase, Play, valid

UNIT_WEI = 10**14
_WEIGHT = 1  # ape gives structs within structs as tuples


@pytest.fixture
def lens(play: Play, project: Any, deployer: Any) -> Any:
    system = play.system
    return deployer.deploy(
        project.Lens, system.market, system.committee, system.gradient, system.reservoir, system.token
    )


def test_read__calls_that_succeed_and_one_that_reverts__each_with_its_own_data(
    play: Play, lens: Any, chain: Any
) -> None:
    calls = [
        (play.market.address, play.market.taskCount.encode_input()),
        (play.chain.address, play.chain.advance.encode_input(9)),
        (play.committee.address, play.committee.seatedCount.encode_input()),
    ]
    found = lens.read(calls)
    head = chain.blocks.head
    assert found.number in (head.number, head.number + 1)  # a call may be of the block to come
    assert found.timestamp >= head.timestamp
    assert [is_success for is_success, _ in found.results] == [True, False, True]
    assert [int.from_bytes(bytes(found.results[place][1]), "big") for place in (0, 2)] == [play.market.taskCount(), 3]
    assert bytes(found.results[1][1])[:4] == keccak(text="NotDue(uint64,uint8,uint40)")[:4]


def test_pending_tasks__in_parts__are_the_list_without_the_cancelled(
    play: Play, lens: Any, create_task: Any, client: Any
) -> None:
    tasks = [create_task(play.market, payment_wei=worth * UNIT_WEI) for worth in (2, 5, 3, 5)]
    play.market.cancel(tasks[2], sender=client)
    found = lens.pendingTasks(0, 100)
    assert [each.taskId for each in found] == [tasks[1], tasks[3], tasks[0]]
    assert [each.value for each in found] == [play.market.valueOf(each.taskId) for each in found]
    assert [each.task.client for each in found] == [client] * 3
    assert [each.taskId for each in lens.pendingTasks(0, 2)] == [tasks[1], tasks[3]]
    assert [each.taskId for each in lens.pendingTasks(tasks[3], 2)] == [tasks[0]]
    assert list(lens.pendingTasks(tasks[0], 2)) == []


def test_rounds__repeated_ballot__has_both_outcomes_and_all_submissions(four: Play, lens: Any) -> None:
    four.to_voting(*four.miners[:2])
    split(four, [valid(950_000, 900_000)] * 2, [valid(950_000, 900_000), valid(940_000, 1)])
    repeated, before = lens.rounds(four.chain, [1, 1])
    assert repeated.round == before.round == four.chain.round(1)
    assert (repeated.round.firstBallotId, repeated.round.ballotId) == (1, 2)
    assert list(repeated.submissions) == list(four.chain.submissions(1))
    assert repeated.ballot == four.committee.ballot(2)
    assert (repeated.isDue, repeated.isBallotDue) == (False, False)
    assert list(repeated.firstOutcome) == list(four.committee.outcome(1)) != []
    assert list(repeated.outcome) == []


def test_rounds__without_a_ballot__has_none(in_training: Play, lens: Any) -> None:
    [whole] = lens.rounds(in_training.chain, [1])
    assert (whole.round.phase, whole.ballot.phase, whole.isDue) == (Phase.TRAINING, 0, False)


def test_seats_and_votes__are_those_of_the_committee(in_training: Play, lens: Any) -> None:
    in_training.to_voting(in_training.miners[0])
    committee = in_training.committee
    assert [(seat.account, seat.verifier) for seat in lens.seats()] == [
        (account, committee.verifier(account)) for account in committee.seated()
    ]
    votes = lens.votes(in_training.ballot_id)
    assert [(vote.account, vote.member) for vote in votes] == [
        (account, committee.memberOf(in_training.ballot_id, account)) for account in committee.members(1)
    ]


def test_position__miner_and_verifier_in_a_ballot__all_that_is_theirs(in_training: Play, lens: Any) -> None:
    miner, verifier = in_training.miners[0], in_training.verifiers[1]
    in_training.to_voting(miner)
    found = lens.position(miner)
    assert (found.balanceWei, found.creditWei, found.tokens) == (miner.balance, 0, 0)
    assert [(lane.chain, lane.roundId, lane.place) for lane in found.lanes] == [(in_training.chain.address, 1, 1)]
    assert found.lanes[0].member[_WEIGHT] == 0
    found = lens.position(verifier)
    assert tuple(found.verifier) == tuple(in_training.committee.verifier(verifier))
    assert tuple(found.lanes[0].member) == tuple(in_training.committee.memberOf(1, verifier))
    assert found.lanes[0].place == 0
    in_training.finish([valid(950_000, 900_000)])
    won = lens.position(miner)
    assert won.creditWei == in_training.credit_wei(miner) > MINER_BOND_WEI
    assert won.tokens == in_training.token.balanceOf(miner) > 0


def test_position__stranger__has_nothing(opened: Play, lens: Any) -> None:
    found = lens.position(opened.stranger)
    assert [(lane.roundId, lane.place, lane.member[_WEIGHT]) for lane in found.lanes] == [(1, 0, 0)]
    assert (found.creditWei, found.tokens, found.verifier[0], found.miner[0]) == (0, 0, 0, 0)
