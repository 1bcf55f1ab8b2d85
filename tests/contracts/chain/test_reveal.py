"""LearningChain.reveal: only a committed model, only by its miner, only in its round."""

from typing import Any

import pytest

from tests.contracts.rounds import SALT, Phase, Play, make_cid


@pytest.fixture(scope="module")
def revealing_round(play: Play, create_task: Any) -> Play:
    """A round in `Reveal` with two submissions."""
    play.submit(create_task)
    play.open()
    play.to_reveal(*play.miners[:2])
    return play


def test_reveal__unknown_round__reverts(revealing_round: Play, reverts: Any) -> None:
    with reverts(revealing_round.chain.WrongPhase, roundId=2, phase=Phase.NONE):
        revealing_round.chain.reveal(2, 1, make_cid("model"), SALT, sender=revealing_round.miners[0])


def test_reveal__at_the_deadline__reverts(revealing_round: Play, reverts: Any) -> None:
    deadline = revealing_round.round.deadline
    revealing_round.wait_for_deadline()
    with reverts(revealing_round.chain.DeadlinePassed, roundId=1, deadline=deadline):
        revealing_round.reveal(revealing_round.miners[0])


def test_reveal__did_not_commit__reverts(revealing_round: Play, reverts: Any) -> None:
    outsider = revealing_round.miners[2]
    with reverts(revealing_round.chain.NotYourPlace, roundId=1, place=0, caller=outsider.address):
        revealing_round.reveal(outsider)
    with reverts(revealing_round.chain.NotYourPlace, roundId=1, place=1, caller=outsider.address):
        revealing_round.chain.reveal(1, 1, make_cid("model"), SALT, sender=outsider)


def test_reveal__twice__reverts(revealing_round: Play, reverts: Any) -> None:
    miner = revealing_round.miners[0]
    revealing_round.reveal(miner)
    with reverts(revealing_round.chain.AlreadyRevealed, roundId=1, miner=miner.address):
        revealing_round.reveal(miner)


def test_reveal__other_codec__reverts(revealing_round: Play, reverts: Any) -> None:
    with reverts(revealing_round.chain.UnsupportedCodec, codec=0x00):
        revealing_round.chain.reveal(1, 1, (0, SALT), SALT, sender=revealing_round.miners[0])


def test_reveal__another_miners_model__reverts(revealing_round: Play, reverts: Any) -> None:
    thief, owner = revealing_round.miners[:2]
    stolen = revealing_round.model(owner)
    expected, actual = revealing_round.solution(thief), revealing_round.solution(thief, stolen)
    with reverts(revealing_round.chain.CommitmentMismatch, expected=expected, actual=actual):
        revealing_round.chain.reveal(1, 1, stolen, SALT, sender=thief)


def test_reveal__as_committed__is_kept(revealing_round: Play) -> None:
    miner = revealing_round.miners[1]
    receipt = revealing_round.chain.reveal(1, 2, revealing_round.model(miner), SALT, sender=miner)
    kept = revealing_round.chain.submission(1, 1)
    assert kept.isRevealed
    assert (kept.model.codec, kept.model.digest) == revealing_round.model(miner)
    assert kept.commitment == bytes(32)  # the model took its place
    assert revealing_round.round.revealedCount == 1
    assert not revealing_round.chain.isDue(1)
    revealed = next(event for event in receipt.events if event.event_name == "SolutionRevealed")
    assert (revealed.roundId, revealed.miner, revealed.index) == (1, miner, 1)
    revealing_round.reveal(revealing_round.miners[0])
    assert revealing_round.chain.isDue(1)
