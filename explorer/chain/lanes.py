"""Which contract of a deployment plays which part, found by its events, so that several may play the same one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pole.chain.deployment import Deployment

_LEARNING, _LEDGER, _GRADIENT = "RoundOpened", "BlockAppended", "GradientBlockAppended"


@dataclass(frozen=True)
class Kinds:
    """`learning` and `gradient`: the contracts of the lanes, in the order of the deployment file; `ledgers`: those that
    keep the blocks of the learning ones, in the same order.
    """

    learning: tuple[str, ...]
    ledgers: tuple[str, ...]
    gradient: tuple[str, ...]
    contracts: Mapping[str, str]
    """Labels by address."""

    @classmethod
    def of(cls, deployment: Deployment) -> "Kinds":
        names = {
            label: {entry["name"] for entry in deployed.abi if entry["type"] == "event"}
            for label, deployed in deployment.contracts.items()
        }
        return cls(
            tuple(label for label, events in names.items() if _LEARNING in events),
            tuple(label for label, events in names.items() if _LEDGER in events),
            tuple(label for label, events in names.items() if _GRADIENT in events),
            {deployed.address: label for label, deployed in deployment.contracts.items()},
        )

    def lane_of(self, contract: str) -> str:
        """The learning chain whose blocks this ledger keeps; any other contract is its own."""
        return self.learning[self.ledgers.index(contract)] if contract in self.ledgers else contract

    def ledger_of(self, lane: str) -> str:
        """Where the blocks of a learning chain are."""
        return self.ledgers[self.learning.index(lane)]

    def key_of(self, contract: str, argument: str) -> str | None:
        """What an event's argument of this name identifies."""
        is_gradient = contract in self.gradient
        if argument == "taskId":
            return "gradient_task" if is_gradient else "task"
        if argument in ("height", "ommerHeight") and (is_gradient or self.lane_of(contract) in self.learning):
            return "gradient_block" if is_gradient else "block" if argument == "height" else None
        return {"roundId": "round", "ballotId": "ballot"}.get(argument)

    def value(self, contract: str, kind: str, value: Any) -> str:
        """The id as a key: of a second lane, with the lane's name behind it."""
        contract = self.lane_of(contract)
        lanes = self.learning if kind in ("round", "block") else self.gradient if kind.startswith("gradient") else ()
        return f"{value}@{contract}" if contract in lanes[1:] else str(value)

    def lane(self, value: str, is_gradient: bool = False) -> tuple[str, int]:
        """Contract and number of such a key; ValueError for what is none."""
        lanes = self.gradient if is_gradient else self.learning
        number, _, label = value.partition("@")
        if not number.isascii() or not number.isdigit() or len(number) > 20 or (label and label not in lanes[1:]):
            raise ValueError(value)
        return label or lanes[0], int(number)
