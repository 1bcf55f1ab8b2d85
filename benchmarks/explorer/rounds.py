"""One real round's logs, renumbered: as many rounds' events as wanted, each with ids of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.abi import collapse_if_tuple, event_abi_to_log_topic

from explorer.chain.codec import checksummed
from explorer.chain.events import Event
from pole.chain.deployment import Deployment

_IDS = ("roundId", "taskId", "ballotId", "height")


@dataclass(frozen=True)
class Log:
    """A log with its ids as offsets from the first round's, which are all 1."""

    address: str
    entry: Mapping[str, Any]
    topics: Sequence[bytes]
    data: bytes

    def numbered(self, by: int) -> tuple[str, list[bytes], bytes]:
        """The same with all ids raised by so much."""
        indexed = [each for each in self.entry["inputs"] if each["indexed"]]
        others = [each for each in self.entry["inputs"] if not each["indexed"]]
        topics = [self.topics[0]]
        for each, topic in zip(indexed, self.topics[1:], strict=True):
            raised = int.from_bytes(topic) + by if each["name"] in _IDS else int.from_bytes(topic)
            topics.append(raised.to_bytes(32))
        types = [collapse_if_tuple(each) for each in others]
        values = [_raised(each, value, by) for each, value in zip(others, decode(types, self.data), strict=True)]
        return self.address, topics, encode(types, values)


def logs_of(deployment: Deployment, found: Sequence[Mapping[str, Any]]) -> list[Log]:
    """Of what `eth_getLogs` gave for one round."""
    names = {deployed.address.lower(): name for name, deployed in deployment.contracts.items()}
    logs = []
    for log in found:
        abi = deployment.contracts[names[log["address"].lower()]].abi
        topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
        entry = next(
            each
            for each in abi
            if each["type"] == "event" and event_abi_to_log_topic(each) == topics[0]  # type: ignore[arg-type]
        )
        logs.append(Log(checksummed(log["address"]), entry, topics, bytes.fromhex(log["data"][2:])))
    return logs


def renumbered(events: Sequence[Event], by: int, block: int) -> list[Event]:
    """A round's events as another round's, from this block on; each keeps the distance to the first."""
    first = events[0].block
    return [
        replace(
            event,
            block=block + event.block - first,
            time=event.time + 60 * by,
            transaction=f"0x{by:08x}{event.transaction[10:]}",
            args=_renumbered(event.args, by),
        )
        for event in events
    ]


def _renumbered(args: Mapping[str, Any], by: int) -> dict[str, Any]:
    return {
        name: value + by if name in _IDS else _renumbered(value, by) if isinstance(value, dict) else value
        for name, value in args.items()
    }


def _raised(entry: Mapping[str, Any], value: Any, by: int) -> Any:
    if entry["type"] == "tuple":
        return tuple(_raised(each, part, by) for each, part in zip(entry["components"], value, strict=True))
    return value + by if entry["name"] in _IDS else value
