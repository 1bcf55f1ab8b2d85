"""A home backed up while its role runs, the machine lost, the home restored elsewhere: the role goes on from there."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pole.chain.structs import BallotPhase, Phase
from testbed.processes import Actor
from tests.e2e.company import Company
from tests.e2e.settled import fees_wei
from tests.e2e.tasks import write_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def elsewhere(company: Company, actor: Actor, archive: Path) -> Actor:
    """The old machine is dead, with all that was on it; the restored home lies under another path."""
    company.world.kill(actor)
    shutil.rmtree(actor.home)
    moved = replace(actor, home=archive.with_suffix(".home"))
    company.world.stage.run(["pole", "restore", str(archive), str(moved.home)])
    return moved


def back(company: Company, moved: Actor, actor: Actor) -> None:
    """For the tests that follow, which know the old path."""
    company.world.kill(moved)
    moved.home.rename(actor.home)
    company.world.restart(actor)


def test_verifier__machine_lost_after_its_commit__reveals_the_same_vote_elsewhere(
    company: Company, tmp_path: Path
) -> None:
    world, (verifier, other) = company.world, company.verifiers
    company.gather()
    start = world.chain.block_number()
    committee, archive = world.contracts.verifier_committee, tmp_path / "verifier.tar"
    with world.paused(other):
        task_id = world.commission(company.client, write_rows(world.folder / "rows.csv"), "lost-verifier")
        ballot_id = world.voting(task_id, BallotPhase.COMMIT).ballot_id
        world.until("its vote", lambda: committee.member(ballot_id, verifier.address).has_committed)
        world.stage.run(["pole", "backup", str(verifier.home), str(archive)])
        moved = elsewhere(company, verifier, archive)
    world.voting(task_id, BallotPhase.REVEAL)
    world.restart(moved)
    ended = world.ended(task_id)
    assert ended.phase is Phase.FINALISED
    assert committee.member(ballot_id, verifier.address).digest == committee.outcome_digest(ballot_id)
    assert world.slashed_since(start) == {}
    assert world.credited_since(start)[verifier.address] == fees_wei(world.contracts, ended) // 2
    back(company, moved, verifier)


def test_client__machine_lost_with_its_task_pending__serves_it_elsewhere_and_gets_its_bond_back(
    company: Company, tmp_path: Path
) -> None:
    world, client = company.world, company.client
    company.gather()
    archive = tmp_path / "client.tar"
    with world.paused(company.miner):
        rows = write_rows(world.folder / "rows.csv")
        task_id = world.commission(client, rows, "lost-client", scheme="ipfe-secp256k1")
        world.stage.run(["pole", "backup", str(client.home), str(archive)])
        moved = elsewhere(company, client, archive)
    world.restart(moved)
    ended = world.ended(task_id)
    assert (ended.phase, ended.is_test_set_released) == (Phase.FINALISED, True)
    back(company, moved, client)
