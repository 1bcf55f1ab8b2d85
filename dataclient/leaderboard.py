"""Every submission of a task's round: by whom, when, how it scored, and what its miner was paid."""

import datetime
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from dataclient.task_folder import find_task_home
from pole.chain.contracts import Contracts
from pole.chain.structs import Phase, Pot, Round, Submission, Verdict, VerdictKind
from pole.errors import BadInput
from pole.money import wei_to_ether
from pole.node.context import RoleContext

_NOT_JUDGED = Verdict(VerdictKind.NONE, 0, VerdictKind.NONE, 0)
_REASONS = {
    VerdictKind.INVALID: "invalid model",
    VerdictKind.UNAVAILABLE: "model not found",
    VerdictKind.WITHHELD: "data withheld",
    VerdictKind.UNDECIDED: "undecided",
}
_CAPTION = "Credits; each miner withdraws its own. An ommer is valid and was not the best: a later block may reward it."


@dataclass(frozen=True)
class Payment:
    """Of one miner for one submission. `bond_wei`: what came back of its bond, with shares of forfeited ones.

    `tokens`: units of the reward token, those for an ommer that a later block referenced included.
    """

    reward_wei: int
    bond_wei: int
    tokens: int


NOTHING = Payment(0, 0, 0)


@dataclass(frozen=True)
class Standing:
    """One submission. Scores are None where the committee has given none; `place` is None unless it could win."""

    place: int | None
    miner: str
    committed_at_s: int
    claimed_train_ppm: int
    model: str | None
    train_ppm: int | None
    test_ppm: int | None
    outcome: str
    payment: Payment


@dataclass(frozen=True)
class Leaderboard:
    """Best first. `round_id` is None before the task's first round."""

    task_id: int
    round_id: int | None
    rounds: int
    phase: str
    standings: list[Standing]

    def document(self) -> dict[str, Any]:
        """For `--json`: integers in wei, ppm and seconds of block time."""
        return asdict(self)


def leaderboard(client: RoleContext, task: str) -> Leaderboard:
    """Of the task's newest round. `task`: a name of this client's, or the number of anybody's. Raises BadInput."""
    task_id = _task_id(client, task)
    client = client.on_lane(client.contracts.task_market.task(task_id).lane)
    contracts = client.contracts
    opened = contracts.learning_chain.rounds_of(task_id)
    if not opened:
        return Leaderboard(task_id, None, 0, "waiting for a round", [])
    played = contracts.learning_chain.round(opened[-1])
    submissions = contracts.learning_chain.submissions(played.round_id)
    verdicts = _verdicts(contracts, played, submissions)
    paid, times = _payments(client, played), _commit_times(client, played.round_id)
    standings = [
        _standing(
            each, times[place], verdict, _outcome(contracts, played, each, verdict), paid.get(each.miner, NOTHING)
        )
        for place, (each, verdict) in enumerate(zip(submissions, verdicts, strict=True))
    ]
    return Leaderboard(task_id, played.round_id, len(opened), _phase(played), _ranked(standings))


def _commit_times(client: RoleContext, round_id: int) -> dict[int, int]:
    """Of the last commit in each place, in seconds of block time; the chain keeps none."""
    last = {event.arguments["index"]: event.block_number for event in client.contracts.learning_chain.commits(round_id)}
    times = {number: client.chain.time_of(number) for number in set(last.values())}
    return {place: times[number] for place, number in last.items()}


def _task_id(client: RoleContext, task: str) -> int:
    try:
        submitted = find_task_home(client.home, task).submitted()
    except BadInput:
        if not task.isdecimal():
            raise
        submitted = None
    if submitted is not None and submitted.deployment == client.chain.deployment.identity:
        return submitted.task_id
    if not task.isdecimal():
        raise BadInput(f"task {task!r} is not on this chain; give the --rpc and --deployment it was submitted with")
    count = client.contracts.task_market.task_count()
    if not 1 <= int(task) <= count:
        raise BadInput(f"there is no task {task}; the market has {count}, numbered from 1")
    return int(task)


def _phase(played: Round) -> str:
    if played.phase is Phase.ABORTED:
        return f"aborted: {played.abort_reason.name.lower().replace('_', ' ')}"
    return played.phase.name.lower()


# --- scores ----------------------------------------------------------------------------------------------------------


def _verdicts(contracts: Contracts, played: Round, submissions: Sequence[Submission]) -> list[Verdict]:
    """One each; nothing is known of what was not revealed, nor of anything before the ballot has closed."""
    decided: list[Verdict] = []
    if played.ballot_id:
        decided = contracts.verifier_committee.repeated_outcome(played.first_ballot_id, played.ballot_id)
    revealed = iter(decided)
    return [next(revealed, _NOT_JUDGED) if each.is_revealed else _NOT_JUDGED for each in submissions]


def _outcome(contracts: Contracts, played: Round, submission: Submission, verdict: Verdict) -> str:
    if not submission.is_revealed:
        return "not revealed" if played.phase.is_over or played.phase is Phase.VOTING else "committed"
    if verdict.train is VerdictKind.NONE:
        return "not judged" if played.phase.is_over else "revealed"
    if not verdict.is_valid:
        return _REASONS[verdict.train]
    if played.phase is Phase.FINALISED:
        if contracts.block_ledger.header(played.height).winner == submission.miner:
            return "won"
        if submission.miner in {ommer.miner for ommer in contracts.block_ledger.ommers(played.height)}:
            return "ommer"
    required_ppm = 0 if played.is_overtime else contracts.task_market.task(played.task_id).terms.required_train_ppm
    return "valid" if verdict.train_ppm >= required_ppm else "below the required accuracy"


def _standing(
    submission: Submission, committed_at_s: int, verdict: Verdict, outcome: str, payment: Payment
) -> Standing:
    return Standing(
        None,
        submission.miner,
        committed_at_s,
        submission.claimed_train_ppm,
        None if submission.model is None else str(submission.model),
        verdict.train_ppm if verdict.train is VerdictKind.SCORED else None,
        verdict.test_ppm if verdict.test is VerdictKind.SCORED else None,
        outcome,
        payment,
    )


def _ranked(standings: list[Standing]) -> list[Standing]:
    """The winner, then by test score, or by train score where there is none; the earlier first among equals."""
    can_win = [each for each in standings if each.outcome in ("won", "ommer", "valid")]
    can_win.sort(key=lambda each: (each.outcome == "won", each.test_ppm or 0, each.train_ppm or 0), reverse=True)
    placed = [Standing(**{**vars(each), "place": place}) for place, each in enumerate(can_win, start=1)]
    return [*placed, *(each for each in standings if each not in can_win)]


# --- money -----------------------------------------------------------------------------------------------------------


def _payments(client: RoleContext, played: Round) -> dict[str, Payment]:
    """By miner, from the events of the transaction that ended the round, and of later ones that reference it."""
    if not played.phase.is_over:
        return {}
    chain, paid = client.chain, defaultdict[tuple[str, str], int](int)
    ended = client.contracts.learning_chain.last_change(played.round_id)
    keeper = client.contracts.task_market.address
    block = ended.block_number
    for event in chain.logs("RewardReservoir", "Credited", block, block, keeper=keeper):
        if event.transaction_hash == ended.transaction_hash:
            kind = "reward_wei" if event.arguments["pot"] == Pot.ESCROW else "bond_wei"
            paid[event.arguments["payee"], kind] += int(event.arguments["amountWei"])
    if played.phase is Phase.FINALISED:
        ledger = client.contracts.block_ledger
        winner = ledger.header(played.height).winner
        paid[winner, "tokens"] += ledger.parameters().winner_reward
        for event in ledger.references(block, height=played.height):
            paid[winner, "tokens"] += int(event.arguments["referenceReward"])
        for event in ledger.references(block, ommerHeight=played.height):
            paid[event.arguments["miner"], "tokens"] += int(event.arguments["ommerReward"])
    kinds = ("reward_wei", "bond_wei", "tokens")
    return {payee: Payment(*(paid.get((payee, kind), 0) for kind in kinds)) for payee in {who for who, _ in paid}}


# --- shown -----------------------------------------------------------------------------------------------------------


def leaderboard_table(found: Leaderboard) -> Table:
    """One row per submission; times in UTC, amounts in ether."""
    columns = ("#", "miner", "committed (UTC)", "train", "test", "outcome")
    money = ("reward (ETH)", "bond back (ETH)", "reward token")
    table = Table(*columns, *money, title=title(found), caption=_CAPTION)
    for each in found.standings:
        at = datetime.datetime.fromtimestamp(each.committed_at_s, datetime.UTC)
        scores = (each.train_ppm, each.test_ppm)
        amounts = (each.payment.reward_wei, each.payment.bond_wei, each.payment.tokens)
        table.add_row(
            "-" if each.place is None else str(each.place),
            each.miner,
            f"{at:%Y-%m-%d %H:%M:%S}",
            *("-" if ppm is None else f"{ppm / 10_000:.2f} %" for ppm in scores),
            each.outcome,
            *(wei_to_ether(amount) if amount else "-" for amount in amounts),
        )
    return table


def title(found: Leaderboard) -> str:
    """What the table is of, in a line."""
    if found.round_id is None:
        return f"Task {found.task_id}: {found.phase}; nothing was submitted yet"
    earlier = f", after {found.rounds - 1} without a solution" if found.rounds > 1 else ""
    return f"Task {found.task_id}, round {found.round_id}{earlier}: {found.phase}, {len(found.standings)} submission(s)"
