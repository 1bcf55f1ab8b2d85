"""The miner's command line: `python -m miner`.

Training modules are imported inside the commands that train: torch alone takes seconds.
"""

import secrets
import sys

import click

from miner.gradient.commands import enrolment, gradient
from pole.errors import BadInput
from pole.money import wei_to_ether
from pole.node.cli import ETHER, ETHER_OR_NOTHING, role_options, unpin_after_option
from pole.node.commands import RunByDefault, last_status, withdraw_command
from pole.node.context import RoleContext
from pole.node.exit import exit_code
from pole.node.terminal import say


@click.group(cls=RunByDefault)
def cli() -> None:
    """Train the models that others commission, and earn their rewards. Without a command: run."""


@cli.command()
@role_options("miner")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--threads",
    type=click.IntRange(0, 1024),
    default=0,
    help="CPU threads to train with.  [default: all]",
)
@click.option("--seed", type=click.IntRange(0), help="Of initial weights and mini-batches.  [default: random]")
@click.option(
    "--trainer",
    default="miner.training.default:train",
    show_default=True,
    help="Training method as module:function; see docs/miner-plugin.md.",
)
@click.option(
    "--commit-latency",
    type=click.FloatRange(0.5),
    help="Seconds before the deadline to stop and commit, some three blocks.  [default: by time limit, 4 to 40]",
)
@click.option("--min-reward", "min_reward_wei", type=ETHER, default=0, metavar="ETHER", help="Decline cheaper tasks.")
@click.option("--max-data-bytes", type=click.IntRange(1), default=8 << 30, show_default=True)
@click.option(
    "--lane", type=click.IntRange(1), help="Work on this lane only.  [default: where the most is to be earned]"
)
@click.option("--idle", is_flag=True, help="With no task to work on, open idle rounds for the token reward alone.")
@click.option(
    "--withdraw-over",
    "withdraw_over_wei",
    type=ETHER_OR_NOTHING,
    metavar="ETHER",
    help="Withdraw credits above this.  [default: withdraw nothing]",
)
@unpin_after_option("a winning model published for so long after its round")
@click.option("--rounds", type=click.IntRange(1), help="Exit after so many rounds.  [default: never]")
@click.option("--once", is_flag=True, help="Exit after one round; the same as --rounds 1.")
def run(
    context: RoleContext,
    *,
    device: str,
    threads: int,
    seed: int | None,
    trainer: str,
    commit_latency: float | None,
    min_reward_wei: int,
    max_data_bytes: int,
    lane: int | None,
    idle: bool,
    withdraw_over_wei: int | None,
    unpin_after: int,
    rounds: int | None,
    once: bool,
) -> None:
    """Follow the learning chain: train on the most valuable task and compete for its reward, again and again."""
    import torch

    from miner.learning.node import MinerNode, MinerOptions
    from miner.limits import MinerLimits
    from miner.training.api import choose_device, load_trainer

    limits, enough = MinerLimits(min_reward_wei, max_data_bytes), 1 if once else rounds
    if threads:
        torch.set_num_threads(threads)
    options = MinerOptions(
        trainer=load_trainer(trainer),
        device=choose_device(device),
        seed=secrets.randbelow(1 << 31) if seed is None else seed,
        limits=limits,
        commit_latency_s=commit_latency,
        is_idle_allowed=idle,
        withdraw_over_wei=withdraw_over_wei,
        unpin_after_s=unpin_after,
        lane=_lane_index(context, lane),
    )
    node = MinerNode(context, options)
    context.log.info(f"miner {context.address} trains on {options.device} with seed {options.seed}")
    node.run(lambda: enough is not None and node.rounds_ended >= enough and not node.is_committed)


def _lane_index(context: RoleContext, lane: int | None) -> int | None:
    """People count from 1."""
    count = len(context.contracts.lanes)
    if lane is not None and lane > count:
        raise BadInput(f"there is no lane {lane}; this deployment has {count}")
    return None if lane is None else lane - 1


@cli.command()
@role_options("miner", is_exclusive=False)
def status(context: RoleContext) -> None:
    """Say what the account owns, which round is on, and what the running miner waits for."""
    address = context.address
    say("account", address)
    say("balance", f"{wei_to_ether(context.chain.balance_wei(address))} ether")
    credit_wei = context.contracts.reward_reservoir.credit_wei(address)
    say("credit", f"{wei_to_ether(credit_wei)} ether (python -m miner withdraw)")
    say("token", wei_to_ether(context.contracts.reward_token.balance(address)))
    say("tasks", f"{context.contracts.task_market.pending_count()} pending")
    for lane in context.contracts.lanes:
        current = lane.learning_chain.current_round()
        title = "round" if len(context.contracts.lanes) == 1 else f"lane {lane.lane + 1}"
        if current is None:
            say(title, "no round")
            continue
        place = lane.learning_chain.place_of(current.round_id, address)
        mine = f"committed as number {place}" if place else "not committed"
        said = f"round {current.round_id}, {current.phase.name.lower()} until {current.deadline}; {mine}"
        say(title, said)
    say("gradient", enrolment(context.contracts.gradient_chain, address))
    say("process", last_status(context.home))


cli.add_command(withdraw_command("miner"))
cli.add_command(gradient)


if __name__ == "__main__":
    sys.exit(exit_code(cli))
