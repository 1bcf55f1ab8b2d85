"""One world for many tests: starting its processes takes longer than most of the tests."""

from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.company import SHOWN, Company, found
from tests.e2e.secrecy import leaks
from tests.e2e.settled import check_settled
from tests.e2e.trouble import Trouble
from tests.e2e.world import World

_HAS_PASSED = pytest.StashKey[bool]()


# With several processes, each takes the next lot: what takes minutes must not be begun last.
_LONGEST_FIRST = (
    "test_kill_steps",
    "test_endurance",
    "test_faults_of_the_node",
    "gradient",
    "company",
    "test_happy_path",
    "test_faults",
    "test_ipfs",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one company are one lot: starting its processes again in another worker takes longer than a test."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_lot(item)))
    order = {lot: place for place, lot in enumerate(_LONGEST_FIRST)}
    items.sort(key=lambda item: order.get(_lot(item), len(order)))


def _lot(item: pytest.Item) -> str:
    if item.path.parent.name == "gradient":
        return "gradient"
    return "company" if "company" in getattr(item, "fixturenames", ()) else item.path.stem


@pytest.fixture(autouse=True)
def no_idle_company(request: pytest.FixtureRequest, companies: list[Company]) -> None:
    """The shared processes do not run on beside tests that do without them."""
    while _lot(request.node) != "company" and companies:
        companies.pop().world.close()


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A world of the test's own, without anybody; a parameter of the test may hold options for it."""
    with closing(World(tmp_path, **getattr(request, "param", {}))) as own:
        request.node.stash[SHOWN] = own
        yield own
        assert leaks(own.stage, own.folder) == []


@pytest.fixture(scope="session")
def companies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Company]]:
    """The newest one last."""
    all_of_them: list[Company] = []
    yield all_of_them
    for company in all_of_them:
        company.world.close()


@pytest.fixture
def company(
    request: pytest.FixtureRequest, companies: list[Company], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Company]:
    """Shared from test to test, as long as each leaves it in order; afterwards every wei must be accounted for."""
    if not companies or not companies[-1].is_orderly:
        while companies:
            companies.pop().world.close()
        companies.append(found(tmp_path_factory.mktemp("world")))
    current = companies[-1]
    request.node.stash[SHOWN] = current.world
    current.is_orderly = False
    yield current
    if not request.node.stash.get(_HAS_PASSED, False):
        return
    check(current.world)
    current.is_orderly = True


@pytest.fixture
def trouble(request: pytest.FixtureRequest, troubled: Trouble) -> Iterator[Trouble]:
    """The module's; every test ends with the books in order."""
    request.node.stash[SHOWN] = troubled.world
    since = troubled.world.chain.block_number()
    yield troubled
    check_settled(troubled.world, since, troubled.company.actors)
    assert leaks(troubled.world.stage, troubled.world.folder) == []


def check(world: World) -> None:
    """What must hold after every test."""
    world.check_processes()
    assert leaks(world.stage, world.folder) == []
    world.held_wei()
    assert world.contracts.learning_chain.current_round() is None, f"the test left a round behind: {world.summary()}"
    assert world.contracts.task_market.pending_count() == 0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the processes said last beside every failure."""
    report = yield
    if report.when == "call":
        item.stash[_HAS_PASSED] = report.passed
    if report.failed and (world := item.stash.get(SHOWN, None)) is not None:
        report.sections.append(("the end of all logs", world.tails()))
    return report
