"""A chain for each test, and one with rounds of all kinds that the tests of the pages share."""

from collections.abc import Iterator

import pytest

from explorer.site import Site
from testbed import rounds
from testbed.chain import development_chain, undone
from tests.unit.explorer.serving import served
from tests.unit.explorer.world import World, indexed


@pytest.fixture(scope="session")
def untouched() -> Iterator[World]:
    """A chain without rounds; whoever uses it leaves it as it was."""
    with development_chain("anvil", block_time_s=None, accounts=40) as chain:
        yield World(chain.rpc_url)


@pytest.fixture
def own_world() -> Iterator[World]:
    """A chain of the test's own: anvil forgets what it would need to reorganise one that was taken back before."""
    with development_chain("anvil", block_time_s=None, accounts=40) as chain:
        yield World(chain.rpc_url)


@pytest.fixture
def world(untouched: World) -> Iterator[World]:
    """A chain for tests that change it."""
    with undone(untouched.chain.web3):
        yield untouched


@pytest.fixture(scope="session")
def played() -> Iterator[World]:
    """A chain with rounds and heights that ended in many ways; it stays as it is."""
    with development_chain("anvil", block_time_s=None, accounts=40) as chain:
        built = World(chain.rpc_url)
        built.solved()
        built.unrevealed()
        built.aborted()
        built.solved((910_000, 905_000, 915_000))
        built.gradient()
        built.chain.do(built.miners[1], "RewardReservoir", "withdraw", built.miners[1])
        rounds.submit(built.chain, time_limit_s=600)
        rounds.submit(built.chain, payment_wei=2 * 10**18)
        yield built


@pytest.fixture(scope="session")
def played_site(played: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An index of that chain."""
    site = indexed(played.site(tmp_path_factory.mktemp("played")))
    yield site
    site.close()


@pytest.fixture(scope="session")
def address(played_site: Site) -> Iterator[str]:
    """Pages about that chain."""
    with served([played_site]) as found:
        yield found
