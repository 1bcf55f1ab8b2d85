"""`python -m scripts.demo_gradient`: blocks that are training steps, mined, replayed and voted on, live."""

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from pole.chain.client import ChainClient
from pole.chain.contracts import Contracts, GradientChain
from pole.chain.deployment import Deployment
from pole.chain.gradient_structs import GradientTask
from pole.errors import BadInput
from pole.node.exit import exit_code
from pole.node.terminal import Fitted
from scripts.demo import report
from scripts.demo.__main__ import side_by_side
from scripts.demo.page import explorer_page, wait_for_ctrl_c
from scripts.demo.view import demo_console
from scripts.demo_gradient.figure import Chain, draw
from scripts.demo_gradient.view import View
from testbed.chain import development_chain
from testbed.explorer import ExplorerProcess
from testbed.processes import Actor, DemoFailed, Stage, stage

# ape's name for a network given by its address is its own local chain, whose id this is.
_CHAIN_ID = 1337
_STAKE_ETHER = 2
_MINERS, _VERIFIERS = 2, 3
_POLL_S = "0.1"
_TASK_ID = 1
_LARGE_SETS = ("mnist", "cifar10")
_INTERVAL_S = {"digits": 1, "mnist": 3, "cifar10": 4}
_LEARNING_RATE = {"digits": "0.0005", "mnist": "0.001", "cifar10": "0.01"}


@dataclass(frozen=True)
class Plan:
    """What to commission. `interval_s`: how long the search for a block should take."""

    dataset: str
    data_dir: Path | None
    blocks: int
    interval_s: int
    rules: str

    def command(self) -> list[str]:
        source = f"torchvision:{self.dataset}" if self.dataset in _LARGE_SETS else f"sklearn:{self.dataset}"
        command = ["dataclient", "gradient", "submit", source, "--name", self.dataset, "--rules", self.rules]
        command += ["--blocks", str(self.blocks), "--interval", str(self.interval_s), "--miners", str(_MINERS)]
        command += ["--learning-rate", _LEARNING_RATE[self.dataset]]
        if self.dataset in _LARGE_SETS:  # or scoring them would take longer than mining
            command += ["--data-dir", str(self.data_dir), "--max-training-rows", "10000", "--max-test-rows", "1000"]
        return command


@click.command()
@click.option("--dataset", type=click.Choice(list(_INTERVAL_S)), default="digits", show_default=True)
@click.option("--data-dir", type=click.Path(exists=True, file_okay=False, path_type=Path), help="torchvision's files.")
@click.option("--blocks", type=click.IntRange(1, 1000), default=30, show_default=True)
@click.option("--interval", type=click.IntRange(1, 600), help="Seconds of search a block.  [default: by data set]")
@click.option("--rules", type=click.Choice(["hardened", "paper"]), default="hardened", show_default=True)
@click.option(
    "--figure",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("demo-gradient.png"),
    show_default=True,
    help="Where to draw accuracy and intervals.",
)
@click.option(
    "--keep", is_flag=True, help="Leave chain and page up until Ctrl-C; keep logs, keys and content, and say where."
)
def cli(
    dataset: str, data_dir: Path | None, blocks: int, interval: int | None, rules: str, figure: Path, keep: bool
) -> None:
    """The gradient chain: anvil, the contracts, one data client, two miners, three verifiers."""
    if dataset in _LARGE_SETS and data_dir is None:
        raise BadInput(f"--dataset {dataset} needs --data-dir, the folder that holds torchvision's files")
    plan = Plan(dataset, data_dir and data_dir.resolve(), blocks, interval or _INTERVAL_S[dataset], rules)
    console = demo_console()
    folder = Path(tempfile.mkdtemp(prefix="pole-demo-"))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop the processes as on Ctrl-C
    try:
        with (
            development_chain("anvil", chain_id=_CHAIN_ID, mines_at_once=True) as chain,
            stage(folder, chain) as built,
            explorer_page(console, built) as page,
        ):
            play(console, built, plan, figure, page)
            if keep:
                wait_for_ctrl_c(console, page)
    except DemoFailed:
        keep = True
        raise
    finally:
        if keep:
            console.print(f"logs, keys and content: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def play(console: Console, built: Stage, plan: Plan, figure: Path, page: ExplorerProcess) -> None:
    """The whole demo on a running chain; the page begins when there is something to show."""
    started = time.monotonic()
    console.rule("[bold]Useful proof of work: directed guiding gradients")
    client, miners, verifiers = cast_actors(built)
    actors = [client, *miners, *verifiers]
    console.print("Deploying with [bold]ape run deploy --profile local[/bold] ...")
    built.deploy()
    page.start()
    chain_client = ChainClient.connect(built.chain.rpc_url, Deployment.load(built.deployment))
    for verifier in verifiers:
        built.start(["verifier", "run", "--stake", str(_STAKE_ETHER), "--poll-interval", _POLL_S], verifier)
    console.print(f"Commissioning {plan.blocks} blocks on [bold]{plan.dataset}[/bold] ({plan.rules} rules) ...")
    said = built.run(plan.command(), client)
    console.print(said.strip().splitlines()[0])
    mine = ["miner", "gradient", "run", "--device", "cpu", "--threads", "1", "--poll-interval", _POLL_S]
    for miner in miners:
        built.start(mine, miner)
    view = View(console, built, chain_client, actors, plan.blocks)
    view.follow(partial(_is_done, built, chain_client, actors), time.sleep)
    task = GradientChain(chain_client).task(_TASK_ID)
    built.stop()
    finish(console, built, chain_client, actors)
    draw(view.chain, f"{plan.dataset}: accuracy and search time, {plan.rules} rules", figure)
    console.print(_conclusion(view.chain, plan, task), highlight=False)
    console.print(f"Drew {figure}. Done in {time.monotonic() - started:.0f} s.")


def cast_actors(built: Stage) -> tuple[Actor, list[Actor], list[Actor]]:
    """Accounts 1 to 6 of the development chain; account 0 deploys."""
    client = built.actor("client", "dataclient", 1)
    miners = [built.actor(f"miner-{n}", "miner", 1 + n) for n in range(1, _MINERS + 1)]
    verifiers = [built.actor(f"verifier-{n}", "verifier", 1 + _MINERS + n) for n in range(1, _VERIFIERS + 1)]
    return client, miners, verifiers


def _is_done(built: Stage, chain_client: ChainClient, actors: Sequence[Actor]) -> bool:
    failed = built.failed()
    if failed:
        actor = next(actor for actor in actors if actor.name == failed[0])
        said = built.log_of(actor).read_text(errors="replace")[-2000:]
        raise DemoFailed(f"{failed[0]} ended with an error:\n{said}")
    return GradientChain(chain_client).task(_TASK_ID).state.is_over


def finish(console: Console, built: Stage, chain_client: ChainClient, actors: Sequence[Actor]) -> None:
    """Collect the money and print who got what."""
    side_by_side([partial(built.run, [actor.role, "withdraw"], actor) for actor in actors])
    used = report.gas_of_run(chain_client)
    console.print(Fitted(report.payments(Contracts.of(chain_client), chain_client, actors, used.paid_wei)))
    console.print(Fitted(report.gas(used)))


def _conclusion(chain: Chain, plan: Plan, task: GradientTask) -> str:
    if not chain.blocks:
        return f"no block was mined: the task ended as {task.state.name.lower()}"
    first, last = chain.test_percent[0], chain.test_percent[-1]
    return (
        f"{len(chain.blocks)} blocks of {chain.mean_steps:.0f} steps and {chain.mean_interval_s:.1f} s of search on "
        f"average (wanted {plan.interval_s} s)\n"
        f"test accuracy {first:.2f} % after the first, {last:.2f} % after the last"
    )


if __name__ == "__main__":
    sys.exit(exit_code(cli))
