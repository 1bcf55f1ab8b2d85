"""What the contracts store, as Python sees it: one frozen dataclass per Solidity struct, fields in the same order.

A field that the struct itself does not have (its id) comes first and is named after what it counts.
`tests/unit/pole/chain/test_drift.py` compares fields, order and enum members with the compiled ABI.
"""

from dataclasses import dataclass
from enum import IntEnum

from pole.storage.cid import Cid

MAX_SUBMISSIONS = 64
"""Of a round. A task that wants so many solutions keeps its commits open until time is up."""


class Pot(IntEnum):
    ESCROW = 0
    BOND = 1
    STAKE = 2


class TaskState(IntEnum):
    NONE = 0
    PENDING = 1
    IN_ROUND = 2
    SOLVED = 3
    REFUNDED = 4
    CANCELLED = 5


class Phase(IntEnum):
    NONE = 0
    KEYS = 1
    TRAINING = 2
    OVERTIME = 3
    RELEASE = 4
    REVEAL = 5
    VOTING = 6
    FINALISED = 7
    ABORTED = 8

    @property
    def is_over(self) -> bool:
        """Whether the round has ended, with a block or without."""
        return self in (Phase.FINALISED, Phase.ABORTED)


class AbortReason(IntEnum):
    NONE = 0
    KEYS_MISSING = 1
    NO_SOLUTION = 2
    NOTHING_REVEALED = 3
    QUORUM_LOST = 4
    NO_VALID_SOLUTION = 5
    BELOW_FLOOR = 6
    UNDECIDED = 7


class BallotPhase(IntEnum):
    NONE = 0
    COMMIT = 1
    REVEAL = 2
    OPENING = 3
    CLOSED = 4
    VOID = 5

    @property
    def is_over(self) -> bool:
        return self in (BallotPhase.CLOSED, BallotPhase.VOID)


class VerdictKind(IntEnum):
    """What a part of a verdict says; `UNDECIDED` in outcomes only."""

    NONE = 0
    SCORED = 1
    INVALID = 2
    UNAVAILABLE = 3
    WITHHELD = 4
    UNDECIDED = 5


class OmmerFormula(IntEnum):
    FRACTION = 0
    PRINTED = 1


class AnchorSource(IntEnum):
    """Where PHS comes from: `Anchors.sol`."""

    BLOCK_HASH = 0
    KEPT_BLOCK_HASH = 1
    PREV_RANDAO = 2
    ARB_SYS = 3

    @property
    def is_kept(self) -> bool:
        """Whether somebody must write it down before PHS is known."""
        return self is not AnchorSource.BLOCK_HASH


class Fault(IntEnum):
    """What a verifier's penalty is for."""

    NO_COMMIT = 0
    NO_REVEAL = 1
    LACKING = 2
    NOISE = 3


class Exit(IntEnum):
    """Why a verifier has no seat any more."""

    REQUESTED = 0
    DISPLACED = 1
    EJECTED = 2


@dataclass(frozen=True)
class TaskTerms:
    manifest: Cid
    test_set_commitment: bytes
    time_limit_s: int
    required_train_ppm: int
    min_test_ppm: int
    solutions_wanted: int
    earliest_close_s: int


@dataclass(frozen=True)
class Task:
    task_id: int
    terms: TaskTerms
    client: str
    reward_wei: int
    verifier_fee_wei: int
    bond_wei: int
    state: TaskState
    lane: int


@dataclass(frozen=True)
class Lane:
    """`chain`: address of its `LearningChain`; `idle_since`: when its last round ended."""

    chain: str
    idle_since: int
    is_busy: bool


@dataclass(frozen=True)
class Round:
    """`task_id` is 0 in an idle round; `deadline` is block time, 0 in a phase without one; CIDs are None until set.

    `first_ballot_id` is 0 unless the ballot was repeated: then `ballot_id` is over those entries alone whose train part
    the first one left undecided, in their order. `previous_hash` is PHS, see `is_bound`.
    """

    round_id: int
    task_id: int
    height: int
    anchor_block: int
    judging_fee_gwei: int
    previous_hash: bytes
    phase: Phase
    abort_reason: AbortReason
    is_overtime: bool
    is_test_set_released: bool
    deadline: int
    commits_closed_at: int
    opened_at: int
    earliest_close_at: int
    commit_count: int
    submission_count: int
    qualified_count: int
    revealed_count: int
    ballot_id: int
    first_ballot_id: int
    keys: Cid | None
    test_set: Cid | None
    transcript: bytes

    @property
    def is_idle(self) -> bool:
        return self.task_id == 0

    @property
    def is_bound(self) -> bool:
        """Whether PHS is known: it comes from block `anchor_block`, after the opening."""
        return any(self.previous_hash)


@dataclass(frozen=True)
class Submission:
    """`model` is None until revealed; `order`: of the commit among all of the round, a replaced one anew."""

    miner: str
    claimed_train_ppm: int
    order: int
    bond_wei: int
    is_revealed: bool
    commitment: bytes
    model: Cid | None


@dataclass(frozen=True)
class Ommer:
    miner: str
    train_ppm: int
    test_ppm: int
    is_referenced: bool
    hash: bytes


@dataclass(frozen=True)
class Header:
    """`round_hash`: PHS of the round, under which the model was trained; `timestamp`: when commits closed."""

    height: int
    task_id: int
    winner: str
    previous_hash: bytes
    model: Cid | None
    train_ppm: int
    test_ppm: int
    ommer_hash: bytes
    body_root: bytes
    round_hash: bytes
    timestamp: int


@dataclass(frozen=True)
class Verifier:
    stake_wei: int
    release_at: int
    open_ballots: int
    is_seated: bool
    voter: str


@dataclass(frozen=True)
class Member:
    """A verifier in one ballot; all zeros of others, and commitment and digest until there is one."""

    index: int
    weight_wei: int
    commitment: bytes
    digest: bytes
    penalty_wei: int

    @property
    def has_committed(self) -> bool:
        return any(self.commitment)

    @property
    def has_revealed(self) -> bool:
        return any(self.digest)


@dataclass(frozen=True)
class Verdict:
    """What was decided about one entry; a part that is not `SCORED` has 0 ppm."""

    train: VerdictKind
    train_ppm: int
    test: VerdictKind
    test_ppm: int

    @property
    def is_valid(self) -> bool:
        return self.train == VerdictKind.SCORED


@dataclass(frozen=True)
class Ballot:
    ballot_id: int
    chain: str
    entry_count: int
    phase: BallotPhase
    deadline: int
    extensions: int
    member_count: int
    committed_count: int
    revealed_count: int
    committed_stake_wei: int
    revealed_stake_wei: int
    snapshot_stake_wei: int
    outcome_code: str
    refund_account: bytes
    transcript: bytes


@dataclass(frozen=True)
class MarketParameters:
    client_bond_wei: int
    min_reward_wei: int
    verifier_fee_ppm: int
    max_time_limit_s: int
    min_time_limit_s: int
    round_windows_s: int


@dataclass(frozen=True)
class CommitteeParameters:
    min_stake_wei: int
    floor_stake_wei: int
    min_seated: int
    seat_wait_s: int
    displacement_ppm: int
    unbonding_period_s: int
    vote_commit_window_s: int
    vote_entry_s: int
    vote_reveal_window_s: int
    vote_opening_window_s: int
    max_extensions: int
    absence_penalty_ppm: int
    noise_penalty_ppm: int


@dataclass(frozen=True)
class ChainParameters:
    keys_window_s: int
    overtime_window_s: int
    release_window_s: int
    reveal_window_s: int
    miner_bond_wei: int
    judging_fee_wei: int
    judging_fee_ppm: int
    occupancy_ppm: int


@dataclass(frozen=True)
class LedgerParameters:
    winner_reward: int
    ommer_formula: OmmerFormula
    anchor: AnchorSource


@dataclass(frozen=True)
class IdleTask:
    manifest: Cid
    time_limit_s: int
    required_train_ppm: int
    solutions_wanted: int
    earliest_close_s: int
