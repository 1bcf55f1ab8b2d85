"""`kill -9` at the worst moment of each role: the restarted process finishes what the dead one began."""

import pytest

from pole.chain.structs import BallotPhase, Phase
from tests.e2e.company import Company
from tests.e2e.settled import fees_wei
from tests.e2e.site import PROFILE
from tests.e2e.tasks import write_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

CLIENT_BOND_WEI, MINER_BOND_WEI = PROFILE.market.client_bond_wei, PROFILE.chain.miner_bond_wei


def test_miner__killed_between_commit_and_reveal__reveals_after_restart_and_is_paid(company: Company) -> None:
    """Two solutions are wanted, so that commits stay open until the test says so."""
    world, miner = company.world, company.miner
    company.gather()
    start = world.chain.block_number()
    rows = write_rows(world.folder / "rows.csv")
    task_id = world.commission(company.client, rows, "killed-miner", solutions_wanted=2)
    world.until("the miner's commit", lambda: world.has_committed(task_id, miner))
    world.kill(miner)
    world.pass_deadline(world.in_phase(task_id, Phase.TRAINING).deadline)
    assert world.in_phase(task_id, Phase.REVEAL).revealed_count == 0
    world.restart(miner)
    ended = world.ended(task_id)
    assert (ended.phase, ended.revealed_count) == (Phase.FINALISED, 1)
    assert world.contracts.block_ledger.header(ended.height).winner == miner.address
    assert (
        world.credited_since(start)[miner.address]
        == world.contracts.task_market.task(task_id).reward_wei + MINER_BOND_WEI
    )


def test_verifier__killed_between_vote_commit_and_reveal__reveals_the_same_vote_after_restart(company: Company) -> None:
    """The other verifier stands still until the kill, so that no vote can be revealed before."""
    world, (verifier, other) = company.world, company.verifiers
    company.gather()
    start = world.chain.block_number()
    with world.paused(other):
        task_id = world.commission(company.client, write_rows(world.folder / "rows.csv"), "killed-verifier")
        ballot_id = world.voting(task_id, BallotPhase.COMMIT).ballot_id
        world.until(
            "its vote", lambda: world.contracts.verifier_committee.member(ballot_id, verifier.address).has_committed
        )
        world.kill(verifier)
    world.voting(task_id, BallotPhase.REVEAL)
    assert not any(world.contracts.verifier_committee.member(ballot_id, verifier.address).digest)
    world.restart(verifier)
    ended = world.ended(task_id)
    assert ended.phase is Phase.FINALISED
    committee = world.contracts.verifier_committee
    assert committee.member(ballot_id, verifier.address).digest == committee.outcome_digest(ballot_id)
    assert world.slashed_since(start) == {}
    assert world.credited_since(start)[verifier.address] == fees_wei(world.contracts, ended) // 2


def test_client__killed_between_open_and_keys__issues_them_after_restart_and_gets_its_bond_back(
    company: Company,
) -> None:
    """It has sent the keys, but they are in no block, and the node loses them: all is left to the journal."""
    world, client = company.world, company.client
    company.gather()
    start = world.chain.block_number()
    rows = write_rows(world.folder / "rows.csv")
    with world.paused(company.miner):
        task_id = world.commission(client, rows, "killed-client", scheme="ipfe-secp256k1")
        world.freeze()
        world.open_round()
        for _ in range(3):  # the opening, the block that the previous hash comes from, and one that knows its hash
            world.mine()
    world.until("the client to send its keys", lambda: world.has_sent(client))
    world.kill(client)
    world.lose_transactions()
    world.thaw()
    assert world.in_phase(task_id, Phase.KEYS).keys is None
    world.restart(client)
    ended = world.ended(task_id)
    assert (ended.phase, ended.is_test_set_released) == (Phase.FINALISED, True)
    assert world.credited_since(start)[client.address] == CLIENT_BOND_WEI
