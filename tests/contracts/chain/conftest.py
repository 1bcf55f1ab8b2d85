"""A whole deployment with three seated verifiers, and its round."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.contracts.rounds import MIN_STAKE_WEI, Play


@pytest.fixture(scope="module")
def play(  # one fixture for all roles, so that a test names only what it is about
    system: SimpleNamespace,
    chain: Any,
    commitments: SimpleNamespace,
    client: Any,
    miners: list[Any],
    verifiers: list[Any],
    stranger: Any,
) -> Play:
    """`system` with three verifiers seated by the smallest stake; see `rounds.py` for the steps."""
    started = Play(system, chain, commitments, client=client, miners=miners, verifiers=verifiers, stranger=stranger)
    started.stake(*[MIN_STAKE_WEI] * 3)
    return started


@pytest.fixture(scope="module")
def opened(play: Play, create_task: Any) -> Play:
    """A round in `Keys`."""
    play.submit(create_task)
    play.open(has_keys=False)
    return play


@pytest.fixture
def in_training(opened: Play) -> Play:
    opened.publish_keys()
    return opened


@pytest.fixture
def four(in_training: Play) -> Play:
    """Four verifiers of equal stakes, so that half of them can disagree with the other half."""
    in_training.committee.stake(sender=in_training.verifiers[3], value=MIN_STAKE_WEI)
    return in_training
