"""What the dishonest lose: a silent miner, a lazy verifier, hostile model files, a model from another round."""

import pytest

from pole.chain.structs import BallotPhase, Phase, Round, Verdict
from pole.chain.verdicts import INVALID as INVALID_WORD
from pole.chain.verdicts import unpack_verdict
from testbed import rounds
from tests.e2e.company import Company
from tests.e2e.models import Workshop
from tests.e2e.scripted import ScriptedMiner, ScriptedVerifier
from tests.e2e.settled import fees_wei
from tests.e2e.site import PROFILE
from tests.e2e.tasks import write_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

CLIENT_BOND_WEI, MINER_BOND_WEI = PROFILE.market.client_bond_wei, PROFILE.chain.miner_bond_wei
FULL_PPM = 1_000_000
INVALID = unpack_verdict(INVALID_WORD)


def test_miner__never_reveals__loses_its_bond_to_the_verifiers_and_the_round_goes_on(company: Company) -> None:
    world, silent = company.world, company.world.scripted(ScriptedMiner, 5)
    company.gather()
    start = world.chain.block_number()
    rows = write_rows(world.folder / "rows.csv")
    task_id = world.commission(company.client, rows, "silent-miner", solutions_wanted=2)
    silent.commit(world.in_phase(task_id, Phase.TRAINING), b"never to be seen", FULL_PPM)
    current = world.in_phase(task_id, Phase.REVEAL)
    world.until(
        "the other's reveal", lambda: world.contracts.learning_chain.round(current.round_id).revealed_count == 1
    )
    world.pass_deadline(current.deadline)
    ended = world.ended(task_id)
    assert ended.phase is Phase.FINALISED
    assert world.contracts.block_ledger.header(ended.height).winner == company.miner.address
    task = world.contracts.task_market.task(task_id)
    assert world.credited_since(start) == {
        company.miner.address: task.reward_wei + MINER_BOND_WEI,
        company.client.address: CLIENT_BOND_WEI,
        **{
            verifier.address: (fees_wei(world.contracts, ended) + MINER_BOND_WEI) // 2 for verifier in company.verifiers
        },
    }


def test_verifier__votes_noise__is_slashed_and_earns_nothing(company: Company) -> None:
    world, lazy = company.world, company.world.scripted(ScriptedVerifier, 6)
    company.gather()
    lazy.stake(PROFILE.committee.min_stake_wei)
    start = world.chain.block_number()
    task_id = world.commission(company.client, write_rows(world.folder / "rows.csv"), "lazy-verifier")
    noise = [rounds.scored(500_000, 500_000)]
    ballot_id = world.voting(task_id, BallotPhase.COMMIT).ballot_id
    lazy.commit_vote(ballot_id, noise)
    world.voting(task_id, BallotPhase.REVEAL)
    lazy.reveal_vote(ballot_id, noise)
    ballot, committee = world.voting(task_id, BallotPhase.OPENING), world.contracts.verifier_committee
    honest = committee.member(ballot_id, company.verifiers[0].address).digest
    world.until("the honest list to be opened", lambda: committee.is_opened(ballot_id, honest))
    world.pass_deadline(ballot.deadline)
    ended = world.ended(task_id)
    assert ended.phase is Phase.FINALISED
    assert world.contracts.block_ledger.header(ended.height).winner == company.miner.address
    penalty_wei = PROFILE.committee.min_stake_wei * PROFILE.committee.noise_penalty_ppm // FULL_PPM
    assert world.slashed_since(start) == {lazy.address: penalty_wei}
    left = committee.verifier(lazy.address)
    assert left.is_seated  # a tenth less is above the floor
    assert left.stake_wei == PROFILE.committee.min_stake_wei - penalty_wei
    paid_wei, fee_wei = world.credited_since(start), fees_wei(world.contracts, ended)
    assert lazy.address not in paid_wei
    assert [paid_wei[v.address] for v in company.verifiers] == [(fee_wei + penalty_wei) // 2] * 2
    lazy.leave()  # the next ballots need not wait for it


def test_models__hostile_files_and_one_of_another_round__all_fail_and_the_honest_miner_wins(company: Company) -> None:
    world = company.world
    company.gather()
    old = earlier_winning_model(company)
    start, trap = world.chain.block_number(), world.folder / "unpickled"
    rows = write_rows(world.folder / "rows.csv")
    task_id = world.commission(company.client, rows, "hostile", solutions_wanted=6)
    current = world.in_phase(task_id, Phase.TRAINING)
    workshop = Workshop.of(world.site, world.contracts, current)
    files = {"of another round": old, **workshop.hostile_files(trap)}
    miners = {what: world.scripted(ScriptedMiner, 7 + i) for i, what in enumerate(files)}
    with world.hurried():
        for what, miner in miners.items():
            miner.commit(current, files[what], FULL_PPM)
    current = world.in_phase(task_id, Phase.REVEAL)
    with world.hurried():
        for miner in miners.values():
            miner.reveal(current)
    ended = world.ended(task_id)
    verdicts = verdicts_by_miner(company, ended)
    stale = verdicts.pop(miners["of another round"].address)
    assert stale.is_valid
    assert stale.train_ppm < world.contracts.task_market.task(task_id).terms.required_train_ppm
    honest = verdicts.pop(company.miner.address)
    assert honest.is_valid
    assert verdicts == {miner.address: INVALID for what, miner in miners.items() if what != "of another round"}
    assert world.contracts.block_ledger.header(ended.height).winner == company.miner.address
    assert world.contracts.block_ledger.ommers(ended.height) == []
    assert not trap.exists()
    paid_wei = world.credited_since(start)
    assert paid_wei[company.client.address] == CLIENT_BOND_WEI + len(files) * MINER_BOND_WEI
    assert not paid_wei.keys() & {miner.address for miner in miners.values()}


def earlier_winning_model(company: Company) -> bytes:
    """The model of the newest block, which was trained on a task of the same shape; makes such a block if need be."""
    world = company.world
    if world.contracts.block_ledger.height() == 0:
        rows = write_rows(world.folder / "rows.csv")
        world.ended(world.commission(company.client, rows, "first"))
    model = world.contracts.block_ledger.header(world.contracts.block_ledger.height()).model
    assert model is not None
    return world.site.store.get(model, 1 << 20)


def verdicts_by_miner(company: Company, ended: Round) -> dict[str, Verdict]:
    contracts = company.world.contracts
    miners = [entry.miner for entry in contracts.learning_chain.entries(ended.round_id)]
    return dict(zip(miners, contracts.verifier_committee.outcome(ended.ballot_id), strict=True))
