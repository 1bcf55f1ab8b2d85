"""`make screenshots`: the two pictures of the explorer that the README shows, of rounds played on a local chain."""

import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import click
import uvicorn
from playwright.sync_api import sync_playwright

from explorer.chain.node import Node
from explorer.contents import Contents
from explorer.site import Site
from explorer.web.app import create_app
from pole.chain.profiles import PUBLIC
from pole.errors import BadInput
from pole.node.exit import exit_code
from pole.storage.cid import cid_of
from testbed import rounds
from testbed.artifacts import compiled
from testbed.chain import development_chain, free_port, web3_at
from testbed.contracts import Chain, development_key
from testbed.deployer import deploy_with_web3

_WIDTH, _HEIGHT = 1280, 820


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default="docs", show_default=True)
def cli(out: Path) -> None:
    """Write explorer-now.png and explorer-account.png."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise BadInput("Chromium is not installed; on Debian: apt-get install chromium")
    with development_chain("anvil", block_time_s=None, accounts=40, genesis_time_s=1_800_000_000) as running:
        chain = _played(running.rpc_url)
        with tempfile.TemporaryDirectory() as folder:
            site = Site(chain.deployment, Node(running.rpc_url), Path(folder))
            site.indexer.catch_up()
            _take(site, chromium, out, chain.miner(0))
            site.close()


def _played(rpc_url: str) -> Chain:
    """Rounds that ended well, with a miner that did not reveal, and without keys; and one that runs."""
    web3 = web3_at(rpc_url)
    deployment = deploy_with_web3(web3, development_key(0), PUBLIC, cid_of(b"idle task"))
    chain = Chain(web3, deployment, compiled())
    verifiers = rounds.seat(chain, 3)
    miners = [chain.miner(i) for i in range(3)]
    for scores in ((912_300, 934_100, 921_700), (955_000, 948_200), (930_400, 941_000, 939_900)):
        rounds.submit(chain)
        current = rounds.open_round(chain)
        rounds.to_reveal(chain, current, *miners)
        for miner in miners[-len(scores) :]:
            rounds.reveal(chain, current, miner)
        rounds.advance(chain, current)
        words = [rounds.good(ppm) for ppm in scores]
        rounds.vote_and_finish(chain, current, dict.fromkeys(verifiers, words))
    for payment in (1, 3, 2):
        rounds.submit(chain, payment_wei=payment * 10**18)
    rounds.commit(chain, rounds.open_round(chain), miners[0])
    return chain


def _take(site: Site, chromium: str, out: Path, account: str) -> None:
    contents, port = Contents(None), free_port()
    server = uvicorn.Server(uvicorn.Config(create_app([site], contents), port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.05)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT}, java_script_enabled=False)
            for name, path in (("now", ""), ("account", f"{site.name}/account/{account}")):
                page.goto(f"http://127.0.0.1:{port}/{path}")
                page.screenshot(path=out / f"explorer-{name}.png")
                click.echo(out / f"explorer-{name}.png")
            browser.close()
    finally:
        server.should_exit = True
        thread.join()
        contents.close()


if __name__ == "__main__":
    sys.exit(exit_code(cli))
