"""`python -m benchmarks.explorer`: indexing from a local anvil, and pages with many rounds stored."""

import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from eth_abi.abi import encode
from eth_utils.abi import function_signature_to_4byte_selector

from benchmarks.explorer.rounds import logs_of, renumbered
from explorer.chain.events import Event
from explorer.chain.lanes import Kinds
from explorer.chain.node import Header, Node
from explorer.contents import Contents
from explorer.index.indexer import Indexer
from explorer.index.schema import open_index
from explorer.index.writing import Range, append
from explorer.pages import Place, make_page
from explorer.site import Site
from explorer.web.rendering import Renderer, environment
from explorer.web.state import status_of
from pole.chain.profiles import PUBLIC
from pole.node.exit import exit_code
from pole.storage.cid import cid_of
from testbed import rounds
from testbed.artifacts import compiled
from testbed.chain import development_chain, web3_at
from testbed.contracts import Chain, development_key
from testbed.deployer import deploy_with_web3
from testbed.markdown import markdown_table

_ROUNDS_AT_ONCE = 4
_RUN = f"0x{function_signature_to_4byte_selector('run((address,bytes32[],bytes)[])').hex()}"
_CONTRACTS = Path(__file__).parent / "contracts"


@click.command()
@click.option("--events", type=click.IntRange(100), default=100_000, show_default=True, help="Indexed from anvil.")
@click.option("--rounds", "count", type=click.IntRange(10), default=10_000, show_default=True, help="Stored for pages.")
@click.option("--requests", type=click.IntRange(10), default=400, show_default=True, help="Of each page.")
def cli(events: int, count: int, requests: int) -> None:
    """Seconds to index, milliseconds for each page on one core, and the memory of this process."""
    with development_chain("anvil", block_time_s=None, accounts=40) as running, tempfile.TemporaryDirectory() as folder:
        chain = _played(running.rpc_url)
        with_pages = _stored(chain, running.rpc_url, Path(folder) / "pages", count)
        _print_pages(with_pages, count, requests)
        with_pages.close()
        print(f"memory at most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB (this whole program)")
        emitted = _emit(chain, events)
        print(_indexing(chain, running.rpc_url, Path(folder), emitted))


def _played(rpc_url: str) -> Chain:
    """One real round."""
    web3 = web3_at(rpc_url)
    deployment = deploy_with_web3(web3, development_key(0), PUBLIC, cid_of(b"idle"))
    chain = Chain(web3, deployment, compiled() | compiled(_CONTRACTS))
    verifiers = rounds.seat(chain, 3)
    rounds.submit(chain)
    current = rounds.open_round(chain)
    rounds.to_voting(chain, current, *(chain.miner(i) for i in range(3)))
    words = [rounds.good(ppm) for ppm in (910_000, 920_000, 930_000)]
    rounds.vote_and_finish(chain, current, dict.fromkeys(verifiers, words))
    return chain


def _emit(chain: Chain, wanted: int) -> int:
    """Put a mill in the place of each contract, and have them emit rounds until there are so many events."""
    first = min(each.block_number for each in chain.deployment.contracts.values())
    last = chain.web3.eth.block_number
    addresses = [each.address for each in chain.deployment.contracts.values()]
    found = Node(chain.web3.provider.endpoint_uri).logs(addresses, first + 9, last)  # type: ignore[attr-defined]
    logs = logs_of(chain.deployment, found)
    mill = chain.create(chain.attacker, "LogMill")
    code = chain.web3.eth.get_code(mill).to_0x_hex()  # type: ignore[arg-type]
    for address in addresses:
        chain.rpc("anvil_setCode", address, code)
    emitted = 0
    for number in range(1, -(-wanted // len(logs)) + 1, _ROUNDS_AT_ONCE):
        entries = [log.numbered(number + i) for i in range(_ROUNDS_AT_ONCE) for log in logs]
        data = _RUN + encode(["(address,bytes32[],bytes)[]"], [entries]).hex()
        chain.sent(chain.queue(chain.attacker, mill, data, gas=16_000_000))
        emitted += len(entries)
    return emitted


def _indexing(chain: Chain, rpc_url: str, folder: Path, emitted: int) -> str:
    indexer = Indexer(Node(rpc_url), chain.deployment, open_index(folder / "index.sqlite"))
    started, cpu = time.monotonic(), time.process_time()
    while indexer.progress.indexed < chain.web3.eth.block_number:
        indexer.step()
    took_s, cpu_s = time.monotonic() - started, time.process_time() - cpu
    indexer.connection.close()
    blocks = indexer.progress.head
    said = f"{took_s:.1f} s by the clock, {cpu_s:.1f} s of this processor"
    return f"{emitted:,} events in {blocks:,} blocks from anvil: {said}"


def _stored(chain: Chain, rpc_url: str, folder: Path, count: int) -> Site:
    """An index with that many rounds, written as the indexer writes."""
    folder.mkdir()
    whole = Site(chain.deployment, Node(rpc_url), folder)
    whole.indexer.catch_up()
    with whole.snapshot() as snapshot:
        before = [event for event in snapshot.read.after() if event.block < snapshot.read.events("task", "1")[0].block]
        one = [event for event in snapshot.read.after() if event.block > before[-1].block]
    whole.close()
    whole.path.unlink()
    connection, kinds = open_index(whole.path), Kinds.of(chain.deployment)
    block = one[-1].block + 1
    waiting: list[Event] = [*before, *one]
    for number in range(1, count):
        waiting += renumbered(one, number, block)
        block = waiting[-1].block + 1
        if len(waiting) > 10_000 or number == count - 1:
            last = waiting[-1].block
            headers = [Header(n, f"0x{n:064x}", "", 0) for n in {event.block for event in waiting}]
            append(connection, Range(Header(last, f"0x{last:064x}", "", 0), last, last, headers, waiting), kinds)
            waiting = []
    connection.close()
    return Site(chain.deployment, Node(rpc_url), folder)


def _print_pages(site: Site, count: int, requests: int) -> None:
    """The work of one response, without the network."""
    contents, templates, random_ = Contents(None), environment(), random.Random(1)  # noqa: S311, chooses pages
    with site.snapshot() as snapshot:
        accounts = list(snapshot.totals.accounts)
    makers: dict[str, Callable[[], Place]] = {
        "now": lambda: Place("now"),
        "tasks": lambda: Place("tasks"),
        "rounds": lambda: Place("rounds"),
        "blocks": lambda: Place("blocks"),
        "verifiers": lambda: Place("verifiers"),
        "statistics": lambda: Place("statistics"),
        "task": lambda: Place("task", str(random_.randint(1, count))),
        "round": lambda: Place("round", str(random_.randint(1, count))),
        "block": lambda: Place("block", str(random_.randint(1, count))),
        "account": lambda: Place("account", random_.choice(accounts)),
    }
    rows, everything = [], []
    for name, make in makers.items():
        taken = sorted(_timed(site, contents, templates, make()) for _ in range(requests))
        everything += taken
        rows.append((name, *(f"{_at(taken, share):.1f}" for share in (0.5, 0.95, 1))))
    rows.append(("all", *(f"{_at(sorted(everything), share):.1f}" for share in (0.5, 0.95, 1))))
    print(markdown_table(("page", "median (ms)", "95 % (ms)", "most (ms)"), rows))
    contents.close()


def _timed(site: Site, contents: Contents, templates: Any, place: Place) -> float:
    """Milliseconds of this processor from the request to the HTML: what others do on the machine does not count."""
    started = time.thread_time()
    with site.snapshot() as snapshot:
        page = make_page(snapshot, contents, place)
        status = status_of(snapshot)
    assert page is not None, place
    values = {"page": page, "render": Renderer(site, place), "status": status, "prefix": f"/{site.name}", "site": site}
    templates.get_template("page.html").render(sites={}, address="", page_title=page.title, **values)
    return 1000 * (time.thread_time() - started)


def _at(taken: Sequence[float], share: float) -> float:
    return taken[min(len(taken) - 1, int(share * len(taken)))]


if __name__ == "__main__":
    sys.exit(exit_code(cli))
