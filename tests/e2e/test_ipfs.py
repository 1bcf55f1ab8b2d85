"""Rounds over two real IPFS daemons that know only each other: the client publishes on one, the rest read on the other.

No folder is shared: what a role needs from another, it gets through its own daemon.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pole.chain.structs import BallotPhase, Phase, Round, Task
from pole.errors import BadInput
from pole.storage.store import open_store
from testbed.ipfs import IpfsDaemon, ipfs_network, kubo_binary
from testbed.processes import Actor
from tests.e2e.company import Company
from tests.e2e.scripted import ScriptedMiner
from tests.e2e.settled import check_settled, fees_wei
from tests.e2e.site import PROFILE
from tests.e2e.tasks import write_rows, write_task
from tests.e2e.world import World

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

CLIENT_BOND_WEI, MINER_BOND_WEI = PROFILE.market.client_bond_wei, PROFILE.chain.miner_bond_wei
FULL_PPM = 1_000_000
TIME_TO_VOTE_S = 20  # they stop waiting for a model 18 s before the deadline


@dataclass
class Peers:
    """The company over IPFS."""

    company: Company
    clients: IpfsDaemon
    others: IpfsDaemon

    @property
    def world(self) -> World:
        return self.company.world

    def commission(self, name: str, **terms: int) -> int:
        """By the command line, as people do; returns the task's id."""
        world, client = self.world, self.company.client
        file = write_task(world.folder / f"{name}.toml", write_rows(world.folder / f"{name}.csv"), **terms)
        world.stage.run(["dataclient", "submit", str(file)], client)
        return world.contracts.task_market.task_count()

    def check_paid(self, ended: Round, since_block: int) -> None:
        """The miner has the reward, all have their bonds, the verifiers share the fee, and nobody else got anything."""
        world, company = self.world, self.company
        task = world.contracts.task_market.task(ended.task_id)
        assert ended.phase is Phase.FINALISED
        assert world.contracts.block_ledger.header(ended.height).winner == company.miner.address
        assert self.credits(since_block) == self.expected_credits(ended, task)
        check_settled(world, since_block, company.actors)

    def credits(self, since_block: int) -> dict[str, int]:
        return self.world.credited_since(since_block)

    def expected_credits(self, ended: Round, task: Task) -> dict[str, int]:
        return {
            self.company.miner.address: task.reward_wei + MINER_BOND_WEI,
            self.company.client.address: CLIENT_BOND_WEI,
            **{verifier.address: fees_wei(self.world.contracts, ended) // 2 for verifier in self.company.verifiers},
        }

    def says(self, actor: Actor, words: str) -> bool:
        return words in self.world.stage.log_of(actor).read_text(errors="replace")


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[list[IpfsDaemon]]:
    try:
        kubo_binary()
    except BadInput as exc:
        pytest.skip(str(exc))
    with ipfs_network(tmp_path) as running:
        yield running


@pytest.fixture
def peers(daemons: list[IpfsDaemon], world: World, monkeypatch: pytest.MonkeyPatch) -> Peers:
    monkeypatch.setenv("POLE_IPFS_PATIENCE_S", "3")
    clients, others = daemons
    world.stage.stores = {"dataclient": clients.address, "miner": others.address, "verifier": others.address}
    verifiers = [world.actor("verifier-1", "verifier", 17), world.actor("verifier-2", "verifier", 3)]
    client, miner = world.actor("client", "dataclient", 1), world.actor("miner-1", "miner", 2)
    return Peers(Company(world, client, miner, verifiers), clients, others)


def test_round__over_two_daemons__finishes_and_the_client_fetches_the_model(peers: Peers) -> None:
    world, company = peers.world, peers.company
    company.gather()
    start = world.chain.block_number()
    ended = world.ended(peers.commission("over-ipfs"))
    peers.check_paid(ended, start)
    report = world.stage.run(["dataclient", "fetch-model", "over-ipfs"], company.client)
    model = world.contracts.block_ledger.header(ended.height).model
    assert f"model {model}, by {company.miner.address}" in report
    assert model in list(open_store(peers.others.address).pinned())
    assert ended.test_set in list(open_store(peers.clients.address).pinned())


def test_round__both_daemons_killed_between_commit_and_reveal__finishes_when_they_are_back(peers: Peers) -> None:
    """Two solutions are wanted, so that commits stay open until the test says so."""
    world, company = peers.world, peers.company
    company.gather()
    start = world.chain.block_number()
    task_id = peers.commission("outage", solutions_wanted=2)
    world.until("the miner's commit", lambda: world.has_committed(task_id, company.miner))
    for daemon in (peers.clients, peers.others):
        daemon.stop(is_crash=True)
    world.pass_deadline(world.in_phase(task_id, Phase.TRAINING).deadline)
    revealing = world.in_phase(task_id, Phase.REVEAL)
    for actor in (company.client, company.miner):
        world.until(f"{actor.name} to say so", lambda actor=actor: peers.says(actor, "connection refused"))  # type: ignore[misc]
    assert world.contracts.learning_chain.round(revealing.round_id).revealed_count == 0
    for daemon in (peers.clients, peers.others):
        daemon.start()
    peers.check_paid(world.ended(task_id), start)


def test_round__a_model_that_nobody_has__others_are_judged_and_the_honest_miner_wins(peers: Peers) -> None:
    """It is revealed, but published in a folder that no role of this test looks into."""
    world, company = peers.world, peers.company
    absent = world.scripted(ScriptedMiner, 5)
    company.gather()
    start = world.chain.block_number()
    task_id = peers.commission("absent-model", solutions_wanted=2)
    absent.commit(world.in_phase(task_id, Phase.TRAINING), b"never to be seen", FULL_PPM)
    absent.reveal(world.in_phase(task_id, Phase.REVEAL))
    ballot = world.voting(task_id, BallotPhase.COMMIT)
    for verifier in company.verifiers:
        world.until(f"{verifier.name} to miss it", lambda verifier=verifier: peers.says(verifier, "sent nothing"))  # type: ignore[misc]
    world.pass_deadline(ballot.deadline - TIME_TO_VOTE_S)  # they wait for it as long as they can
    ended = world.ended(task_id)
    assert ended.phase is Phase.FINALISED
    assert world.contracts.block_ledger.header(ended.height).winner == company.miner.address
    verdicts = {
        entry.miner: verdict.is_valid
        for entry, verdict in zip(
            world.contracts.learning_chain.entries(ended.round_id),
            world.contracts.verifier_committee.outcome(ended.ballot_id),
            strict=True,
        )
    }
    assert verdicts == {company.miner.address: True, absent.address: False}
    assert (
        world.credited_since(start)[company.miner.address]
        == world.contracts.task_market.task(task_id).reward_wei + MINER_BOND_WEI
    )
    check_settled(world, start, company.actors)
