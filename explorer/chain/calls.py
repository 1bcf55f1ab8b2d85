"""Views of a deployment's contracts: as requests to a node, as `cast call`, and as Python."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import encode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import abi_to_signature, collapse_if_tuple, function_signature_to_4byte_selector

from explorer.chain.codec import decoded
from explorer.chain.node import Node, Refusal, Request
from explorer.chain.values import plain
from pole.chain.deployment import Deployment

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class View:
    """A call of a view; `path` leads to the wanted part of what it returns."""

    contract: str
    function: str
    args: tuple[Any, ...] = ()
    path: Path = ()


class Views:
    """The views that the contracts of a deployment have."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self._entries: dict[tuple[str, str], Any] = {
            (name, entry["name"]): entry
            for name, deployed in deployment.contracts.items()
            for entry in deployed.abi
            if entry["type"] == "function"
        }

    def has(self, view: View) -> bool:
        """Whether this version of the contract has the function, with a result of that shape."""
        entry = self._entries.get((view.contract, view.function))
        if entry is None or len(entry["inputs"]) != len(view.args):
            return False
        results = entry["outputs"]
        for step in view.path:
            if isinstance(step, int):
                continue
            results = results[0].get("components", []) if len(results) == 1 else results
            results = [each for each in results if each["name"] == step]
            if not results:
                return False
        return True

    def request(self, view: View, block: str) -> Request:
        """`block`: a tag, or a number in hex."""
        entry = self._entries[view.contract, view.function]
        types = [collapse_if_tuple(each) for each in entry["inputs"]]
        data = function_signature_to_4byte_selector(abi_to_signature(entry)) + encode(types, _encodable(view.args))
        to = self.deployment.contracts[view.contract].address
        return "eth_call", [{"to": to, "data": f"0x{data.hex()}"}, block]

    def result(self, view: View, answer: Any) -> Any:
        """What the node's answer says, in plain values; None if it refused, or at the end of a path into nothing."""
        if isinstance(answer, Refusal) or not isinstance(answer, str):
            return None
        outputs = self._entries[view.contract, view.function]["outputs"]
        try:
            values = decoded([collapse_if_tuple(each) for each in outputs], bytes.fromhex(answer[2:]))
        except (DecodingError, ValueError):
            return None
        if len(outputs) == 1:
            return at(plain(outputs[0], values[0]), view.path)
        named = {
            each["name"] or str(i): plain(each, value)
            for i, (each, value) in enumerate(zip(outputs, values, strict=True))
        }
        return at(named, view.path)

    def ask(self, node: Node, views: Sequence[View], block: int) -> list[Any]:
        """At a block, or at the latest one from a node that no longer has the state of that block."""
        answers = node.batch([self.request(view, hex(block)) for view in views])
        refused = [position for position, answer in enumerate(answers) if isinstance(answer, Refusal)]
        again = node.batch([self.request(views[position], "latest") for position in refused])
        for position, later in zip(refused, again, strict=True):
            answers[position] = later
        return [self.result(view, answer) for view, answer in zip(views, answers, strict=True)]

    def as_cast(self, view: View, block: int) -> str:
        """A command for people who have foundry."""
        entry = self._entries[view.contract, view.function]
        outputs = ",".join(collapse_if_tuple(each) for each in entry["outputs"])
        arguments = "".join(f" {_word(each)}" for each in view.args)
        to = self.deployment.contracts[view.contract].address
        return f'cast call {to} "{abi_to_signature(entry)}({outputs})"{arguments} --block {block} --rpc-url $RPC'

    def as_python(self, view: View, block: int) -> str:
        """The same with web3; `deployment.json` is the deployment file."""
        arguments = ", ".join(json.dumps(each) for each in view.args)
        path = "".join(f"[{json.dumps(step)}]" for step in self._positions(view))
        return "\n".join(
            (
                "import json",
                "from web3 import HTTPProvider, Web3",
                f'deployed = json.load(open("deployment.json"))["contracts"]["{view.contract}"]',
                'contract = Web3(HTTPProvider(RPC)).eth.contract(address=deployed["address"], abi=deployed["abi"])',
                f"print(contract.functions.{view.function}({arguments}).call(block_identifier={block}){path})",
            )
        )

    def _positions(self, view: View) -> list[int]:
        """The path in positions: web3 returns structs as tuples."""
        found, results = [], self._entries[view.contract, view.function]["outputs"]
        inside: list[dict[str, Any]] = results[0].get("components", []) if len(results) == 1 else results
        for step in view.path:
            position = step if isinstance(step, int) else [each["name"] for each in inside].index(step)
            found.append(position)
            if isinstance(step, str):
                inside = inside[position].get("components", [])
        return found


def at(value: Any, path: Path) -> Any:
    """The part of a plain value to which the path leads; None where there is none."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _encodable(args: Sequence[Any]) -> list[Any]:
    return [bytes.fromhex(each[2:]) if _is_bytes32(each) else each for each in args]


def _is_bytes32(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 66


def _word(value: Any) -> str:
    return json.dumps(value) if isinstance(value, list) else str(value)
