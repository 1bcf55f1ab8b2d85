"""Hostile content: nothing executes, nothing hides, and a page says what could not be had."""

import re
from collections.abc import Iterator

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from explorer.chain.events import Event
from explorer.fold.ballots import BALLOT, BallotView
from explorer.fold.folding import fold
from explorer.site import Site
from explorer.views.text import harmless
from explorer.web.api import _csv_cell
from pole.storage.folder import FolderStore
from testbed import heights, rounds
from testbed.chain import development_chain
from tests.unit.explorer import hostile
from tests.unit.explorer.serving import served
from tests.unit.explorer.world import World, indexed


@pytest.fixture(scope="module")
def hostile_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, str, int]]:
    """A market with a task for each hostile manifest, the pages' address, and how many tasks there are."""
    folder = tmp_path_factory.mktemp("hostile")
    store = FolderStore(folder / "store")
    with development_chain("anvil", block_time_s=None, accounts=40) as chain:
        world = World(chain.rpc_url)
        manifests = hostile.contents(store)
        for cid in manifests:
            rounds.submit(world.chain, manifest=cid)
        heights.submit(world.chain, manifest=manifests[0])
        site = indexed(world.site(folder / "index", store))
        with served([site], store) as address:
            yield site, address, len(manifests)
        site.close()


def test_task__hostile_manifest__nothing_of_it_is_markup(hostile_site: tuple[Site, str, int]) -> None:
    site, address, count = hostile_site
    told = 0
    for task in range(1, count + 1):
        answer = requests.get(f"{address}/{site.name}/task/{task}", timeout=60)
        assert answer.status_code == 200
        text = answer.text
        assert len(text) < 100_000
        assert not re.search(r"<script(?![^>]* src=\"/)|<img|<svg onload|<[^>]* on[a-z]+=|<b>", text)
        assert "javascript:" not in re.sub(r"<bdi>.*?</bdi>|<text.*?</text>", "", text)
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u200b\u202a-\u202e\u2066-\u2069\ufeff]", text)
        told += "could not be had" in text
    assert told == count - len(hostile.SCRIPTS) - 1


def test_gradient_task__manifest_of_another_kind__says_so(hostile_site: tuple[Site, str, int]) -> None:
    site, address, _ = hostile_site
    text = requests.get(f"{address}/{site.name}/gradient-task/1", timeout=60).text
    assert "The manifest could not be had: " in text
    assert "<script>alert" not in text


def test_task__content_that_nobody_has__says_so(hostile_site: tuple[Site, str, int]) -> None:
    site, address, count = hostile_site
    text = requests.get(f"{address}/{site.name}/task/{count}", timeout=60).text
    assert "The manifest could not be had: " in text


@pytest.mark.parametrize(
    "question", [*hostile.SCRIPTS, *hostile.HIDDEN[:-1], "9" * 200, "%00", "task 99999999999999999999"]
)
def test_search__hostile_question__nothing_of_it_is_markup(hostile_site: tuple[Site, str, int], question: str) -> None:
    site, address, _ = hostile_site
    answer = requests.get(f"{address}/{site.name}/search", {"q": question[:200]}, timeout=60)
    assert answer.status_code == 200
    assert "<script>" not in answer.text
    assert "<img" not in answer.text


@given(st.text(max_size=400))
def test_harmless__any_text__one_short_line_without_anything_hidden(text: str) -> None:
    shown = harmless(text, 100)
    assert len(shown) <= 100 + len("… (400 characters)")
    assert shown.isprintable() or all(c.isprintable() or c == "\N{NO-BREAK SPACE}" or c.isspace() for c in shown)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|[\u0300-\u036f]{4}", shown)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1"])
def test_csv__text_that_a_spreadsheet_would_run__is_text(text: str) -> None:
    assert str(_csv_cell(text)).startswith("'")


def test_ballot__events_out_of_order_and_of_strangers__folds_to_something() -> None:
    """A fold takes what comes: a tally without an opening, votes of no members."""
    vote = Event(1, 1, "0x", "C", "VoteRevealed", {"ballotId": 1, "verifier": "0xA", "digest": "0x1"})
    tally = Event(1, 2, "0x", "C", "BallotTallied", {"ballotId": 1, "outcomeDigest": "0x2", "outcome": [0]})
    view = fold(BALLOT, BallotView(1), [vote, tally])
    assert view.words_of("0xA") is None
    assert view.entry_count == 0


def test_static__path_outside_of_the_folder__not_served(hostile_site: tuple[Site, str, int]) -> None:
    _, address, _ = hostile_site
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/vendor/..%2fapp.py", "/static//etc/passwd"):
        assert requests.get(f"{address}{path}", timeout=60).status_code in (404, 405)
