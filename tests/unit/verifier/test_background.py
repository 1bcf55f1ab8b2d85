"""Slow work beside a loop: one at a time, its errors where somebody sees them."""

import threading
import time

import pytest

from pole.errors import BadInput
from verifier.background import BackgroundWorker

PATIENCE_S = 10.0


def test_collect__work_raised__raises_the_same_once() -> None:
    worker = BackgroundWorker()

    def work() -> None:
        raise BadInput("no")

    worker.begin(work)
    with pytest.raises(BadInput, match="no"):
        worker.collect(PATIENCE_S)
    assert worker.collect()


def test_collect__work_goes_on__says_so_and_does_not_wait_longer_than_asked() -> None:
    worker, may_end = BackgroundWorker(), threading.Event()
    worker.begin(lambda: check(may_end.wait(PATIENCE_S)))
    assert not worker.collect(0.01)
    assert worker.is_busy
    may_end.set()
    assert worker.collect(PATIENCE_S)
    assert not worker.is_busy


def test_begin__earlier_work_failed__raises_instead_of_forgetting_it() -> None:
    worker, is_begun = BackgroundWorker(), threading.Event()

    def work() -> None:
        is_begun.set()
        raise AssertionError

    worker.begin(work)
    assert is_begun.wait(PATIENCE_S)
    while worker.is_busy:
        time.sleep(0.01)
    with pytest.raises(AssertionError):
        worker.begin(lambda: None)


def check(value: bool) -> None:
    assert value
