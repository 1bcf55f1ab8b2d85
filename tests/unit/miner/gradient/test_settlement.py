"""What a gradient miner says and unpins once a height is decided, also after a restart."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from miner.gradient.settlement import KEEP_LOST_S, Settlement
from pole.chain.gradient_structs import GradientHeader, Height, HeightPhase, StopReason
from pole.chain.spending import Spending
from pole.gradient.proof import Published
from pole.journal.journal import Journal
from pole.node.figures import HEIGHTS
from pole.node.notify.notices import NOBODY as NO_ONE
from pole.node.notify.notices import Notices
from pole.storage.cid import Cid, cid_of
from tests.unit.heard import Heard

ME, OTHER, NOBODY = (f"0x{digit * 40}" for digit in "120")
TASK_ID, REWARD_WEI = 5, 2 * 10**16
UNPIN_AFTER_S = 100


@dataclass
class World:
    """A gradient chain, its node, the store and the reservoir in one."""

    headers: dict[int, GradientHeader] = field(default_factory=dict)
    now_s: int = 1_000_000
    credit: int = 0
    unpinned: list[Cid] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    spending: Spending = field(default_factory=Spending)

    def block_time(self) -> int:
        return self.now_s

    def header(self, height: int) -> GradientHeader:
        return self.headers[height]

    def task(self, task_id: int) -> Any:
        assert task_id == TASK_ID
        return SimpleNamespace(stop_reason=StopReason.TIMED_OUT, terms=SimpleNamespace(block_reward_wei=REWARD_WEI))

    def unpin(self, cid: Cid) -> None:
        self.unpinned.append(cid)

    def credit_wei(self, address: str) -> int:
        assert address == ME
        return self.credit

    def withdraw(self, address: str, *, key: str) -> None:
        assert address == ME
        self.withdrawn.append(key)

    def append(self, height: int, miner: str) -> None:
        proof = None if miner == NOBODY else cid_of(b"proof")
        header = GradientHeader(
            height, TASK_ID, miner, b"", cid_of(b"w"), proof, 312, 1, 2, 4, 950_000, 912_345, b"", self.now_s
        )
        self.headers[height] = header


def settling(world: World, folder: Path, withdraw_over_wei: int | None = None, notices: Notices = NO_ONE) -> Settlement:
    """A new process on the same home."""
    context: Any = SimpleNamespace(
        address=ME,
        chain=world,
        store=world,
        contracts=SimpleNamespace(gradient_chain=world, reward_reservoir=world),
        journal=Journal(folder / "journal.sqlite", is_exclusive=False),
        log=structlog.get_logger(),
        notices=notices,
    )
    return Settlement(context, withdraw_over_wei, UNPIN_AFTER_S)


def at(height: int, phase: HeightPhase = HeightPhase.SEARCH) -> Height:
    return Height(height, TASK_ID, phase, 0, 0, 0, 0, 0, 0)


def published(*names: bytes) -> Published:
    return Published(cid_of(names[0]), cid_of(names[-1]), tuple(map(cid_of, names)))


@pytest.fixture
def world() -> World:
    return World()


def said(settlement: Settlement, current: Height, followed: Height | None = None, steps: int = 0) -> list[str]:
    with capture_logs() as logs:
        settlement.settle(current, followed, steps)
    return [line["event"] for line in logs]


def test_settle__height_still_on__nothing_is_said_or_unpinned(world: World, tmp_path: Path) -> None:
    settlement = settling(world, tmp_path)
    settlement.keep(at(7), published(b"a"))
    assert said(settlement, at(7, HeightPhase.VOTING)) == []
    world.now_s += 10 * KEEP_LOST_S
    assert said(settlement, at(7)) == []
    assert world.unpinned == []


def test_settle__own_block__says_what_was_won_and_counts_it(world: World, tmp_path: Path) -> None:
    before = HEIGHTS.labels("won")._value.get()
    world.append(7, ME)
    [line] = said(settling(world, tmp_path), at(8), at(7), steps=400)
    assert line.startswith(
        "height 7: I won block 7 (95.00 % train, 91.23 % test accuracy, step 312 after 4 s) and 0.02 ether; I did 400 "
        "steps; it cost me "
    )
    assert HEIGHTS.labels("won")._value.get() == before + 1


@pytest.mark.parametrize(("proposes", "what"), [(True, "I proposed one too and lost"), (False, "I had proposed none")])
def test_settle__block_of_another__says_whose(world: World, tmp_path: Path, proposes: bool, what: str) -> None:
    settlement = settling(world, tmp_path)
    if proposes:
        settlement.keep(at(7), published(b"a"))
    world.append(7, OTHER)
    [line] = said(settlement, at(8), at(7))
    assert f"went to {OTHER}; {what}; I did 0 steps" in line


@pytest.mark.parametrize(
    ("winner", "proposes", "text"),
    [
        (ME, True, "gradient height 7: I won block 7"),
        (OTHER, True, f"went to {OTHER}; I proposed one too and lost"),
        (OTHER, False, ""),
    ],
)
def test_settle__height_decided__a_person_is_told_with_others_if_it_had_to_do_with_it(
    world: World, tmp_path: Path, winner: str, proposes: bool, text: str
) -> None:
    heard = Heard()
    settlement = settling(world, tmp_path, notices=heard)
    if proposes:
        settlement.keep(at(7), published(b"a"))
        assert (settlement.has_proposed(7), settlement.has_proposed(8)) == (True, False)
    world.append(7, winner)
    settlement.settle(at(8), at(7), 0)
    assert (list(heard.told), heard.urgent) == (["height/7"] if text else [], [])
    assert text in "".join(heard.told.values())


def test_settle__proposal_that_the_chain_refused__lost_no_bond_and_its_files_go(world: World, tmp_path: Path) -> None:
    heard = Heard()
    settlement = settling(world, tmp_path, notices=heard)
    settlement.keep(at(7), published(b"a"))
    settlement.note_refused(7)
    assert not settlement.has_proposed(7)
    world.append(7, OTHER)
    [line] = said(settlement, at(8), at(7))
    assert "I had proposed none" in line
    assert heard.told == {}
    world.now_s += KEEP_LOST_S
    settlement.settle(at(8), None, 0)
    assert world.unpinned == [cid_of(b"a")]


def test_keep__again_after_a_refusal__a_bond_depends_on_it(world: World, tmp_path: Path) -> None:
    settlement = settling(world, tmp_path)
    settlement.keep(at(7), published(b"a"))
    settlement.note_refused(7)
    settlement.keep(at(7), published(b"b"))
    assert settlement.has_proposed(7)


def test_settle__task_stopped__says_why(world: World, tmp_path: Path) -> None:
    idle = at(7, HeightPhase.IDLE)
    assert "height 7: ended without a block: timed out;" in said(settling(world, tmp_path), idle, at(7))[0]
    world.append(7, NOBODY)  # opened the next task
    assert "height 7: ended without a block: timed out;" in said(settling(world, tmp_path), at(8), at(7))[0]


def test_settle__decided_while_the_process_was_dead__is_said_once(world: World, tmp_path: Path) -> None:
    settling(world, tmp_path).keep(at(7), published(b"a"))
    world.append(7, ME)
    assert "I won block 7" in said(settling(world, tmp_path), at(8))[0]
    assert said(settling(world, tmp_path), at(8)) == []


def test_settle__lost_proposal__goes_after_the_time_for_reorganisations(world: World, tmp_path: Path) -> None:
    settlement = settling(world, tmp_path)
    settlement.keep(at(7), published(b"a", b"b"))
    settlement.keep(at(7), published(b"b", b"c"))  # again, after a void ballot
    world.append(7, OTHER)
    settlement.settle(at(8), None, 0)
    world.now_s += KEEP_LOST_S - 1
    settling(world, tmp_path).settle(at(8), None, 0)
    assert world.unpinned == []
    world.now_s += 1
    settling(world, tmp_path).settle(at(8), None, 0)
    assert set(world.unpinned) == {cid_of(name) for name in (b"a", b"b", b"c")}


def test_settle__own_block__stays_while_others_train_on_from_it(world: World, tmp_path: Path) -> None:
    settling(world, tmp_path).keep(at(7), published(b"a"))
    world.append(7, ME)
    for _ in range(2):
        settling(world, tmp_path).settle(at(8), None, 0)
        world.now_s += 10 * UNPIN_AFTER_S
    assert world.unpinned == []
    world.append(8, OTHER)
    settling(world, tmp_path).settle(at(9), None, 0)
    world.now_s += UNPIN_AFTER_S - 1
    settling(world, tmp_path).settle(at(9), None, 0)
    assert world.unpinned == []
    world.now_s += 1
    settling(world, tmp_path).settle(at(9), None, 0)
    assert world.unpinned == [cid_of(b"a")]


def test_settle__last_block_of_a_task__stays_for_the_time_given(world: World, tmp_path: Path) -> None:
    settling(world, tmp_path).keep(at(7), published(b"a"))
    world.append(7, ME)
    settling(world, tmp_path).settle(at(8, HeightPhase.IDLE), None, 0)
    world.now_s += UNPIN_AFTER_S
    settling(world, tmp_path).settle(at(8, HeightPhase.IDLE), None, 0)
    assert world.unpinned == [cid_of(b"a")]


@pytest.mark.parametrize(("limit_wei", "keys"), [(None, []), (10, []), (9, ["withdraw/after-height/7"])])
def test_settle__credits_over_the_limit__are_withdrawn(
    world: World, tmp_path: Path, limit_wei: int | None, keys: list[str]
) -> None:
    world.credit = 10
    world.append(7, OTHER)
    settling(world, tmp_path, limit_wei).settle(at(8), at(7), 0)
    assert world.withdrawn == keys
