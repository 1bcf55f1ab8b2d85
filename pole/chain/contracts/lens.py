"""Lens: much of a deployment in one call, for wallets and explorers; roles read through `pole.chain.view`."""

from collections.abc import Sequence
from dataclasses import dataclass

from pole.chain.abi import from_abi
from pole.chain.contracts.base import BaseContract
from pole.chain.gradient_structs import Miner
from pole.chain.structs import Ballot, Member, Round, Submission, Task, Verifier


@dataclass(frozen=True)
class ListedTask:
    """A task on the list; `value` is what it is worth to it."""

    task: Task
    value: int


@dataclass(frozen=True)
class WholeRound:
    """A round with all that belongs to it; `ballot` is its last one.

    The outcomes of its first ballot, where it was repeated, and of its last are as the committee keeps them; see
    `pole.chain.verdicts.expand_outcome`.
    """

    round: Round
    is_due: bool
    submissions: list[Submission]
    ballot: Ballot | None
    is_ballot_due: bool
    first_outcome: list[int]
    outcome: list[int]


@dataclass(frozen=True)
class LanePosition:
    """What an account has on a lane: `place` (0 without a submission) and `member` are of its newest round."""

    chain: str
    round_id: int
    place: int
    member: Member | None


@dataclass(frozen=True)
class Position:
    """What an account has in all contracts; `tokens` in the reward token's smallest unit."""

    balance_wei: int
    credit_wei: int
    tokens: int
    verifier: Verifier
    miner: Miner
    lanes: list[LanePosition]


class Lens(BaseContract):
    name = "Lens"

    def pending_tasks(self, behind: int = 0, count: int = 500) -> list[ListedTask]:
        """At most `count` in the order of the list: from its front, or behind a pending task."""
        found = self._read("pendingTasks", behind, count)
        return [ListedTask(from_abi(Task, task, task_id=task_id), int(value)) for task_id, value, task in found]

    def rounds(self, chain: str, round_ids: Sequence[int]) -> list[WholeRound]:
        """`chain`: address of the lane's."""
        found = self._read("rounds", chain, list(round_ids))
        return [_whole(*each, round_id=round_id) for each, round_id in zip(found, round_ids, strict=True)]

    def seats(self) -> dict[str, Verifier]:
        """Every seat's verifier, by address."""
        return {str(account): from_abi(Verifier, verifier) for account, verifier in self._read("seats")}

    def votes(self, ballot_id: int) -> dict[str, Member]:
        """Every member of a ballot, by address, in the order of their indexes."""
        return {str(account): from_abi(Member, member) for account, member in self._read("votes", ballot_id)}

    def position(self, account: str) -> Position:
        balance_wei, credit_wei, tokens, verifier, miner, lanes = self._read("position", account)
        return Position(
            int(balance_wei),
            int(credit_wei),
            int(tokens),
            from_abi(Verifier, verifier),
            from_abi(Miner, miner),
            [_lane_position(*each) for each in lanes],
        )


def _whole(
    the_round: tuple[object, ...],
    is_due: bool,
    submissions: list[tuple[object, ...]],
    ballot: tuple[object, ...],
    is_ballot_due: bool,
    first_outcome: list[int],
    outcome: list[int],
    *,
    round_id: int,
) -> WholeRound:
    found: Round = from_abi(Round, the_round, round_id=round_id)
    return WholeRound(
        found,
        is_due,
        [from_abi(Submission, each) for each in submissions],
        from_abi(Ballot, ballot, ballot_id=found.ballot_id) if found.ballot_id else None,
        is_ballot_due,
        first_outcome,
        outcome,
    )


def _lane_position(chain: str, round_id: int, place: int, member: tuple[object, ...]) -> LanePosition:
    found: Member = from_abi(Member, member)
    return LanePosition(chain, int(round_id), int(place), found if found.weight_wei else None)
