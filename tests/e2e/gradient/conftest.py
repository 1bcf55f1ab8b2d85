"""One guild for all tests of this folder: starting its processes takes longer than most of the tests."""

from collections.abc import Iterator

import pytest

from tests.e2e.company import SHOWN
from tests.e2e.gradient.guild import Guild, found


@pytest.fixture(scope="package")
def shared_guild(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guild]:
    guild = found(tmp_path_factory.mktemp("guild"))
    yield guild
    guild.world.close()


@pytest.fixture
def guild(request: pytest.FixtureRequest, shared_guild: Guild) -> Iterator[Guild]:
    """Afterwards no task may be left, and every wei must be accounted for."""
    request.node.stash[SHOWN] = shared_guild.world
    assert shared_guild.is_orderly, "the test before left the guild in disorder"
    shared_guild.is_orderly = False
    yield shared_guild
    shared_guild.dismiss()
    shared_guild.world.check_processes()
    shared_guild.world.held_wei()
    current = shared_guild.ledger.current()
    shared_guild.is_orderly = current.task_id == 0 and shared_guild.ledger.pending_count() == 0
