"""The commands `python -m verifier gradient`. The verifier's `run` votes on both chains."""

import click

from pole.errors import BadInput, ProofInvalid
from pole.node.cli import role_options
from pole.node.commands import last_status
from pole.node.context import RoleContext
from pole.node.terminal import say


@click.group()
def gradient() -> None:
    """Look at blocks that are training steps. `run`, without gradient, votes on them too."""


@gradient.command()
@role_options("verifier", is_exclusive=False)
def status(context: RoleContext) -> None:
    """Say where the gradient chain is, and what the account has to do with it."""
    gradient_chain, committee = context.contracts.gradient_chain, context.contracts.verifier_committee
    current = gradient_chain.current()
    say("account", f"{context.address}")
    say("height", f"{current.height}, {current.phase.name.lower()}{_until(current.deadline)}")
    say("proposals", f"{current.proposal_count}")
    if current.ballot_id:
        ballot, member = committee.ballot(current.ballot_id), committee.member(current.ballot_id, context.address)
        vote = "revealed" if member.has_revealed else "committed" if member.has_committed else "none yet"
        mine = f"my vote: {vote}" if member.weight_wei else "I am no member"
        say("ballot", f"{ballot.ballot_id}, {ballot.phase.name.lower()}{_until(ballot.deadline)}; {mine}")
    say("process", f"{last_status(context.home)}")


@gradient.command()
@role_options("verifier", needs_account=False, is_exclusive=False)
@click.argument("height", type=click.IntRange(1))
def replay(context: RoleContext, *, height: int) -> None:
    """Train the block at HEIGHT again, all of its segments, and say whether it holds; whoever doubts may do so."""
    from verifier.gradient.replay import replay_block

    if height > context.contracts.gradient_chain.height():
        raise BadInput(f"there is no block {height} yet; the newest is {context.contracts.gradient_chain.height()}")
    header, found = replay_block(context, height)
    if not found.is_valid:
        raise ProofInvalid(f"block {height} of {header.miner} does not hold: {found.reason}")
    click.echo(
        f"block {height} of {header.miner} holds: {header.step} steps, digest {header.sign_digest} below "
        f"{header.threshold}, test accuracy {found.test_ppm / 10_000:.2f} % (on chain {header.test_ppm / 10_000:.2f} %)"
    )


def _until(deadline: int) -> str:
    return f" until {deadline}" if deadline else ""
