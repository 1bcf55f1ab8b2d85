"""Which source of PHS a network allows: known networks by name, and any other by what its node answers.

A source is refused where somebody can foresee it: models trained for a hash that was known too early would win.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from web3 import Web3
from web3.exceptions import Web3Exception

from pole.chain.structs import AnchorSource
from pole.errors import BadInput

ARB_SYS = "0x0000000000000000000000000000000000000064"
_ARB_BLOCK_NUMBER = "0xa3b1b31d"
# NUMBER PUSH1 0 MSTORE, PUSH1 1 NUMBER SUB BLOCKHASH PUSH1 32 MSTORE, PUSH1 64 PUSH1 0 RETURN: run by a call without
# a recipient, it gives the block's number and what `blockhash` says of the block before.
_SAY_BLOCK_HASH = "0x43600052600143034060205260406000f3"
_SAMPLE = 4

NAMES = {
    AnchorSource.BLOCK_HASH: "blockhash",
    AnchorSource.KEPT_BLOCK_HASH: "kept-blockhash",
    AnchorSource.PREV_RANDAO: "prevrandao",
    AnchorSource.ARB_SYS: "arbsys",
}
"""On the command line."""


@dataclass(frozen=True)
class Network:
    """`sources`: those that nobody can foresee, the default first; `why` the others are refused."""

    name: str
    sources: Sequence[AnchorSource]
    why: str


_ETHEREUM = (AnchorSource.BLOCK_HASH, AnchorSource.KEPT_BLOCK_HASH, AnchorSource.PREV_RANDAO), "it has no ArbSys"
_OPTIMISM = (
    (AnchorSource.KEPT_BLOCK_HASH,),
    "its prevrandao is that of an older block of Ethereum, and 256 of its blocks last nine minutes, less than a round",
)
_ARBITRUM = (AnchorSource.ARB_SYS,), "its blockhash can be foreseen, and its prevrandao is always 1"

NETWORKS = {
    1: Network("Ethereum", *_ETHEREUM),
    11155111: Network("Sepolia", *_ETHEREUM),
    560048: Network("Hoodi", *_ETHEREUM),
    10: Network("OP Mainnet", *_OPTIMISM),
    11155420: Network("OP Sepolia", *_OPTIMISM),
    8453: Network("Base", *_OPTIMISM),
    84532: Network("Base Sepolia", *_OPTIMISM),
    42161: Network("Arbitrum One", *_ARBITRUM),
    42170: Network("Arbitrum Nova", *_ARBITRUM),
    421614: Network("Arbitrum Sepolia", *_ARBITRUM),
}


def anchor_for(web3: Web3, wanted: AnchorSource | None, *, is_development: bool) -> AnchorSource:
    """The source of a deployment on this node's network. Raises BadInput if the wanted or only one is insecure there.

    Of an unknown public network, nobody but the deployer can say which is right.
    """
    chain_id = web3.eth.chain_id
    known = NETWORKS.get(chain_id)
    if known is not None:
        source = _of_known(known, chain_id, wanted)
    elif wanted is None and not is_development:
        raise BadInput(
            f"chain {chain_id} is not known here: say with --anchor what nobody can foresee on it, one of "
            f"{', '.join(NAMES.values())}; docs/operations.md says how to find out"
        )
    else:
        source = AnchorSource.BLOCK_HASH if wanted is None else wanted
    problem = _problem(web3, source)
    if problem:
        where = known.name if known else "this network"
        raise BadInput(f"--anchor {NAMES[source]} is insecure on {where} (chain {chain_id}): {problem}")
    return source


def _of_known(known: Network, chain_id: int, wanted: AnchorSource | None) -> AnchorSource:
    default = known.sources[0]
    if wanted is None or wanted in known.sources:
        return default if wanted is None else wanted
    raise BadInput(
        f"--anchor {NAMES[wanted]} is insecure on {known.name} (chain {chain_id}): {known.why}; "
        f"use --anchor {NAMES[default]}"
    )


def _problem(web3: Web3, source: AnchorSource) -> str:
    """What the node's answers show against a source; empty if nothing."""
    has_arb_sys = _has_arb_sys(web3)
    if source is AnchorSource.ARB_SYS:
        return "" if has_arb_sys else f"there is no ArbSys at {ARB_SYS}"
    if has_arb_sys:
        return f"it is an Arbitrum chain; use --anchor {NAMES[AnchorSource.ARB_SYS]}"
    if source is AnchorSource.PREV_RANDAO:
        return _problem_of_randao(web3)
    return _problem_of_blockhash(web3)


def _has_arb_sys(web3: Web3) -> bool:
    return len(_call(web3, {"to": ARB_SYS, "data": _ARB_BLOCK_NUMBER})) == 32


def _problem_of_blockhash(web3: Web3) -> str:
    said = _call(web3, {"data": _SAY_BLOCK_HASH})
    number = int.from_bytes(said[:32], "big")
    if len(said) != 64 or number == 0:  # the node runs no code without a recipient, or there is only a genesis
        return ""
    before: Any = web3.eth.get_block(number - 1)
    if bytes(before["hash"]) != said[32:]:
        return f"what contracts see of block {number - 1} is not its hash"
    return ""


def _problem_of_randao(web3: Web3) -> str:
    newest = web3.eth.block_number
    values = [_randao(web3, number) for number in range(max(1, newest - _SAMPLE + 1), newest + 1)]
    if len(values) > 1 and len(set(values)) < len(values):
        return f"it was the same in several of the last {len(values)} blocks"
    return ""


def _randao(web3: Web3, number: int) -> bytes:
    block: Any = web3.eth.get_block(number)
    return bytes(block.get("mixHash", b""))


def _call(web3: Web3, call: dict[str, str]) -> bytes:
    """What the node returns; nothing if it refuses."""
    try:
        return bytes(web3.eth.call(cast(Any, call)))
    except (Web3Exception, ValueError):
        return b""
