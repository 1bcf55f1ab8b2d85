"""How a miner hears of an ended round: what it won, or why it did not."""

from types import SimpleNamespace
from typing import Any

import pytest

from miner.learning.settlement import outcome_of
from pole.chain.structs import AbortReason, Phase, Verdict, VerdictKind

ME, OTHER = "0xMe", "0xOther"
SCORED = VerdictKind.SCORED
MINE = Verdict(SCORED, 920_000, SCORED, 880_000)
BLOCK = "block 4 (95.00 % train, 90.00 % test accuracy)"


def contracts(*, verdict: Verdict | None = MINE, is_revealed: bool = True, place: int = 2, winner: str = OTHER) -> Any:
    """Two miners in a round, the other one first; `verdict`: on mine, None before a ballot was closed."""
    revealed = [SimpleNamespace(miner=OTHER, is_revealed=True)]
    mine = SimpleNamespace(miner=ME, is_revealed=is_revealed)
    verdicts = [] if verdict is None else [Verdict(SCORED, 950_000, SCORED, 900_000), verdict][: 1 + is_revealed]
    return SimpleNamespace(
        learning_chain=SimpleNamespace(
            place_of=lambda _round, _miner: place,
            submissions=lambda _round: [*revealed, mine],
            entries=lambda _round: [*revealed, *([mine] if is_revealed else [])],
        ),
        verifier_committee=SimpleNamespace(repeated_outcome=lambda _first, _last: verdicts),
        block_ledger=SimpleNamespace(
            header=lambda _height: SimpleNamespace(winner=winner, train_ppm=950_000, test_ppm=900_000),
            ommers=lambda _height: [],
            parameters=lambda: SimpleNamespace(winner_reward=32 * 10**18),
        ),
        task_market=SimpleNamespace(task=lambda _task: SimpleNamespace(reward_wei=10**17)),
    )


def ended(phase: Phase = Phase.FINALISED, reason: AbortReason = AbortReason.NONE) -> Any:
    fields = {"round_id": 3, "task_id": 1, "height": 4, "ballot_id": 5, "first_ballot_id": 0, "is_idle": False}
    return SimpleNamespace(**fields, phase=phase, abort_reason=reason)


def test_outcome__not_revealed__the_bond_is_lost() -> None:
    assert outcome_of(contracts(is_revealed=False), ended(), ME) == (
        f"{BLOCK} went to {OTHER}; I did not reveal and lost my bond"
    )


@pytest.mark.parametrize(
    ("verdict", "why"),
    [
        (MINE, "I lost, with 92.00 % train and 88.00 % test accuracy"),
        (Verdict(SCORED, 920_000, VerdictKind.NONE, 0), "I lost, with 92.00 % train accuracy"),
        (Verdict(VerdictKind.INVALID, 0, VerdictKind.NONE, 0), "my model was judged invalid"),
        (
            Verdict(VerdictKind.UNAVAILABLE, 0, VerdictKind.NONE, 0),
            "my model was judged not to be had from the content store",
        ),
        (None, "my model was not judged"),
    ],
)
def test_outcome__another_won__says_why_mine_did_not(verdict: Verdict | None, why: str) -> None:
    assert outcome_of(contracts(verdict=verdict), ended(), ME) == f"{BLOCK} went to {OTHER}; {why}"


def test_outcome__no_block__the_reason_and_what_mine_was_worth() -> None:
    aborted = ended(Phase.ABORTED, AbortReason.BELOW_FLOOR)
    assert outcome_of(contracts(), aborted, ME) == (
        "ended without a block: below floor; I lost, with 92.00 % train and 88.00 % test accuracy"
    )
    assert outcome_of(contracts(place=0), aborted, ME) == "ended without a block: below floor"


def test_outcome__won__with_what_it_pays() -> None:
    assert outcome_of(contracts(winner=ME), ended(), ME) == f"I won {BLOCK}, 0.1 ether and 32 LEARN"


def test_outcome__not_in_it__says_so() -> None:
    assert outcome_of(contracts(place=0), ended(), ME) == f"{BLOCK} went to {OTHER}; I had not committed"
