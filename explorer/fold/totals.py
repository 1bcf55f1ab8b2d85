"""What is known of a whole deployment at once: sums, the list of tasks, seats, phases. Folded event by event as they
come, and held in memory; after a reorganisation it is folded again from the last finalised state.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from explorer.chain.events import Event
from explorer.chain.lanes import Kinds
from explorer.fold.folding import Steps
from explorer.index.keys import NO_ACCOUNT
from pole.chain.structs import Phase, TaskState

SLOTS = 24
"""Bins of the distribution of block times: the first is under a second, each other twice as wide as the one before."""


@dataclass
class Account:
    """Wei and tokens in and out of one account, as the reservoir and the token have it."""

    credited_wei: int = 0
    withdrawn_wei: int = 0
    token: int = 0
    stake_wei: int = 0
    slashed_wei: int = 0
    is_seated: bool = False
    votes_committed: int = 0
    votes_revealed: int = 0
    votes_agreed: int = 0
    ballots: int = 0
    blocks: int = 0
    """Won."""


@dataclass
class Lane:
    """What one chain of blocks is doing."""

    round_id: int = 0
    task_id: int = 0
    phase: int = 0
    deadline: int = 0
    height: int = -1
    block_time: int = 0
    since: int = 0


@dataclass
class Ballot:
    """An open one, until its tally."""

    members: list[str] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)


@dataclass
class Totals:
    """`pots_wei`: by the reservoir's pots; `pending`: reward by task on the list; `agreed`: of a pair of verifiers, how
    often both revealed, and how often the same.
    """

    kinds: Kinds
    last_event: int = -1
    events: Counter[str] = field(default_factory=Counter)
    pots_wei: Counter[int] = field(default_factory=Counter)
    credits_wei: int = 0
    accounts: dict[str, Account] = field(default_factory=lambda: defaultdict(Account))
    lanes: dict[str, Lane] = field(default_factory=dict)
    pending: dict[int, int] = field(default_factory=dict)
    task_states: dict[int, int] = field(default_factory=dict)
    abort_reasons: Counter[int] = field(default_factory=Counter)
    block_times: Counter[int] = field(default_factory=Counter)
    ballots: dict[int, Ballot] = field(default_factory=dict)
    agreed: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    issued: int = 0


def add(view: Totals, event: Event) -> None:
    """One event more."""
    view.last_event = event.id
    view.events[event.name] += 1
    step = TOTALS.get(event.name)
    if step is not None:
        step(view, event)


def _deposited(view: Totals, event: Event) -> None:
    view.pots_wei[event.args["pot"]] += event.args["amountWei"]


def _moved(view: Totals, event: Event) -> None:
    view.pots_wei[event.args["pot"]] -= event.args["amountWei"]
    view.pots_wei[event.args["toPot"]] += event.args["amountWei"]


def _credited(view: Totals, event: Event) -> None:
    amount_wei = event.args["amountWei"]
    view.pots_wei[event.args["pot"]] -= amount_wei
    view.credits_wei += amount_wei
    view.accounts[event.args["payee"]].credited_wei += amount_wei


def _withdrawn(view: Totals, event: Event) -> None:
    view.credits_wei -= event.args["amountWei"]
    view.accounts[event.args["payee"]].withdrawn_wei += event.args["amountWei"]


def _transferred(view: Totals, event: Event) -> None:
    source, target, value = event.args["from"], event.args["to"], event.args["value"]
    if source == NO_ACCOUNT:
        view.issued += value
    else:
        view.accounts[source].token -= value
    if target != NO_ACCOUNT:
        view.accounts[target].token += value


def _submitted(view: Totals, event: Event) -> None:
    view.pending[event.args["taskId"]] = event.args.get("rewardWei", 0)
    view.task_states[event.args["taskId"]] = TaskState.PENDING


def _popped(view: Totals, event: Event) -> None:
    view.pending.pop(event.args["taskId"], None)
    view.task_states[event.args["taskId"]] = TaskState.IN_ROUND


def _closed(view: Totals, event: Event) -> None:
    view.pending.pop(event.args["taskId"], None)
    view.task_states[event.args["taskId"]] = event.args["outcome"]


def _round_opened(view: Totals, event: Event) -> None:
    lane = view.lanes.setdefault(event.contract, Lane())
    lane.round_id, lane.task_id = event.args["roundId"], event.args["taskId"]


def _phase_changed(view: Totals, event: Event) -> None:
    lane = view.lanes.setdefault(event.contract, Lane())
    lane.phase, lane.deadline, lane.since = event.args["phase"], event.args["deadline"], event.time
    if lane.phase == Phase.ABORTED:
        lane.deadline = 0


def _aborted(view: Totals, event: Event) -> None:
    view.abort_reasons[event.args["reason"]] += 1


def _appended(view: Totals, event: Event) -> None:
    lane = view.lanes.setdefault(view.kinds.lane_of(event.contract), Lane())
    height = event.args["height"]
    if height > 1:
        view.block_times[slot(event.time - lane.block_time)] += 1
    lane.height, lane.block_time = height, event.time
    winner = event.args["header"].get("winner", NO_ACCOUNT)
    if winner != NO_ACCOUNT:
        view.accounts[winner].blocks += 1


def _staked(view: Totals, event: Event) -> None:
    account = view.accounts[event.args["verifier"]]
    account.stake_wei, account.is_seated = event.args["stakeWei"], True


def _unseated(view: Totals, event: Event) -> None:
    view.accounts[event.args["verifier"]].is_seated = False


def _unstaked(view: Totals, event: Event) -> None:
    view.accounts[event.args["verifier"]].stake_wei = 0


def _slashed(view: Totals, event: Event) -> None:
    account = view.accounts[event.args["verifier"]]
    account.stake_wei -= event.args["amountWei"]
    account.slashed_wei += event.args["amountWei"]


def _penalty_returned(view: Totals, event: Event) -> None:
    view.accounts[event.args["verifier"]].stake_wei += event.args["amountWei"]


def _ballot_opened(view: Totals, event: Event) -> None:
    members = list(event.derived.get("members") or ())
    view.ballots[event.args["ballotId"]] = Ballot(members)
    for member in members:
        view.accounts[member].ballots += 1


def _vote_committed(view: Totals, event: Event) -> None:
    view.accounts[event.args["verifier"]].votes_committed += 1


def _vote_revealed(view: Totals, event: Event) -> None:
    view.accounts[event.args["verifier"]].votes_revealed += 1
    view.ballots.setdefault(event.args["ballotId"], Ballot()).digests[event.args["verifier"]] = event.args["digest"]


def _tallied(view: Totals, event: Event) -> None:
    """Who agreed with the outcome, and with whom: digests are equal where all verdicts are."""
    ballot = view.ballots.pop(event.args["ballotId"], Ballot())
    for verifier, digest in ballot.digests.items():
        view.accounts[verifier].votes_agreed += digest == event.args["outcomeDigest"]
        for other, theirs in ballot.digests.items():
            if verifier < other:
                pair = view.agreed.setdefault((verifier, other), [0, 0])
                pair[0] += 1
                pair[1] += digest == theirs


def slot(seconds: int) -> int:
    """The bin of a block time."""
    return min(SLOTS - 1, max(0, seconds).bit_length())


TOTALS: Steps[Totals] = {
    "Deposited": _deposited,
    "Moved": _moved,
    "Credited": _credited,
    "Withdrawn": _withdrawn,
    "Transfer": _transferred,
    "TaskSubmitted": _submitted,
    "TaskPopped": _popped,
    "TaskClosed": _closed,
    "RoundOpened": _round_opened,
    "PhaseChanged": _phase_changed,
    "RoundAborted": _aborted,
    "BlockAppended": _appended,
    "Staked": _staked,
    "Unseated": _unseated,
    "Unstaked": _unstaked,
    "Slashed": _slashed,
    "PenaltyReturned": _penalty_returned,
    "BallotOpened": _ballot_opened,
    "VoteCommitted": _vote_committed,
    "VoteRevealed": _vote_revealed,
    "BallotTallied": _tallied,
}
