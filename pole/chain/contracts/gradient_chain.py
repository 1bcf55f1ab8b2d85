"""What GradientChain holds, as typed records; every method is one or few calls at the latest block."""

from dataclasses import dataclass

from pole.chain.abi import from_abi
from pole.chain.client import Gateway
from pole.chain.gradient_structs import (
    GradientHeader,
    GradientParameters,
    GradientTask,
    GradientTerms,
    Height,
    HeightPhase,
    Miner,
    Proposal,
)


@dataclass(frozen=True)
class SegmentsReport:
    """One `SegmentsReported`: bit i of `wrong_segments` says that segment i of the entry does not replay."""

    verifier: str
    entry: int
    wrong_segments: int


class GradientLedger:
    """Read model over a gateway; ballots are in `pole.chain.contracts.learning_chain.Ledger`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._parameters: GradientParameters | None = None

    def task(self, task_id: int) -> GradientTask:
        """Task ids start at 1; an unknown one has state NONE and cannot be read, since its CIDs are empty."""
        task: GradientTask = from_abi(
            GradientTask, self._gateway.call("GradientChain", "task", task_id), task_id=task_id
        )
        return task

    def task_count(self) -> int:
        return int(self._gateway.call("GradientChain", "taskCount"))

    def pending_count(self) -> int:
        return int(self._gateway.call("GradientChain", "pendingCount"))

    def cost_wei(self, terms: GradientTerms) -> int:
        """Reward and fee of all blocks: what `submit` must be sent."""
        return int(self._gateway.call("GradientChain", "costOf", terms))

    def current(self) -> Height:
        found: Height = from_abi(Height, self._gateway.call("GradientChain", "current"))
        return found

    def active_task(self) -> GradientTask | None:
        """The task that blocks are mined for; None if there is none."""
        current = self.current()
        return None if current.phase is HeightPhase.IDLE else self.task(current.task_id)

    def is_due(self) -> bool:
        """Whether `advance` would move the current height on."""
        return bool(self._gateway.call("GradientChain", "isDue"))

    def proposals(self) -> list[Proposal]:
        """In the order in which they came, which is the ballot's."""
        return [from_abi(Proposal, part) for part in self._gateway.call("GradientChain", "proposals")]

    def threshold(self) -> int:
        """What a sign digest must be below now; 0 unless a proposal could be made."""
        return int(self._gateway.call("GradientChain", "threshold"))

    def miner(self, address: str) -> Miner:
        found: Miner = from_abi(Miner, self._gateway.call("GradientChain", "minerOf", address))
        return found

    def height(self) -> int:
        """Height of the newest block; 0 is the genesis."""
        return int(self._gateway.call("GradientChain", "height"))

    def header(self, height: int) -> GradientHeader:
        header: GradientHeader = from_abi(GradientHeader, self._gateway.call("GradientChain", "header", height))
        return header

    def header_hash(self, height: int) -> bytes:
        return bytes(self._gateway.call("GradientChain", "headerHash", height))

    def header_block(self, height: int) -> int:
        """Ethereum block that fixed a header; only miners enrolled before it may propose on top of it."""
        return int(self._gateway.call("GradientChain", "headerBlock", height))

    def parameters(self) -> GradientParameters:
        """Constructor parameters never change: read once."""
        if self._parameters is None:
            self._parameters = from_abi(GradientParameters, self._gateway.call("GradientChain", "parameters"))
        parameters: GradientParameters = self._parameters
        return parameters

    def reports(self, ballot_id: int, from_block: int | None = None) -> list[SegmentsReport]:
        """What members have reported of a ballot's entries, oldest first."""
        events = self._gateway.logs("GradientChain", "SegmentsReported", from_block=from_block, ballotId=ballot_id)
        return [
            SegmentsReport(
                str(event.arguments["verifier"]), int(event.arguments["entry"]), int(event.arguments["wrongSegments"])
            )
            for event in events
        ]
