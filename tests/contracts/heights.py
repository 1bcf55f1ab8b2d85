"""Steps of a gradient task for the contract tests: each is one method, by the right account, with usable values."""

from collections.abc import Sequence
from enum import IntEnum
from types import SimpleNamespace
from typing import Any

from tests.contracts.conftest import GRADIENT_PARAMETERS
from tests.contracts.rounds import BOND, ESCROW, GWEI, Verdict, Vote, account_of, make_cid, valid, vote_on

BOND_WEI = 2_000 * GWEI
REWARD_WEI = 10_000 * GWEI
FEE_WEI = 1_000 * GWEI
BLOCK_WEI = REWARD_WEI + FEE_WEI
TARGET_S, LIMIT_S = 60, 600
STAKE_WEI = 20_000 * GWEI
COLLECT_S, EXIT_S = 60, 600
MAX_THRESHOLD = 1 << 24
MAX_PROPOSALS = 8
MIN_STEP, MAX_STEP = 2, 300
INITIAL = 1 << 20
HALF_LIFE_S = 3 * TARGET_S
GOOD = valid(500_000, 400_000)

assert (GRADIENT_PARAMETERS["minerBondWei"], GRADIENT_PARAMETERS["exitDelayS"]) == (BOND_WEI, EXIT_S)

TERMS: dict[str, Any] = {
    "manifest": make_cid("gradient manifest"),
    "genesisWeights": make_cid("genesis weights"),
    "rules": 1,
    "blockRewardWei": REWARD_WEI,
    "blockCount": 3,
    "targetTestPpm": 0,
    "targetIntervalS": TARGET_S,
    "blockTimeLimitS": LIMIT_S,
    "minStep": MIN_STEP,
    "maxStep": MAX_STEP,
    "initialThreshold": INITIAL,
}
PAPER: dict[str, Any] = {"rules": 0, "minStep": 0, "maxStep": 0, "initialThreshold": 1}


class Phase(IntEnum):
    IDLE, SEARCH, COLLECT, VOTING = range(4)


class State(IntEnum):
    NONE, PENDING, ACTIVE, COMPLETED, STOPPED, CANCELLED = range(6)


class Stop(IntEnum):
    NONE, TIMED_OUT, QUORUM_LOST = range(3)


class Play:
    """A deployed system and who acts on its gradient chain."""

    def __init__(self, system: SimpleNamespace, network: Any, commitments: Any, **roles: Any) -> None:
        self.system = system
        self.gradient, self.committee, self.reservoir = system.gradient, system.committee, system.reservoir
        self.network, self.commitments = network, commitments
        self.client, self.stranger = roles["client"], roles["stranger"]
        self.miners, self.verifiers = roles["miners"], roles["verifiers"]

    # --- reading ---

    @property
    def current(self) -> Any:
        return self.gradient.current()

    @property
    def phase(self) -> Phase:
        return Phase(self.current.phase)

    def task(self, task_id: int = 1) -> Any:
        return self.gradient.task(task_id)

    def state(self, task_id: int = 1) -> tuple[State, Stop]:
        task = self.task(task_id)
        return State(task.state), Stop(task.stopReason)

    def credit_wei(self, account: Any) -> int:
        return int(self.reservoir.creditOf(account))

    def budget_wei(self, task_id: int = 1) -> int:
        """What is left of a task's escrow."""
        return int(self.reservoir.balanceOf(self.gradient, ESCROW, account_of(task_id)))

    def bond_wei(self, miner: Any) -> int:
        return int(self.reservoir.balanceOf(self.gradient, BOND, account_of(int(miner.address, 16))))

    def bonded_wei(self, miner: Any) -> int:
        """What the chain itself remembers of a bond."""
        return int(self.gradient.minerOf(miner).bondWei)

    def check_money(self) -> None:
        """The reservoir's invariant."""
        accounted_wei = sum(self.reservoir.total(pot) for pot in range(3)) + self.reservoir.totalCredits()
        assert self.reservoir.balance == accounted_wei

    # --- time ---

    def at(self, timestamp: int) -> None:
        """The next transaction happens then."""
        self.network.pending_timestamp = timestamp

    def wait_for_deadline(self) -> None:
        self.network.mine(timestamp=self.current.deadline)

    # --- steps ---

    def stake(self, *verifiers: Any) -> None:
        for verifier in verifiers:
            self.committee.stake(sender=verifier, value=STAKE_WEI)

    def submit(self, *, sender: Any = None, **terms: Any) -> int:
        chosen = TERMS | terms
        cost_wei = self.gradient.costOf(chosen)
        self.gradient.submit(chosen, sender=sender or self.client, value=cost_wei)
        return int(self.gradient.taskCount())

    def enrol(self, *miners: Any) -> None:
        for miner in miners:
            self.gradient.enrol(sender=miner, value=BOND_WEI)

    def open(self) -> None:
        self.gradient.openTask(sender=self.stranger)

    def propose(self, *miners: Any, step: int = MIN_STEP, digest: int = 0) -> None:
        for miner in miners:
            self.propose_at(miner, step=step, digest=digest)

    def propose_at(self, miner: Any, *, height: int | None = None, step: int = MIN_STEP, digest: int = 0) -> None:
        """At a height that may not be the current one, on top of the newest block."""
        height = self.current.height if height is None else height
        previous = self.gradient.headerHash(self.gradient.height())
        cids = make_cid("proof"), self.weights(miner)
        self.gradient.propose(height, previous, step, digest, *cids, sender=miner)

    def weights(self, miner: Any) -> Any:
        return make_cid(f"weights of {miner.address} at {self.current.height}")

    def advance(self) -> None:
        self.gradient.advance(sender=self.stranger)

    def to_voting(self, *miners: Any) -> None:
        """From search: these miners propose, nobody else does, the ballot opens."""
        self.propose(*miners)
        self.wait_for_deadline()
        self.advance()

    def vote(self, vote: Vote) -> None:
        """All members cast the same vote; the ballot closes, the height is settled."""
        members = [verifier for verifier in self.verifiers if self.committee.verifier(verifier).isSeated]
        vote_on(self.committee, self.commitments, self.current.ballotId, dict.fromkeys(members, vote))
        self.advance()

    def mine_block(self, miner: Any, verdict: Verdict = GOOD) -> None:
        self.to_voting(miner)
        self.vote([verdict])

    def lose_quorum(self) -> None:
        """Nobody votes until the ballot is void; the height is settled."""
        ballot_id = self.current.ballotId
        while self.committee.ballot(ballot_id).deadline:
            self.network.mine(timestamp=self.committee.ballot(ballot_id).deadline)
            self.committee.advance(ballot_id, sender=self.stranger)
        self.advance()

    def leave_committee(self, verifiers: Sequence[Any]) -> None:
        for verifier in verifiers:
            self.committee.requestUnstake(sender=verifier)
