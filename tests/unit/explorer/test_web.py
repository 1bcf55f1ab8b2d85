"""Responses: pages without a script of their own, headers, search, API, feeds, metrics."""

import csv
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import requests

from explorer.site import Site
from explorer.web.state import status_of
from explorer.web.tables import TableName
from tests.unit.explorer.serving import served
from tests.unit.explorer.world import World, indexed

TABLES = [str(name) for name in TableName]


def get(url: str, **headers: str) -> requests.Response:
    return requests.get(url, headers=headers, timeout=60, allow_redirects=False)


@pytest.mark.parametrize(
    "path", ["nowhere", "round/99", "round/x", "round/1@TaskMarket", "block/-1", "account/0x12", "cid/b"]
)
def test_page__of_nothing__404_and_says_so(address: str, played_site: Site, path: str) -> None:
    answer = get(f"{address}/{played_site.name}/{path}")
    assert answer.status_code == 404
    assert "<h1>404</h1>" in answer.text


def test_page__unknown_deployment__404(address: str) -> None:
    assert get(f"{address}/1-abcdef/now").status_code == 404
    assert get(f"{address}/1-abcdef/api/rounds").status_code == 404


def test_page__any__has_a_strict_policy_and_nothing_inline(address: str, played_site: Site) -> None:
    for path in ("", f"{played_site.name}/round/1", f"{played_site.name}/statistics", "static/explorer.js", "metrics"):
        answer = get(f"{address}/{path}")
        assert answer.status_code == 200
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert not re.search(r"<script(?![^>]* src=)|<style| style=| on[a-z]+=|javascript:", answer.text)
        assert not re.findall(r'(?:src|href)="(?!/|#)', answer.text)


def test_home__first_visit__under_150_kib_with_all_that_it_loads(address: str) -> None:
    home = get(f"{address}/").text
    loaded = set(re.findall(r'(?:src|href)="(/(?:static|vendor)/[^"]+)"', home))
    assert {"/vendor/htmx.min.js", "/vendor/pico.min.css"} <= loaded
    assert sum(len(get(f"{address}{url}").content) for url in loaded) + len(home.encode()) < 150 * 1024


def test_page__same_state__304(address: str, played_site: Site) -> None:
    for path in ("", f"{played_site.name}/round/1", f"{played_site.name}/api/rounds"):
        tag = get(f"{address}/{path}").headers["ETag"]
        again = get(f"{address}/{path}", **{"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")


def test_page__every_one__says_how_far_the_index_is(address: str, played_site: Site, played: World) -> None:
    block = f"Indexed to block {played.chain.web3.eth.block_number:,}, 0 behind"
    for path in ("now", "tasks", "rounds", "blocks", "verifiers", "gradient", "statistics", "round/1", "search?q=1"):
        assert block in get(f"{address}/{played_site.name}/{path}").text


def test_proof__every_link_of_a_page__leads_to_one(address: str, played_site: Site) -> None:
    for path in ("now", "round/2", "verifiers", "statistics", "task/1", "gradient-task/1", "gradient-block/2"):
        text = get(f"{address}/{played_site.name}/{path}").text
        links = re.findall(r'class="proof" href="([^"]+)"', text)
        for link in dict.fromkeys(links[:40]):
            assert get(f"{address}{link.replace('&amp;', '&')}").status_code == 200, link


def test_status__totals_follow_the_index_a_moment_later__is_another_state(played_site: Site) -> None:
    """A page made in that moment is of the same block, and has to be made again."""
    stamps = []
    for _ in range(2):
        with played_site.snapshot() as snapshot:
            stamps.append(status_of(snapshot).stamp)
        played_site._changed(None)
    assert stamps[0] != stamps[1]


def test_proof__of_receipts__names_their_transactions(address: str, played_site: Site) -> None:
    with played_site.snapshot() as snapshot:
        [newest] = snapshot.read.newest_transactions(1)
    text = get(f"{address}/{played_site.name}/proof/tx/{newest.hash}?figure=the-transaction.gas-used").text
    assert f"cast receipt {newest.hash} gasUsed --rpc-url $RPC" in text
    assert f"{newest.gas_used:,}" in text
    text = get(f"{address}/{played_site.name}/proof/statistics?figure=gas-per-step.0.median-gas").text
    assert "It is the median of gasUsed in the receipts of these" in text


def test_proof__a_call__as_cast_and_python(address: str, played_site: Site, played: World) -> None:
    text = get(f"{address}/{played_site.name}/proof/now?figure=sums.stakes-held").text
    assert f"cast call {played.chain.address('RewardReservoir')} &#34;total(uint8)(uint256)&#34; 2 --block" in text
    assert "contract.functions.total(2).call(block_identifier=" in text


@pytest.mark.parametrize(
    ("question", "page"),
    [("task 1", "task/1"), ("round 2", "round/2"), ("height 1", "block/1"), ("ballot 2", "round/2")],
)
def test_search__one_hit__shown_at_once(address: str, played_site: Site, question: str, page: str) -> None:
    answer = get(f"{address}/{played_site.name}/search?q={question}")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/{played_site.name}/{page}")


def test_search__address_transaction_cid__found(address: str, played_site: Site, played: World) -> None:
    with played_site.snapshot() as snapshot:
        event = snapshot.read.named(["SolutionRevealed"], 1)[0]
    for question, page in (
        (played.miners[0].lower(), f"account/{played.miners[0]}"),
        (event.transaction, f"tx/{event.transaction}"),
        (event.args["model"], f"cid/{event.args['model']}"),
    ):
        answer = get(f"{address}/{played_site.name}/search?q={question}")
        assert answer.headers["Location"] == f"/{played_site.name}/{page}"


def test_search__number_of_several__all_listed(address: str, played_site: Site) -> None:
    text = get(f"{address}/{played_site.name}/search?q=1").text
    assert all(f"/{played_site.name}/{kind}/1" in text for kind in ("task", "round", "block"))


@pytest.mark.parametrize("table", TABLES)
def test_api__page_by_page__every_row_once(address: str, played_site: Site, table: str) -> None:
    url = f"{address}/{played_site.name}/api/{table}"
    whole = get(f"{url}?limit=1000").json()["rows"]
    pages, following = [], "?limit=3"
    while following:
        answer = get(f"{url}{following}").json()
        pages += answer["rows"]
        following = answer["next"] and f"?limit=3&before={answer['next']}"
    assert pages == whole
    rows = list(csv.DictReader(io.StringIO(get(f"{url}?limit=1000&format=csv").text)))
    assert [row["event"] for row in rows] == [row["event"] for row in whole]


def test_api__rows_of_an_account__only_its_own(address: str, played_site: Site, played: World) -> None:
    url = f"{address}/{played_site.name}/api/submissions"
    rows = get(f"{url}?account={played.miners[0]}").json()["rows"]
    assert {row["miner"] for row in rows} == {played.miners[0]}
    bond_and_fee_wei = 10**17 + 245 * 10**14
    assert [row["lost_wei"] for row in rows] == ["0", str(bond_and_fee_wei), "0"]
    assert len(get(f"{url}?account={played.miners[0]}&round=2").json()["rows"]) == 1


def test_api__described_by_openapi__every_table(address: str) -> None:
    described = get(f"{address}/openapi.json").json()
    assert "/{site}/api/{table}" in described["paths"]
    assert set(TABLES) == set(described["components"]["schemas"]["TableName"]["enum"])


def test_feed__of_an_account_and_a_task__atom(address: str, played_site: Site, played: World) -> None:
    for place in (f"account/{played.miners[0]}", "task/1", "gradient-task/1"):
        answer = get(f"{address}/{played_site.name}/{place}/feed.atom")
        assert answer.headers["Content-Type"] == "application/atom+xml"
        feed = ElementTree.fromstring(answer.content)
        atom = "{http://www.w3.org/2005/Atom}"
        assert len(feed.findall(f"{atom}entry")) > 3
        assert all(entry.find(f"{atom}updated") is not None for entry in feed.findall(f"{atom}entry"))
    assert get(f"{address}/{played_site.name}/task/99/feed.atom").status_code == 404


def test_series__of_a_gradient_task__only_its_blocks(address: str, played_site: Site) -> None:
    url = f"{address}/{played_site.name}/api/series/gradient"
    found = get(f"{url}?task=1").json()["columns"]
    assert found["x"] == [2, 3]
    assert found["test"] == [58.0, 59.9]
    assert found["target"] == [20, 20]
    assert get(url).json()["columns"] == found
    assert get(f"{url}?task=2").json()["columns"]["x"] == []


def test_account__of_a_miner_on_both_chains__tables_of_both_and_older_pages(
    address: str, played_site: Site, played: World
) -> None:
    text = get(f"{address}/{played_site.name}/account/{played.miners[1]}").text
    assert "committed: bond and judging fee" in text
    assert "Rounds, and why" in text
    assert "Gradient blocks, and why" in text
    older = get(f"{address}/{played_site.name}/account/{played.miners[1]}/heights").text
    assert older.count("you proposed step 7") == 2
    assert "last act" in text
    client = get(f"{address}/{played_site.name}/account/{played.chain.client}").text
    assert "Tasks it commissioned" in client


def test_metrics__of_the_indexer__as_prometheus_takes_them(address: str, played_site: Site) -> None:
    text = get(f"{address}/metrics").text
    assert f'pole_explorer_events_total{{deployment="{played_site.name}"}}' in text
    assert "pole_explorer_indexed" in text


def test_home__two_deployments__both_on_one_page(world: World, tmp_path: Path) -> None:
    other = World(world.rpc_url)
    other.solved()
    sites = [indexed(world.site(tmp_path)), indexed(other.site(tmp_path))]
    with served(sites) as address:
        text = get(f"{address}/").text
        assert all(site.name in text for site in sites)
        assert text.count("<h3>Lanes</h3>") == 2
    for site in sites:
        site.close()
