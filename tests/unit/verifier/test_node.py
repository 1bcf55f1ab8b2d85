"""The verifier's node step by step on a real chain, with real miners and a real judging process."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from web3.types import RPCEndpoint

from pole.chain.structs import Phase, Verdict, VerdictKind
from pole.chain.verdicts import unpack_verdicts
from pole.node.loop import Waiting
from tests.paths import ROOT
from tests.unit.commission import Commission, commission_digits
from tests.unit.local_nodes import ETHER, LocalChain, LocalNodes, round_of, start_local_nodes, step_until, until_phase
from verifier.node import VerifierNode


@pytest.fixture
def digits(tmp_path: Path) -> Commission:
    return commission_digits(tmp_path / "store")


@pytest.fixture
def local_nodes(digits_chain: LocalChain, digits: Commission, tmp_path: Path) -> Iterator[LocalNodes]:
    with start_local_nodes(digits_chain, tmp_path, digits) as taken:
        yield taken


def has_voted(node: VerifierNode) -> bool:
    committee = node.context.contracts.verifier_committee
    return committee.ballot_count() > 0 and committee.member(1, node.context.address).has_committed


def seconds_to_deadline(node: VerifierNode) -> int:
    return node.context.contracts.verifier_committee.ballot(1).deadline - node.context.chain.block_time()


def test_import__node__needs_no_torch() -> None:
    """The judging process does: a verifier would load it a second time for nothing."""
    code = "import sys; sys.modules['torch'] = None; import verifier.node"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_act__no_stake__says_how_to_get_a_seat(local_nodes: LocalNodes) -> None:
    waiting = local_nodes.verifier(local_nodes.funded(), stake_wei=0).act()
    assert "python -m verifier stake 1" in waiting.what


def test_act__wanted_stake__is_topped_up_once(local_nodes: LocalNodes) -> None:
    account = local_nodes.funded()
    for stake_wei in (ETHER, ETHER, 3 * ETHER, 2 * ETHER):
        waiting = local_nodes.verifier(account, stake_wei=stake_wei).act()
    assert waiting.what == "a round to open"
    assert (
        local_nodes.verifier(account).context.contracts.verifier_committee.verifier(account.address).stake_wei
        == 3 * ETHER
    )


def test_act__stake_taken_out_meanwhile__is_topped_up_again(local_nodes: LocalNodes) -> None:
    account = local_nodes.funded()
    verifier = local_nodes.verifier(account)
    verifier.act()
    context = verifier.context
    committee = context.contracts.verifier_committee
    committee.request_unstake(key="out")
    local_nodes.pass_time(committee.parameters().unbonding_period_s + 1)
    context.contracts.verifier_committee.complete_unstake(key="done")
    verifier.act()
    verifier.act()
    assert context.contracts.verifier_committee.verifier(account.address).stake_wei == ETHER


def test_act__reorg_took_the_stake_back__is_staked_again_but_not_twice(local_nodes: LocalNodes) -> None:
    account = local_nodes.funded()
    verifier = local_nodes.verifier(account)
    client = verifier.context.chain
    request = client.web3.provider.make_request
    snapshot = request(RPCEndpoint("evm_snapshot"), [])["result"]
    verifier.act()
    request(RPCEndpoint("evm_revert"), [snapshot])
    assert verifier.context.contracts.verifier_committee.verifier(account.address).stake_wei == 0
    verifier.act()
    verifier.act()
    assert verifier.context.contracts.verifier_committee.verifier(account.address).stake_wei == ETHER
    assert client.web3.eth.get_transaction_count(account.address) == 1


def test_act__too_poor_to_top_up__goes_on_with_the_stake_it_has(local_nodes: LocalNodes) -> None:
    account = local_nodes.funded()
    local_nodes.verifier(account).act()
    assert local_nodes.verifier(account, stake_wei=1_000 * ETHER).act().what == "a round to open"


def test_act__whole_idle_round__the_miner_wins_with_the_accuracy_it_claimed(local_nodes: LocalNodes) -> None:
    miner, verifier = local_nodes.miner(local_nodes.funded()), local_nodes.verifier(local_nodes.funded())
    verifier.act()
    until_phase([miner, verifier], Phase.FINALISED)
    header = miner.context.contracts.block_ledger.header(1)
    [submission] = miner.context.contracts.learning_chain.submissions(1)
    assert header.winner == miner.context.address
    assert (header.train_ppm, header.test_ppm) == (submission.claimed_train_ppm, 0)
    assert local_nodes.deployment.address("RewardToken")
    assert miner.context.contracts.reward_token.balance(header.winner) == 32 * ETHER


def test_act__killed_between_vote_commit_and_reveal__the_next_process_reveals(local_nodes: LocalNodes) -> None:
    account = local_nodes.funded()
    miner, first, other = (
        local_nodes.miner(local_nodes.funded()),
        local_nodes.verifier(account),
        local_nodes.verifier(local_nodes.funded()),
    )
    for verifier in (first, other):
        verifier.act()
    step_until([miner, first], lambda: has_voted(first))
    first.voting.judge.close()
    [decided] = [first.voting.votes.recall(1)]
    assert decided is not None
    second = local_nodes.verifier(account)
    committee = second.context.contracts.verifier_committee
    step_until([other, second, miner], lambda: any(committee.member(1, account.address).digest))
    assert committee.member(1, account.address).digest == committee.digest(1, decided.words)
    assert decided.salt.hex() not in repr(decided)


def test_act__journaled_but_not_committed_when_killed__commits_the_same_vote(local_nodes: LocalNodes) -> None:
    account = local_nodes.funded()
    miner, first = local_nodes.miner(local_nodes.funded()), local_nodes.verifier(account)
    first.act()
    until_phase([miner, first], Phase.VOTING)
    ballot = first.context.contracts.verifier_committee.ballot(1)
    decided = first.voting.vote(round_of(first), ballot)
    assert not isinstance(decided, Waiting)
    second = local_nodes.verifier(account)
    step_until([second], lambda: has_voted(second))
    assert second.voting.votes.recall(1) == decided


def test_act__model_vanished__waits_and_votes_it_unavailable_only_at_the_end(local_nodes: LocalNodes) -> None:
    miner, verifier = (
        local_nodes.miner(local_nodes.funded()),
        local_nodes.verifier(local_nodes.funded(), reserve_s=12.0),
    )
    verifier._top_up()
    until_phase([miner], Phase.VOTING)
    [entry] = verifier.context.contracts.learning_chain.entries(1)
    (local_nodes.commission.store.root / str(entry.model)).unlink()
    waiting = verifier.act()
    assert str(entry.model) in waiting.what
    assert verifier.voting.votes.recall(1) is None
    local_nodes.pass_time(seconds_to_deadline(verifier) - 20)
    step_until([verifier], lambda: has_voted(verifier))
    vote = verifier.voting.votes.recall(1)
    assert vote is not None
    assert unpack_verdicts(vote.words) == [Verdict(VerdictKind.UNAVAILABLE, 0, VerdictKind.NONE, 0)]


def test_act__training_set_vanished__votes_withheld_and_blames_no_model(
    local_nodes: LocalNodes, digits: Commission
) -> None:
    miner, verifier = (
        local_nodes.miner(local_nodes.funded()),
        local_nodes.verifier(local_nodes.funded(), reserve_s=12.0),
    )
    verifier._top_up()
    until_phase([miner], Phase.VOTING)
    (digits.store.root / digits.manifest.data.training_set[0].cid).unlink()
    assert digits.manifest.data.training_set[0].cid in verifier.act().what
    assert verifier.voting.votes.recall(1) is None
    local_nodes.pass_time(seconds_to_deadline(verifier) - 20)
    step_until([verifier], lambda: has_voted(verifier))
    vote = verifier.voting.votes.recall(1)
    assert vote is not None
    assert unpack_verdicts(vote.words) == [Verdict(VerdictKind.WITHHELD, 0, VerdictKind.NONE, 0)]
