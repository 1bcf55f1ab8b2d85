"""One guild for all tests of this folder: starting its processes takes longer than most of the tests."""

from collections.abc import Iterator

import pytest

from tests.e2e.company import SHOWN
from tests.e2e.gradient.company import Guild, found


@pytest.fixture(scope="package")
def guilds() -> Iterator[list[Guild]]:
    """The newest one last."""
    all_of_them: list[Guild] = []
    yield all_of_them
    for guild in all_of_them:
        guild.world.close()


@pytest.fixture
def guild(
    request: pytest.FixtureRequest, guilds: list[Guild], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guild]:
    """Shared from test to test, as long as each leaves it in order: no task is left, every wei is accounted for."""
    if not guilds or not guilds[-1].is_orderly:
        while guilds:
            guilds.pop().world.close()
        guilds.append(found(tmp_path_factory.mktemp("guild")))
    current = guilds[-1]
    request.node.stash[SHOWN] = current.world
    current.is_orderly = False
    yield current
    current.dismiss()
    current.world.check_processes()
    current.world.held_wei()
    chain = current.gradient_chain
    current.is_orderly = chain.current().task_id == 0 and chain.pending_count() == 0
