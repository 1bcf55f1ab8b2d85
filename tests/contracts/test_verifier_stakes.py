"""VerifierCommittee, seats and stakes: who may sit, who is displaced, when a stake may leave, shares of money."""

from typing import Any

import pytest

from tests.contracts.rounds import (
    ESCROW,
    MIN_STAKE_WEI,
    STAKE,
    ZERO_ADDRESS,
    ZERO_HASH,
    BallotPhase,
    Exit,
    Seating,
    account_of,
)

UNBONDING_S = 600
SEATS = 21
TREASURE = account_of(7 << 200)
FLOOR_WEI = MIN_STAKE_WEI // 2
WAIT_S = 600


def price_of(stake_wei: int) -> int:
    """A tenth, rounded up."""
    return -(-stake_wei // 10)


@pytest.fixture
def staked(committee: Any, verifier: Any) -> Any:
    """The committee with `verifier` seated by the smallest stake."""
    committee.stake(sender=verifier, value=MIN_STAKE_WEI)
    return committee


@pytest.fixture
def full(committee: Any, accounts: Any, other_client: Any) -> list[Any]:
    """21 verifiers; the fourth has the smallest stake of all."""
    sitting = [accounts[i] for i in range(len(accounts)) if i not in (2, 7, 8, 11, 12)][:SEATS]
    for place, account in enumerate(sitting):
        committee.stake(sender=account, value=MIN_STAKE_WEI + (0 if place == 3 else 1_000 + place))
    return sitting


# --- constructor ---


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("minStakeWei", 0),
        ("floorStakeWei", 0),
        ("floorStakeWei", MIN_STAKE_WEI + 1),
        ("minSeated", 0),
        ("minSeated", 22),
        ("displacementPpm", 0),
        ("displacementPpm", 1_000_001),
        ("voteCommitWindowS", 0),
        ("voteRevealWindowS", 0),
        ("voteOpeningWindowS", 0),
        ("absencePenaltyPpm", 1_000_001),
        ("noisePenaltyPpm", 1_000_001),
    ],
)
def test_constructor__parameter_no_ballot_could_work_with__reverts(
    project: Any, deploy: Any, committee: Any, reverts: Any, name: str, value: int
) -> None:
    with reverts(committee.InvalidParameter, name=name.encode().ljust(32, b"\0"), value=value):
        deploy(committee={name: value})


def test_constructor__zero_chain__reverts(
    project: Any, deployer: Any, committee: Any, create_address: Any, reverts: Any
) -> None:
    operators = [create_address(deployer.address, deployer.nonce + 2)]
    reservoir = deployer.deploy(project.RewardReservoir, operators, operators)
    with reverts(committee.ZeroAddress):
        deployer.deploy(project.VerifierCommittee, reservoir, [ZERO_ADDRESS], committee.parameters())


def test_constructor__not_an_operator_of_the_reservoir__reverts(
    project: Any, stranger: Any, reservoir: Any, committee: Any, chain_account: Any, create_address: Any, reverts: Any
) -> None:
    # eth-tester simulates the creation under the next nonce.
    with reverts(committee.NotOperator, caller=create_address(stranger.address, stranger.nonce + 1)):
        stranger.deploy(project.VerifierCommittee, reservoir, [chain_account], committee.parameters())


def test_parameters__are_those_given(committee: Any, chain_account: Any, stranger: Any, reservoir: Any) -> None:
    parameters = committee.parameters()
    assert (parameters.minStakeWei, parameters.floorStakeWei) == (MIN_STAKE_WEI, FLOOR_WEI)
    assert (parameters.minSeated, parameters.seatWaitS, parameters.displacementPpm) == (1, WAIT_S, 100_000)
    assert parameters.unbondingPeriodS == UNBONDING_S
    windows_s = (parameters.voteCommitWindowS, parameters.voteRevealWindowS, parameters.voteOpeningWindowS)
    assert windows_s == (120, 120, 120)
    assert (parameters.absencePenaltyPpm, parameters.noisePenaltyPpm) == (50_000, 200_000)
    assert parameters.maxExtensions == 2
    assert committee.RESERVOIR() == reservoir
    assert committee.isChain(chain_account)
    assert not committee.isChain(stranger)


# --- stake ---


def test_stake__too_little__reverts(committee: Any, verifier: Any, reverts: Any) -> None:
    with reverts(committee.StakeTooSmall, stakeWei=MIN_STAKE_WEI - 1, neededWei=MIN_STAKE_WEI):
        committee.stake(sender=verifier, value=MIN_STAKE_WEI - 1)


def test_stake__nothing_more__reverts(staked: Any, verifier: Any, reverts: Any) -> None:
    with reverts(staked.StakeTooSmall, stakeWei=MIN_STAKE_WEI, neededWei=MIN_STAKE_WEI + 1):
        staked.stake(sender=verifier)


def test_stake__while_unbonding__seats_again_at_once(staked: Any, reservoir: Any, verifier: Any, reverts: Any) -> None:
    staked.requestUnstake(sender=verifier)
    staked.stake(sender=verifier)  # with nothing more than what lies there
    back = staked.verifier(verifier)
    assert (back.isSeated, back.releaseAt, back.stakeWei) == (True, 0, MIN_STAKE_WEI)
    assert staked.seated() == [verifier]
    staked.requestUnstake(sender=verifier)
    staked.stake(sender=verifier, value=3)
    assert reservoir.balanceOf(staked, STAKE, ZERO_HASH) == MIN_STAKE_WEI + 3
    with reverts(staked.NotUnbonding, verifier=verifier.address):
        staked.completeUnstake(sender=verifier)


def test_stake__first__seats(committee: Any, reservoir: Any, verifier: Any, money: Any) -> None:
    receipt = committee.stake(sender=verifier, value=MIN_STAKE_WEI)
    assert committee.Staked(verifier, MIN_STAKE_WEI, MIN_STAKE_WEI) in receipt.events
    assert tuple(committee.verifier(verifier).items()) == (
        ("stakeWei", MIN_STAKE_WEI),
        ("releaseAt", 0),
        ("openBallots", 0),
        ("isSeated", True),
        ("voter", ZERO_ADDRESS),
    )
    assert committee.seated() == [verifier]
    assert committee.seatedCount() == 1
    assert reservoir.balanceOf(committee, STAKE, ZERO_HASH) == MIN_STAKE_WEI
    money(reservoir)


def test_stake__again__adds(staked: Any, reservoir: Any, verifier: Any) -> None:
    staked.stake(sender=verifier, value=5)
    assert staked.verifier(verifier).stakeWei == MIN_STAKE_WEI + 5
    assert staked.seatedCount() == 1
    assert reservoir.balanceOf(staked, STAKE, ZERO_HASH) == MIN_STAKE_WEI + 5


def test_stake__full_committee__price_is_missing__reverts(
    committee: Any, full: list[Any], verifiers: list[Any], reverts: Any
) -> None:
    needed_wei = MIN_STAKE_WEI + 1 + price_of(MIN_STAKE_WEI)
    with reverts(committee.StakeTooSmall, stakeWei=needed_wei - 1, neededWei=needed_wei):
        committee.stake(sender=verifiers[0], value=needed_wei - 1)


def test_stake__full_committee__displaces_the_smallest_for_a_price(
    committee: Any, full: list[Any], verifiers: list[Any], reservoir: Any, reverts: Any, money: Any
) -> None:
    """D8: 21 stakes of one wei more evicted a committee at no cost."""
    smallest, price_wei = full[3], price_of(MIN_STAKE_WEI)
    receipt = committee.stake(sender=verifiers[0], value=MIN_STAKE_WEI + 1 + price_wei)
    release_at = committee.verifier(smallest).releaseAt
    assert committee.Unseated(smallest, MIN_STAKE_WEI, release_at, Exit.DISPLACED) in receipt.events
    assert committee.Displaced(smallest, verifiers[0], price_wei) in receipt.events
    assert committee.Staked(verifiers[0], MIN_STAKE_WEI + 1 + price_wei, MIN_STAKE_WEI + 1) in receipt.events
    assert release_at == receipt.timestamp + UNBONDING_S
    sitting = [account.address for account in [*full, verifiers[0]] if account != smallest]
    assert sorted(committee.seated()) == sorted(sitting)
    assert committee.verifier(smallest).stakeWei == MIN_STAKE_WEI
    assert committee.verifier(verifiers[0]).stakeWei == MIN_STAKE_WEI + 1
    assert reservoir.creditOf(smallest) == price_wei
    # The next must outbid the one who just entered.
    needed_wei = MIN_STAKE_WEI + 2 + price_of(MIN_STAKE_WEI + 1)
    with reverts(committee.StakeTooSmall, stakeWei=needed_wei - 1, neededWei=needed_wei):
        committee.stake(sender=verifiers[1], value=needed_wei - 1)
    money(reservoir)


def test_stake__displaced__returns_at_once_and_to_a_free_seat_for_nothing(
    committee: Any, full: list[Any], verifiers: list[Any]
) -> None:
    """D8: the evicted had to wait for the whole unbonding period."""
    smallest, intruder = full[3], verifiers[0]
    committee.stake(sender=intruder, value=2 * MIN_STAKE_WEI)
    committee.requestUnstake(sender=intruder)
    committee.stake(sender=smallest)
    assert committee.verifier(smallest).isSeated
    assert committee.verifier(smallest).releaseAt == 0
    assert committee.seatedCount() == SEATS


def test_stake__whole_committee_displaced__costs_a_tenth_of_it(
    committee: Any, full: list[Any], verifiers: list[Any], reservoir: Any
) -> None:
    """D8, in full: one intruder after the other, each in the place of the smallest."""
    for turn in range(2):
        before_wei = reservoir.totalCredits()
        committee.stake(sender=verifiers[turn], value=2 * MIN_STAKE_WEI + turn)
        paid_wei = reservoir.totalCredits() - before_wei
        assert paid_wei >= price_of(MIN_STAKE_WEI)


# --- too few seated ---


def test_seating__enough_waiting_lapsed(committee: Any, verifier: Any, chain: Any) -> None:
    deadline = chain.blocks.head.timestamp + 50
    assert committee.seating(deadline) == Seating.WAITING
    committee.stake(sender=verifier, value=MIN_STAKE_WEI)
    assert committee.seating(deadline) == Seating.ENOUGH
    committee.requestUnstake(sender=verifier)
    chain.mine(timestamp=deadline + WAIT_S - 1)
    assert committee.seating(deadline) == Seating.WAITING
    chain.mine(timestamp=deadline + WAIT_S)
    assert committee.seating(deadline) == Seating.LAPSED


def test_stood_still__counts_the_seconds_with_too_few(committee: Any, verifiers: list[Any], chain: Any) -> None:
    committee.stake(sender=verifiers[0], value=MIN_STAKE_WEI)
    before_s = committee.stoodStillS()
    chain.mine(deltatime=30)
    assert committee.stoodStillS() == before_s
    left_at = committee.requestUnstake(sender=verifiers[0]).timestamp
    chain.mine(deltatime=30)
    assert committee.stoodStillS() == before_s + chain.blocks.head.timestamp - left_at
    back_at = committee.stake(sender=verifiers[1], value=MIN_STAKE_WEI).timestamp
    chain.mine(deltatime=30)
    assert committee.stoodStillS() == before_s + back_at - left_at


# --- requestUnstake ---


def test_request_unstake__no_seat__reverts(committee: Any, stranger: Any, reverts: Any) -> None:
    with reverts(committee.NotSeated, verifier=stranger.address):
        committee.requestUnstake(sender=stranger)


def test_request_unstake__twice__reverts(staked: Any, verifier: Any, reverts: Any) -> None:
    staked.requestUnstake(sender=verifier)
    with reverts(staked.NotSeated, verifier=verifier.address):
        staked.requestUnstake(sender=verifier)


def test_request_unstake__seated__starts_the_period(staked: Any, verifier: Any) -> None:
    receipt = staked.requestUnstake(sender=verifier)
    left = staked.verifier(verifier)
    assert left.releaseAt == receipt.timestamp + UNBONDING_S
    assert not left.isSeated
    assert staked.seated() == []
    assert staked.Unseated(verifier, MIN_STAKE_WEI, left.releaseAt, Exit.REQUESTED) in receipt.events


# --- completeUnstake ---


def test_complete_unstake__never_staked__reverts(committee: Any, stranger: Any, reverts: Any) -> None:
    with reverts(committee.NotUnbonding, verifier=stranger.address):
        committee.completeUnstake(sender=stranger)


def test_complete_unstake__still_seated__reverts(staked: Any, verifier: Any, reverts: Any) -> None:
    with reverts(staked.NotUnbonding, verifier=verifier.address):
        staked.completeUnstake(sender=verifier)


def test_complete_unstake__before_the_period_is_over__reverts(
    staked: Any, verifier: Any, chain: Any, reverts: Any
) -> None:
    release_at = staked.requestUnstake(sender=verifier).timestamp + UNBONDING_S
    chain.mine(timestamp=release_at - 2)
    with reverts(staked.UnbondingNotOver, verifier=verifier.address, releaseAt=release_at, openBallots=0):
        staked.completeUnstake(sender=verifier)


def test_complete_unstake__open_ballot__reverts_until_it_ends(
    staked: Any, verifier: Any, chain: Any, chain_account: Any, reverts: Any
) -> None:
    staked.openBallot(1, account_of(9), chain.blocks.head.timestamp, sender=chain_account)
    release_at = staked.requestUnstake(sender=verifier).timestamp + UNBONDING_S
    chain.mine(timestamp=release_at + 1)
    with reverts(staked.UnbondingNotOver, verifier=verifier.address, releaseAt=release_at, openBallots=1):
        staked.completeUnstake(sender=verifier)
    for _ in range(3):  # nobody votes: two extensions, then void
        staked.advance(1, sender=verifier)
        chain.mine(deltatime=120)
    assert staked.ballot(1).phase == BallotPhase.VOID
    staked.completeUnstake(sender=verifier)


def test_complete_unstake__period_over__credits_the_stake(
    staked: Any, reservoir: Any, verifier: Any, chain: Any, money: Any
) -> None:
    staked.requestUnstake(sender=verifier)
    chain.mine(deltatime=UNBONDING_S)
    receipt = staked.completeUnstake(sender=verifier)
    assert staked.Unstaked(verifier, MIN_STAKE_WEI) in receipt.events
    assert reservoir.creditOf(verifier) == MIN_STAKE_WEI
    assert reservoir.total(STAKE) == 0
    money(reservoir)
    # As if it had never staked.
    staked.stake(sender=verifier, value=MIN_STAKE_WEI)
    assert staked.verifier(verifier).isSeated


# --- distribute ---


def fund(reservoir: Any, committee: Any, chain_account: Any, amount_wei: int) -> None:
    reservoir.deposit(ESCROW, TREASURE, sender=chain_account, value=amount_wei)
    reservoir.move(ESCROW, TREASURE, committee, ESCROW, TREASURE, amount_wei, sender=chain_account)


def test_distribute__not_a_chain__reverts(staked: Any, stranger: Any, reverts: Any) -> None:
    with reverts(staked.NotChain, caller=stranger.address):
        staked.distribute(TREASURE, 0, stranger, sender=stranger)


def test_distribute__nobody_was_seated__goes_to_whom_the_chain_names(
    staked: Any, reservoir: Any, chain_account: Any, stranger: Any, money: Any
) -> None:
    fund(reservoir, staked, chain_account, 100)
    staked.distribute(TREASURE, 1, stranger, sender=chain_account)
    assert reservoir.creditOf(stranger) == 100
    money(reservoir)


def test_distribute__unequal_stakes__shares_by_stake(
    staked: Any, reservoir: Any, verifiers: list[Any], chain: Any, chain_account: Any, stranger: Any, money: Any
) -> None:
    staked.stake(sender=verifiers[1], value=2 * MIN_STAKE_WEI)
    fund(reservoir, staked, chain_account, 100)
    staked.distribute(TREASURE, chain.blocks.head.timestamp, stranger, sender=chain_account)
    # A third and two thirds of 100, rounded down; the wei left goes to the first.
    assert [reservoir.creditOf(verifier) for verifier in verifiers[:2]] == [34, 66]
    assert reservoir.balanceOf(staked, ESCROW, TREASURE) == 0
    money(reservoir)


def test_distribute__later_changes__do_not_count(
    staked: Any, reservoir: Any, verifiers: list[Any], chain: Any, chain_account: Any, stranger: Any
) -> None:
    """D9: who stakes just before the money is shared has no part of it; who left since has."""
    staked.stake(sender=verifiers[1], value=3 * MIN_STAKE_WEI)
    opened_at = chain.blocks.head.timestamp
    chain.mine(deltatime=5)
    staked.stake(sender=verifiers[2], value=1_000 * MIN_STAKE_WEI)
    staked.stake(sender=verifiers[0], value=1_000 * MIN_STAKE_WEI)
    staked.requestUnstake(sender=verifiers[1])
    fund(reservoir, staked, chain_account, 100)
    staked.distribute(TREASURE, opened_at, stranger, sender=chain_account)
    assert [reservoir.creditOf(verifier) for verifier in verifiers[:3]] == [25, 75, 0]


def test_distribute__many_changes__finds_each_moment(
    staked: Any, reservoir: Any, verifiers: list[Any], chain: Any, chain_account: Any, stranger: Any
) -> None:
    moments = []
    for _ in range(9):
        moments.append(staked.stake(sender=verifiers[1], value=MIN_STAKE_WEI).timestamp)
        chain.mine(deltatime=2)
    for place, moment in enumerate(moments):
        before_wei = reservoir.creditOf(verifiers[1])
        fund(reservoir, staked, chain_account, 100 * (place + 2))
        staked.distribute(TREASURE, moment, stranger, sender=chain_account)
        assert reservoir.creditOf(verifiers[1]) - before_wei == 100 * (place + 1)


def test_distribute__nothing_there__pays_nobody(
    staked: Any, reservoir: Any, chain: Any, chain_account: Any, stranger: Any
) -> None:
    at = chain.blocks.head.timestamp
    assert not list(staked.distribute(TREASURE, at, stranger, sender=chain_account).events)
    assert reservoir.totalCredits() == 0
