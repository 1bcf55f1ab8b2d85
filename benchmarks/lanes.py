"""`python -m benchmarks.lanes`: the block time that tasks take on one lane and on several, if each takes all its time.

Everybody acts as soon as it may, on a chain that mines every transaction at once; commits stay open until time is up.
What is left is what the rules themselves make a client wait.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import click
from web3 import HTTPProvider, Web3

from pole.chain.profiles import PUBLIC
from pole.chain.structs import TaskState
from pole.storage.cid import cid_of
from testbed import rounds
from testbed.artifacts import compiled
from testbed.chain import development_chain
from testbed.contracts import ACCOUNTS, Chain, development_key
from testbed.deployer import deploy_with_web3
from testbed.markdown import markdown_table

VERIFIERS = 3


@dataclass(frozen=True)
class Run:
    """`block_s`: from the first round's opening to the last one's block; `blocks`: of each lane."""

    lanes: int
    block_s: int
    blocks: list[int]


@click.command()
@click.option("--tasks", type=click.IntRange(1), default=12, show_default=True)
@click.option("--lanes", type=click.IntRange(2, 16), default=4, show_default=True)
@click.option("--time-limit", "time_limit_s", type=click.IntRange(60), default=3_600, show_default=True)
def cli(tasks: int, lanes: int, time_limit_s: int) -> None:
    """Play the same tasks on one lane and on several, with the windows of the `public` profile."""
    runs = [measure(count, tasks, time_limit_s) for count in (1, lanes)]
    rows = [[str(run.lanes), str(run.block_s), f"{run.block_s / runs[0].block_s:.3f}"] for run in runs]
    click.echo(f"{tasks} tasks of {time_limit_s} s")
    click.echo(markdown_table(["lanes", "block time (s)", "of one lane's"], rows))


def measure(lanes: int, tasks: int, time_limit_s: int) -> Run:
    """On a chain of its own."""
    artifacts = compiled()
    with development_chain(block_time_s=None, accounts=ACCOUNTS) as node:
        web3 = Web3(HTTPProvider(node.rpc_url, exception_retry_configuration=None))
        deployment = deploy_with_web3(web3, development_key(0), PUBLIC, cid_of(b"idle"), artifacts, lanes)
        chains = [Chain(web3, deployment, artifacts, lane) for lane in range(lanes)]
        return play(chains, tasks, time_limit_s)


def play(chains: Sequence[Chain], tasks: int, time_limit_s: int) -> Run:
    """All tasks, as many side by side as there are lanes."""
    first = chains[0]
    verifiers = rounds.seat(first, VERIFIERS)
    ids = [rounds.submit(first, time_limit_s=time_limit_s) for _ in range(tasks)]
    begun_s = first.now_s
    for start in range(0, tasks, len(chains)):
        play_once(chains[: tasks - start], verifiers)
    states = {first.contracts.task_market.task(task_id).state for task_id in ids}
    assert states == {TaskState.SOLVED}, states
    heights = [chain.contracts.block_ledger.height() for chain in chains]
    return Run(len(chains), first.now_s - begun_s, heights)


def play_once(chains: Sequence[Chain], verifiers: Sequence[str]) -> None:
    """A round on each lane, step by step side by side."""
    opened = [rounds.open_round(chain) for chain in chains]
    for number, (chain, current) in enumerate(zip(chains, opened, strict=True)):
        rounds.commit(chain, current, chain.miner(number % 10))
    for chain, current in zip(chains, opened, strict=True):
        rounds.advance(chain, current)  # the first one waits until time is up, for all
    for number, (chain, current) in enumerate(zip(chains, opened, strict=True)):
        rounds.release(chain, current)
        rounds.reveal(chain, current, chain.miner(number % 10))
        rounds.advance(chain, current)
    votes = {verifier: [rounds.good(900_000)] for verifier in verifiers}
    for chain, current in zip(chains, opened, strict=True):
        rounds.vote_and_finish(chain, current, votes)


if __name__ == "__main__":
    cli()
