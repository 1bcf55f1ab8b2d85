"""Several requests of web3 as one: a node's batch, or one by one at a node that knows none."""

from collections.abc import Callable, Sequence
from typing import Any

from web3 import Web3
from web3.exceptions import Web3RPCError


def together(web3: Web3, requests: Sequence[Callable[[], Any]]) -> list[Any]:
    """The results in order. Not for what may be missing: web3 raises for the whole batch then."""
    try:
        with web3.batch_requests() as batch:
            for request in requests:
                batch.add(request())
            return list(batch.execute())
    except (Web3RPCError, TypeError, AttributeError):  # an answer that is no batch
        return [request() for request in requests]
