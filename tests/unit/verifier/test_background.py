"""Slow work beside a loop: one at a time, its errors where somebody sees them."""

import threading
import time

import pytest

from pole.errors import BadInput
from verifier.background import Clerk

PATIENCE_S = 10.0


def test_collect__work_raised__raises_the_same_once() -> None:
    clerk = Clerk()

    def work() -> None:
        raise BadInput("no")

    clerk.begin(work)
    with pytest.raises(BadInput, match="no"):
        clerk.collect(PATIENCE_S)
    assert clerk.collect()


def test_collect__work_goes_on__says_so_and_does_not_wait_longer_than_asked() -> None:
    clerk, may_end = Clerk(), threading.Event()
    clerk.begin(lambda: check(may_end.wait(PATIENCE_S)))
    assert not clerk.collect(0.01)
    assert clerk.is_busy
    may_end.set()
    assert clerk.collect(PATIENCE_S)
    assert not clerk.is_busy


def test_begin__earlier_work_failed__raises_instead_of_forgetting_it() -> None:
    clerk, is_begun = Clerk(), threading.Event()

    def work() -> None:
        is_begun.set()
        raise AssertionError

    clerk.begin(work)
    assert is_begun.wait(PATIENCE_S)
    while clerk.is_busy:
        time.sleep(0.01)
    with pytest.raises(AssertionError):
        clerk.begin(lambda: None)


def check(value: bool) -> None:
    assert value
