"""GradientChain's miners: enrolment, exit and the bond behind both."""

from typing import Any

import pytest

from tests.contracts.heights import BOND_WEI, EXIT_S, Play
from tests.contracts.rounds import INVALID, valid


@pytest.mark.parametrize("sent_wei", [0, BOND_WEI - 1])
def test_enrol__wrong_bond__reverts(play: Play, reverts: Any, sent_wei: int) -> None:
    with reverts(play.gradient.WrongBond, sentWei=sent_wei, neededWei=BOND_WEI):
        play.gradient.enrol(sender=play.miners[3], value=sent_wei)


def test_enrol__second_time__reverts(play: Play, reverts: Any) -> None:
    with reverts(play.gradient.AlreadyEnrolled, miner=play.miners[0].address):
        play.enrol(play.miners[0])


def test_enrol__while_leaving__reverts(play: Play, reverts: Any) -> None:
    play.gradient.requestExit(sender=play.miners[0])
    exit_at = play.gradient.minerOf(play.miners[0]).exitAt
    with reverts(play.gradient.StillLeaving, miner=play.miners[0].address, exitAt=exit_at):
        play.enrol(play.miners[0])


def test_request_exit__not_enrolled__reverts(play: Play, reverts: Any) -> None:
    with reverts(play.gradient.NotEnrolled, miner=play.miners[3].address):
        play.gradient.requestExit(sender=play.miners[3])


def test_request_exit__second_time__does_not_start_the_delay_anew(play: Play, reverts: Any) -> None:
    play.gradient.requestExit(sender=play.miners[0])
    exit_at = play.gradient.minerOf(play.miners[0]).exitAt
    with reverts(play.gradient.StillLeaving, miner=play.miners[0].address, exitAt=exit_at):
        play.gradient.requestExit(sender=play.miners[0])


@pytest.mark.parametrize("number", [0, 3])
def test_complete_exit__not_leaving__reverts(play: Play, reverts: Any, number: int) -> None:
    with reverts(play.gradient.NotLeaving, miner=play.miners[number].address):
        play.gradient.completeExit(sender=play.miners[number])


def test_complete_exit__before_its_time__reverts(play: Play, reverts: Any) -> None:
    miner = play.miners[0]
    play.gradient.requestExit(sender=miner)
    exit_at = play.gradient.minerOf(miner).exitAt
    assert exit_at == play.network.blocks.head.timestamp + EXIT_S
    play.at(exit_at - 1)
    with reverts(play.gradient.StillLeaving, miner=miner.address, exitAt=exit_at):
        play.gradient.completeExit(sender=miner)


def test_complete_exit__proposal_not_judged_yet__reverts(searching: Play, reverts: Any) -> None:
    miner = searching.miners[0]
    searching.to_voting(miner)
    searching.gradient.requestExit(sender=miner)
    searching.network.mine(deltatime=EXIT_S)
    with reverts(searching.gradient.ProposalPending, miner=miner.address, height=2):
        searching.gradient.completeExit(sender=miner)


def test_enrol__holds_the_bond(play: Play) -> None:
    miner = play.gradient.minerOf(play.miners[2])
    assert (miner.bondWei, miner.exitAt, miner.hasProposal) == (BOND_WEI, 0, False)
    assert miner.enrolledAtBlock == play.network.blocks.height
    assert play.bond_wei(play.miners[2]) == BOND_WEI
    play.check_money()


def test_complete_exit__credits_the_bond_and_forgets_the_miner(play: Play) -> None:
    miner = play.miners[0]
    play.gradient.requestExit(sender=miner)
    play.at(play.gradient.minerOf(miner).exitAt)
    play.gradient.completeExit(sender=miner)
    assert (play.credit_wei(miner), play.bond_wei(miner), play.bonded_wei(miner)) == (BOND_WEI, 0, 0)
    play.check_money()
    play.enrol(miner)
    assert play.gradient.minerOf(miner).enrolledAtBlock == play.network.blocks.height


def test_complete_exit__slashed_while_leaving__there_is_nothing_to_get(searching: Play, reverts: Any) -> None:
    miner = searching.miners[0]
    searching.to_voting(miner)
    searching.gradient.requestExit(sender=miner)
    searching.vote([INVALID])
    assert (searching.bond_wei(miner), searching.bonded_wei(miner), searching.credit_wei(miner)) == (0, 0, 0)
    with reverts(searching.gradient.NotLeaving, miner=miner.address):
        searching.gradient.completeExit(sender=miner)
    searching.check_money()


def test_complete_exit__proposal_was_valid__credits_the_bond_after_all(searching: Play) -> None:
    first, second = searching.miners[:2]
    searching.to_voting(first, second)
    for miner in (first, second):
        searching.gradient.requestExit(sender=miner)
    searching.vote([valid(1, 1)] * 2)
    searching.network.mine(deltatime=EXIT_S)
    before_wei = searching.credit_wei(second)
    searching.gradient.completeExit(sender=second)
    assert (before_wei, searching.credit_wei(second)) == (0, BOND_WEI)
