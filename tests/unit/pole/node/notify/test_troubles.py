"""Troubles that last are told once, and that they are over; short ones are not told at all."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pole.journal.journal import Journal
from pole.node.notify.notices import Notices
from pole.node.notify.troubles import Troubles

START_S = 1_800_000_000.0


class Teller(Notices):
    """Remembers what it was told, as a service would."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal=journal, stuck_after_s=600)
        self.told: dict[str, str] = {}

    @property
    def is_on(self) -> bool:
        return True

    def tell(self, key: str, text: str | Callable[[], str], *, wait_s: int = 0) -> None:
        assert isinstance(text, str)
        assert wait_s == 0
        self.told.setdefault(key, text)


class Clock:
    now_s = START_S

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def teller(tmp_path: Path) -> Iterator[Teller]:
    with Journal(tmp_path / "journal.sqlite") as journal:
        yield Teller(journal)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def failing(troubles: Troubles, clock: Clock, seconds: int, at_stake: str = "") -> None:
    """Fails at every ten seconds, and once more at the end."""
    for _ in range(seconds // 10):
        troubles.failed("no answer", lambda: at_stake)
        clock.now_s += 10
    troubles.failed("no answer", lambda: at_stake)


def test_failed__shorter_than_asked_for__nobody_is_told(teller: Teller, clock: Clock) -> None:
    troubles = Troubles(teller, clock)
    for _ in range(5):
        failing(troubles, clock, 590)
        troubles.passed()
    assert teller.told == {}


def test_failed__as_long__told_once_and_that_it_goes_on_again(teller: Teller, clock: Clock) -> None:
    troubles = Troubles(teller, clock)
    failing(troubles, clock, 1200)
    assert list(teller.told.values()) == ["stuck for 10 minutes: no answer"]
    troubles.passed()
    troubles.passed()
    assert list(teller.told.values())[1:] == ["going on again after 20 minutes"]


def test_failed__restarted_meanwhile__counted_from_the_beginning_and_told_once(teller: Teller, clock: Clock) -> None:
    for _ in range(4):
        failing(Troubles(teller, clock), clock, 300)
    assert list(teller.told) == [f"stuck/{START_S:.0f}"]
    Troubles(teller, clock).passed()
    assert list(teller.told.values())[1:] == ["going on again after 20 minutes"]


def test_failed__again_after_it_was_over__is_another_trouble(teller: Teller, clock: Clock) -> None:
    troubles = Troubles(teller, clock)
    for _ in range(2):
        failing(troubles, clock, 600)
        troubles.passed()
    assert [key.partition("/")[0] for key in teller.told] == ["stuck", "going", "stuck", "going"]


def test_failed__a_bond_at_stake__told_after_a_minute(teller: Teller, clock: Clock) -> None:
    failing(Troubles(teller, clock), clock, 50, "the bond of my commit")
    assert teller.told == {}
    clock.now_s += 10
    failing(Troubles(teller, clock), clock, 0, "the bond of my commit")
    assert list(teller.told.values()) == ["at risk: the bond of my commit. For 1 minute: no answer"]


def test_failed__since_longer_than_it_is_known__told_at_once(teller: Teller, clock: Clock) -> None:
    Troubles(teller, clock).failed("no new block", since_s=START_S - 900)
    assert list(teller.told.values()) == ["stuck for 15 minutes: no new block"]


def test_poor__now_and_then__told_once_until_an_hour_without(teller: Teller, clock: Clock) -> None:
    for _ in range(30):
        Troubles(teller, clock).poor("0.1 ether is missing")
        clock.now_s += 600
    assert list(teller.told.values()) == ["out of ether: 0.1 ether is missing"]
    clock.now_s += 3700
    Troubles(teller, clock).poor("0.2 ether is missing")
    assert list(teller.told.values())[1:] == ["out of ether: 0.2 ether is missing"]


def test_failed__nobody_to_tell__writes_nothing(tmp_path: Path, clock: Clock) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        troubles = Troubles(Notices(journal=journal), clock)
        failing(troubles, clock, 900, "a bond")
        troubles.poor("nothing left")
        troubles.passed()
        assert journal.facts() == {}
