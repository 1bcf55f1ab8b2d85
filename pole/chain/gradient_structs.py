"""What GradientChain stores, as Python sees it: one frozen dataclass per Solidity struct, fields in the same order.

As in `pole.chain.structs`, an id that the struct itself does not have comes first.
"""

from dataclasses import dataclass
from enum import IntEnum

from pole.chain.structs import AnchorSource
from pole.storage.cid import Cid


class Rules(IntEnum):
    PAPER = 0
    HARDENED = 1


class GradientTaskState(IntEnum):
    NONE = 0
    PENDING = 1
    ACTIVE = 2
    COMPLETED = 3
    STOPPED = 4
    CANCELLED = 5

    @property
    def is_over(self) -> bool:
        return self in (GradientTaskState.COMPLETED, GradientTaskState.STOPPED, GradientTaskState.CANCELLED)


class StopReason(IntEnum):
    NONE = 0
    TIMED_OUT = 1
    QUORUM_LOST = 2


class HeightPhase(IntEnum):
    IDLE = 0
    SEARCH = 1
    COLLECT = 2
    VOTING = 3


@dataclass(frozen=True)
class GradientTerms:
    manifest: Cid
    genesis_weights: Cid
    rules: Rules
    block_reward_wei: int
    block_count: int
    target_test_ppm: int
    target_interval_s: int
    block_time_limit_s: int
    min_step: int
    max_step: int
    initial_threshold: int


@dataclass(frozen=True)
class GradientTask:
    task_id: int
    terms: GradientTerms
    client: str
    state: GradientTaskState
    stop_reason: StopReason
    fee_wei: int
    blocks_done: int
    searched_s: int


@dataclass(frozen=True)
class Height:
    """The height that is being worked on; `deadline` is block time, 0 in a phase without one.

    `voting_block`: Ethereum block in which the ballot opened; the next one's hash says who replays what.
    """

    height: int
    task_id: int
    phase: HeightPhase
    search_started_at: int
    deadline: int
    ballot_id: int
    proposal_count: int
    void_ballots: int
    voting_block: int


@dataclass(frozen=True)
class Proposal:
    miner: str
    step: int
    sign_digest: int
    threshold: int
    searched_s: int
    proof: Cid
    weights: Cid


@dataclass(frozen=True)
class Miner:
    """`bond_wei` is 0 of an account that is not enrolled."""

    bond_wei: int
    enrolled_at_block: int
    exit_at: int
    has_proposal: bool


@dataclass(frozen=True)
class GradientHeader:
    """An opening block has the genesis weights, no proof and the zero address as miner; genesis has no weights."""

    height: int
    task_id: int
    miner: str
    previous_hash: bytes
    weights: Cid | None
    proof: Cid | None
    step: int
    sign_digest: int
    threshold: int
    interval_s: int
    train_ppm: int
    test_ppm: int
    anchor_hash: bytes
    timestamp: int

    @property
    def is_opening(self) -> bool:
        """Whether a task's first block, or genesis: nobody mined it."""
        return self.proof is None


@dataclass(frozen=True)
class GradientParameters:
    miner_bond_wei: int
    min_block_reward_wei: int
    verifier_fee_ppm: int
    collect_window_s: int
    exit_delay_s: int
    max_block_time_limit_s: int
    anchor: AnchorSource
