"""The verifier's command line: `python -m verifier`.

What judges runs in a process of its own: this one needs no torch, which takes seconds to load.
"""

import contextlib
import sys
from typing import Any

import click
from eth_utils.address import is_address, is_checksum_address, to_checksum_address

from pole.errors import BadInput
from pole.money import wei_to_ether
from pole.node.cli import ETHER, role_options
from pole.node.commands import RunByDefault, last_status, withdraw_command
from pole.node.context import RoleContext
from pole.node.exit import exit_code
from pole.node.terminal import say
from verifier.gradient.commands import gradient
from verifier.judging.messages import JudgingLimits


class Address(click.ParamType):
    """An account's address on the command line, with its checksum to the program."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not is_address(value) or (value != value.lower() and not is_checksum_address(value)):
            self.fail(f"{value!r} is not an address, or its checksum is wrong", param, ctx)
        return str(to_checksum_address(value))


ADDRESS = Address()
NOBODY = "0x" + 40 * "0"


@click.group(cls=RunByDefault)
def cli() -> None:
    """Judge what miners reveal and propose, and earn the verifiers' fee. Without a command: run."""


@cli.command()
@role_options("verifier")
@click.option("--stake", "stake_wei", type=ETHER, default=0, metavar="ETHER", help="Stake so much before the start.")
@click.option(
    "--threads", type=click.IntRange(1, 1024), default=1, show_default=True, help="CPU threads to judge with."
)
@click.option("--judge-memory-mib", type=click.IntRange(64), default=8192, show_default=True)
@click.option("--judge-cpu-s", type=click.IntRange(1), default=1800, show_default=True, help="Processor time an entry.")
@click.option("--judge-wall-s", type=click.IntRange(1), default=1800, show_default=True, help="Time an entry.")
@click.option(
    "--vote-latency",
    type=click.FloatRange(0.5),
    help="Seconds before the deadline by which to commit a vote.  [default: a tenth of the window, 3 to 40]",
)
@click.option("--owner", type=ADDRESS, help="Vote for this address, which has named the account its voter.")
@click.option("--rounds", type=click.IntRange(1), help="Exit after so many rounds.  [default: never]")
def run(
    context: RoleContext,
    *,
    stake_wei: int,
    threads: int,
    judge_memory_mib: int,
    judge_cpu_s: int,
    judge_wall_s: int,
    vote_latency: float | None,
    owner: str | None,
    rounds: int | None,
) -> None:
    """Follow both chains: judge every revealed model and every proposed block in processes of their own, and vote."""
    from verifier.node import VerifierNode

    if owner is not None and stake_wei:
        raise BadInput(f"--stake would stake the voter's own ether; {owner} stakes for itself: leave --stake out")
    limits = JudgingLimits(memory_bytes=judge_memory_mib << 20, cpu_s=judge_cpu_s, wall_s=judge_wall_s, threads=threads)
    window_s = context.contracts.verifier_committee.parameters().vote_commit_window_s
    reserve_s = min(40.0, max(3.0, window_s / 10)) if vote_latency is None else vote_latency
    node = VerifierNode(context, limits, reserve_s, stake_wei, owner)
    with contextlib.closing(node):
        node.run(lambda: rounds is not None and node.rounds_ended >= rounds)


@cli.command()
@role_options("verifier", is_exclusive=False)
@click.argument("amount_wei", type=ETHER, metavar="ETHER")
def stake(context: RoleContext, *, amount_wei: int) -> None:
    """Add ETHER to the stake, and take a seat in the committee.

    0 takes one with what is left of a stake. A full committee is entered by outbidding its smallest stake, whose owner
    gets a price for it out of ETHER.
    """
    key = f"stake/by-hand/{context.chain.block_number()}"
    context.contracts.verifier_committee.stake(amount_wei, key=key)
    verifier = context.contracts.verifier_committee.verifier(context.address)
    click.echo(f"stake is {wei_to_ether(verifier.stake_wei)} ether; {'seated' if verifier.is_seated else 'not seated'}")


@cli.command()
@role_options("verifier", is_exclusive=False)
def unstake(context: RoleContext) -> None:
    """Give up the seat; called again after the unbonding period, turn the stake into a credit."""
    address = context.address
    verifier = context.contracts.verifier_committee.verifier(address)
    if verifier.is_seated:
        key = f"unstake/request/{context.chain.block_number()}"
        context.contracts.verifier_committee.request_unstake(key=key)
        release_at = context.contracts.verifier_committee.verifier(address).release_at
        click.echo(f"the seat is given up; unstake again from block time {release_at} on")
    elif verifier.stake_wei == 0:
        click.echo("there is no stake")
    elif context.chain.block_time() < verifier.release_at or verifier.open_ballots:
        left_s = max(0, verifier.release_at - context.chain.block_time())
        click.echo(f"still unbonding: {left_s} s and {verifier.open_ballots} open ballots to go")
    else:
        key = f"unstake/complete/{context.chain.block_number()}"
        context.contracts.verifier_committee.complete_unstake(key=key)
        click.echo(f"{wei_to_ether(verifier.stake_wei)} ether are credited; python -m verifier withdraw sends them")


@cli.command()
@role_options("verifier", is_exclusive=False)
@click.argument("address", type=ADDRESS, required=False)
@click.option("--none", "is_none", is_flag=True, help="Nobody votes for the account but itself.")
def voter(context: RoleContext, *, address: str | None, is_none: bool) -> None:
    """Let ADDRESS vote for this account, at once and in place of a voter before it.

    The account keeps its key cold: stake and credits stay its own. ADDRESS runs with --owner.
    """
    if (address is None) != is_none:
        raise BadInput("say who votes: give an ADDRESS, or --none")
    key = f"voter/by-hand/{context.chain.block_number()}"
    context.contracts.verifier_committee.set_voter(address or NOBODY, key=key)
    click.echo(f"{address or 'nobody'} votes for {context.address}" + (" but itself" if is_none else ""))


@cli.command()
@role_options("verifier", is_exclusive=False)
@click.option("--owner", type=ADDRESS, help="Whom the account votes for.")
def status(context: RoleContext, *, owner: str | None) -> None:
    """Say what the account owns, whether it is seated, and what the running verifier waits for."""
    address = owner or context.address
    verifier = context.contracts.verifier_committee.verifier(address)
    if verifier.is_seated:
        seat = "seated"
    else:
        seat = f"unbonding until {verifier.release_at}" if verifier.release_at else "not seated"
    say("account", f"{context.address}" + (f", votes for {owner}" if owner else ""))
    say("balance", f"{wei_to_ether(context.chain.balance_wei(context.address))} ether")
    say("stake", f"{wei_to_ether(verifier.stake_wei)} ether, {seat}, {verifier.open_ballots} open ballots")
    if verifier.voter != NOBODY:
        say("voter", verifier.voter)
    credit_wei = context.contracts.reward_reservoir.credit_wei(address)
    say("credit", f"{wei_to_ether(credit_wei)} ether (python -m verifier withdraw)")
    say("process", last_status(context.home))


cli.add_command(withdraw_command("verifier"))
cli.add_command(gradient)


if __name__ == "__main__":
    sys.exit(exit_code(cli))
