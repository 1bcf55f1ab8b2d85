"""The gradient chain's read model against the real contracts, from enrolment to a proposal."""

from dataclasses import replace

import pytest
from web3 import Web3

from pole.chain.contracts import GradientChain
from pole.chain.deployment import Deployment
from pole.chain.gradient_structs import (
    GradientTask,
    GradientTaskState,
    GradientTerms,
    HeightPhase,
    Miner,
    Rules,
    StopReason,
)
from pole.chain.profiles import LOCAL, PUBLIC
from pole.errors import TransactionReverted
from pole.gradient.difficulty import MAX_THRESHOLD, threshold_of
from pole.journal.journal import Journal
from pole.storage.cid import cid_of
from testbed.deployer import deploy_with_web3
from tests.unit.account_client import AccountClient
from tests.unit.conftest import funded

ETHER = 10**18
WEIGHTS, PROOF = cid_of(b"weights"), cid_of(b"proof")
TERMS = GradientTerms(
    manifest=cid_of(b"manifest"),
    genesis_weights=cid_of(b"genesis weights"),
    rules=Rules.HARDENED,
    block_reward_wei=ETHER // 100,
    block_count=3,
    target_test_ppm=0,
    target_interval_s=600,
    block_time_limit_s=3_600,
    min_step=1,
    max_step=100,
    initial_threshold=1 << 20,
)
COST_WEI = 3 * (ETHER // 100 + ETHER // 1_000)


@pytest.fixture(scope="module")
def own_deployment(web3: Web3) -> Deployment:
    """Contracts that no other test has opened a task on."""
    return deploy_with_web3(web3, funded(web3), LOCAL, cid_of(b"idle manifest"))


@pytest.fixture
def client(anvil: str, web3: Web3, own_deployment: Deployment) -> AccountClient:
    return AccountClient.connect_as(funded(web3), anvil, own_deployment)


@pytest.fixture
def gradient_chain(client: AccountClient, journal: Journal) -> GradientChain:
    return client.contracts(journal).gradient_chain


def test_header__beyond_the_newest__reverts_with_its_height(gradient_chain: GradientChain) -> None:
    with pytest.raises(TransactionReverted) as caught:
        gradient_chain.header(99)
    assert (caught.value.name, caught.value.arguments) == ("UnknownHeight", {"height": 99})


def test_submit__wrong_payment__is_refused_with_what_is_needed(
    client: AccountClient, gradient_chain: GradientChain
) -> None:
    with pytest.raises(TransactionReverted) as caught:
        gradient_chain.submit(TERMS, value_wei=COST_WEI - 1, key="submit")
    assert caught.value.arguments == {"sentWei": COST_WEI - 1, "neededWei": COST_WEI}
    assert gradient_chain.cost_wei(TERMS) == COST_WEI


def test_submit__steps_against_the_rules__names_the_term(gradient_chain: GradientChain) -> None:
    with pytest.raises(TransactionReverted) as caught:
        gradient_chain.submit(replace(TERMS, min_step=0), value_wei=COST_WEI, key="submit")
    assert caught.value.name == "InvalidTerm"
    assert caught.value.arguments == {"name": b"minStep".ljust(32, b"\0"), "value": 0}


def test_parameters__are_the_profiles(gradient_chain: GradientChain) -> None:
    assert gradient_chain.parameters() == LOCAL.gradient != PUBLIC.gradient
    assert gradient_chain.parameters() is gradient_chain.parameters()


def test_header__genesis__has_no_miner_and_no_weights(gradient_chain: GradientChain) -> None:
    genesis = gradient_chain.header(0)
    assert (genesis.height, genesis.task_id, genesis.weights, genesis.proof) == (0, 0, None, None)
    assert genesis.is_opening
    assert len(gradient_chain.header_hash(0)) == 32


def test_gradient_chain__through_a_proposal__says_what_the_chain_holds(
    client: AccountClient, gradient_chain: GradientChain, journal: Journal
) -> None:
    assert gradient_chain.miner(client.address) == Miner(0, 0, 0, False)
    assert (gradient_chain.current().phase, gradient_chain.active_task(), gradient_chain.threshold()) == (
        HeightPhase.IDLE,
        None,
        0,
    )
    gradient_chain.enrol(LOCAL.gradient.miner_bond_wei, key="enrol")
    gradient_chain.submit(TERMS, value_wei=COST_WEI, key="submit")
    task_id = gradient_chain.task_count()
    pending = GradientTask(
        task_id, TERMS, client.address, GradientTaskState.PENDING, StopReason.NONE, ETHER // 1_000, 0, 0
    )
    assert (gradient_chain.task(task_id), gradient_chain.pending_count()) == (pending, 1)
    assert not pending.state.is_over
    gradient_chain.open_task(key="open")

    opening = gradient_chain.header(gradient_chain.height())
    assert (opening.weights, opening.is_opening, opening.task_id) == (TERMS.genesis_weights, True, task_id)
    assert gradient_chain.header_block(opening.height) > gradient_chain.miner(client.address).enrolled_at_block
    assert gradient_chain.active_task() == replace(pending, state=GradientTaskState.ACTIVE)
    current = gradient_chain.current()
    assert (current.height, current.phase, current.task_id) == (opening.height + 1, HeightPhase.SEARCH, task_id)
    assert gradient_chain.threshold() == 0  # nobody is seated, who would judge a proposal
    client.contracts(journal).verifier_committee.stake(LOCAL.committee.min_stake_wei, key="stake")
    assert TERMS.initial_threshold <= gradient_chain.threshold() < MAX_THRESHOLD
    assert not gradient_chain.is_due()

    previous_hash = gradient_chain.header_hash(current.height - 1)
    gradient_chain.propose(current.height, previous_hash, 7, 5, PROOF, WEIGHTS, key="propose")
    (proposal,) = gradient_chain.proposals()
    assert (proposal.miner, proposal.step, proposal.sign_digest) == (client.address, 7, 5)
    assert (proposal.proof, proposal.weights) == (PROOF, WEIGHTS)
    assert proposal.threshold == threshold_of(gradient_chain.task(task_id), proposal.searched_s)
    assert gradient_chain.miner(client.address).has_proposal
    assert gradient_chain.reports(1) == []


def test_threshold_of__paper_rules__is_one() -> None:
    terms = replace(TERMS, rules=Rules.PAPER, min_step=0, max_step=0, initial_threshold=1)
    task = GradientTask(1, terms, "0x" + "11" * 20, GradientTaskState.ACTIVE, StopReason.NONE, 0, 0, 0)
    assert threshold_of(task, 100_000) == 1
