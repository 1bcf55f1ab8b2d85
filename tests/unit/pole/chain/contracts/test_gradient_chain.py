"""The gradient chain's read model against the real contracts, from enrolment to a proposal."""

from dataclasses import replace

import pytest
from web3 import Web3

from pole.chain.client import Gateway
from pole.chain.contracts.gradient_chain import GradientLedger
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
    tolerance_ppm=10_000,
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
def gateway(anvil: str, web3: Web3, own_deployment: Deployment) -> Gateway:
    return Gateway.connect(anvil, own_deployment, funded(web3), poll_s=0.05)


@pytest.fixture
def ledger(gateway: Gateway) -> GradientLedger:
    return GradientLedger(gateway)


def test_header__beyond_the_newest__reverts_with_its_height(ledger: GradientLedger) -> None:
    with pytest.raises(TransactionReverted) as caught:
        ledger.header(99)
    assert (caught.value.name, caught.value.arguments) == ("UnknownHeight", {"height": 99})


def test_submit__wrong_payment__is_refused_with_what_is_needed(
    gateway: Gateway, ledger: GradientLedger, journal: Journal
) -> None:
    with pytest.raises(TransactionReverted) as caught:
        gateway.transact(journal, "submit", "GradientChain", "submit", TERMS, value_wei=COST_WEI - 1)
    assert caught.value.arguments == {"sentWei": COST_WEI - 1, "neededWei": COST_WEI}
    assert ledger.cost_wei(TERMS) == COST_WEI


def test_submit__steps_against_the_rules__names_the_term(gateway: Gateway, journal: Journal) -> None:
    with pytest.raises(TransactionReverted) as caught:
        gateway.transact(journal, "submit", "GradientChain", "submit", replace(TERMS, min_step=0), value_wei=COST_WEI)
    assert caught.value.name == "InvalidTerm"
    assert caught.value.arguments == {"name": b"minStep".ljust(32, b"\0"), "value": 0}


def test_parameters__are_the_profiles(ledger: GradientLedger) -> None:
    assert ledger.parameters() == LOCAL.gradient != PUBLIC.gradient
    assert ledger.parameters() is ledger.parameters()


def test_header__genesis__has_no_miner_and_no_weights(ledger: GradientLedger) -> None:
    genesis = ledger.header(0)
    assert (genesis.height, genesis.task_id, genesis.weights, genesis.proof) == (0, 0, None, None)
    assert genesis.is_opening
    assert len(ledger.header_hash(0)) == 32


def test_ledger__through_a_proposal__says_what_the_chain_holds(
    gateway: Gateway, ledger: GradientLedger, journal: Journal
) -> None:
    assert ledger.miner(gateway.address) == Miner(0, 0, 0, False)
    assert (ledger.current().phase, ledger.active_task(), ledger.threshold()) == (HeightPhase.IDLE, None, 0)
    gateway.transact(journal, "enrol", "GradientChain", "enrol", value_wei=LOCAL.gradient.miner_bond_wei)
    gateway.transact(journal, "submit", "GradientChain", "submit", TERMS, value_wei=COST_WEI)
    task_id = ledger.task_count()
    pending = GradientTask(
        task_id, TERMS, gateway.address, GradientTaskState.PENDING, StopReason.NONE, ETHER // 1_000, 0, 0
    )
    assert (ledger.task(task_id), ledger.pending_count()) == (pending, 1)
    assert not pending.state.is_over
    gateway.transact(journal, "open", "GradientChain", "openTask")

    opening = ledger.header(ledger.height())
    assert (opening.weights, opening.is_opening, opening.task_id) == (TERMS.genesis_weights, True, task_id)
    assert ledger.header_block(opening.height) > ledger.miner(gateway.address).enrolled_at_block
    assert ledger.active_task() == replace(pending, state=GradientTaskState.ACTIVE)
    current = ledger.current()
    assert (current.height, current.phase, current.task_id) == (opening.height + 1, HeightPhase.SEARCH, task_id)
    assert TERMS.initial_threshold <= ledger.threshold() < MAX_THRESHOLD
    assert not ledger.is_due()

    gateway.transact(journal, "propose", "GradientChain", "propose", current.height, 7, 5, PROOF, WEIGHTS)
    (proposal,) = ledger.proposals()
    assert (proposal.miner, proposal.step, proposal.sign_digest) == (gateway.address, 7, 5)
    assert (proposal.proof, proposal.weights) == (PROOF, WEIGHTS)
    assert proposal.threshold == threshold_of(ledger.task(task_id), proposal.searched_s)
    assert ledger.miner(gateway.address).has_proposal
    assert ledger.reports(1) == []


def test_threshold_of__paper_rules__is_one() -> None:
    terms = replace(TERMS, rules=Rules.PAPER, min_step=0, max_step=0, initial_threshold=1)
    task = GradientTask(1, terms, "0x" + "11" * 20, GradientTaskState.ACTIVE, StopReason.NONE, 0, 0, 0)
    assert threshold_of(task, 100_000) == 1
