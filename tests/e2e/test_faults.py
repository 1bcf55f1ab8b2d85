"""Rounds under every fault of node, clocks, disks and balances. Everybody is paid each time.

All roles reach the node through one proxy, and their clocks are ten minutes off, in both directions.
"""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from pole.chain.deployment import ContractName
from pole.chain.structs import Phase, Round
from pole.node.loop import STATUS_FILE
from testbed.processes import Actor
from tests.e2e.company import SHOWN, Company, found
from tests.e2e.proxy import Fault, Proxy
from tests.e2e.secrecy import PATH, leaks, with_keys
from tests.e2e.settled import check_settled, fees_wei
from tests.e2e.site import PROFILE
from tests.e2e.tasks import write_rows
from tests.e2e.world import World

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

AHEAD_S, BEHIND_S = 600, -600
HUNG_S, REFUSED_S = 10.0, 20.0
PATIENCE_S = 200.0
ETHER, GWEI = 10**18, 10**9
SPIKE_WEI = 400 * GWEI
HELP, STORE_TROUBLE = "waiting for somebody to help", "waiting for the content store to work again"


@dataclass
class Trouble:
    """A company whose world can be made to fail."""

    company: Company
    proxy: Proxy
    filled_at: dict[str, int] = field(default_factory=dict)

    @property
    def world(self) -> World:
        return self.company.world

    def commission(self, name: str, **terms: Any) -> int:
        rows = write_rows(self.world.folder / "rows.csv")
        return self.world.commission(self.company.client, rows, name, **terms)

    def finish(self, task_id: int) -> Round:
        """The round ends as if nothing had been: with a block, and the money where it belongs."""
        world = self.world

        def look() -> Round | None:
            current = world.round_of(task_id)
            return current if current is not None and current.phase.is_over else None

        ended = world.until(f"the round of task {task_id} to end", look, PATIENCE_S)
        assert (ended.phase, ended.is_test_set_released) == (Phase.FINALISED, True)
        assert world.contracts.block_ledger.header(ended.height).winner == self.company.miner.address
        [opened] = world.chain.logs("LearningChain", "RoundOpened", roundId=ended.round_id)
        task, paid_wei = world.contracts.task_market.task(task_id), world.credited_since(opened.block_number)
        assert paid_wei == {
            self.company.client.address: PROFILE.market.client_bond_wei,
            self.company.miner.address: task.reward_wei + PROFILE.chain.miner_bond_wei,
            **{verifier.address: fees_wei(world.contracts, ended) // 2 for verifier in self.company.verifiers},
        }
        return ended

    def block_of(self, event: str, round_id: int) -> int | None:
        contract: ContractName = "BlockLedger" if event == "BlockAppended" else "LearningChain"
        found = self.world.chain.logs(contract, event, roundId=round_id)
        return found[0].block_number if found else None

    def disk_flag(self, actor: Actor) -> Path:
        return self.world.folder / f"{actor.name}.full"

    def fill_disk(self, actor: Actor) -> None:
        self.filled_at[actor.name] = len(self.world.stage.log_of(actor).read_text())
        self.disk_flag(actor).touch()

    def free_disk(self, actor: Actor, complaint: str) -> None:
        """Waits until the actor has noticed that its disk is full."""
        self.says(actor, complaint, self.filled_at[actor.name])
        self.disk_flag(actor).unlink()

    def says(self, actor: Actor, what: str, since: int) -> None:
        """Waits until an actor's log says it, after position `since`."""
        log = self.world.stage.log_of(actor)
        self.world.until(f"{actor.name} to say {what!r}", lambda: what in log.read_text()[since:])

    def marks(self) -> dict[str, int]:
        """How long the logs are now, by actor's name."""
        return {actor.name: len(self.world.stage.log_of(actor).read_text()) for actor in self.company.actors}


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trouble]:
    company = found(tmp_path_factory.mktemp("trouble"), is_hasty=False)
    world = company.world
    with closing(world), closing(Proxy(world.site.rpc_url)) as proxy:
        trouble = Trouble(company, proxy)
        world.stage.chain = replace(world.stage.chain, rpc_url=with_keys(proxy.url, PATH))
        skews = [AHEAD_S, BEHIND_S, AHEAD_S, BEHIND_S]
        for actor, skew_s in zip(company.actors, skews, strict=True):
            world.wrap(actor, "tampered", f"clock={skew_s}", f"full={trouble.disk_flag(actor)}")
        company.gather()
        yield trouble


@pytest.fixture
def trouble(request: pytest.FixtureRequest, troubled: Trouble) -> Iterator[Trouble]:
    """Every test ends with the books in order."""
    request.node.stash[SHOWN] = troubled.world
    since = troubled.world.chain.block_number()
    yield troubled
    check_settled(troubled.world, since, troubled.company.actors)
    assert leaks(troubled.world.stage, troubled.world.folder) == []


# --- clocks ----------------------------------------------------------------------------------------------------------


def test_round__clocks_twenty_minutes_apart__only_block_time_counts(trouble: Trouble) -> None:
    trouble.finish(trouble.commission("skewed"))
    statuses = [json.loads((actor.home / STATUS_FILE).read_text()) for actor in trouble.company.actors[:2]]
    ahead_s, behind_s = (status["written_at_s"] - time.time() for status in statuses)
    assert ahead_s > AHEAD_S / 2
    assert behind_s < BEHIND_S / 2


# --- the node --------------------------------------------------------------------------------------------------------


def test_round__connections_dropped_answers_lost_late_or_wrong__finishes(trouble: Trouble) -> None:
    shares = {
        Fault.REFUSED: 0.04,
        Fault.LOST: 0.04,
        Fault.SLOW: 0.05,
        Fault.BUSY: 0.01,
        Fault.FAILED: 0.005,
        Fault.GARBAGE: 0.005,
    }
    with trouble.proxy.sometimes(shares):
        trouble.finish(trouble.commission("flaky-node"))
    assert all(trouble.proxy.counts[fault] for fault in shares), trouble.proxy.counts


def test_round__node_away_for_thirty_seconds__goes_on_where_it_was(trouble: Trouble) -> None:
    world = trouble.world
    task_id = trouble.commission("outage", solutions_wanted=2)
    world.until("the commit", lambda: world.has_committed(task_id, trouble.company.miner))
    marks = trouble.marks()
    world.pass_deadline(world.in_phase(task_id, Phase.TRAINING).deadline)
    with trouble.proxy.always(Fault.HUNG):
        time.sleep(HUNG_S)
    with trouble.proxy.always(Fault.REFUSED):
        time.sleep(REFUSED_S)
    trouble.finish(task_id)
    for actor in trouble.company.actors:
        trouble.says(actor, "trying again in", marks[actor.name])


def test_round__reorgs_undo_commit_reveal_and_block__are_sent_again_and_paid_once(trouble: Trouble) -> None:
    world, miner = trouble.world, trouble.company.miner
    task_id = trouble.commission("reorgs", solutions_wanted=2)
    world.until("the commit", lambda: world.has_committed(task_id, miner))
    current = world.in_phase(task_id, Phase.TRAINING)
    undo(trouble, "SolutionCommitted", current.round_id)
    assert not world.has_committed(task_id, miner)
    world.thaw()
    world.until("the commit again", lambda: world.has_committed(task_id, miner))
    world.pass_deadline(current.deadline)
    world.until("the reveal", lambda: world.contracts.learning_chain.round(current.round_id).revealed_count)
    undo(trouble, "SolutionRevealed", current.round_id)
    assert world.contracts.learning_chain.round(current.round_id).revealed_count == 0
    world.thaw()
    ended = world.ended(task_id)
    undo(trouble, "BlockAppended", current.round_id)
    assert world.contracts.block_ledger.height() == ended.height - 1
    world.thaw()
    trouble.finish(task_id)


def undo(trouble: Trouble, event: str, round_id: int) -> None:
    """A reorg removes the event and all after it; no block comes until the test says so."""
    trouble.world.freeze()
    while (block := trouble.block_of(event, round_id)) is not None:
        trouble.world.reorganise(block)


# --- money for gas ---------------------------------------------------------------------------------------------------


def set_base_fee(world: World, wei: int) -> None:
    """Of the next block; from there it falls by an eighth with every empty one."""
    world.rpc("anvil_setNextBlockBaseFeePerGas", hex(wei))


def set_balance(world: World, actor: Actor, wei: int) -> None:
    world.rpc("anvil_setBalance", actor.address, hex(wei))


def test_round__base_fee_over_the_cap__waits_until_it_falls(trouble: Trouble) -> None:
    world, marks = trouble.world, trouble.marks()
    task_id = trouble.commission("dear-gas", solutions_wanted=2)
    world.until("the commit", lambda: world.has_committed(task_id, trouble.company.miner))
    set_base_fee(world, SPIKE_WEI)
    world.pass_deadline(world.in_phase(task_id, Phase.TRAINING).deadline)
    logs = {world.stage.log_of(actor): marks[actor.name] for actor in trouble.company.actors}

    def all_wait() -> bool:
        set_base_fee(world, SPIKE_WEI)
        return all("gas is too dear" in log.read_text()[mark:] for log, mark in logs.items())

    world.until("everybody to wait", all_wait)
    trouble.finish(task_id)
    set_base_fee(world, GWEI)


def test_round__no_ether_left__everybody_says_so_and_goes_on_when_funded(trouble: Trouble) -> None:
    world, marks = trouble.world, trouble.marks()
    task_id = trouble.commission("no-ether", solutions_wanted=2)
    world.until("the commit", lambda: world.has_committed(task_id, trouble.company.miner))
    for actor in trouble.company.actors:
        set_balance(world, actor, 0)
    world.pass_deadline(world.in_phase(task_id, Phase.TRAINING).deadline)
    for actor in trouble.company.actors:
        trouble.says(actor, f"{HELP} (LearningChain.advance needs up to", marks[actor.name])
        assert f"account {actor.address} has 0; send it" in world.stage.log_of(actor).read_text()
    for actor in trouble.company.actors:
        set_balance(world, actor, 10 * ETHER)
    trouble.finish(task_id)


# --- disks -----------------------------------------------------------------------------------------------------------


def test_round__disks_full_while_journaling_and_storing__go_on_when_there_is_space(trouble: Trouble) -> None:
    world, client, miner, verifier = trouble.world, *trouble.company.actors[:3]
    trouble.fill_disk(client)
    task_id = trouble.commission("full-disks", solutions_wanted=2)
    keys = world.in_phase(task_id, Phase.KEYS)
    trouble.fill_disk(miner)
    trouble.free_disk(client, HELP)  # it could not journal the keys' transaction
    trouble.free_disk(miner, HELP)  # it could not keep its model
    world.until("the commit", lambda: world.has_committed(task_id, miner))
    world.pass_deadline(world.in_phase(task_id, Phase.TRAINING).deadline)
    world.in_phase(task_id, Phase.RELEASE)
    trouble.fill_disk(miner)
    trouble.fill_disk(verifier)
    trouble.free_disk(miner, STORE_TROUBLE)  # it could not publish its model
    trouble.free_disk(verifier, f"{HELP} (journal")  # it could not journal its vote
    assert trouble.finish(task_id).round_id == keys.round_id
