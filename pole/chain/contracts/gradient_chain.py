"""GradientChain: tasks, miners, proposals and blocks that are training steps. Source: DGG"""

from dataclasses import dataclass

from pole.chain.abi import from_abi
from pole.chain.client import Receipt
from pole.chain.contracts.base import BaseContract
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
from pole.storage.cid import Cid


@dataclass(frozen=True)
class SegmentsReport:
    """One `SegmentsReported`: bit i of `wrong_segments` says that segment i of the entry does not replay."""

    verifier: str
    entry: int
    wrong_segments: int


class GradientChain(BaseContract):
    """Its ballots are in `VerifierCommittee`."""

    name = "GradientChain"

    # --- reading -----------------------------------------------------------------------------------------------------

    def task(self, task_id: int) -> GradientTask:
        """Task ids start at 1. Raises TransientChainError where there is none: a reorganisation may bring it back."""
        task: GradientTask = from_abi(GradientTask, self._read_task(task_id), task_id=task_id)
        return task

    def task_count(self) -> int:
        return int(self._read("taskCount"))

    def pending_count(self) -> int:
        return int(self._read("pendingCount"))

    def cost_wei(self, terms: GradientTerms) -> int:
        """Reward and fee of all blocks: what `submit` must be sent."""
        return int(self._read("costOf", terms))

    def current(self) -> Height:
        found: Height = from_abi(Height, self._read("current"))
        return found

    def active_task(self) -> GradientTask | None:
        """The task that blocks are mined for; None if there is none."""
        current = self.current()
        return None if current.phase is HeightPhase.IDLE else self.task(current.task_id)

    def is_due(self) -> bool:
        """Whether `advance` would move the current height on."""
        return bool(self._read("isDue"))

    def proposals(self) -> list[Proposal]:
        """In the order in which they came, which is the ballot's."""
        return [from_abi(Proposal, part) for part in self._read("proposals")]

    def threshold(self) -> int:
        """What a sign digest must be below now; 0 unless a proposal could be made."""
        return int(self._read("threshold"))

    def miner(self, address: str) -> Miner:
        found: Miner = from_abi(Miner, self._read("minerOf", address))
        return found

    def height(self) -> int:
        """Height of the newest block; 0 is the genesis."""
        return int(self._read("height"))

    def header(self, height: int) -> GradientHeader:
        header: GradientHeader = from_abi(GradientHeader, self._read("header", height))
        return header

    def header_hash(self, height: int) -> bytes:
        return bytes(self._read("headerHash", height))

    def header_block(self, height: int) -> int:
        """Ethereum block that fixed a header; only miners enrolled before it may propose on top of it."""
        return int(self._read("headerBlock", height))

    def parameters(self) -> GradientParameters:
        parameters: GradientParameters = self._read_once(GradientParameters)
        return parameters

    def reports(self, ballot_id: int, from_block: int | None = None) -> list[SegmentsReport]:
        """What members have reported of a ballot's entries, oldest first."""
        events = self._client.logs(self.name, "SegmentsReported", from_block=from_block, ballotId=ballot_id)
        return [
            SegmentsReport(
                str(event.arguments["verifier"]), int(event.arguments["entry"]), int(event.arguments["wrongSegments"])
            )
            for event in events
        ]

    # --- writing -----------------------------------------------------------------------------------------------------

    def submit(self, terms: GradientTerms, *, key: str, value_wei: int) -> Receipt:
        """`value_wei`: see `cost_wei`. Emits GradientTaskSubmitted with the task's id."""
        return self._write(key, "submit", terms, value_wei=value_wei)

    def cancel(self, task_id: int, *, key: str | None = None) -> Receipt:
        """Take a task off the list; all that was paid becomes a credit."""
        return self._write(key or f"gradient-cancel/{task_id}", "cancel", task_id)

    def open_task(self, *, key: str) -> Receipt:
        """Begin with the next task of the list."""
        return self._write(key, "openTask")

    def enrol(self, bond_wei: int, *, key: str) -> Receipt:
        """Bond the account as a miner; a higher bond than the least takes precedence where a height is full."""
        return self._write(key, "enrol", value_wei=bond_wei)

    def request_exit(self, *, key: str) -> Receipt:
        """Begin to leave; the bond is released after a while."""
        return self._write(key, "requestExit")

    def complete_exit(self, *, key: str) -> Receipt:
        """Turn a released bond into a credit."""
        return self._write(key, "completeExit")

    def propose(
        self, height: int, previous_hash: bytes, step: int, sign_digest: int, proof: Cid, weights: Cid, *, key: str
    ) -> Receipt:
        """Propose the block at `height`, on top of `previous_hash`: the weights after `step` steps."""
        return self._write(key, "propose", height, previous_hash, step, sign_digest, proof, weights)

    def report_segments(
        self, ballot_id: int, index: int, entry: int, wrong_segments: int, *, key: str | None = None
    ) -> Receipt:
        """Bit i of `wrong_segments`: segment i of the entry does not replay. `index`: of the reporting member."""
        default = f"segments/{ballot_id}/{entry}"
        return self._write(key or default, "reportSegments", ballot_id, index, entry, wrong_segments)

    def advance(self, *, key: str) -> Receipt:
        """Move the current height on, if it is due."""
        return self._write(key, "advance")
