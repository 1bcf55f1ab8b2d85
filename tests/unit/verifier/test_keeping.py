"""Which models a verifier pins while a ballot is open, and when it lets go of them; the store is made up."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pole.chain.profiles import LOCAL
from pole.chain.structs import Ballot, BallotPhase
from pole.errors import ContentNotFound
from pole.journal.journal import Journal
from pole.node.context import RoleContext
from pole.storage.cid import Cid, cid_of
from verifier.keeping import Keeper, longest_ballot_s

MODEL, OWN, ABSENT = cid_of(b"a miner's model"), cid_of(b"kept by somebody here"), cid_of(b"nobody has it")
BALLOT = Ballot(1, "0x", 3, BallotPhase.COMMIT, 1_000, 0, 1, 0, 0, 0, 0, 1, "0x", bytes(32), bytes(32))
UNTIL_S = 1_000 + longest_ballot_s(LOCAL.committee, 1)


class PinningStore:
    def __init__(self) -> None:
        self.pins = {OWN}

    def has(self, cid: Cid) -> bool:
        return cid in self.pins

    def pin(self, cid: Cid, within_s: float) -> None:
        if cid == ABSENT:
            raise ContentNotFound(f"{cid} is nowhere within {within_s} s; wait")
        self.pins.add(cid)

    def unpin(self, cid: Cid) -> None:
        self.pins.discard(cid)


@pytest.fixture
def context(tmp_path: Path) -> Any:
    committee = SimpleNamespace(parameters=lambda: LOCAL.committee)
    return SimpleNamespace(
        journal=Journal(tmp_path / "journal.sqlite"),
        store=PinningStore(),
        log=None,
        chain=SimpleNamespace(block_time=lambda: 0),
        contracts=SimpleNamespace(verifier_committee=committee, lanes=(None,)),
    )


def at(context: Any, time_s: int) -> Keeper:
    """As after a restart at this block time."""
    context.chain.block_time = lambda: time_s
    return Keeper(cast(RoleContext, context))


def test_pin__models_of_a_ballot__kept_until_it_must_have_ended_also_through_a_restart(context: Any) -> None:
    keeper = at(context, 900)
    keeper.plan([MODEL, ABSENT], BALLOT)
    keeper.pin([MODEL, ABSENT])
    at(context, UNTIL_S - 1).let_go()
    assert context.store.has(MODEL)
    at(context, UNTIL_S).let_go()
    assert not context.store.has(MODEL)


def test_plan__kept_in_the_store_already__is_not_ours_to_let_go(context: Any) -> None:
    keeper = at(context, 900)
    keeper.plan([OWN], BALLOT)
    keeper.pin([OWN])
    at(context, 10 * UNTIL_S).let_go()
    assert context.store.has(OWN)


def test_pin__not_planned__is_left_alone(context: Any) -> None:
    at(context, 900).pin([MODEL])
    assert not context.store.has(MODEL)


def test_longest_ballot_s__more_extensions__longer() -> None:
    longer = replace(LOCAL.committee, max_extensions=LOCAL.committee.max_extensions + 1)
    assert longest_ballot_s(longer, 1) > longest_ballot_s(LOCAL.committee, 1)


def test_longest_ballot_s__more_lanes__as_long_as_all_their_entries_take() -> None:
    one, two = (longest_ballot_s(LOCAL.committee, lanes) for lanes in (1, 2))
    passes = 2 * (1 + LOCAL.committee.max_extensions)
    assert two - one == passes * 64 * LOCAL.committee.vote_entry_s
