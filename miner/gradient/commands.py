"""The commands `python -m miner gradient`. torch is imported inside the commands that train."""

import click

from pole.chain.contracts import GradientChain
from pole.money import wei_to_ether
from pole.node.cli import ETHER, ETHER_OR_NOTHING, role_options, unpin_after_option
from pole.node.commands import RunByDefault, last_status, withdraw_command
from pole.node.context import RoleContext
from pole.node.terminal import say


@click.group(cls=RunByDefault)
def gradient() -> None:
    """Mine blocks that are training steps. Without a command: run."""


@gradient.command()
@role_options("miner")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--threads",
    type=click.IntRange(0, 1024),
    default=0,
    help="CPU threads to train with.  [default: what is measured to be fastest]",
)
@click.option("--min-reward", "min_reward_wei", type=ETHER, default=0, metavar="ETHER", help="Decline cheaper tasks.")
@click.option("--max-data-bytes", type=click.IntRange(1), default=8 << 30, show_default=True)
@click.option(
    "--withdraw-over",
    "withdraw_over_wei",
    type=ETHER_OR_NOTHING,
    metavar="ETHER",
    help="Withdraw credits above this.  [default: withdraw nothing]",
)
@click.option(
    "--bond",
    "bond_wei",
    type=ETHER,
    metavar="ETHER",
    help="Enrol with so much.  [default: what makes verifying long blocks cheap, at most half of the balance]",
)
@click.option(
    "--lost-bonds",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Enrol again after so many lost bonds.",
)
@click.option(
    "--check-steps",
    type=click.IntRange(0),
    default=300,
    show_default=True,
    help="Steps in which nearly all weights of a task must move; 0 trusts the client.",
)
@unpin_after_option("an own block's files published for so long after the next one")
@click.option("--blocks", type=click.IntRange(1), help="Exit after so many blocks.  [default: never]")
def run(
    context: RoleContext,
    *,
    device: str,
    threads: int,
    min_reward_wei: int,
    max_data_bytes: int,
    withdraw_over_wei: int | None,
    bond_wei: int | None,
    lost_bonds: int,
    check_steps: int,
    unpin_after: int,
    blocks: int | None,
) -> None:
    """Follow the gradient chain: enrol with a bond, open tasks, train, propose the steps that are blocks."""
    from miner.gradient.node import GradientMiner, GradientOptions
    from miner.limits import MinerLimits
    from miner.training.api import choose_device

    limits = MinerLimits(min_reward_wei, max_data_bytes)
    options = GradientOptions(
        choose_device(device), threads, limits, withdraw_over_wei, check_steps, lost_bonds, bond_wei, unpin_after
    )
    node = GradientMiner(context, options)
    context.log.info(f"miner {context.address} looks for blocks on {options.device}")
    node.run(lambda: blocks is not None and node.blocks_ended >= blocks)


@gradient.command()
@role_options("miner", is_exclusive=False)
def leave(context: RoleContext) -> None:
    """End the enrolment; called again after the exit delay, turn the bond into a credit."""
    gradient_chain, address = context.contracts.gradient_chain, context.address
    miner, block = gradient_chain.miner(address), context.chain.block_number()
    if not miner.bond_wei:
        click.echo("the account is not enrolled")
    elif not miner.exit_at:
        gradient_chain.request_exit(key=f"leave/request/{block}")
        click.echo(f"leaving; leave again from block time {gradient_chain.miner(address).exit_at} on")
    elif context.chain.block_time() < miner.exit_at or miner.has_proposal:
        left_s = max(0, miner.exit_at - context.chain.block_time())
        click.echo(
            f"still leaving: {left_s} s to go" + (", and a proposal to be decided" if miner.has_proposal else "")
        )
    else:
        gradient_chain.complete_exit(key=f"leave/complete/{block}")
        click.echo(f"{wei_to_ether(miner.bond_wei)} ether are credited; python -m miner withdraw sends them")


@gradient.command()
@role_options("miner", is_exclusive=False)
def status(context: RoleContext) -> None:
    """Say what the account has at stake on the gradient chain, and what the running miner waits for."""
    gradient_chain, credit_wei = context.contracts.gradient_chain, context.contracts.reward_reservoir.credit_wei
    say("account", f"{context.address}")
    say("balance", f"{wei_to_ether(context.chain.balance_wei(context.address))} ether")
    say("credit", f"{wei_to_ether(credit_wei(context.address))} ether (python -m miner withdraw)")
    say("gradient", f"{enrolment(gradient_chain, context.address)}")
    say("tasks", f"{gradient_chain.pending_count()} pending")
    say("process", f"{last_status(context.home)}")


gradient.add_command(withdraw_command("miner"))


def enrolment(gradient_chain: GradientChain, address: str) -> str:
    """What an account has at stake on the gradient chain, in words."""
    miner, current = gradient_chain.miner(address), gradient_chain.current()
    bond = f"bond of {wei_to_ether(miner.bond_wei)} ether" if miner.bond_wei else "not enrolled"
    leaving = f", leaving at {miner.exit_at}" if miner.exit_at else ""
    return f"{bond}{leaving}; height {current.height}, {current.phase.name.lower()}"
