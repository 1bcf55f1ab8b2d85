"""Sender, step and gas of the transactions that events came from: read after the events, which need not wait for it."""

import sqlite3
from typing import Any

from eth_utils.abi import abi_to_signature, function_signature_to_4byte_selector

from explorer.chain.codec import checksummed
from explorer.chain.node import Node, Refusal
from explorer.index.writing import transaction
from pole.chain.deployment import Deployment

_AT_ONCE = 100


def read_transactions(node: Node, connection: sqlite3.Connection, deployment: Deployment) -> int:
    """Read some that are missing, the newest first; how many were written."""
    rows = connection.execute(
        "SELECT hash FROM transactions WHERE sender IS NULL ORDER BY block DESC LIMIT ?", (_AT_ONCE,)
    ).fetchall()
    hashes = [hash_ for (hash_,) in rows]
    if not hashes:
        return 0
    sent = node.batch([("eth_getTransactionByHash", [each]) for each in hashes])
    mined = node.batch([("eth_getTransactionReceipt", [each]) for each in hashes])
    steps = _steps(deployment)
    found = [
        (*_details(one, other, steps), hash_)
        for hash_, one, other in zip(hashes, sent, mined, strict=True)
        if _is_answer(one) and _is_answer(other)
    ]
    with transaction(connection):
        connection.executemany(
            "UPDATE transactions SET sender = ?, recipient = ?, step = ?, gas_used = ?, gas_price = ? WHERE hash = ?",
            found,
        )
    return len(found)


def _is_answer(found: Any) -> bool:
    """A transaction that a reorganisation took away has none; the next step finds that out."""
    return isinstance(found, dict) and not isinstance(found, Refusal)


def _details(sent: dict[str, Any], mined: dict[str, Any], steps: dict[tuple[str, str], str]) -> tuple[Any, ...]:
    to = mined.get("to") or mined.get("contractAddress") or ""
    step = steps.get((to.lower(), str(sent.get("input", ""))[:10]), "")
    price = mined.get("effectiveGasPrice") or sent.get("gasPrice") or "0x0"
    return checksummed(mined["from"]), checksummed(to), step, int(mined["gasUsed"], 16), int(price, 16)


def _steps(deployment: Deployment) -> dict[tuple[str, str], str]:
    """(address, selector) -> "Contract.function"."""
    return {
        (deployed.address.lower(), f"0x{function_signature_to_4byte_selector(abi_to_signature(entry)).hex()}"): (  # type: ignore[arg-type]
            f"{name}.{entry['name']}"
        )
        for name, deployed in deployment.contracts.items()
        for entry in deployed.abi
        if entry["type"] == "function"
    }
