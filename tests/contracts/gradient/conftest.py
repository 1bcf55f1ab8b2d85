"""A whole deployment with two seated verifiers and three enrolled miners, and its gradient task."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.contracts.heights import Play


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
    """`system` with two verifiers seated by equal stakes and three of four miners enrolled; see `heights.py`."""
    started = Play(system, chain, commitments, client=client, miners=miners, verifiers=verifiers, stranger=stranger)
    started.stake(*verifiers[:2])
    started.enrol(*miners[:3])
    return started


@pytest.fixture
def searching(play: Play) -> Play:
    """Task 1 is open, at height 2."""
    play.submit()
    play.open()
    return play
