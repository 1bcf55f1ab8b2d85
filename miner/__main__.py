"""The miner's command line: `python -m miner`."""

import secrets
import sys

import click
import torch

from miner.gradient.node import GradientMiner, GradientOptions
from miner.learning.node import MinerNode, MinerOptions
from miner.limits import MinerLimits
from miner.training.api import choose_device, load_trainer
from pole.chain.contracts.gradient_chain import GradientLedger
from pole.money import wei_to_ether
from pole.node.cli import exit_code, role_options
from pole.node.commands import RunByDefault, last_status, withdraw_command
from pole.node.context import RoleContext
from pole.node.pins import UNPIN_AFTER_S

_LOST_BONDS_HELP = "Gradient: enrol again after so many lost bonds."
_CHECK_STEPS_HELP = "Gradient: steps in which nearly all weights of a task must move; 0 trusts the client."


@click.group(cls=RunByDefault)
def cli() -> None:
    """Train the models that others commission, and earn their rewards. Without a command: run."""


@cli.command()
@role_options("miner")
@click.option(
    "--chain",
    type=click.Choice(["learning", "gradient"]),
    default="learning",
    show_default=True,
    help="Blocks that are trained models, or blocks that are training steps.",
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--threads",
    type=click.IntRange(0, 1024),
    default=0,
    help="CPU threads to train with.  [default: all; on the gradient chain, what is measured to be fastest]",
)
@click.option("--seed", type=click.IntRange(0), help="Of initial weights and mini-batches.  [default: random]")
@click.option(
    "--trainer",
    default="miner.training.default:train",
    show_default=True,
    help="Training method as module:function; see docs/miner-plugin.md.",
)
@click.option(
    "--margin-ppm",
    type=click.IntRange(0, 1_000_000),
    help="Train accuracy beyond the required one.  [default: the task's tolerance, at most a quarter of the rest]",
)
@click.option(
    "--commit-latency",
    type=click.FloatRange(0.5),
    help="Seconds before the deadline to stop and commit, some three blocks.  [default: by time limit, 4 to 40]",
)
@click.option("--min-reward-wei", type=click.IntRange(0), default=0, show_default=True, help="Decline cheaper tasks.")
@click.option("--max-data-bytes", type=click.IntRange(1), default=8 << 30, show_default=True)
@click.option("--idle", is_flag=True, help="With no task to work on, open idle rounds for the token reward alone.")
@click.option("--withdraw-over", type=click.IntRange(0), metavar="WEI", help="Withdraw credits above this.")
@click.option(
    "--unpin-after",
    type=click.IntRange(0),
    default=UNPIN_AFTER_S,
    show_default=True,
    metavar="SECONDS",
    help="Keep a winning model published for so long after its round; IPFS only.",
)
@click.option("--lost-bonds", type=click.IntRange(0), default=0, show_default=True, help=_LOST_BONDS_HELP)
@click.option("--check-steps", type=click.IntRange(0), default=300, show_default=True, help=_CHECK_STEPS_HELP)
@click.option(
    "--rounds", type=click.IntRange(1), help="Exit after so many rounds (gradient: blocks).  [default: never]"
)
@click.option("--once", is_flag=True, help="Exit after one round; the same as --rounds 1.")
def run(
    context: RoleContext,
    *,
    chain: str,
    device: str,
    threads: int,
    seed: int | None,
    trainer: str,
    margin_ppm: int | None,
    commit_latency: float | None,
    min_reward_wei: int,
    max_data_bytes: int,
    idle: bool,
    withdraw_over: int | None,
    unpin_after: int,
    lost_bonds: int,
    check_steps: int,
    rounds: int | None,
    once: bool,
) -> None:
    """Follow a chain: train on the most valuable task and compete for its reward, again and again.

    The gradient chain has no use for --seed, --trainer, --margin-ppm, --commit-latency and --idle.
    """
    limits, enough = MinerLimits(min_reward_wei, max_data_bytes), 1 if once else rounds
    if chain == "gradient":
        gradient = GradientOptions(choose_device(device), threads, limits, withdraw_over, check_steps, lost_bonds)
        _mine_blocks(context, gradient, enough)
        return
    if threads:
        torch.set_num_threads(threads)
    options = MinerOptions(
        trainer=load_trainer(trainer),
        device=choose_device(device),
        seed=secrets.randbelow(1 << 31) if seed is None else seed,
        limits=limits,
        margin_ppm=margin_ppm,
        commit_latency_s=commit_latency,
        is_idle_allowed=idle,
        withdraw_over_wei=withdraw_over,
        unpin_after_s=unpin_after,
    )
    node = MinerNode(context, options)
    context.log.info(f"miner {context.gateway.address} trains on {options.device} with seed {options.seed}")
    node.run(lambda: enough is not None and node.rounds_ended >= enough)


def _mine_blocks(context: RoleContext, options: GradientOptions, enough: int | None) -> None:
    node = GradientMiner(context, options)
    context.log.info(f"miner {context.gateway.address} looks for blocks on {options.device}")
    node.run(lambda: enough is not None and node.blocks_ended >= enough)


@cli.command()
@role_options("miner", is_exclusive=False)
def leave(context: RoleContext) -> None:
    """End the enrolment on the gradient chain; called again after the exit delay, turn the bond into a credit."""
    ledger, address = GradientLedger(context.gateway), context.gateway.address
    miner, block = ledger.miner(address), context.gateway.block_number()
    if not miner.bond_wei:
        click.echo("the account is not enrolled")
    elif not miner.exit_at:
        context.gateway.transact(context.journal, f"leave/request/{block}", "GradientChain", "requestExit")
        click.echo(f"leaving; leave again from block time {ledger.miner(address).exit_at} on")
    elif context.gateway.block_time() < miner.exit_at or miner.has_proposal:
        left_s = max(0, miner.exit_at - context.gateway.block_time())
        click.echo(
            f"still leaving: {left_s} s to go" + (", and a proposal to be decided" if miner.has_proposal else "")
        )
    else:
        context.gateway.transact(context.journal, f"leave/complete/{block}", "GradientChain", "completeExit")
        click.echo(f"{wei_to_ether(miner.bond_wei)} ether are credited; python -m miner withdraw sends them")


@cli.command()
@role_options("miner", is_exclusive=False)
def status(context: RoleContext) -> None:
    """Say what the account owns, which round is on, and what the running miner waits for."""
    address = context.gateway.address
    click.echo(f"account   {address}")
    click.echo(f"balance   {wei_to_ether(context.gateway.balance_wei(address))} ether")
    click.echo(f"credit    {wei_to_ether(context.ledger.credit_wei(address))} ether (python -m miner withdraw)")
    click.echo(f"token     {wei_to_ether(context.ledger.token_balance(address))}")
    current = context.ledger.current_round()
    if current is None:
        click.echo(f"round     none; {context.ledger.pending_count()} tasks are pending")
    else:
        index = context.ledger.submission_index(current.round_id, address)
        mine = "not committed" if index is None else f"committed as number {index}"
        click.echo(f"round     {current.round_id}, {current.phase.name.lower()} until {current.deadline}; {mine}")
    click.echo(f"gradient  {_enrolment(GradientLedger(context.gateway), address)}")
    click.echo(f"process   {last_status(context.home)}")


def _enrolment(ledger: GradientLedger, address: str) -> str:
    miner, current = ledger.miner(address), ledger.current()
    bond = f"bond of {wei_to_ether(miner.bond_wei)} ether" if miner.bond_wei else "not enrolled"
    leaving = f", leaving at {miner.exit_at}" if miner.exit_at else ""
    return f"{bond}{leaving}; height {current.height}, {current.phase.name.lower()}"


cli.add_command(withdraw_command("miner"))


if __name__ == "__main__":
    sys.exit(exit_code(cli))
