"""`python -m scripts.demo`: commission, train, verify, vote and pay on a local chain, and show it."""

import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import click
import numpy as np
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from dataclient.sources.load import load_source, training_and_test
from dataclient.sources.plain import PlainData
from dataclient.task_file import read_task_file
from pole.chain.client import ChainClient
from pole.chain.contracts import Contracts
from pole.chain.deployment import Deployment
from pole.chain.structs import TaskState
from pole.errors import BadInput
from pole.node.exit import exit_code
from pole.node.terminal import Fitted
from pole.timing import Timing
from scripts.demo import report
from scripts.demo.page import explorer_page, wait_for_ctrl_c
from scripts.demo.view import View, demo_console
from testbed.chain import development_chain
from testbed.explorer import ExplorerProcess
from testbed.ipfs import ipfs_network
from testbed.processes import Actor, DemoFailed, Stage, stage

# ape's name for a network given by its address is its own local chain, whose id this is.
_CHAIN_ID = 1337
_STAKE_ETHER = 2
_OFTEN = ("--poll-interval", "0.5")  # by themselves, roles are as frugal as public nodes ask for
_MINERS = _VERIFIERS = 3
_LIMIT_S = {"iris": 30, "digits": 60, "mnist": 1_800}
_REWARD_ETHER = {"iris": 1, "digits": 3, "mnist": 20}
_REQUIRED_PPM = {"iris": 850_000, "digits": 970_000, "mnist": 960_000}
_ROWS_SHOWN = 6
_STEPS_AT_ONCE = 3
# rich's own picture would fetch its font from a web site whenever somebody looks at it.
_PICTURE = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """What to commission."""

    sets: Sequence[str]
    data_dir: Path | None
    is_encrypted: bool

    def source(self, name: str) -> str:
        return f"torchvision:{name}" if name == "mnist" else f"sklearn:{name}"


@click.command()
@click.option(
    "--dataset",
    "sets",
    type=click.Choice(list(_LIMIT_S)),
    multiple=True,
    default=("iris", "digits"),
    show_default=True,
    help="What to commission; may be given several times.",
)
@click.option("--data-dir", type=click.Path(exists=True, file_okay=False, path_type=Path), help="torchvision's files.")
@click.option("--no-encryption", is_flag=True, help="Commission the data in the clear; the mapping still applies.")
@click.option("--ipfs", is_flag=True, help="Content over two IPFS daemons: the client's, and everybody else's.")
@click.option(
    "--keep", is_flag=True, help="Leave chain and page up until Ctrl-C; keep logs, keys and content, and say where."
)
@click.option(
    "--picture", type=click.Path(dir_okay=False, path_type=Path), help="Also write the end as an SVG picture."
)
def cli(
    sets: tuple[str, ...], data_dir: Path | None, no_encryption: bool, ipfs: bool, keep: bool, picture: Path | None
) -> None:
    """The main job on a local chain: anvil, the contracts, one data client, three miners, three verifiers."""
    if "mnist" in sets and data_dir is None:
        raise BadInput("--dataset mnist needs --data-dir, the folder that holds torchvision's MNIST/raw")
    plan = Plan(sets, data_dir and data_dir.resolve(), not no_encryption)
    console = demo_console(None if picture is None else 120, is_recorded=picture is not None)
    folder = Path(tempfile.mkdtemp(prefix="pole-demo-"))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop the processes as on Ctrl-C
    try:
        with (
            development_chain("anvil", chain_id=_CHAIN_ID) as chain,
            daemons(folder, ipfs) as stores,
            stage(folder, chain) as built,
        ):
            built.stores |= stores
            with explorer_page(console, built) as page:
                play(console, built, plan, page)
                if keep:
                    wait_for_ctrl_c(console, page)
        if picture is not None:
            picture.write_text(console.export_svg(title="make demo", code_format=_PICTURE))
    except DemoFailed:
        keep = True
        raise
    finally:
        if keep:
            console.print(f"logs, keys and content: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def daemons(folder: Path, is_ipfs: bool) -> Iterator[dict[str, str]]:
    """Where each role keeps content: nothing said of it, or over two IPFS daemons that know only each other."""
    if not is_ipfs:
        yield {}
        return
    with ipfs_network(folder) as (clients, others):
        yield {"deployer": clients.address, "dataclient": clients.address} | dict.fromkeys(
            ("miner", "verifier"), others.address
        )


def play(console: Console, built: Stage, plan: Plan, page: ExplorerProcess) -> None:
    """The whole demo on a running chain; the page begins when there is something to show."""
    started = time.monotonic()
    console.rule("[bold]Useful proof of work: the main job")
    client, miners, verifiers = cast_actors(built)
    actors = [client, *miners, *verifiers]
    console.print("Deploying with [bold]ape run deploy --profile local[/bold], and writing task files ...")
    first: list[Callable[[], None]] = [built.deploy]
    side_by_side(first + [partial(write_task_file, built, plan, name) for name in plan.sets])
    page.start()
    chain_client = ChainClient.connect(built.chain.rpc_url, Deployment.load(built.deployment))
    for verifier in verifiers:
        built.start(["verifier", "run", "--stake", str(_STAKE_ETHER), *_OFTEN], verifier)
    how = "encrypted" if plan.is_encrypted else "in the clear"
    console.print(f"Commissioning [bold]{', '.join(plan.sets)}[/bold] ({how}) ...")
    said = built.run(["dataclient", "submit", *(f"{name}.toml" for name in plan.sets)], client, shows_output=True)
    tasks = dict(enumerate(plan.sets, start=1))
    built.start(["dataclient", "serve", *_OFTEN], client)
    for seed, miner in enumerate(miners, start=1):
        built.start(["miner", "run", "--device", "cpu", "--threads", "1", "--seed", str(seed), *_OFTEN], miner)
    contracts = Contracts.of(chain_client)

    def is_done() -> bool:
        failed = built.failed()
        if failed:
            raise DemoFailed(f"{failed[0]} ended with an error:\n{_tail(built, failed[0], actors)}")
        market = contracts.task_market
        return all(market.task(task_id).state not in (TaskState.PENDING, TaskState.IN_ROUND) for task_id in tasks)

    View(console, built, chain_client, actors).follow(is_done, time.sleep)
    built.stop()
    finish(console, built, chain_client, actors, tasks)
    wall_s = time.monotonic() - started
    if plan.is_encrypted:
        timings = {actor.name: Timing.mentioned(built.log_of(actor).read_text(errors="replace")) for actor in actors}
        console.print(Fitted(report.encryption(timings | {client.name: Timing.mentioned(said)}, wall_s)))
    console.print(f"Done in {wall_s:.0f} s.")


def cast_actors(built: Stage) -> tuple[Actor, list[Actor], list[Actor]]:
    """Accounts 1 to 7 of the development chain; account 0 deploys."""
    client = built.actor("client", "dataclient", 1)
    miners = [built.actor(f"miner-{n}", "miner", 1 + n) for n in range(1, _MINERS + 1)]
    verifiers = [built.actor(f"verifier-{n}", "verifier", 1 + _MINERS + n) for n in range(1, _VERIFIERS + 1)]
    return client, miners, verifiers


def write_task_file(built: Stage, plan: Plan, name: str) -> None:
    """`dataclient init` for one data set."""
    command = ["dataclient", "init", plan.source(name), "--out", f"{name}.toml", "--name", name]
    command += ["--time-limit", str(_LIMIT_S[name]), "--reward", str(_REWARD_ETHER[name])]
    command += ["--close-after", str(_MINERS), "--required-train-ppm", str(_REQUIRED_PPM[name])]
    command += ["--data-dir", str(plan.data_dir)] if plan.data_dir and name == "mnist" else []
    built.run([*command, *([] if plan.is_encrypted else ["--no-encryption"])])


def side_by_side(steps: Sequence[Callable[[], T]]) -> list[T]:
    """Run steps that do not need each other at the same time; results in their order, the first error is raised."""
    with ThreadPoolExecutor(_STEPS_AT_ONCE) as pool:
        return [future.result() for future in [pool.submit(step) for step in steps]]


def finish(
    console: Console, built: Stage, chain_client: ChainClient, actors: Sequence[Actor], tasks: dict[int, str]
) -> None:
    """Collect the money and the models, and print what happened."""
    contracts = Contracts.of(chain_client)
    names = {actor.address: actor.name for actor in actors}
    side_by_side([partial(built.run, [actor.role, "withdraw"], actor) for actor in actors])
    models = side_by_side([partial(use_model, built, actors[0], name) for name in tasks.values()])
    used = report.gas_of_run(chain_client)
    console.print(Fitted(report.blocks(contracts, names, tasks)))
    console.print(Fitted(report.payments(contracts, chain_client, actors, used.paid_wei)))
    console.print(Fitted(report.gas(used)))
    for name, said in zip(tasks.values(), models, strict=True):
        console.rule(f"[bold]{name}: the client's model on rows that no miner saw")
        console.print(said, highlight=False)


def use_model(built: Stage, client: Actor, name: str) -> str:
    """What fetch-model and predict say about a task's model and its held-out rows."""
    bundle, rows, out = (built.folder / f"{name}{suffix}" for suffix in ("-model", "-rows.npz", "-predictions.csv"))
    fetched = built.run(["dataclient", "fetch-model", name, "--out", str(bundle)], client)
    test = held_out(built.folder / f"{name}.toml")
    labels = np.array(test.class_names)[test.labels]
    np.savez(rows, x=test.x, label=labels)
    predicted = built.run(["dataclient", "predict", str(bundle), str(rows), "--out", str(out), "--label", "label"])
    found = [line.split(",")[1] for line in out.read_text().splitlines()[1:]]
    shown = ", ".join(f"{is_} ({was})" for is_, was in zip(found[:_ROWS_SHOWN], labels[:_ROWS_SHOWN], strict=True))
    return "\n".join([*fetched.splitlines()[1:3], *predicted.splitlines()[1:2], f"predicted (true): {shown}"])


def held_out(task_file: Path) -> PlainData:
    """The test rows of a task file, split off as init and submit did."""
    options = read_task_file(task_file).task.data
    return training_and_test(load_source(options), options)[1]


def _tail(built: Stage, name: str, actors: Sequence[Actor]) -> str:
    actor = next(actor for actor in actors if actor.name == name)
    return built.log_of(actor).read_text(errors="replace")[-2000:]


if __name__ == "__main__":
    sys.exit(exit_code(cli))
