"""JSON-RPC as the indexer needs it: raw answers, batches, and errors that say whether a smaller range would help."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from web3.types import RPCEndpoint

from pole.chain.node_faults import NodeFault, TooLarge
from pole.chain.provider import NodeProvider
from pole.errors import BadInput, ChainError, TransientChainError
from pole.urls import scrub

BATCH = 100
_FINAL_DEPTH = 64
"""Where a node knows no `finalized` block: two epochs, as on mainnet."""
_LIMIT_CODES = (-32005, -32011, -32012, -32062)
_LIMIT_WORDS = re.compile(
    r"range|too many (results|logs|blocks)|more than \d+ (results|logs)|response size|size (limit )?exceed"
    r"|limit exceeded|exceeds? (the |max)|payload too large|too large",
    re.IGNORECASE,
)
Request = tuple[str, list[Any]]


class RangeRefused(ChainError):
    """The node would answer for fewer blocks."""


@dataclass(frozen=True)
class Refusal:
    """One request of a batch that the node refused."""

    code: int
    message: str


@dataclass(frozen=True)
class Header:
    number: int
    hash: str
    parent_hash: str
    timestamp: int


class Node:
    """The first of some nodes that answers, as for the roles; may be used by several threads."""

    def __init__(self, *rpc_urls: str, timeout_s: float = 20) -> None:
        if not rpc_urls:
            raise BadInput("there is no node to ask; give --rpc http://HOST:PORT")
        self._provider = NodeProvider(rpc_urls, timeout_s)

    @property
    def shown(self) -> str:
        """Address of the node that answered last, for messages."""
        return self._provider.address

    def expect(self, chain_id: int, genesis_hash: str) -> None:
        """From now on, no answer is taken from another chain; the node that answered last is this one."""
        self._provider.expect(chain_id, genesis_hash)

    def request(self, method: str, *params: Any) -> Any:
        """The result; raises RangeRefused, ChainError or TransientChainError."""
        reply = self._send(lambda: self._provider.make_request(RPCEndpoint(method), list(params)), method)
        refusal = _refusal(reply)
        if refusal is None:
            return reply.get("result")
        raise error_of(refusal, method)

    def batch(self, requests: Sequence[Request]) -> list[Any]:
        """Results in the order of the requests, a `Refusal` for each that was refused."""
        results: list[Any] = []
        for start in range(0, len(requests), BATCH):
            results += self._one_batch(requests[start : start + BATCH])
        return results

    def _one_batch(self, requests: Sequence[Request]) -> list[Any]:
        prepared = [(RPCEndpoint(method), params) for method, params in requests]
        reply = self._send(lambda: self._provider.make_batch_request(cast(Any, prepared)), "a batch")
        if not isinstance(reply, list) or len(reply) != len(requests):  # a node without batches
            reply = [
                self._send(lambda m=method, p=params: self._provider.make_request(m, p), method)
                for method, params in prepared
            ]
        return [refusal if (refusal := _refusal(each)) else each.get("result") for each in reply]

    def _send(self, call: Any, what: str) -> Any:
        try:
            return call()
        except TooLarge:
            raise RangeRefused(f"{what}: the node's answer would be too large") from None
        except NodeFault as fault:
            raise TransientChainError(f"{what}: {self.shown}: {fault}", fault.wait_s or 0.0) from None
        except (TypeError, ValueError):  # JSON-RPC by form only
            raise TransientChainError(
                f"{what}: the node at {self.shown} does not answer as a node does; give another --rpc"
            ) from None

    def header(self, block: int | str) -> Header | None:
        """By number or tag; None if there is no such block."""
        return header_of(self.request("eth_getBlockByNumber", _tag(block), False))

    def headers(self, numbers: Sequence[int]) -> list[Header | None]:
        """Of several blocks at once."""
        found = self.batch([("eth_getBlockByNumber", [hex(number), False]) for number in numbers])
        return [None if isinstance(each, Refusal) else header_of(each) for each in found]

    def latest(self) -> Header:
        found = self.header("latest")
        if found is None:
            raise TransientChainError(f"the node at {self.shown} has no latest block yet; try again")
        return found

    def finalized(self, latest: int) -> int:
        """Number of the newest block that can no longer change."""
        try:
            found = self.header("finalized")
        except ChainError:
            found = None
        return max(0, latest - _FINAL_DEPTH) if found is None else found.number

    def logs(self, addresses: Sequence[str], first: int, last: int) -> list[dict[str, Any]]:
        """All logs of these contracts; raises RangeRefused if there are too many blocks or logs in the range."""
        where = {"fromBlock": hex(first), "toBlock": hex(last), "address": list(addresses)}
        found = self.request("eth_getLogs", where)
        if not isinstance(found, list):
            raise TransientChainError(f"the node at {self.shown} answers eth_getLogs with no list; try again")
        return found


def header_of(block: Any) -> Header | None:
    """What a node says of a block; None for no block."""
    if not isinstance(block, dict):
        return None
    return Header(int(block["number"], 16), block["hash"], block["parentHash"], int(block["timestamp"], 16))


def error_of(refusal: Refusal, what: str) -> ChainError:
    """The error to raise: a smaller range helps only where the node says that the range or its answer is too large."""
    message = f"{what}: the node answers {scrub(refusal.message)!r:.300}"
    if refusal.code in _LIMIT_CODES or (what == "eth_getLogs" and _LIMIT_WORDS.search(refusal.message)):
        return RangeRefused(message)
    if refusal.code in (-32600, -32601, -32602):
        return ChainError(message)
    return TransientChainError(message)


def _refusal(reply: Any) -> Refusal | None:
    if not isinstance(reply, dict):
        return Refusal(0, "no JSON-RPC")
    error = reply.get("error")
    if error is None:
        return None
    if not isinstance(error, dict):
        return Refusal(0, str(error))
    code = error.get("code")
    return Refusal(code if isinstance(code, int) else 0, str(error.get("message", "")))


def _tag(block: int | str) -> str:
    return block if isinstance(block, str) else hex(block)
