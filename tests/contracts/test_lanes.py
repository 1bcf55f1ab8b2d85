"""TaskMarket and VerifierCommittee with several lanes: whose turn it is, and how much time there is to vote."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.contracts.conftest import COMMITTEE_PARAMETERS, MARKET_PARAMETERS, MINUTE_S
from tests.contracts.rounds import ESCROW, MIN_STAKE_WEI, BallotPhase, account_of

NONE, PENDING, IN_ROUND, SOLVED, REFUNDED, CANCELLED = range(6)
ZERO_ADDRESS = "0x" + "00" * 20
ENTRY_S = 7
WINDOW_S = 2 * MINUTE_S


@pytest.fixture(scope="module")
def three(project: Any, deployer: Any, accounts: Any, create_address: Any) -> SimpleNamespace:
    """A market and a committee whose three lanes are plain accounts."""
    chains = list(accounts[14:17])
    at = [create_address(deployer.address, deployer.nonce + step) for step in (1, 2)]
    reservoir = deployer.deploy(project.RewardReservoir, [*at, *chains], [*at, *[at[0]] * 3])
    market = deployer.deploy(project.TaskMarket, reservoir, chains, MARKET_PARAMETERS)
    committee = deployer.deploy(
        project.VerifierCommittee, reservoir, chains, COMMITTEE_PARAMETERS | {"voteEntryS": ENTRY_S}
    )
    return SimpleNamespace(chains=chains, reservoir=reservoir, market=market, committee=committee)


# --- whose turn it is ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 17])
def test_constructor__no_lane_or_too_many__reverts(
    project: Any, deployer: Any, three: SimpleNamespace, reverts: Any, count: int
) -> None:
    with reverts(three.market.InvalidParameter, name=b"lanes".ljust(32, b"\0"), value=count):
        deployer.deploy(project.TaskMarket, three.reservoir, [three.chains[0]] * count, MARKET_PARAMETERS)


def test_pop_most_valuable__another_lane_is_idle_for_longer__reverts(
    three: SimpleNamespace, create_task: Any, reverts: Any
) -> None:
    create_task(three.market)
    with reverts(three.market.NotNextLane, lane=three.chains[1].address, next=three.chains[0].address):
        three.market.popMostValuable(sender=three.chains[1])


def test_pop_most_valuable__own_round_is_on__reverts(three: SimpleNamespace, create_task: Any, reverts: Any) -> None:
    for _ in range(2):
        create_task(three.market)
    three.market.popMostValuable(sender=three.chains[0])
    with reverts(three.market.NotNextLane, lane=three.chains[0].address, next=three.chains[1].address):
        three.market.popMostValuable(sender=three.chains[0])


def test_pop_most_valuable__all_lanes_busy__reverts(three: SimpleNamespace, create_task: Any, reverts: Any) -> None:
    for _ in range(4):
        create_task(three.market)
    for chain in three.chains:
        three.market.popMostValuable(sender=chain)
    assert three.market.nextLane() == ZERO_ADDRESS
    with reverts(three.market.NotNextLane, lane=three.chains[2].address, next=ZERO_ADDRESS):
        three.market.popMostValuable(sender=three.chains[2])


def test_pop_most_valuable__three_lanes__each_gets_the_next_best_with_its_money(
    three: SimpleNamespace, create_task: Any, money: Any
) -> None:
    tasks = [create_task(three.market, payment_wei=100_000_000_000_000 * worth) for worth in (2, 3, 1)]
    for chain in three.chains:
        assert three.market.nextLane() == chain
        three.market.popMostValuable(sender=chain)
    assert [three.market.task(task_id).lane for task_id in tasks] == [1, 0, 2]
    assert [lane.isBusy for lane in three.market.lanes()] == [True] * 3
    for task_id in tasks:
        held_wei = three.reservoir.balanceOf(three.market, ESCROW, account_of(task_id))
        assert held_wei == 100_000_000_000_000 * (2, 3, 1)[task_id - 1] + three.market.parameters().clientBondWei
    money(three.reservoir)


def test_close__lanes_end_in_another_order__the_longest_idle_is_next(
    three: SimpleNamespace, create_task: Any, chain: Any
) -> None:
    for _ in range(3):
        create_task(three.market)
    for lane in three.chains:
        three.market.popMostValuable(sender=lane)
    for place in (2, 0, 1):
        chain.mine(deltatime=5)
        receipt = three.market.close(place + 1, REFUNDED, sender=three.chains[place])
        assert three.market.lanes()[place].idleSince == receipt.timestamp
    for place in (2, 0, 1):
        assert three.market.nextLane() == three.chains[place]
        create_task(three.market)
        three.market.popMostValuable(sender=three.chains[place])


def test_close__task_of_another_lane__reverts(three: SimpleNamespace, create_task: Any, reverts: Any) -> None:
    task_id = create_task(three.market)
    three.market.popMostValuable(sender=three.chains[0])
    with reverts(three.market.NotChain, caller=three.chains[1].address):
        three.market.close(task_id, SOLVED, sender=three.chains[1])


# --- idle rounds -----------------------------------------------------------------------------------------------------


def test_begin_idle_round__stranger__reverts(three: SimpleNamespace, stranger: Any, reverts: Any) -> None:
    with reverts(three.market.NotChain, caller=stranger.address):
        three.market.beginIdleRound(sender=stranger)


def test_begin_idle_round__task_pending__reverts(three: SimpleNamespace, create_task: Any, reverts: Any) -> None:
    create_task(three.market)
    with reverts(three.market.TasksPending, count=1):
        three.market.beginIdleRound(sender=three.chains[0])


def test_begin_idle_round__lane_is_busy__reverts(three: SimpleNamespace, reverts: Any) -> None:
    three.market.beginIdleRound(sender=three.chains[0])
    with reverts(three.market.LaneBusy, lane=three.chains[0].address):
        three.market.beginIdleRound(sender=three.chains[0])


def test_begin_idle_round__last_free_lane__reverts(three: SimpleNamespace, reverts: Any) -> None:
    three.market.beginIdleRound(sender=three.chains[2])
    three.market.beginIdleRound(sender=three.chains[0])
    with reverts(three.market.LastFreeLane, lane=three.chains[1].address):
        three.market.beginIdleRound(sender=three.chains[1])


def test_begin_idle_round__others_are_idle__next_task_goes_to_a_free_lane(
    three: SimpleNamespace, create_task: Any
) -> None:
    three.market.beginIdleRound(sender=three.chains[0])
    task_id = create_task(three.market)
    assert three.market.nextLane() == three.chains[1]
    three.market.popMostValuable(sender=three.chains[1])
    assert three.market.task(task_id).lane == 1


def test_begin_idle_round__only_lane__is_taken_and_freed(market: Any, chain_account: Any, reverts: Any) -> None:
    market.beginIdleRound(sender=chain_account)
    assert market.nextLane() == ZERO_ADDRESS
    receipt = market.close(0, NONE, sender=chain_account)
    assert receipt.events == []
    assert market.nextLane() == chain_account


# --- time to vote ----------------------------------------------------------------------------------------------------


@pytest.fixture
def seated(three: SimpleNamespace, verifiers: list[Any]) -> SimpleNamespace:
    for verifier in verifiers:
        three.committee.stake(sender=verifier, value=MIN_STAKE_WEI)
    return three


@pytest.fixture
def window_of(seated: SimpleNamespace, chain: Any) -> Callable[[int, int], int]:
    """`window_of(lane, entries)`: how long the commits of a ballot are open that this lane opens now."""

    def open_it(place: int, entries: int) -> int:
        at = chain.blocks.head.timestamp
        receipt = seated.committee.openBallot(entries, account_of(9), at, sender=seated.chains[place])
        ballot = seated.committee.ballot(seated.committee.nextBallotId() - 1)
        return int(ballot.deadline) - int(receipt.timestamp)

    return open_it


def test_constructor__more_than_a_day_for_an_entry__reverts(
    project: Any, deployer: Any, three: SimpleNamespace, create_address: Any, reverts: Any
) -> None:
    # Of these two, one is the address in eth-tester's simulation and one the real address.
    predicted = [create_address(deployer.address, deployer.nonce + step) for step in (1, 2)]
    reservoir = deployer.deploy(project.RewardReservoir, predicted, predicted)
    given = COMMITTEE_PARAMETERS | {"voteEntryS": 86_401}
    with reverts(three.committee.InvalidParameter, name=b"voteEntryS".ljust(32, b"\0"), value=86_401):
        deployer.deploy(project.VerifierCommittee, reservoir, three.chains, given)


def test_open_ballot__alone__has_time_for_its_own_entries(window_of: Any) -> None:
    assert window_of(0, 3) == WINDOW_S + 3 * ENTRY_S


def test_open_ballot__others_are_open__has_time_for_theirs_as_well(window_of: Any) -> None:
    assert [window_of(lane, entries) for lane, entries in ((0, 3), (1, 64), (2, 1))] == [
        WINDOW_S + 3 * ENTRY_S,
        WINDOW_S + 67 * ENTRY_S,
        WINDOW_S + 68 * ENTRY_S,
    ]


def test_open_ballot__another_has_ended__no_longer_has_its_time(
    seated: SimpleNamespace, window_of: Any, chain: Any, stranger: Any
) -> None:
    window_of(0, 10)
    for _ in range(3):  # nobody votes: extended twice, then void
        chain.mine(timestamp=seated.committee.ballot(1).deadline)
        seated.committee.advance(1, sender=stranger)
    assert seated.committee.ballot(1).phase == BallotPhase.VOID
    assert window_of(1, 2) == WINDOW_S + 2 * ENTRY_S


def test_advance__no_quorum__the_extension_counts_what_is_open_by_then(
    seated: SimpleNamespace, window_of: Any, chain: Any, stranger: Any
) -> None:
    window_of(0, 10)
    window_of(1, 5)
    chain.mine(timestamp=seated.committee.ballot(1).deadline)
    receipt = seated.committee.advance(1, sender=stranger)
    assert seated.committee.ballot(1).deadline == receipt.timestamp + WINDOW_S + 15 * ENTRY_S
