"""A miner on two lanes: which round it trains on, and what it does for the other one meanwhile."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account.signers.local import LocalAccount

from miner.learning.assignment import RoundTerms, check_manifest
from miner.learning.node import MinerNode
from miner.learning.solutions import Solutions
from miner.learning.worth import worth
from miner.training.api import Candidate, Trainer, TrainingJob
from miner.training.default import train
from pole.chain.structs import Phase
from pole.errors import ContentNotFound
from pole.journal.journal import Journal
from tests.unit.commission import Commission, commission_digits, commission_iris
from tests.unit.local_nodes import ETHER, SALT, LocalNodes, start_local_chain, start_local_nodes, step_until
from tests.unit.miner.learning.test_node import ROUND, terms

# --- what a round is worth -------------------------------------------------------------------------------------------


def test_worth__reward_over_the_seconds_that_are_left() -> None:
    assert worth(ROUND, terms(reward_wei=6_000), 900) == 60
    assert worth(dataclasses.replace(ROUND, phase=Phase.OVERTIME), terms(reward_wei=6_000), 940) == 100


def test_worth__idle_or_over__nothing() -> None:
    assert worth(ROUND, terms(reward_wei=0), 900) == 0
    assert worth(ROUND, terms(), ROUND.deadline) == 0


def test_worth__enough_have_committed__counts_to_the_earliest_close() -> None:
    enough = dataclasses.replace(ROUND, qualified_count=2, earliest_close_at=930)
    assert worth(enough, terms(reward_wei=6_000), 900) == 200
    assert worth(enough, terms(reward_wei=6_000), 930) == 0


# --- memory ----------------------------------------------------------------------------------------------------------


def test_solutions__same_round_of_two_lanes__are_kept_apart(journal: Journal, tmp_path: Path) -> None:
    first, second = Solutions(journal, tmp_path), Solutions(journal, tmp_path, 1)
    sealed = [
        lane.seal(dataclasses.replace(ROUND, round_id=3), Candidate(name, 1))
        for lane, name in ((first, b"one"), (second, b"two"))
    ]
    assert [first.content(3, sealed[0]), second.content(3, sealed[1])] == [b"one", b"two"]
    first.close(3, "won")
    assert (first.open_rounds(), second.open_rounds()) == ([], [3])
    assert second.content(3, sealed[1]) == b"two"


# --- on a chain ------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class TwoLanes:
    """Two unencrypted tasks in training, one on each lane; the first lane's pays three times as much."""

    local_nodes: LocalNodes
    iris: Commission
    client: LocalAccount

    def miner(self, trainer: Trainer = train, lane: int | None = None) -> MinerNode:
        nodes = self.local_nodes
        return nodes.miner(nodes.funded(), is_idle_allowed=False, trainer=trainer, lane=lane)

    def begin(self) -> None:
        context = self.local_nodes.context("client", self.client.address, self.client)
        for _ in range(2):
            self.local_nodes.submit(self.client, self.iris)
        context.contracts.task_market.raise_reward(2, key="raise", value_wei=20 * 10**17)
        opener = self.miner()
        step_until([opener], lambda: all(lane.learning_chain.round_count() for lane in context.contracts.lanes))
        for _ in range(2):  # the blocks that the previous hashes come from
            self.local_nodes.rpc("evm_mine")
        for lane in context.contracts.lanes:
            current = lane.learning_chain.round(1)
            lane.learning_chain.publish_keys(1, current.previous_hash, self.iris.manifest_cid)

    def release(self) -> None:
        """The first lane's test set, once its commits are closed."""
        context = self.local_nodes.context("client", self.client.address, self.client)
        chain = context.contracts.learning_chain
        if chain.round(1).phase is Phase.TRAINING:
            chain.advance(1, key="close")
        self.local_nodes.pass_time(1)
        chain.release_test_set(1, self.iris.test_set, SALT)


@pytest.fixture
def two_lanes(tmp_path: Path) -> Iterator[TwoLanes]:
    digits = commission_digits(tmp_path / "store")
    with (
        start_local_chain(digits.manifest_cid, lanes=2) as chain,
        start_local_nodes(chain, tmp_path, digits, has_absent_verifier=True) as local_nodes,
    ):
        begun = TwoLanes(local_nodes, commission_iris(digits.store.root), local_nodes.funded())
        begun.begin()
        yield begun


def committed(miner: MinerNode) -> list[bool]:
    """By lane."""
    lanes = miner.context.contracts.lanes
    return [lane.learning_chain.place_of(1, miner.context.address) != 0 for lane in lanes]


def test_act__both_lanes_open__trains_first_where_more_is_paid_and_then_on_the_other(two_lanes: TwoLanes) -> None:
    miner = two_lanes.miner()
    market = miner.context.contracts.task_market
    assert [market.task(task_id).lane for task_id in (2, 1)] == [0, 1]
    miner.act()
    assert committed(miner) == [True, False]
    miner.act()
    assert committed(miner) == [True, True]
    assert miner.is_committed


def test_act__one_lane_fixed__works_on_no_other(two_lanes: TwoLanes) -> None:
    miner = two_lanes.miner(lane=1)
    for _ in range(2):
        miner.act()
    assert committed(miner) == [False, True]


def test_act__files_of_the_better_paid_round_are_nowhere__trains_on_the_other(
    two_lanes: TwoLanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(store: Any, current: Any, given: RoundTerms, limits: Any) -> Any:
        if given.reward_wei > ETHER:
            raise ContentNotFound("nobody has it")
        return check_manifest(store, current, given, limits)

    monkeypatch.setattr("miner.learning.lane.check_manifest", nowhere)
    miner = two_lanes.miner()
    miner.act()
    assert committed(miner) == [False, True]
    assert "nobody has it" in miner.act().what


def test_act__other_lane_wants_the_reveal_while_it_trains__reveals_in_between(
    two_lanes: TwoLanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("miner.learning.deadline.REFRESH_S", 0.0)
    first_lane, looks = two_lanes.local_nodes, 0

    def is_revealed() -> bool:
        context = first_lane.context("client", two_lanes.client.address, two_lanes.client)
        return context.contracts.learning_chain.submissions(1)[0].is_revealed

    def patient(job: TrainingJob) -> Iterator[Any]:
        nonlocal looks
        if not committed(miner)[0]:
            yield from train(job)
            return
        two_lanes.release()
        while not is_revealed() and looks < 20:
            looks += 1
            job.is_over()
        yield from train(job)

    miner = two_lanes.miner(trainer=patient)
    miner.act()
    assert committed(miner) == [True, False]
    miner.act()
    assert is_revealed()
    assert looks <= 20
