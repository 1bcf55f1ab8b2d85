"""One set of processes for all tests of this folder: starting them takes longer than most of the tests."""

from collections.abc import Iterator

import pytest

from tests.e2e.company import SHOWN
from tests.e2e.gradient.company import GradientCompany, found


@pytest.fixture(scope="package")
def gradient_companies() -> Iterator[list[GradientCompany]]:
    """The newest one last."""
    all_of_them: list[GradientCompany] = []
    yield all_of_them
    for company in all_of_them:
        company.world.close()


@pytest.fixture
def company(
    request: pytest.FixtureRequest, gradient_companies: list[GradientCompany], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GradientCompany]:
    """Shared from test to test, as long as each leaves it in order: no task is left, every wei is accounted for."""
    if not gradient_companies or not gradient_companies[-1].is_orderly:
        while gradient_companies:
            gradient_companies.pop().world.close()
        gradient_companies.append(found(tmp_path_factory.mktemp("company")))
    current = gradient_companies[-1]
    request.node.stash[SHOWN] = current.world
    current.is_orderly = False
    yield current
    current.dismiss()
    current.world.check_processes()
    current.world.held_wei()
    chain = current.gradient_chain
    current.is_orderly = chain.current().task_id == 0 and chain.pending_count() == 0
