"""LearningChain.releaseTestSet: only the client, only what it committed to, only after the last commit's block."""

from typing import Any

import pytest

from tests.contracts.rounds import SALT, TEST_SET, WINDOW_S, Phase, Play, make_cid


@pytest.fixture(scope="module")
def closed(play: Play, create_task: Any) -> Play:
    """A round in `Release` with two submissions."""
    play.submit(create_task)
    play.open()
    play.commit(*play.miners[:2])
    play.advance()
    return play


def test_release__unknown_round__reverts(closed: Play, reverts: Any) -> None:
    with reverts(closed.chain.WrongPhase, roundId=2, phase=Phase.NONE):
        closed.chain.releaseTestSet(2, TEST_SET, SALT, sender=closed.client)


def test_release__twice__reverts(closed: Play, reverts: Any) -> None:
    closed.release()
    with reverts(closed.chain.WrongPhase, roundId=1, phase=Phase.REVEAL):
        closed.release()


def test_release__not_the_client__reverts(closed: Play, reverts: Any) -> None:
    miner = closed.miners[0]
    with reverts(closed.chain.NotClient, roundId=1, client=closed.client.address, caller=miner.address):
        closed.chain.releaseTestSet(1, TEST_SET, SALT, sender=miner)


def test_release__at_the_deadline__reverts(closed: Play, reverts: Any) -> None:
    deadline = closed.round.deadline
    closed.wait_for_deadline()
    with reverts(closed.chain.DeadlinePassed, roundId=1, deadline=deadline):
        closed.release()


def test_release__other_codec__reverts(closed: Play, reverts: Any) -> None:
    with reverts(closed.chain.UnsupportedCodec, codec=0x12):
        closed.chain.releaseTestSet(1, (0x12, TEST_SET[1]), SALT, sender=closed.client)


@pytest.mark.parametrize(("test_set", "salt"), [(make_cid("other"), SALT), (TEST_SET, bytes(32))])
def test_release__other_than_committed__reverts(
    closed: Play, commitments: Any, reverts: Any, test_set: tuple[int, bytes], salt: bytes
) -> None:
    actual = commitments.test_set(closed.market.address, closed.client.address, test_set, salt)
    expected = closed.test_set_commitment(closed.client)
    with reverts(closed.chain.CommitmentMismatch, expected=expected, actual=actual):
        closed.chain.releaseTestSet(1, test_set, salt, sender=closed.client)


def test_release__as_committed__starts_the_reveals(closed: Play) -> None:
    receipt = closed.chain.releaseTestSet(1, TEST_SET, SALT, sender=closed.client)
    released = closed.round
    assert released.isTestSetReleased
    assert (released.testSet.codec, released.testSet.digest) == TEST_SET
    assert (released.phase, released.deadline) == (Phase.REVEAL, receipt.timestamp + WINDOW_S)
    assert closed.chain.PhaseChanged(1, Phase.REVEAL, released.deadline) in receipt.events
