"""Logs to events, by the ABIs of a deployment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eth_abi.exceptions import DecodingError
from eth_utils.abi import collapse_if_tuple, event_abi_to_log_topic

from explorer.chain.codec import decoded
from explorer.chain.values import named
from pole.chain.deployment import Deployment

LOG_BITS = 20
"""An event's id is its block's number, then so many bits of its position in it: ids are in the order of the chain."""


@dataclass(frozen=True)
class Event:
    """One log, decoded; `derived` is what it does not say and a call at a block or the calldata did."""

    block: int
    log_index: int
    transaction: str
    contract: str
    name: str
    args: Mapping[str, Any]
    time: int = 0
    derived: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> int:
        return self.block << LOG_BITS | self.log_index


def id_from(block: int) -> int:
    """The least id of an event of this block or a later one."""
    return block << LOG_BITS


@dataclass(frozen=True)
class _Kind:
    name: str
    indexed: list[dict[str, Any]]
    others: list[dict[str, Any]]
    indexed_types: list[str]
    other_types: list[str]
    order: list[str]


class Decoder:
    """Of one deployment; logs of unknown events and malformed logs are no events."""

    def __init__(self, deployment: Deployment) -> None:
        self.labels = {deployed.address.lower(): name for name, deployed in deployment.contracts.items()}
        self._kinds = {
            (name, topic): kind
            for name, deployed in deployment.contracts.items()
            for topic, kind in _kinds(deployed.abi).items()
        }

    @property
    def addresses(self) -> list[str]:
        return list(self.labels)

    def decode(self, log: Mapping[str, Any], time: int = 0) -> Event | None:
        """What a log says; None for what none of the ABIs declares."""
        label = self.labels.get(str(log["address"]).lower())
        topics = log["topics"]
        kind = self._kinds.get((label, topics[0])) if label and topics else None
        if label is None or kind is None or len(topics) != len(kind.indexed) + 1:
            return None
        try:
            args = _arguments(kind, topics[1:], log["data"])
        except DecodingError:
            return None
        return Event(
            int(log["blockNumber"], 16),
            int(log["logIndex"], 16),
            log["transactionHash"],
            label,
            kind.name,
            {name: args[name] for name in kind.order},
            time,
        )


def _arguments(kind: _Kind, topics: Sequence[str], data: str) -> dict[str, Any]:
    # A topic of a static type is its one word; ours index nothing else.
    words = decoded(kind.indexed_types, b"".join(bytes.fromhex(topic[2:]) for topic in topics))
    values = decoded(kind.other_types, bytes.fromhex(data[2:])) if kind.other_types else ()
    return named(kind.indexed, words) | named(kind.others, values)


def _kinds(abi: Sequence[dict[str, Any]]) -> dict[str, _Kind]:
    found = {}
    for entry in abi:
        if entry["type"] != "event" or entry.get("anonymous"):
            continue
        indexed = [each for each in entry["inputs"] if each["indexed"]]
        others = [each for each in entry["inputs"] if not each["indexed"]]
        found[f"0x{event_abi_to_log_topic(entry).hex()}"] = _Kind(  # type: ignore[arg-type]
            entry["name"],
            indexed,
            others,
            [collapse_if_tuple(each) for each in indexed],
            [collapse_if_tuple(each) for each in others],
            [each["name"] or str(position) for position, each in enumerate(entry["inputs"])],
        )
    return found
