"""Addresses of --notify: from where they come, that none is shown, and what arrives at a real HTTP receiver."""

import importlib.util
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from pole.errors import BadInput
from pole.node import logs
from pole.node.cli import role_options
from pole.node.context import RoleContext, RoleSettings
from pole.node.doctor.check import Verdict
from pole.node.doctor.notify import check_notify
from pole.node.exit import exit_code
from pole.node.notify.services import addresses, services
from pole.urls import scrub
from tests.unit.peer import Talk, nobody, peer

SECRET = "word-of-mine"


@pytest.fixture(autouse=True)
def no_secrets_kept_from_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("pole.urls._replacements", {})
    yield
    logging.getLogger("apprise").setLevel(logging.NOTSET)


def as_notify(url: str) -> str:
    return f"{url.replace('http://', f'json://user:{SECRET}@')}/{SECRET}?+token={SECRET}"


def taken(talk: Talk) -> None:
    talk.answer(b"")


def refused(talk: Talk) -> None:
    talk.answer(talk.path.encode(), "401 Unauthorized")


# --- addresses -------------------------------------------------------------------------------------------------------


def test_addresses__options_and_file__each_once_and_all_hidden(tmp_path: Path) -> None:
    file = tmp_path / "notify"
    file.write_text(f"\ufefftgram://123456:{SECRET}/987\n\njson://host/{SECRET}\r\n", encoding="utf-8")
    found = addresses([f"json://host/{SECRET} ntfys://topic-{SECRET}"], file)
    assert found == [f"json://host/{SECRET}", f"ntfys://topic-{SECRET}", f"tgram://123456:{SECRET}/987"]
    for each in found:
        assert scrub(f"cannot reach {each}.") == "cannot reach <hidden>."
    assert scrub(f"bot {SECRET}, topic topic-{SECRET}") == "bot <hidden>, topic <hidden>"


@pytest.mark.parametrize("content", [None, b"\xff\xfe\xfa"])
def test_addresses__file_missing_or_no_text__says_which_file(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "notify"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadInput, match=f"the file of --notify-file, {file}"):
        addresses([], file)


def test_addresses__an_ordinary_host__stays_readable_elsewhere() -> None:
    addresses(["json://127.0.0.1:8080/a", "jsons://hooks.example.org/a", "json://localhost/a"], None)
    text = "asking http://127.0.0.1:8545 at hooks.example.org and localhost as miner"
    assert scrub(text) == text


@pytest.mark.parametrize("url", [SECRET, f"unheard-of://{SECRET}", f"json://:{SECRET}", f"tgram://{SECRET}"])
def test_services__no_address_of_apprise__named_by_its_number_alone(
    url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.configure()
    with pytest.raises(BadInput, match="address 2 of --notify is none that apprise knows") as caught:
        services(addresses(["json://127.0.0.1", url], None))
    assert SECRET not in f"{caught.value}{''.join(capfd.readouterr())}"


def test_services__apprise_missing__says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(BadInput, match=r"pip install 'useful-proof-of-work\[notify\]'"):
        services(["json://127.0.0.1"])
    assert services([]) == []


def test_settings__repr__shows_no_address(tmp_path: Path) -> None:
    settings = RoleSettings([], None, "store", tmp_path, None, None, None, notify=[f"json://host/{SECRET}"])
    assert SECRET not in repr(settings)


# --- delivery --------------------------------------------------------------------------------------------------------


def test_send__receiver__gets_title_and_body_as_they_are() -> None:
    with peer(taken) as receiver:
        [service] = services(addresses([as_notify(receiver.url)], None))
        assert service.send("pole miner", "round 1: I won <b>1 & 2</b>\nround 2: I lost")
        [talk] = receiver.talks
    body: dict[str, Any] = json.loads(talk.body)
    assert (body["title"], body["message"]) == ("pole miner", "round 1: I won <b>1 & 2</b>\nround 2: I lost")
    assert talk.header("token") == SECRET
    assert service.name == "JSON (address 1 of --notify)"


@pytest.mark.parametrize("is_there", [True, False])
def test_send__receiver_refuses_or_is_away__says_no_and_shows_nothing(
    is_there: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.configure(level="debug")
    with peer(refused) as receiver:
        [service] = services(addresses([as_notify(receiver.url if is_there else nobody())], None))
        assert not service.send("title", "body")
    assert "".join(capfd.readouterr()) == ""


# --- doctor ----------------------------------------------------------------------------------------------------------


def test_doctor__no_address__is_no_problem_unless_a_test_is_asked_for() -> None:
    assert check_notify([], None, is_told=False).verdict is Verdict.OK
    asked = check_notify([], None, is_told=True)
    assert (asked.verdict, asked.remedy) == (Verdict.PROBLEM, "set POLE_NOTIFY, or give --notify-file")


@pytest.mark.parametrize("is_told", [False, True])
def test_doctor__receiver__gets_a_message_only_if_asked_for(is_told: bool) -> None:
    with peer(taken) as receiver:
        found = check_notify([as_notify(receiver.url)], None, is_told=is_told)
        assert len(receiver.talks) == is_told
    assert found.verdict is Verdict.OK
    assert SECRET not in found.text


def test_doctor__one_of_two_takes_it__named_by_its_number() -> None:
    with peer(taken) as receiver:
        found = check_notify([as_notify(receiver.url), as_notify(nobody())], None, is_told=True)
    assert found.verdict is Verdict.WARNING
    assert found.text == "a test message was not taken by JSON (address 2 of --notify)"


def test_doctor__address_of_nothing__is_a_problem_that_shows_nothing_of_it() -> None:
    found = check_notify([f"unheard-of://{SECRET}"], None, is_told=False)
    assert found.verdict is Verdict.PROBLEM
    assert SECRET not in found.text + found.remedy


# --- command lines ---------------------------------------------------------------------------------------------------


@click.command()
@role_options("miner")
def running(context: RoleContext) -> None:
    raise AssertionError(f"{context.chain} was opened")


@pytest.mark.parametrize("place", ["option", "variable", "file", "in the place of another argument"])
def test_command__address_that_cannot_be_used__status_1_or_2_and_nothing_of_it_shown(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    url, words = f"unheard-of://{SECRET}", list[str]()
    if place == "option":
        words = [f"--notify={url}"]
    elif place == "variable":
        monkeypatch.setenv("POLE_NOTIFY", url)
    elif place == "file":
        (tmp_path / "notify").write_text(url)
        monkeypatch.setenv("POLE_NOTIFY_FILE", str(tmp_path / "notify"))
    else:
        words = [url]
    monkeypatch.setattr("sys.argv", ["miner", f"--home={tmp_path}", "--account=none", *words])
    code = exit_code(running)
    output = "".join(capfd.readouterr())
    assert SECRET not in output
    assert (code, "unheard-of://<hidden>" in output) == ((2, True) if words == [url] else (1, False)), output
