"""What roles ask of their nodes, and what they pay for in vain: `python -m benchmarks.frugality`.

A company of real processes plays idle rounds on anvil, each behind a proxy that counts its requests.
"""

import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import click
from eth_account import Account
from rich.console import Console
from rich.table import Table
from web3 import Web3
from web3.types import RPCEndpoint

from pole.chain.client import ChainClient
from pole.chain.contracts import Contracts
from pole.chain.deployment import ContractName, Deployment, kind_of
from pole.chain.profiles import LOCAL
from pole.learning.idle import publish_idle_task
from pole.node.terminal import Fitted
from pole.node.terminal import console as standard_output
from pole.storage.store import open_store
from testbed.chain import MNEMONIC, development_chain, web3_at
from testbed.counting import CountingProxy, counted
from testbed.deployer import deploy_with_web3
from testbed.processes import Actor, Stage, stage


class CountedStage(Stage):
    """Every actor has its own way to the node."""

    proxies: Mapping[str, CountingProxy] = {}

    def environment(self, actor: Actor | None = None) -> Mapping[str, str]:
        found = dict(super().environment(actor))
        if actor is not None and actor.name in self.proxies:
            found["POLE_RPC"] = self.proxies[actor.name].url
        return found


@click.command()
@click.option("--miners", type=click.IntRange(1, 16), default=3, show_default=True)
@click.option("--verifiers", type=click.IntRange(1, 10), default=3, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--poll-interval", help="What the roles are given.  [default: nothing]")
@click.option("--socket", "is_socket", is_flag=True, help="Give the roles a WebSocket.")
@click.option("--tasks", "has_tasks", is_flag=True, help="Rounds of a client's tasks, and what the client asks.")
@click.option("--gradient", "is_gradient", is_flag=True, help="Blocks of the gradient chain in the place of rounds.")
@click.option("--block-time", "block_time_s", type=click.IntRange(1, 60), default=1, show_default=True, help="Seconds.")
@click.option(
    "--waiting",
    "waiting_s",
    type=click.IntRange(60),
    help="No rounds: how much one of each role asks in so many seconds.",
)
@click.option("--keep", is_flag=True, help="Keep the logs, and say where.")
def cli(
    miners: int,
    verifiers: int,
    rounds: int,
    poll_interval: str | None,
    is_socket: bool,
    has_tasks: bool,
    is_gradient: bool,
    block_time_s: int,
    waiting_s: int | None,
    keep: bool,
) -> None:
    """Count the requests of each role in some rounds, and the transactions that were mined in vain."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop the processes as on Ctrl-C
    folder, console = Path(tempfile.mkdtemp(prefix="pole-frugality-")), standard_output()
    with development_chain("anvil") as chain, stage(folder, chain) as built, ExitStack() as held:
        built.__class__ = CountedStage
        assert isinstance(built, CountedStage)
        names = [("verifier", f"verifier-{i}") for i in range(1, verifiers + 1)]
        names += [("miner", f"miner-{i}") for i in range(1, miners + 1)]
        if has_tasks or is_gradient:
            names.append(("dataclient", "client"))
        if waiting_s is not None:
            names = [(role, role) for role in _WAITING]
        actors = [built.actor(name, role.split()[0], number) for number, (role, name) in enumerate(names, start=2)]
        counting = [(actor.name, counted(chain.rpc_url, is_socket=is_socket)) for actor in actors]
        built.proxies = {name: held.enter_context(proxy) for name, proxy in counting}
        contracts = _deployed(built)
        if block_time_s > 1:
            _slow_down(web3_at(chain.rpc_url), block_time_s)
        if waiting_s is not None:
            _wait(console, built, actors, waiting_s)
            return
        _start(built, actors, poll_interval, is_gradient=is_gradient)
        if has_tasks or is_gradient:
            _commission(built, actors[-1], rounds + _MORE, is_gradient=is_gradient)
        ended = _gradient_ended if is_gradient else _ended
        began, first = time.monotonic(), _after(contracts, built, ended, 1)
        before = {name: (proxy.requests, proxy.bytes) for name, proxy in built.proxies.items()}
        last = _after(contracts, built, ended, 1 + rounds)
        _show(console, built, before, rounds)
        _show_vain(console, web3_at(chain.rpc_url), contracts, first, last, rounds)
        if has_tasks:
            _show_lateness(console, contracts, rounds)
        console.print(f"{rounds} rounds in {time.monotonic() - began:.0f} s")
    if keep:
        console.print(f"logs: {folder}")


_WAITING = {
    "verifier": ["verifier", "run", "--stake", "2"],
    "miner": ["miner", "run", "--device", "cpu", "--threads", "1"],
    "miner gradient": ["miner", "gradient", "run", "--device", "cpu", "--threads", "1"],
    "dataclient": ["dataclient", "serve"],
}
_MORE = 2
_SETTLED_S, _DAY_S, _SEEN_BLOCKS = 60, 86_400, 40


def _slow_down(web3: Web3, block_time_s: int) -> None:
    """As if it had always been so: roles look at the newest blocks to see how fast the chain is."""
    calls: list[tuple[str, list[Any]]] = [
        ("anvil_mine", [hex(_SEEN_BLOCKS), hex(block_time_s)]),
        ("evm_setIntervalMining", [block_time_s]),
    ]
    for method, parameters in calls:
        reply = web3.provider.make_request(RPCEndpoint(method), parameters)
        assert "error" not in reply, reply


def _wait(console: Console, built: CountedStage, actors: list[Actor], seconds: int) -> None:
    """What those ask who have nothing to do."""
    for actor in actors:
        built.start(_WAITING[actor.name], actor)
    time.sleep(_SETTLED_S)
    before = {name: (proxy.requests, proxy.bytes) for name, proxy in built.proxies.items()}
    time.sleep(seconds)
    if failed := built.failed():
        raise click.ClickException(f"{failed[0]} ended with an error; see its log in {built.folder}")
    table = Table("role", "requests a minute", "MB a day")
    for name, proxy in built.proxies.items():
        requests, size = proxy.requests - before[name][0], proxy.bytes - before[name][1]
        table.add_row(name, f"{60 * requests / seconds:.2f}", f"{size / seconds * _DAY_S / 1e6:.2f}")
    console.print(Fitted(table))


def _deployed(built: Stage) -> Contracts:
    Account.enable_unaudited_hdwallet_features()
    deployer = Account.from_mnemonic(MNEMONIC)
    manifest = publish_idle_task(open_store(built.store("deployer")))
    web3 = web3_at(built.chain.rpc_url)
    deployment: Deployment = deploy_with_web3(web3, deployer, replace(LOCAL, lanes=1), manifest)
    deployment.save(built.deployment)
    return Contracts.of(ChainClient.connect(built.chain.rpc_url, deployment))


def _start(built: Stage, actors: list[Actor], poll_interval: str | None, *, is_gradient: bool) -> None:
    more = ["--poll-interval", poll_interval] if poll_interval else []
    for actor in actors:
        if actor.role == "verifier":
            built.start(["verifier", "run", "--stake", "2", *more], actor)
        elif actor.role == "dataclient":
            built.start(["dataclient", "serve", *more], actor)
        elif is_gradient:
            built.start(["miner", "gradient", "run", "--device", "cpu", "--threads", "1", *more], actor)
        else:
            built.start(["miner", "run", "--idle", "--device", "cpu", "--threads", "1", *more], actor)


def _commission(built: Stage, client: Actor, count: int, *, is_gradient: bool) -> None:
    """So many tasks of 30 s, or one of so many blocks."""
    if is_gradient:
        more = ["--blocks", str(count), "--interval", "20", "--devices", "alike"]
        built.run(["dataclient", "gradient", "submit", "sklearn:digits", *more], client)
        return
    draft = ["dataclient", "init", "sklearn:iris", "--out", "iris.toml", "--name", "iris", "--time-limit", "30"]
    built.run([*draft, "--required-train-ppm", "850000"])
    built.run(["dataclient", "submit", "iris.toml"], client)
    for _ in range(count - 1):
        built.run(["dataclient", "submit", "iris.toml", "--again"], client)


def _ended(contracts: Contracts, number: int) -> bool:
    """Whether so many rounds have."""
    chain = contracts.learning_chain
    return chain.round_count() >= number and chain.round(number).phase.is_over


def _gradient_ended(contracts: Contracts, number: int) -> bool:
    """Whether so many blocks were mined after the one that opened the task."""
    return contracts.gradient_chain.height() > number


def _after(contracts: Contracts, built: Stage, ended: Callable[[Contracts, int], bool], number: int) -> int:
    """Waits; returns the block."""
    while not ended(contracts, number):
        if failed := built.failed():
            raise click.ClickException(f"{failed[0]} ended with an error; see its log in {built.folder}")
        time.sleep(1)
    return contracts.learning_chain._client.block_number()


def _show(console: Console, built: CountedStage, before: Mapping[str, tuple[int, int]], rounds: int) -> None:
    table = Table("role", "requests a round", "kB a round", "most of them")
    for name, proxy in built.proxies.items():
        requests, size = proxy.requests - before[name][0], proxy.bytes - before[name][1]
        most = ", ".join(f"{method.removeprefix('eth_')} {count}" for method, count in proxy.methods.most_common(4))
        table.add_row(name, f"{requests / rounds:.1f}", f"{size / rounds / 1000:.0f}", most)
    console.print(Fitted(table))


def _show_lateness(console: Console, contracts: Contracts, rounds: int) -> None:
    """How soon the client published its keys, which it can in the block after the anchor."""
    client, late = contracts.learning_chain._client, []
    published = {event.arguments["roundId"]: event for event in client.logs("LearningChain", "KeysPublished")}
    for event in client.logs("LearningChain", "RoundOpened"):
        keys = published.get(event.arguments["roundId"])
        if keys is not None:
            late.append(keys.block_number - event.arguments["anchorBlock"])
    console.print(f"keys published so many blocks after the anchor: {', '.join(map(str, late[: rounds + 1]))}")


def _show_vain(console: Console, web3: Web3, contracts: Contracts, first: int, last: int, rounds: int) -> None:
    """Counts what was mined and reverted, by function."""
    sent, vain = 0, Counter[str]()
    deployment = contracts.learning_chain._client.deployment
    functions: dict[tuple[Any, bytes], str] = {}
    for name, contract in deployment.contracts.items():
        made = web3.eth.contract(abi=contract.abi)
        for entry in made.all_functions():
            selector = web3.keccak(text=entry.signature)[:4]
            functions[contract.address, bytes(selector)] = f"{kind_of(cast(ContractName, name))}.{entry.fn_name}"
    for number in range(first + 1, last + 1):
        transactions: Any = web3.eth.get_block(number, full_transactions=True)["transactions"]
        for transaction in transactions:
            sent += 1
            if web3.eth.get_transaction_receipt(transaction["hash"])["status"] != 1:
                vain[functions.get((transaction["to"], bytes(transaction["input"])[:4]), "?")] += 1
    named = ", ".join(f"{name} {count}" for name, count in vain.most_common()) or "none"
    console.print(
        f"{sent} transactions, {sum(vain.values())} in vain ({sum(vain.values()) / rounds:.1f} a round): {named}"
    )


if __name__ == "__main__":
    cli()
