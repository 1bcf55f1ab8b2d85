"""`make gas`, second part: what depends on the length of the task list or on being first, on the `public` profile."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from web3 import HTTPProvider, Web3

from benchmarks.gas import MINER_LIMIT_GAS, Step
from pole.chain.profiles import ETHER, PUBLIC
from pole.storage.cid import cid_of
from testbed import rounds
from testbed.artifacts import compiled
from testbed.chain import development_chain
from testbed.contracts import ACCOUNTS, Chain, development_key
from testbed.deployer import deploy_with_web3

SIZES = (10, 10_000)
TASK_LIMIT_GAS = 200_000
"""A submission, and the opening of a round, however many tasks are pending."""
_FIRST_OF_IDLE: Step = ("miner", "commit + reveal, first of an idle round")


def measure_first(chain: Chain) -> dict[Step, int]:
    """Commit and reveal of the first miner of the first idle round of all: it binds the previous hash."""
    rounds.seat(chain, 3)
    chain.do(chain.anyone, "LearningChain", "openIdleRound")
    current = rounds.bound(chain)
    committed = rounds.commit_hash(chain, current, chain.miner(0), rounds.commitment(chain, current, chain.miner(0)))
    rounds.advance(chain, current)
    rounds.advance(chain, current)
    revealed = rounds.reveal(chain, current, chain.miner(0))
    if committed.error or revealed.error:
        raise RuntimeError(f"commit: {committed.said}, reveal: {revealed.said}")
    return {_FIRST_OF_IDLE: committed.gas_used + revealed.gas_used}


def measure_list(chain: Chain, sizes: Sequence[int] = SIZES) -> dict[Step, int]:
    """A submission to the middle of lists so long, and the opening of a round for the first of them."""
    found: dict[Step, int] = {}
    for size in sizes:
        rounds.fill_list(chain, size)
        market = chain.contracts.task_market
        middle = list(market.pending())[size // 2][0]
        task = market.task(middle)
        value_wei = task.bond_wei + task.reward_wei + task.verifier_fee_wei
        terms = rounds.terms(chain, chain.client)
        submitted = chain.do(chain.client, "TaskMarket", "submit", terms, middle, value_wei=value_wei)
        found["client", f"submit among {size:,}"] = submitted.gas_used
        opened = chain.do(chain.anyone, "LearningChain", "openRound")
        found["anyone", f"open a round among {size:,}"] = opened.gas_used
        rounds.advance(chain, rounds.latest(chain))
    return found


def violations(gas: dict[Step, int]) -> list[str]:
    """What exceeds its bound, in words."""
    limits = {step: MINER_LIMIT_GAS if step == _FIRST_OF_IDLE else TASK_LIMIT_GAS for step in gas}
    return [
        f"{', '.join(step)}: {used:,} gas exceed {limits[step]:,}" for step, used in gas.items() if used > limits[step]
    ]


def measure(sizes: Sequence[int] = SIZES) -> dict[Step, int]:
    """Both, each on a chain of its own."""
    found: dict[Step, int] = {}
    for measured in (measure_first, lambda chain: measure_list(chain, sizes)):
        with development_chain(block_time_s=None, accounts=ACCOUNTS) as node:
            web3 = Web3(HTTPProvider(node.rpc_url, exception_retry_configuration=None))
            artifacts = compiled()
            deployment = deploy_with_web3(web3, development_key(0), PUBLIC, cid_of(b"idle"), artifacts, 1)
            chain = Chain(web3, deployment, artifacts)
            chain.rpc("anvil_setBalance", chain.client, hex(1_000 * ETHER))
            found |= measured(chain)
    return found


def main() -> int:
    """Print the table and what exceeds a bound; returns the exit status."""
    console = Console(width=None if sys.stdout.isatty() else 140)
    with console.status("Filling lists ..."):
        found = measure()
    table = Table("role", "step", "gas", title="Gas by the length of the list, and of the first")
    for (role, step), used in found.items():
        table.add_row(role, step, f"{used:,}")
    console.print(table)
    broken = violations(found)
    for line in broken:
        console.print(f"[red]error:[/red] {line}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
