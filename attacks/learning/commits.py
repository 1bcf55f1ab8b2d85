"""Attacks on the order of events: copying, replaying, committing too late, getting in front of others."""

from typing import Any

from eth_abi.abi import encode
from eth_utils.crypto import keccak
from web3.exceptions import Web3RPCError

from attacks.learning.ground import Ground, deploy
from attacks.record import Attack, Outcome, Weakening
from pole.chain.structs import Phase
from testbed import rounds
from testbed.artifacts import Edit, compiled, compiled_with
from testbed.chain import development_chain, web3_at
from testbed.contracts import ACCOUNTS, Chain, development_key

_SOLUTION = "SOLUTION, block.chainid, chain, roundId, miner, previousHash, model.codec, model.digest, salt"
_TYPES = ("bytes32", "uint256", "address", "uint64", "address", "bytes32", "uint8", "bytes32", "bytes32")
_ATTACKERS_KEY = development_key(2)
WITHOUT_CHECK = Weakening(
    "openings are not compared with commitments",
    (Edit("RoundLedger.sol", "if (actual != expected) revert CommitmentMismatch(expected, actual);", ""),),
)


def _without(*fields: str) -> Weakening:
    """Solution commitments that do not bind these fields, in the contract and in what the miners compute."""
    names = _SOLUTION.split(", ")
    kept = [index for index, name in enumerate(names) if name not in fields]
    edit = Edit("libraries/Commitments.sol", _SOLUTION, ", ".join(names[index] for index in kept))

    def weak_commitment(*arguments: Any) -> bytes:
        *others, model, salt = arguments
        values = [keccak(text="pole.solution.v1"), *others, *model.as_tuple(), salt]
        return keccak(encode([_TYPES[index] for index in kept], [values[index] for index in kept]))

    patches = {"testbed.rounds.solution_commitment": weak_commitment}
    return Weakening(f"commitments do not bind {' and '.join(fields)}", (edit,), patches)


def _started(ground: Ground) -> Chain:
    """A chain with three seated verifiers and one task."""
    rounds.seat(ground.chain, 3)
    rounds.submit(ground.chain)
    return ground.chain


def _is_victim_unharmed(chain: Chain, victim: str) -> bool:
    """Whether the victim's reveal stands, or can still be made."""
    current = rounds.latest(chain)
    entries = {entry.miner: entry for entry in chain.contracts.learning_chain.submissions(current.round_id)}
    return entries[victim].is_revealed or not rounds.reveal(chain, current, victim).error


def copy_committed(ground: Ground) -> Outcome:
    """The attacker enters the victim's commitment as its own and opens it with what the victim reveals."""
    chain = _started(ground)
    current, victim = rounds.open_round(chain), chain.miner(0)
    rounds.commit(chain, current, victim)
    [entered] = chain.contracts.learning_chain.submissions(current.round_id)
    rounds.commit_hash(chain, current, chain.attacker, entered.commitment)
    rounds.advance(chain, current)
    rounds.release(chain, current)
    rounds.reveal(chain, current, victim)
    stolen = rounds.reveal(chain, current, chain.attacker, rounds.model_of(victim))
    return Outcome(bool(stolen.error), stolen.said, {"error": stolen.error})


def copy_revealed(ground: Ground) -> Outcome:
    """The attacker has committed to something, sees the victim's model and reveals that; or commits to it only now."""
    chain = _started(ground)
    current, victim = rounds.open_round(chain), chain.miner(0)
    rounds.to_reveal(chain, current, victim, chain.attacker)
    rounds.reveal(chain, current, victim)
    stolen = rounds.reveal(chain, current, chain.attacker, rounds.model_of(victim))
    late = chain.accomplice(0)
    hashed = rounds.commitment(chain, current, late, rounds.model_of(victim))
    new = rounds.commit_hash(chain, current, late, hashed)
    errors = f"{stolen.said}; as a new commit {new.said}"
    return Outcome(bool(stolen.error and new.error), errors, {"error": stolen.error, "late": new.error})


def replay_round(ground: Ground) -> Outcome:
    """What was committed and opened in one round is committed and opened again in the next."""
    chain = _started(ground)
    first, attacker = rounds.open_round(chain), chain.attacker
    old = rounds.commitment(chain, first, attacker)
    rounds.to_voting(chain, first, attacker)
    vote = [rounds.good(900_000)]
    rounds.vote_and_finish(chain, first, {chain.verifier(i): vote for i in range(3)})
    rounds.submit(chain)
    second = rounds.open_round(chain)
    entered = rounds.commit_hash(chain, second, attacker, old)
    rounds.advance(chain, second)
    rounds.release(chain, second)
    opened = rounds.reveal(chain, second, attacker)
    return Outcome(bool(opened.error) and not entered.error, opened.said, {"error": opened.error})


def replay_contract(ground: Ground) -> Outcome:
    """A commitment made for another deployment on the same chain is opened on this one."""
    chain = _started(ground)
    current, attacker = rounds.open_round(chain), chain.attacker
    other = Chain(chain.web3, deploy(chain.web3, compiled()), compiled())
    rounds.commit_hash(chain, current, attacker, rounds.commitment(other, current, attacker))
    rounds.advance(chain, current)
    rounds.release(chain, current)
    opened = rounds.reveal(chain, current, attacker)
    return Outcome(bool(opened.error), opened.said, {"error": opened.error})


def replay_chain(ground: Ground) -> Outcome:
    """The signed commit of one chain is sent to another, where the same contracts have the same addresses."""
    chain = _started(ground)
    weak = compiled_with(_without("block.chainid", "previousHash").edits) if ground.is_weakened else {}
    with development_chain(block_time_s=None, chain_id=4242, accounts=ACCOUNTS) as node:
        web3 = web3_at(node.rpc_url)
        web3.provider.make_request("anvil_setNonce", [chain.anyone, hex(_first_nonce(chain))])  # type: ignore[arg-type]
        twin = Chain(web3, deploy(web3, compiled() | weak), compiled())
        return _replayed(chain, twin)


def _first_nonce(chain: Chain) -> int:
    """The deployer's before its deployment, so that another deployment gets the same addresses."""
    [created] = [chain.deployment.contracts["RewardReservoir"]]
    return int(chain.web3.eth.get_transaction(created.transaction_hash)["nonce"])  # type: ignore[arg-type]


def _replayed(chain: Chain, twin: Chain) -> Outcome:
    rounds.stake(twin, twin.verifier(0))
    rounds.submit(twin)
    current, other = rounds.open_round(chain), rounds.open_round(twin)
    hashed = rounds.commitment(twin, other, chain.attacker)
    data = twin.data("LearningChain", "commit", other.round_id, other.previous_hash, hashed, rounds.CLAIM_PPM, 0)
    transaction: Any = {
        "to": twin.address("LearningChain"),
        "data": data,
        "value": rounds.commit_wei(twin, other),
        "gas": 300_000,
        "maxFeePerGas": 10**12,
        "maxPriorityFeePerGas": 10**9,
        "nonce": chain.web3.eth.get_transaction_count(_ATTACKERS_KEY.address),
        "chainId": twin.chain_id,
    }
    raw = _ATTACKERS_KEY.sign_transaction(transaction)
    is_refused = False
    try:
        chain.web3.eth.send_raw_transaction(raw.raw_transaction)
    except Web3RPCError:
        is_refused = True
    rounds.commit_hash(chain, current, chain.attacker, hashed)
    rounds.advance(chain, current)
    rounds.release(chain, current)
    opened = rounds.reveal(chain, current, chain.attacker)
    evidence = f"the node refuses the signed transaction: {is_refused}; its commitment: {opened.said}"
    is_same = twin.address("LearningChain") == chain.address("LearningChain")
    return Outcome(is_refused and is_same and bool(opened.error), evidence, {"error": opened.error})


def commit_after_release(ground: Ground) -> Outcome:
    """Committing in the block of the release, in front of it and behind it, and in the blocks after it."""
    chain = _started(ground)
    current = rounds.open_round(chain)
    rounds.commit(chain, current, chain.miner(0))
    rounds.advance(chain, current)
    chain.pass_time(1)
    release = chain.data("LearningChain", "releaseTestSet", current.round_id, rounds.TEST_SET, rounds.SALT)
    where = chain.address("LearningChain")
    with chain.one_block():
        released = chain.queue(chain.client, where, release, tip_gwei=10)
        tries = [_queued_commit(chain, chain.accomplice(i), tip_gwei=tip) for i, tip in enumerate((20, 1))]
    sent = [chain.sent(each) for each in tries]
    block = chain.sent(released)
    is_same_block = {block.block_number} == {each.block_number for each in sent}
    sent.append(rounds.commit_hash(chain, current, chain.accomplice(2), bytes([1] * 32)))
    errors = [each.error for each in sent]
    is_defended = all(errors) and is_same_block and sent[0].index < block.index < sent[1].index
    evidence = "in front {}, behind {}, later {}".format(*(each.said for each in sent))
    return Outcome(is_defended, evidence, {"errors": " ".join(errors)})


def _queued_commit(chain: Chain, miner: str, tip_gwei: int, hashed: bytes = bytes([1] * 32)) -> bytes:
    current = rounds.latest(chain)
    arguments = (current.round_id, current.previous_hash, hashed, rounds.CLAIM_PPM, 0)
    data = chain.data("LearningChain", "commit", *arguments)
    where = chain.address("LearningChain")
    return chain.queue(miner, where, data, value_wei=rounds.commit_wei(chain, current), tip_gwei=tip_gwei)


def front_run_commit(ground: Ground) -> Outcome:
    """The victim's commit is read from the public pool, and sent in front of it with a higher tip."""
    chain = _started(ground)
    current, victim = rounds.open_round(chain), chain.miner(0)
    with chain.one_block():
        theirs = _queued_commit(chain, victim, 1, rounds.commitment(chain, current, victim))
        seen, where = chain.seen_in_pool(victim), chain.address("LearningChain")
        ours = chain.queue(chain.attacker, where, seen, value_wei=rounds.commit_wei(chain, current), tip_gwei=50)
    is_first = chain.sent(ours).index < chain.sent(theirs).index
    rounds.advance(chain, current)
    rounds.release(chain, current)
    rounds.reveal(chain, current, victim)
    stolen = rounds.reveal(chain, current, chain.attacker, rounds.model_of(victim))
    is_unharmed = not chain.sent(theirs).error and _is_victim_unharmed(chain, victim)
    evidence = f"it is first, opening it: {stolen.said}; the victim's stands: {is_unharmed}"
    return Outcome(is_first and is_unharmed and bool(stolen.error), evidence, {"error": stolen.error})


def front_run_reveal(ground: Ground) -> Outcome:
    """What the victim reveals is read from the public pool, and revealed in front of it in the attacker's own place."""
    chain = _started(ground)
    current, victim = rounds.open_round(chain), chain.miner(0)
    rounds.to_reveal(chain, current, victim, chain.attacker)
    where = chain.address("LearningChain")
    opened = (rounds.model_of(victim), rounds.SALT)
    with chain.one_block():
        theirs = chain.queue(victim, where, chain.data("LearningChain", "reveal", current.round_id, 1, *opened))
        chain.seen_in_pool(victim)
        copied = chain.data("LearningChain", "reveal", current.round_id, 2, *opened)
        ours = chain.queue(chain.attacker, where, copied, tip_gwei=50)
    first, second = chain.sent(ours), chain.sent(theirs)
    evidence = f"it is first: {first.said}; the victim's stands: {not second.error}"
    is_defended = first.index < second.index and bool(first.error) and not second.error
    return Outcome(is_defended, evidence, {"error": first.error})


def front_run_finalise(ground: Ground) -> Outcome:
    """Somebody else's call that ends the round is overtaken, for whatever the last caller may gain."""
    chain = _started(ground)
    current, honest = rounds.open_round(chain), chain.miner(0)
    rounds.to_voting(chain, current, honest)
    votes = {chain.verifier(i): [rounds.good(900_000)] for i in range(3)}
    ballot_id = rounds.latest(chain).ballot_id
    rounds.commit_votes(chain, ballot_id, votes)
    rounds.reveal_votes(chain, ballot_id, votes)
    where, data = chain.address("LearningChain"), chain.data("LearningChain", "advance", current.round_id)
    with chain.one_block():
        theirs = chain.queue(chain.anyone, where, data)
        ours = chain.queue(chain.attacker, where, chain.seen_in_pool(chain.anyone), tip_gwei=50)
    is_first = not chain.sent(ours).error and bool(chain.sent(theirs).error)
    is_ended = rounds.latest(chain).phase is Phase.FINALISED and rounds.winner(chain) == honest
    gained = chain.contracts.reward_reservoir.credit_wei(chain.attacker) + chain.contracts.reward_token.balance(
        chain.attacker
    )
    evidence = f"it is first, the winner is the same, and it gains {gained} wei; the other: {chain.sent(theirs).said}"
    return Outcome(is_first and is_ended and gained == 0, evidence, {"gained_wei": gained})


ATTACKS: list[Attack[Ground]] = [
    Attack("copy-committed", "commits", "open another's commitment as one's own", copy_committed, _without("miner")),
    Attack("copy-revealed", "commits", "reveal the model that another has revealed", copy_revealed, WITHOUT_CHECK),
    Attack(
        "replay-round",
        "commits",
        "use the commitment of an earlier round",
        replay_round,
        _without("roundId", "previousHash"),
    ),
    Attack(
        "replay-contract", "commits", "use the commitment of another deployment", replay_contract, _without("chain")
    ),
    Attack(
        "replay-chain",
        "commits",
        "use the commit of another chain, addresses alike",
        replay_chain,
        _without("block.chainid", "previousHash"),
    ),
    Attack(
        "commit-after-release",
        "commits",
        "commit when the test set is out, same block included",
        commit_after_release,
        Weakening(
            "commits are taken in any phase",
            (
                Edit(
                    "LearningChain.sol",
                    "_checkOpen(roundId, state.round, isOvertime ? Phase.Overtime : Phase.Training);",
                    "",
                ),
            ),
        ),
    ),
    Attack("front-run-commit", "commits", "copy a commit in the pool", front_run_commit, _without("miner")),
    Attack("front-run-reveal", "commits", "copy a reveal in the pool", front_run_reveal, WITHOUT_CHECK),
    Attack(
        "front-run-finalise",
        "commits",
        "overtake the last call of a round",
        front_run_finalise,
        Weakening(
            "the caller is paid",
            (
                Edit(
                    "RoundTreasury.sol",
                    "payee = entries[ending.winner].miner;",
                    "payee = msg.sender;",
                ),
            ),
        ),
    ),
]
