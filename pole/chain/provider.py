"""The way to the chain: a node, and others for when it does not answer."""

import json
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import structlog
from web3._utils.batching import sort_batch_response_by_response_ids
from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from pole.chain.endpoints import Endpoint, SocketEndpoint, endpoint_at
from pole.chain.node_faults import NodeFault, limit_in

_TRIES = 3
_FIRST_REST_S, _LONGEST_REST_S = 0.1, 30.0
_FIRST_LIMIT_S = 1.0
PATIENCE_S = 10.0
"""The longest that one request waits for a node that limits requests; longer waits are the caller's."""

log = structlog.get_logger()


class NodeProvider(JSONBaseProvider):
    """Asks the first of its nodes that is not resting. A node rests after a failure, and for as long as it asks for.

    A request goes to each node a few times at most; all that we send may be repeated, signed transactions too. With
    several nodes, each must be the chain of `expect` before it is believed. `is_patient`: else nothing is asked twice.
    """

    def __init__(
        self,
        urls: Sequence[str],
        timeout_s: float = 20,
        *,
        is_patient: bool = True,
        sleep: Callable[[float], None] = time.sleep,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.endpoints = [endpoint_at(url, timeout_s) for url in urls]
        self._sleep, self._now_s = sleep, now_s
        self._tries, self._patience_s = (_TRIES, PATIENCE_S) if is_patient else (1, 0.0)
        self._expected: tuple[int, str] | None = None
        self._last = self.endpoints[0]

    @property
    def address(self) -> str:
        """Of the node that answered last, for messages."""
        return self._last.address

    @property
    def socket_url(self) -> str | None:
        """Of the first node that is reached over a WebSocket."""
        return next((each.url for each in self.endpoints if isinstance(each, SocketEndpoint)), None)

    def expect(self, chain_id: int, genesis_hash: str) -> None:
        """From now on, another chain is no answer; the node that answered last is this one."""
        self._expected, self._last.is_checked = (chain_id, genesis_hash), True

    def close(self) -> None:
        for endpoint in self.endpoints:
            endpoint.close()

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        body = self.encode_rpc_request(method, params)
        return cast(RPCResponse, self._ask(body, is_for_logs=method == "eth_getLogs"))

    def make_batch_request(self, batch_requests: list[tuple[RPCEndpoint, Any]]) -> list[RPCResponse] | RPCResponse:
        answer = self._ask(self.encode_batch_rpc_request(batch_requests))
        if isinstance(answer, list):
            return sort_batch_response_by_response_ids(answer)
        return cast(RPCResponse, answer)

    # --- which node --------------------------------------------------------------------------------------------------

    def _ask(self, body: bytes, is_for_logs: bool = False) -> Any:
        tries, waited_s, first = dict.fromkeys(self.endpoints, self._tries), 0.0, None
        while left := [each for each in self.endpoints if tries[each]]:
            endpoint = min(left, key=self._rest_s)
            pause_s = self._rest_s(endpoint)
            if waited_s + pause_s > self._patience_s:
                raise first or endpoint.fault or NodeFault("the node does not answer")
            if pause_s:
                self._sleep(pause_s)
                waited_s += pause_s
            try:
                answer = self._answer(endpoint, body, is_for_logs)
            except NodeFault as fault:
                first = first or fault
                tries[endpoint] = tries[endpoint] - 1 if fault.is_passing else 0
                self._let_rest(endpoint, fault)
            else:
                self._note_answer(endpoint)
                return answer
        assert first is not None
        raise first

    def _rest_s(self, endpoint: Endpoint) -> float:
        return max(0.0, endpoint.rests_until_s - self._now_s())

    def _let_rest(self, endpoint: Endpoint, fault: NodeFault) -> None:
        """The only node rests just long enough to be asked again."""
        endpoint.failures, endpoint.fault = endpoint.failures + 1, fault
        doubled = float(1 << min(endpoint.failures - 1, 10))
        if fault.wait_s is not None:
            rest_s = fault.wait_s or min(_FIRST_LIMIT_S * doubled, _LONGEST_REST_S)
        elif len(self.endpoints) > 1:
            endpoint.is_checked = False
            rest_s = min(_FIRST_REST_S * doubled, _LONGEST_REST_S)
        else:
            rest_s = min(_FIRST_REST_S * doubled, 4 * _FIRST_REST_S) if fault.is_passing else 0.0
        endpoint.rests_until_s = self._now_s() + rest_s

    def _note_answer(self, endpoint: Endpoint) -> None:
        endpoint.failures, endpoint.fault = 0, None
        if endpoint is not self._last:
            why = self._last.fault
            log.warning(f"asking {endpoint.address} now" + (f": {self._last.address}: {why.text}" if why else ""))
            self._last = endpoint

    # --- what it answers ---------------------------------------------------------------------------------------------

    def _answer(self, endpoint: Endpoint, body: bytes, is_for_logs: bool) -> Any:
        if self._expected is not None and len(self.endpoints) > 1 and not endpoint.is_checked:
            self._check(endpoint, *self._expected)
        answer = endpoint.ask(body)
        if (limit := limit_in(answer, is_for_logs=is_for_logs)) is not None:
            raise limit
        return answer

    @staticmethod
    def _check(endpoint: Endpoint, chain_id: int, genesis_hash: str) -> None:
        questions: list[tuple[str, list[Any]]] = [("eth_chainId", []), ("eth_getBlockByNumber", ["0x0", False])]
        answers = [endpoint.ask(_request(*question)) for question in questions]
        if (limit := limit_in(answers)) is not None:
            raise limit
        try:
            found = int(answers[0]["result"], 16), answers[1]["result"]["hash"]
        except (KeyError, TypeError, ValueError):
            raise NodeFault(f"{endpoint.address} does not say which chain it is") from None
        if found != (chain_id, genesis_hash):
            raise NodeFault(
                f"{endpoint.address} is another chain ({found[0]}, the others are {chain_id})",
                "give another --rpc",
                is_lasting=True,
            )
        endpoint.is_checked = True


def _request(method: str, params: list[Any]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
