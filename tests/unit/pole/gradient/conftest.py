"""A task with hardened rules and a block of it, for the tests of honest blocks and of forgeries alike."""

from collections.abc import Callable

import pytest

from pole.gradient.claim import BlockClaim
from pole.gradient.network import FlatNetwork
from pole.gradient.verification import ReplayResult, verify
from pole.storage.folder import FolderStore
from tests.unit.gradient_task import MIN_STEP, GradientTask, Mined, digits_task


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> GradientTask:
    return digits_task(FolderStore(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def mined(task: GradientTask) -> Mined:
    return task.mined(min_step=MIN_STEP)


@pytest.fixture
def judge(task: GradientTask) -> Callable[[BlockClaim], ReplayResult]:
    return lambda claim: verify(FlatNetwork(task.manifest), task.samples, task.store, claim)
