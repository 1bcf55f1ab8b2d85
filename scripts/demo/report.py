"""What the demo says at the end: the blocks, who was paid what, gas per step."""

import os
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from eth_utils.abi import function_signature_to_4byte_selector
from rich.table import Table
from web3.types import TxData

from pole.chain.client import ChainClient
from pole.chain.contracts import Contracts
from pole.timing import NOTHING, Timing
from scripts.demo.view import ppm_as_percent
from testbed.processes import Actor

_ETHER = 10**18


@dataclass(frozen=True)
class GasUsed:
    """By step: gas of transactions that did it, and how many came after somebody else's. By account: wei paid."""

    succeeded: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    reverted: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    paid_wei: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def ether(amount_wei: int) -> str:
    return f"{amount_wei / _ETHER:.4f}"


def blocks(contracts: Contracts, names: Mapping[str, str], tasks: Mapping[int, str]) -> Table:
    """One row per block, with its own ommers and the one that it references."""
    table = Table("lane", "height", "task", "winner", "train", "test", "ommers", "references", title="Blocks")
    for lane in contracts.lanes:
        _add_blocks(table, lane, names, tasks)
    return table


def _add_blocks(table: Table, lane: Contracts, names: Mapping[str, str], tasks: Mapping[int, str]) -> None:
    ledger = lane.block_ledger
    referenced = {event.arguments["height"]: event for event in ledger.references()}
    for height in range(1, ledger.height() + 1):
        header = ledger.header(height)
        own = ", ".join(f"{names[o.miner]} {ppm_as_percent(o.test_ppm)}" for o in ledger.ommers(height)) or "-"
        event = referenced.get(height)
        reference = "-"
        if event is not None:
            paid = event.arguments
            reference = f"{names[paid['miner']]} of {paid['ommerHeight']} (R_r {ether(paid['ommerReward'])})"
        table.add_row(
            str(lane.lane + 1),
            str(height),
            tasks.get(header.task_id, "idle"),
            names[header.winner],
            ppm_as_percent(header.train_ppm),
            ppm_as_percent(header.test_ppm),
            own,
            reference,
        )


def payments(
    contracts: Contracts, chain_client: ChainClient, actors: Sequence[Actor], gas_paid_wei: Mapping[str, int]
) -> Table:
    """Credits that each role earned, got back or withdrew, tokens minted to it, and what its gas cost."""
    table = Table(
        "who",
        *("credited (ETH)", "of it withdrawn", "reward token", "stake (ETH)", "gas paid (ETH)"),
        title="Who was paid what",
        caption="Credits hold returned bonds as well as rewards and fees.",
    )
    credited = _sums(chain_client, "Credited", "payee")
    withdrawn = _sums(chain_client, "Withdrawn", "payee")
    for actor in actors:
        table.add_row(
            actor.name,
            ether(credited[actor.address]),
            ether(withdrawn[actor.address]),
            ether(contracts.reward_token.balance(actor.address)),
            ether(contracts.verifier_committee.verifier(actor.address).stake_wei),
            f"{gas_paid_wei[actor.address] / _ETHER:.6f}",
        )
    return table


def encryption(timings: Mapping[str, Timing], wall_s: float) -> Table:
    """What encrypting and decrypting took every process, by the clock also as a share of the whole run.

    Seconds by the clock overlap, and contain waiting for a core: only those of the processor are added up.
    """
    table = Table("who", "rows", "seconds", "of the run", "processor seconds", title="Encrypting and decrypting")
    for name, timing in timings.items():
        share = f"{100 * timing.wall_s / wall_s:.1f} %"
        table.add_row(name, f"{timing.rows:,}", f"{timing.wall_s:.2f}", share, f"{timing.cpu_s:.2f}")
    total, cores = sum(timings.values(), NOTHING), len(os.sched_getaffinity(0))
    table.add_row("all together", f"{total.rows:,}", "", "", f"{total.cpu_s:.2f}")
    share = f"{100 * total.cpu_s / wall_s / cores:.1f} %"
    table.caption = f"{share} of what {cores} core(s) can do in the {wall_s:.0f} s from the first line to here."
    return table


def gas(used: GasUsed) -> Table:
    """Gas per step over all transactions of the run."""
    table = Table("step", "times", "median gas", "most", "came too late", title="Gas per step")
    for step, amounts in sorted(used.succeeded.items()):
        median = round(statistics.median(amounts))
        table.add_row(step, str(len(amounts)), f"{median:,}", f"{max(amounts):,}", str(used.reverted[step] or "-"))
    return table


def gas_of_run(chain_client: ChainClient) -> GasUsed:
    """What every transaction to the contracts since the deployment used."""
    steps = _selectors(chain_client)
    used = GasUsed()
    for number in range(chain_client.deployment.block_number, chain_client.block_number() + 1):
        block = chain_client.web3.eth.get_block(number, full_transactions=True)
        for transaction in cast(Sequence[TxData], block["transactions"]):
            step = steps.get((transaction.get("to"), bytes(transaction["input"])[:4]))
            if step is None:
                continue
            receipt = chain_client.web3.eth.get_transaction_receipt(transaction["hash"])
            used.paid_wei[transaction["from"]] += receipt["gasUsed"] * receipt["effectiveGasPrice"]
            if receipt["status"] == 1:
                used.succeeded[step].append(receipt["gasUsed"])
            else:
                used.reverted[step] += 1
    return used


def _selectors(chain_client: ChainClient) -> dict[tuple[Any, bytes], str]:
    """(contract address, function selector) -> "Contract.function"."""
    found: dict[tuple[Any, bytes], str] = {}
    for name, contract in chain_client.deployment.contracts.items():
        instance: Any = chain_client.web3.eth.contract(address=cast(Any, contract.address), abi=cast(Any, contract.abi))
        for function in instance.all_functions():
            selector = function_signature_to_4byte_selector(function.signature)
            found[(contract.address, selector)] = f"{name}.{function.fn_name}"
    return found


def _sums(chain_client: ChainClient, event: str, who: str) -> dict[str, int]:
    sums: dict[str, int] = defaultdict(int)
    for entry in chain_client.logs("RewardReservoir", event):
        sums[entry.arguments[who]] += entry.arguments["amountWei"]
    return sums
