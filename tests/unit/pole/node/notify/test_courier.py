"""Notices reach a service once, whatever it does meanwhile and however often the role is started again."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from pole.errors import JournalFull
from pole.journal.journal import Journal
from pole.node.notify.courier import MOST_WAITING, Courier, notice
from pole.node.notify.notices import Notices
from pole.urls import keep_secret

LOG = structlog.get_logger()
NOW_S = 1_700_000_000
PATIENCE_S = 60


class Service:
    """Takes messages as `answers` says, the last answer for ever; an exception is raised."""

    name, url = "JSON (address 1 of --notify)", "json://host/secret"

    def __init__(self, *answers: bool | Exception, most_chars: int = 1000) -> None:
        self.answers, self.most_chars = list(answers) or [True], most_chars
        self.bodies: list[str] = []
        self.was_asked = threading.Semaphore(0)

    def send(self, title: str, body: str) -> bool:
        assert title == "pole miner"
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is True:
            self.bodies.append(body)
        self.was_asked.release()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def await_attempts(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.was_asked.acquire(timeout=PATIENCE_S)

    @property
    def texts(self) -> list[str]:
        return [line.partition(": ")[2] for body in self.bodies for line in body.splitlines()]


@contextmanager
def courier(service: Service, folder: Path) -> Iterator[Courier]:
    """As one process of a role has it; afterwards all that it delivers is delivered and noted."""
    path = folder / "journal.sqlite"
    with Journal(path) as journal:
        made = Courier(service, "pole miner", journal, lambda: Journal(path, False), LOG, first_rest_s=0.01)
        made.start()
        yield made
        made.close()
        made.join(PATIENCE_S)
        assert not made._thread.is_alive()


def told(made: Courier, *keys: str, wait_s: int = 0) -> None:
    for key in keys:
        made.take(notice(key, f"text of {key}", NOW_S if not wait_s else 4_000_000_000, wait_s))


# --- once ------------------------------------------------------------------------------------------------------------


def test_take__same_key_again__told_once_also_by_the_next_process(tmp_path: Path) -> None:
    first, second = Service(), Service()
    with courier(first, tmp_path) as made:
        told(made, "round/1", "round/1")
    with courier(second, tmp_path) as made:
        told(made, "round/1", "round/2")
    assert (first.texts, second.texts) == (["text of round/1"], ["text of round/2"])


def test_start__process_before_could_not_deliver__told_with_the_time_of_then(tmp_path: Path) -> None:
    silent, second = Service(False), Service()
    with courier(silent, tmp_path) as made:
        told(made, "slashed/1")
        silent.await_attempts()
    with courier(second, tmp_path):
        second.await_attempts()
    assert second.bodies == ["2023-11-14 22:13:20 UTC: text of slashed/1"]


def test_start__another_address__gets_nothing_of_the_first_ones(tmp_path: Path) -> None:
    with courier(Service(False), tmp_path) as made:
        told(made, "round/1")
    other = Service()
    other.url = "json://other"
    with courier(other, tmp_path) as made:
        told(made, "round/2")
    assert other.texts == ["text of round/2"]


# --- a service that fails --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [False, RuntimeError("json://host/secret"), OSError()])
def test_deliver__service_fails_at_first__tried_again_told_once_and_said_once(
    failure: bool | Exception, tmp_path: Path
) -> None:
    service = Service(failure, failure, failure, True)
    with capture_logs() as logs, courier(service, tmp_path) as made:
        told(made, "round/1")
        service.await_attempts(4)
    assert service.texts == ["text of round/1"]
    assert [entry["event"] for entry in logs] == [
        "JSON (address 1 of --notify) does not take what is to be told; trying again",
        "JSON (address 1 of --notify) takes notices again",
    ]
    assert "secret" not in str(logs)


def test_take__service_never_answers__role_goes_on_and_ends(tmp_path: Path) -> None:
    is_free = threading.Event()

    class Hanging(Service):
        def send(self, title: str, body: str) -> bool:
            self.was_asked.release()
            return is_free.wait(PATIENCE_S)

    service = Hanging()
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        made = Courier(service, "pole miner", journal, lambda: Journal(path, False), LOG)
        made.start()
        told(made, "round/1")
        service.await_attempts()
        told(made, "round/2")
        made.close()
        made.join(0)
        assert made._thread.is_alive()
        assert made._thread.daemon
        is_free.set()
        made.join(PATIENCE_S)


def test_take__more_than_can_wait__what_could_wait_is_given_up_first(tmp_path: Path) -> None:
    silent, later = Service(False), Service(most_chars=10**6)
    silent_url = silent.url
    with capture_logs() as logs, courier(silent, tmp_path) as made:
        told(made, "block/1", wait_s=60)
        told(made, *(f"round/{number}" for number in range(MOST_WAITING)))
        told(made, "slashed/1")
    given_up = [entry["event"] for entry in logs if "takes nothing" in entry["event"]]
    assert given_up == [
        f"not told to {silent.name}, which takes nothing: text of {key}" for key in ("block/1", "round/0")
    ]
    assert later.url == silent_url
    with courier(later, tmp_path):
        later.await_attempts()
    assert len(later.texts) == MOST_WAITING
    assert {"text of slashed/1", "text of round/1"} <= set(later.texts)


# --- messages --------------------------------------------------------------------------------------------------------


def test_deliver__what_may_wait__comes_with_the_next_that_may_not(tmp_path: Path) -> None:
    service = Service()
    with courier(service, tmp_path) as made:
        told(made, "block/1", "block/2", wait_s=3600)
        told(made, "slashed/1")
        service.await_attempts()
        told(made, "block/3", wait_s=3600)
    [body] = service.bodies
    assert [line.partition(": ")[2] for line in body.splitlines()] == [
        f"text of {key}" for key in ("block/1", "block/2", "slashed/1")
    ]


def test_deliver__more_than_a_message_holds__several_messages_in_order(tmp_path: Path) -> None:
    service = Service(most_chars=100)
    keys = [f"round/{number}" for number in range(7)]
    with courier(service, tmp_path) as made:
        told(made, *keys)
        while len(service.texts) < 7:
            service.await_attempts()
    assert service.texts == [f"text of {key}" for key in keys]
    assert max(map(len, service.bodies)) <= 100


def test_notice__secret_newline_and_length__blanked_folded_and_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pole.urls._replacements", {})
    keep_secret("http://host/key-of-mine")
    made = notice("a", "http://host/key-of-mine\n\x1b[31m" + 500 * "x", NOW_S)
    assert made.text.startswith("http://host ?[31mxxx")
    assert (len(made.text), made.text[-4:]) == (400, "x...")


# --- a journal without room ------------------------------------------------------------------------------------------


def full(_self: Journal, _key: str, _fact: dict[str, Any]) -> None:
    raise JournalFull("no space")


def test_tell__journal_full__told_once_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service()
    monkeypatch.setattr(Journal, "remember", full)
    with courier(service, tmp_path) as made:
        notices = Notices([made])
        for _ in range(2):
            notices.tell("poor/1", "out of space")
            service.await_attempts() if not service.texts else None
    assert service.texts == ["out of space"]


def test_tell__journal_cannot_be_read_when_it_is_noted__said_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service()
    original: Callable[..., None] = Journal.__init__

    def broken(self: Journal, path: Path, is_exclusive: bool = True) -> None:
        if not is_exclusive:
            raise JournalFull("no space")
        original(self, path, is_exclusive)

    monkeypatch.setattr(Journal, "__init__", broken)
    with capture_logs() as logs, courier(service, tmp_path) as made:
        told(made, "round/1")
    assert service.texts == ["text of round/1"]
    assert [entry["event"] for entry in logs] == ["told, but not noted: no space"]


def test_tell__text_that_reads_the_chain__is_made_once(tmp_path: Path) -> None:
    service, calls = Service(), []
    with courier(service, tmp_path) as made:
        notices = Notices([made])
        for _ in range(3):
            notices.tell("task/1", lambda: calls.append(1) or "it was refunded")  # type: ignore[func-returns-value]
    assert (service.texts, len(calls)) == (["it was refunded"], 1)


def test_tell__nobody_to_tell__makes_no_text_and_writes_nothing(tmp_path: Path) -> None:
    def text() -> str:
        raise AssertionError

    with Journal(tmp_path / "journal.sqlite") as journal:
        Notices(journal=journal).tell("task/1", text)
        assert journal.facts() == {}
    assert sqlite3.connect(tmp_path / "journal.sqlite").execute("SELECT COUNT(*) FROM facts").fetchone() == (0,)
