"""The same deployment and one full round, step by step and without roles, on every kind of development node."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TypeVar

import pytest
from web3.types import RPCEndpoint

from pole.chain.commitments import header_hash
from pole.chain.contracts import Contracts
from pole.chain.structs import Ballot, BallotPhase, Phase, Pot, Round, TaskState
from pole.chain.verdicts import unpack_verdicts
from pole.storage.cid import cid_of
from testbed import rounds
from testbed.chain import development_chain
from testbed.nodes import Kind, is_installed
from tests.e2e.scripted import Participant, ScriptedClient, ScriptedMiner, ScriptedVerifier
from tests.e2e.settled import fees_wei
from tests.e2e.site import PROFILE, Site, deploy_site

OTHERS: list[Kind] = ["ganache", "geth", "hardhat"]
P = TypeVar("P", bound=Participant)

REWARD_WEI, FEE_WEI = 9 * 10**17, 10**17
STAKES_WEI = [10**18, 2 * 10**18, 10**18]
MANIFEST, KEYS, TEST_SET = (cid_of(text) for text in (b"manifest", b"keys", b"test set"))
CLAIMS_PPM = [920_000, 950_000]
MODELS = [b"first model", b"second model"]
# The first miner wins: its model trained worse and tests better.
VOTE = [rounds.scored(920_000, 910_000), rounds.scored(950_000, 900_000)]


class Play:
    """A site with one participant per seat; `step` reads the round anew."""

    def __init__(self, site: Site, resources: ExitStack) -> None:
        def enter(kind: type[P], index: int) -> P:
            return resources.enter_context(closing(kind(site, index)))

        self.client = enter(ScriptedClient, 1)
        self.miners = [enter(ScriptedMiner, 2), enter(ScriptedMiner, 3)]
        self.verifiers = [enter(ScriptedVerifier, 4 + i) for i in range(len(STAKES_WEI))]
        self.stranger = enter(Participant, 9)
        self.site, self.contracts = site, Contracts.of(self.stranger.chain)

    @property
    def round(self) -> Round:
        latest = self.contracts.learning_chain.latest_round()
        assert latest is not None
        return latest

    @property
    def ballot(self) -> Ballot:
        return self.contracts.verifier_committee.ballot(self.round.ballot_id)

    def advance(self) -> Phase:
        self.stranger.send("LearningChain", "advance", self.round.round_id)
        return self.round.phase

    def advance_ballot(self) -> BallotPhase:
        self.stranger.send("VerifierCommittee", "advance", self.round.ballot_id)
        return self.ballot.phase


@pytest.fixture(params=["anvil", *(pytest.param(kind, marks=pytest.mark.full) for kind in OTHERS)])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Play]:
    kind: Kind = request.param
    if not is_installed(kind):
        pytest.skip(f"{kind} is not installed; `make nodes` does it")
    with ExitStack() as resources:
        # geth has no call that mines a block or moves its clock.
        chain = resources.enter_context(development_chain(kind, block_time_s=1 if kind == "geth" else None))
        yield Play(deploy_site(chain.rpc_url, tmp_path), resources)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_round__scripted_on_each_node__appends_a_block_and_pays_everybody(play: Play) -> None:
    commission(play)
    compete(play)
    vote(play)
    assert play.advance() is Phase.FINALISED
    check_block(play)
    check_payments(play)


def commission(play: Play) -> None:
    for verifier, stake_wei in zip(play.verifiers, STAKES_WEI, strict=True):
        verifier.stake(stake_wei)
    task_id = play.client.submit(MANIFEST, TEST_SET, REWARD_WEI, solutions_wanted=2)
    task = play.contracts.task_market.task(task_id)
    assert (task.reward_wei, task.verifier_fee_wei) == (REWARD_WEI, FEE_WEI)
    play.stranger.send("LearningChain", "openRound")
    while not play.round.is_bound:  # a node that mines on demand stands still until told
        play.stranger.chain.web3.provider.make_request(RPCEndpoint("evm_mine"), [])
    play.client.publish_keys(play.round, KEYS)
    assert play.round.phase is Phase.TRAINING


def compete(play: Play) -> None:
    for miner, model, claim_ppm in zip(play.miners, MODELS, CLAIMS_PPM, strict=True):
        miner.commit(play.round, model, claim_ppm)
    assert play.advance() is Phase.RELEASE
    play.client.release(play.round, TEST_SET)
    for miner in play.miners:
        miner.reveal(play.round)
    assert play.advance() is Phase.VOTING


def vote(play: Play) -> None:
    for verifier in play.verifiers:
        verifier.commit_vote(play.round.ballot_id, VOTE)
    assert play.advance_ballot() is BallotPhase.REVEAL
    for verifier in play.verifiers:
        verifier.reveal_vote(play.round.ballot_id, VOTE)
    play.stranger.send("VerifierCommittee", "tally", play.round.ballot_id, [VOTE])
    assert play.ballot.phase is BallotPhase.CLOSED
    assert play.contracts.verifier_committee.outcome(play.round.ballot_id) == unpack_verdicts(VOTE)


def check_block(play: Play) -> None:
    header = play.contracts.block_ledger.header(1)
    assert header_hash(header) == play.contracts.block_ledger.header_hash(1)
    assert (header.winner, header.model) == (play.miners[0].address, cid_of(MODELS[0]))
    assert (header.train_ppm, header.test_ppm) == (920_000, 910_000)
    assert [ommer.miner for ommer in play.contracts.block_ledger.ommers(1)] == [play.miners[1].address]
    assert play.contracts.task_market.task(1).state is TaskState.SOLVED


def check_payments(play: Play) -> None:
    """Also that nothing but the stakes is left once everybody has withdrawn."""
    bond_wei = PROFILE.chain.miner_bond_wei
    credits_wei = [play.contracts.reward_reservoir.credit_wei(miner.address) for miner in play.miners]
    assert credits_wei == [REWARD_WEI + bond_wei, bond_wei]
    assert play.contracts.reward_reservoir.credit_wei(play.client.address) == PROFILE.market.client_bond_wei
    earned_wei = fees_wei(play.contracts, play.round)
    assert [play.contracts.reward_reservoir.credit_wei(v.address) for v in play.verifiers] == [
        earned_wei // 4,
        earned_wei // 2,
        earned_wei // 4,
    ]
    assert play.contracts.reward_token.balance(play.miners[0].address) == PROFILE.ledger.winner_reward
    for participant in (play.client, *play.miners, *play.verifiers):
        participant.withdraw()
    reservoir = play.site.deployment.address("RewardReservoir")
    assert (
        play.stranger.chain.balance_wei(reservoir)
        == play.contracts.reward_reservoir.total_wei(Pot.STAKE)
        == sum(STAKES_WEI)
    )
