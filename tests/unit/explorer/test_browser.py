"""The pages in a real browser: accessibility, keyboard, light and dark, live updates. Skipped where Chromium is not."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from explorer.site import Site
from testbed import heights, rounds
from tests.paths import ROOT
from tests.unit.explorer.serving import served
from tests.unit.explorer.world import World, indexed

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed; on Debian: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


def paths(site: Site, world: World) -> list[str]:
    """One page of every kind."""
    with site.snapshot() as snapshot:
        [block] = [event for event in snapshot.read.named(["BlockAppended"]) if event.args["height"] == 1]
    single = [
        "task/1",
        "round/1",
        "round/2",
        "round/3",
        "block/1",
        "gradient-block/0",
        "gradient-block/2",
        "gradient-task/1",
        f"tx/{block.transaction}",
    ]
    single += [f"account/{world.miners[0]}", f"account/{world.verifiers[0]}", f"event/{block.id}"]
    single += ["proof/now?figure=sums.stakes-held", "proof/statistics?figure=counts.commits", "search?q=", "search?q=1"]
    single += [f"cid/{block.args['header']['model']}"]
    whole = ["now", "tasks", "rounds", "blocks", "verifiers", "gradient", "statistics"]
    return ["/", *(f"/{site.name}/{path}" for path in [*whole, *single]), f"/{site.name}/round/99"]


@pytest.mark.parametrize(
    ("scheme", "width"),
    [
        ("dark", 390),
        pytest.param("light", 1280, marks=pytest.mark.full),
        pytest.param("dark", 1280, marks=pytest.mark.full),
        pytest.param("light", 390, marks=pytest.mark.full),
    ],
)
def test_pages__every_kind__no_violation_and_no_console_error(
    browser: Browser, address: str, played_site: Site, played: World, scheme: Any, width: int
) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800}, bypass_csp=True)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(_line(message)))
    page.on("pageerror", lambda error: said.append(str(error)))
    for path in paths(played_site, played):
        page.goto(f"{address}{path}")
        page.add_script_tag(content=AXE.read_text())
        found = page.evaluate("axe.run()")
        assert [_violation(each) for each in found["violations"]] == [], path
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0, f"{path} is {overflow} pixels too wide"
    assert [line for line in said if "404" not in line] == []
    context.close()


def _line(message: ConsoleMessage) -> str:
    return f"{message.type}: {message.text}" if message.type in ("error", "warning") else "404"


def _violation(found: dict[str, Any]) -> str:
    return f"{found['id']}: {found['nodes'][0]['html'][:200]}: {found['nodes'][0]['failureSummary'][:300]}"


def test_pages__with_their_policy__nothing_of_them_is_refused(
    browser: Browser, address: str, played_site: Site, played: World
) -> None:
    context = browser.new_context()
    page = context.new_page()
    said: list[str] = []
    requested: list[str] = []
    page.on("console", lambda message: said.append(_line(message)))
    page.on("request", lambda request: requested.append(request.url))
    for path in paths(played_site, played):
        page.goto(f"{address}{path}")
    assert [line for line in said if "404" not in line] == []
    assert [url for url in requested if not url.startswith((address, "data:"))] == []
    context.close()


def test_pages__keyboard_alone__first_link_skips_to_the_content_and_links_work(
    browser: Browser, address: str, played_site: Site
) -> None:
    page = browser.new_page()
    page.goto(f"{address}/{played_site.name}/rounds")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    for _ in range(40):
        page.keyboard.press("Tab")
        if (page.evaluate("document.activeElement.getAttribute('href')") or "").endswith("/round/3"):
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/round/3")
    assert page.locator("h1").inner_text() == "Round 3"
    page.close()


def test_pages__without_javascript__say_the_same(browser: Browser, address: str, played_site: Site) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/{played_site.name}/round/2")
    assert "you did not reveal by" in page.inner_text("main")
    assert "Indexed to block" in page.inner_text("header")
    context.close()


def test_block__leaf_verified_in_the_browser__reaches_the_root(
    browser: Browser, address: str, played_site: Site
) -> None:
    page = browser.new_page()
    page.goto(f"{address}/{played_site.name}/block/1")
    buttons = page.locator("button.verify")
    assert buttons.count() == 5
    for number in range(5):
        buttons.nth(number).click()
        assert page.locator("ol.leaves output").nth(number).inner_text().startswith("Included")
    page.evaluate("document.querySelector('button.verify').dataset.value = '0x' + '11'.repeat(32)")
    buttons.first.click()
    assert page.locator("ol.leaves output").first.inner_text().startswith("Not included")
    page.close()


def test_statistics__charts__are_drawn(browser: Browser, address: str, played_site: Site) -> None:
    page = browser.new_page()
    page.goto(f"{address}/{played_site.name}/statistics")
    page.wait_for_selector(".chart canvas")
    page.wait_for_function("document.querySelectorAll('.chart canvas').length === 3")
    page.close()


def test_gradient__new_block__charts_and_tables_follow_by_themselves(
    browser: Browser, world: World, tmp_path: Path
) -> None:
    world.gradient(1)
    site = indexed(world.site(tmp_path))
    with served([site], follows=True) as address:
        page = browser.new_page()
        page.goto(f"{address}/{site.name}/gradient")
        page.wait_for_selector(".chart canvas")
        with page.expect_response("**/api/series/gradient", timeout=60_000) as answer:
            heights.propose(world.chain, {world.miners[1]: 9})
            heights.judge(world.chain, world.verifiers, [rounds.scored(640_000, 610_000)])
            page.wait_for_selector("td >> text=61 %", timeout=60_000)
        assert answer.value.ok
        page.wait_for_function("document.querySelectorAll('.chart canvas').length === 3")
        page.close()
    site.close()


def test_now__new_blocks__the_page_follows_by_itself(browser: Browser, world: World, tmp_path: Path) -> None:
    site = indexed(world.site(tmp_path))
    with served([site], follows=True) as address:
        page: Page = browser.new_page()
        page.goto(address)
        assert "no round yet" in page.inner_text("main")
        world.solved()
        page.wait_for_selector("main >> text=finalised", timeout=60_000)
        page.wait_for_function(
            "block => document.querySelector('.status').textContent.includes(block)",
            arg=f"Indexed to block {world.chain.web3.eth.block_number:,}, 0 behind",
            timeout=60_000,
        )
        page.close()
    site.close()
