"""A committee of four that falls apart into halves."""

from typing import Any

from tests.contracts.rounds import MIN_STAKE_WEI, Play, Vote


def split(play: Play, left: Vote, right: Vote) -> None:
    """Half of the verifiers vote one way and half the other; the round is advanced."""
    votes: dict[Any, Vote] = dict.fromkeys(play.verifiers[:2], left)
    play.vote_each(votes | dict.fromkeys(play.verifiers[2:], right))
    play.advance()


def stakes_lost_wei(play: Play) -> list[int]:
    return [MIN_STAKE_WEI - play.committee.verifier(each).stakeWei for each in play.verifiers]
