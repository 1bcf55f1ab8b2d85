"""Honest and dishonest steps of a round, each one transaction, for attacks that need a round around them."""

from collections.abc import Mapping, Sequence
from typing import Any

from pole.chain.abi import to_abi
from pole.chain.commitments import ballot_digest, solution_commitment, test_set_commitment, vote_commitment
from pole.chain.profiles import ETHER, PUBLIC
from pole.chain.structs import BallotPhase, Phase, Round, TaskTerms, VerdictKind
from pole.chain.verdicts import Part, pack_verdict
from pole.errors import ChainError
from pole.storage.cid import Cid, cid_of
from testbed.contracts import Chain, Sent

BOND_WEI = PUBLIC.chain.miner_bond_wei
CLIENT_BOND_WEI = PUBLIC.market.client_bond_wei
STAKE_WEI = PUBLIC.committee.min_stake_wei
REQUIRED_PPM, CLAIM_PPM = 900_000, 950_000
ROOT = bytes(range(32))
"""Of all predictions; on chain, it is nothing but a part of the fingerprint."""
SALT = bytes(range(1, 33))
NO_PREDICTIONS = to_abi(None)
KEYS, TEST_SET = cid_of(b"functional keys"), cid_of(b"test set")
_PER_TRANSACTION = 1_000  # the node hashes its whole state after each
_FILLING_GAS = 1 << 32

Votes = Mapping[str, Sequence[int]]
"""Packed words by verifier, see `pole.chain.verdicts`."""


def model_of(who: str) -> Cid:
    """Stands for a trained model; on chain, a model is nothing but its CID."""
    return cid_of(f"model of {who}".encode())


def good(test_ppm: int, root: bytes = ROOT) -> int:
    """The word of a model with the claimed train accuracy; another `root` stands for other predictions."""
    return scored(CLAIM_PPM, test_ppm, root)


def scored(train_ppm: int, test_ppm: int, root: bytes = ROOT) -> int:
    """The word of a valid model."""
    return pack_verdict(*(Part(VerdictKind.SCORED, ppm, root) for ppm in (train_ppm, test_ppm)))


def untested(train_ppm: int, test: VerdictKind = VerdictKind.NONE) -> int:
    """The word of a valid model whose test part has no score."""
    return pack_verdict(Part(VerdictKind.SCORED, train_ppm, ROOT), Part(test))


def stake(chain: Chain, *verifiers: str, stake_wei: int = STAKE_WEI) -> None:
    for verifier in verifiers:
        chain.do(verifier, "VerifierCommittee", "stake", value_wei=stake_wei)


def seat(chain: Chain, count: int) -> list[str]:
    """So many verifiers of equal stake."""
    verifiers = [chain.verifier(i) for i in range(count)]
    stake(chain, *verifiers)
    return verifiers


def terms(chain: Chain, client: str, **changes: Any) -> TaskTerms:
    commitment = test_set_commitment(chain.chain_id, chain.address("TaskMarket"), client, TEST_SET, SALT)
    given: dict[str, Any] = {
        "manifest": cid_of(b"manifest"),
        "test_set_commitment": commitment,
        "time_limit_s": 3_600,
        "required_train_ppm": REQUIRED_PPM,
        "min_test_ppm": 0,
        "solutions_wanted": 64,
        "earliest_close_s": 0,
    }
    return TaskTerms(**(given | changes))


def submit(chain: Chain, client: str | None = None, payment_wei: int = ETHER, **changes: Any) -> int:
    """`payment_wei` is reward and fee, without the client's bond; returns the task's id."""
    client = client or chain.client
    given = terms(chain, client, **changes)
    hint = chain.contracts.task_market.hint(payment_wei, given.time_limit_s)
    chain.do(client, "TaskMarket", "submit", given, hint, value_wei=CLIENT_BOND_WEI + payment_wei)
    return chain.contracts.task_market.task_count()


def fill_list(chain: Chain, size: int) -> int:
    """Up to `size` pending tasks of the attacker's, each more valuable than the one before; returns wei paid."""
    chain.rpc("anvil_setBalance", chain.attacker, hex(10**6 * ETHER))
    crowd, market = chain.create(chain.attacker, "Crowd"), chain.address("TaskMarket")
    chain.rpc("anvil_setBalance", crowd, hex(10**6 * ETHER))
    chain.rpc("evm_setBlockGasLimit", hex(_FILLING_GAS))
    paid_wei = 0
    while (missing := size - chain.contracts.task_market.pending_count()) > 0:
        first = chain.contracts.task_market.task_count()
        payments = [_dust_wei(first + i) for i in range(min(missing, _PER_TRANSACTION))]
        data = chain.data("TaskMarket", "submit", terms(chain, crowd), 0)
        filled = chain.attempt_at(crowd, "Crowd", "submitMany", market, data, payments, gas=_FILLING_GAS)
        if filled.error:
            raise ChainError(f"the list could not be filled: {filled.error} after {first} tasks")
        paid_wei += sum(payments)
    return paid_wei


def _dust_wei(number: int) -> int:
    """Bond and the least payment, and one micro-ether more for each task before."""
    market = PUBLIC.market
    least_wei = -(-market.min_reward_wei * 1_000_000 // (1_000_000 - market.verifier_fee_ppm))
    return market.client_bond_wei + least_wei + number * 10**12


def open_round(chain: Chain, client: str | None = None, *, has_keys: bool = True) -> Round:
    """Of the most valuable task; with keys it is in training."""
    chain.do(chain.anyone, "LearningChain", "openRound")
    current = bound(chain)
    if has_keys:
        arguments = (current.round_id, current.previous_hash, KEYS)
        chain.do(client or chain.client, "LearningChain", "publishKeys", *arguments)
    return latest(chain)


def bound(chain: Chain) -> Round:
    """The newest round, once the block is mined that its previous hash comes from."""
    while not latest(chain).is_bound:
        chain.pass_time(1)
    return latest(chain)


def latest(chain: Chain) -> Round:
    found = chain.contracts.learning_chain.latest_round()
    if found is None:
        raise ChainError("no round was opened; the attack cannot be prepared")
    return found


def commitment(chain: Chain, current: Round, miner: str, model: Cid | None = None, salt: bytes = SALT) -> bytes:
    """What `miner` commits to in this round, by default to its own model."""
    where, model = chain.address("LearningChain"), model or model_of(miner)
    return solution_commitment(chain.chain_id, where, current.round_id, miner, current.previous_hash, model, salt)


def commit(chain: Chain, current: Round, *miners: str) -> None:
    """Each to its own model."""
    for miner in miners:
        attempt = commit_hash(chain, current, miner, commitment(chain, current, miner))
        if attempt.error:
            raise ChainError(f"the commit of {miner} was refused with {attempt.error}")


def commit_hash(
    chain: Chain, current: Round, miner: str, hashed: bytes, claim_ppm: int = CLAIM_PPM, place: int = 0
) -> Sent:
    arguments = (current.round_id, current.previous_hash, hashed, claim_ppm, place)
    return chain.attempt(miner, "LearningChain", "commit", *arguments, value_wei=commit_wei(chain, current))


def commit_wei(chain: Chain, current: Round) -> int:
    """Bond and judging fee."""
    return BOND_WEI + chain.contracts.learning_chain.judging_fee_wei(current.round_id)


def reveal(chain: Chain, current: Round, miner: str, model: Cid | None = None, salt: bytes = SALT) -> Sent:
    """By default the miner's own model."""
    place = chain.contracts.learning_chain.place_of(current.round_id, miner)
    return chain.attempt(miner, "LearningChain", "reveal", current.round_id, place, model or model_of(miner), salt)


def advance(chain: Chain, current: Round) -> Sent:
    """When it is due, after waiting for the deadline if need be."""
    if not chain.contracts.learning_chain.is_due(current.round_id):
        wait_for(chain, latest(chain).deadline)
    return chain.do(chain.anyone, "LearningChain", "advance", current.round_id)


def wait_for(chain: Chain, deadline_s: int) -> None:
    if deadline_s > chain.now_s:
        chain.pass_time(deadline_s - chain.now_s)


def release(chain: Chain, current: Round, client: str | None = None) -> None:
    """In a later second than the close of commits, as the contract asks."""
    chain.pass_time(1)
    chain.do(client or chain.client, "LearningChain", "releaseTestSet", current.round_id, TEST_SET, SALT)


def to_reveal(chain: Chain, current: Round, *miners: str, client: str | None = None) -> None:
    """From training: these commit, commits close, the client releases."""
    commit(chain, current, *miners)
    advance(chain, current)
    release(chain, current, client)


def to_voting(chain: Chain, current: Round, *miners: str, client: str | None = None) -> None:
    """From training to the ballot over these miners' models."""
    to_reveal(chain, current, *miners, client=client)
    for miner in miners:
        reveal(chain, current, miner)
    advance(chain, current)


def digest(chain: Chain, ballot_id: int, vote: Sequence[int]) -> bytes:
    return ballot_digest(chain.chain_id, chain.address("VerifierCommittee"), ballot_id, vote)


def vote_hash(chain: Chain, ballot_id: int, verifier: str, vote: Sequence[int], salt: bytes = SALT) -> bytes:
    committee, hashed = chain.address("VerifierCommittee"), digest(chain, ballot_id, vote)
    return vote_commitment(chain.chain_id, committee, ballot_id, verifier, hashed, salt)


def reveal_vote(chain: Chain, ballot_id: int, verifier: str, vote: Sequence[int], salt: bytes = SALT) -> Sent:
    hashed, index = digest(chain, ballot_id, vote), member_index(chain, ballot_id, verifier)
    arguments = (ballot_id, index, hashed, salt, NO_PREDICTIONS)
    return chain.attempt(verifier, "VerifierCommittee", "revealVote", *arguments)


def member_index(chain: Chain, ballot_id: int, verifier: str) -> int:
    """By which its votes name a member."""
    return chain.contracts.verifier_committee.member(ballot_id, verifier).index


def commit_votes(chain: Chain, ballot_id: int, votes: Votes) -> None:
    """Absent members are waited for."""
    for verifier, vote in votes.items():
        hashed = vote_hash(chain, ballot_id, verifier, vote)
        chain.do(
            verifier, "VerifierCommittee", "commitVote", ballot_id, member_index(chain, ballot_id, verifier), hashed
        )
    advance_ballot(chain, ballot_id)


def reveal_votes(chain: Chain, ballot_id: int, votes: Votes) -> None:
    """And count them, with all lists."""
    for verifier, vote in votes.items():
        arguments = (member_index(chain, ballot_id, verifier), digest(chain, ballot_id, vote), SALT, NO_PREDICTIONS)
        chain.do(verifier, "VerifierCommittee", "revealVote", ballot_id, *arguments)
    tally(chain, ballot_id, *votes.values())


def tally(chain: Chain, ballot_id: int, *votes: Sequence[int]) -> BallotPhase:
    """End the reveals and count the ballot; `votes`: what was revealed, once or several times."""
    if not chain.contracts.verifier_committee.is_due(ballot_id):
        wait_for(chain, chain.contracts.verifier_committee.ballot(ballot_id).deadline)
    lists = [list(words) for words in dict.fromkeys(map(tuple, votes))]
    chain.do(chain.anyone, "VerifierCommittee", "tally", ballot_id, lists)
    return chain.contracts.verifier_committee.ballot(ballot_id).phase


def advance_ballot(chain: Chain, ballot_id: int) -> BallotPhase:
    if not chain.contracts.verifier_committee.is_due(ballot_id):
        wait_for(chain, chain.contracts.verifier_committee.ballot(ballot_id).deadline)
    chain.do(chain.anyone, "VerifierCommittee", "advance", ballot_id)
    return chain.contracts.verifier_committee.ballot(ballot_id).phase


def vote_and_finish(chain: Chain, current: Round, votes: Votes) -> Round:
    """The ballot of these votes, and the end of the round."""
    ballot_id = latest(chain).ballot_id
    commit_votes(chain, ballot_id, votes)
    reveal_votes(chain, ballot_id, votes)
    return finish(chain, current)


def finish(chain: Chain, current: Round) -> Round:
    """From the ballot's end to the round's."""
    chain.do(chain.anyone, "LearningChain", "advance", current.round_id)
    ended = latest(chain)
    if ended.phase not in (Phase.FINALISED, Phase.ABORTED):
        raise ChainError(f"round {current.round_id} did not end")
    return ended


def winner(chain: Chain) -> str:
    """Of the newest block."""
    return chain.contracts.block_ledger.header(chain.contracts.block_ledger.height()).winner
