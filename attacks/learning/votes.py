"""Attacks of verifiers: voting without evaluating, copying, replaying, colluding."""

from collections.abc import Sequence
from typing import Any

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from attacks.learning.ground import Ground
from attacks.record import Attack, Outcome, Weakening
from pole.chain.abi import to_abi
from pole.chain.profiles import ETHER, PUBLIC
from pole.chain.structs import BallotPhase, Round, Verdict
from testbed import rounds
from testbed.artifacts import Edit
from testbed.contracts import Chain

_VOTE = "VOTE, block.chainid, committee, ballotId, verifier, verdicts, salt"
_TYPES = ("bytes32", "uint256", "address", "uint64", "address", "(bool,uint32,uint32)[]", "bytes32")
_PPM = 1_000_000

HONEST = [rounds.good(940_000), rounds.good(930_000)]
"""On two models: the first is better."""
FLIPPED = [rounds.INVALID, rounds.good(_PPM, _PPM)]
"""The vote of those who want the second to win."""


def _without(field: str) -> Weakening:
    """Vote commitments that do not bind this field, in the contract and in what the verifiers compute."""
    names = _VOTE.split(", ")
    kept = [index for index, name in enumerate(names) if name != field]
    edit = Edit("libraries/Commitments.sol", f"abi.encode({_VOTE})", f"abi.encode({', '.join(names[i] for i in kept)})")

    def weak_commitment(*arguments: Any) -> bytes:
        *others, verdicts, salt = arguments
        values = [keccak(text="pole.vote.v1"), *others, to_abi(list(verdicts)), salt]
        return keccak(encode([_TYPES[i] for i in kept], [values[i] for i in kept]))

    patches = {"testbed.rounds.vote_commitment": weak_commitment}
    return Weakening(f"commitments do not bind {field}", (edit,), patches)


def _to_ballot(ground: Ground, verifiers: int, models: int = 2) -> tuple[Chain, Round, int]:
    """A chain with a ballot open over the models of miners 0, 1...; all verifiers have the same stake."""
    chain = ground.chain
    rounds.seat(chain, verifiers)
    return _next_ballot(chain, models)


def _next_ballot(chain: Chain, models: int = 2) -> tuple[Chain, Round, int]:
    rounds.submit(chain)
    current = rounds.open_round(chain)
    rounds.to_voting(chain, current, *(chain.miner(i) for i in range(models)))
    return chain, current, rounds.latest(chain).ballot_id


def _votes(chain: Chain, *votes: Sequence[Verdict]) -> dict[str, Sequence[Verdict]]:
    return {chain.verifier(i): vote for i, vote in enumerate(votes)}


def _lost_wei(chain: Chain, verifier: str) -> int:
    """Of the stake."""
    return rounds.STAKE_WEI - chain.contracts.verifier_committee.verifier(verifier).stake_wei


def free_ride(ground: Ground) -> Outcome:
    """A verifier evaluates nothing and guesses: the claim for train, a little less for test."""
    chain, current, _ = _to_ballot(ground, 4)
    guess = [rounds.good(rounds.CLAIM_PPM), rounds.good(rounds.CLAIM_PPM)]
    rounds.vote_and_finish(chain, current, _votes(chain, HONEST, HONEST, HONEST, guess))
    lazy = chain.verifier(3)
    lost_wei, gained_wei = _lost_wei(chain, lazy), chain.contracts.reward_reservoir.credit_wei(lazy)
    evidence = f"slashed {lost_wei / ETHER} ETH, earns {gained_wei / ETHER} ETH"
    return Outcome(lost_wei > 0 and not gained_wei, evidence, {"lost_wei": lost_wei, "gained_wei": gained_wei})


def copy_vote(ground: Ground) -> Outcome:
    """A verifier enters another's vote commitment as its own and opens it with what the other reveals."""
    chain, _, ballot_id = _to_ballot(ground, 4)
    for verifier, vote in _votes(chain, HONEST, HONEST, HONEST).items():
        hashed = rounds.vote_hash(chain, ballot_id, verifier, vote)
        chain.do(verifier, "VerifierCommittee", "commitVote", ballot_id, hashed)
    copied, copier = chain.contracts.verifier_committee.vote_commitment(ballot_id, chain.verifier(0)), chain.verifier(3)
    entered = chain.attempt(copier, "VerifierCommittee", "commitVote", ballot_id, copied)
    rounds.advance_ballot(chain, ballot_id)
    for verifier in (chain.verifier(i) for i in range(3)):
        chain.do(verifier, "VerifierCommittee", "revealVote", ballot_id, HONEST, rounds.SALT)
    stolen = chain.attempt(copier, "VerifierCommittee", "revealVote", ballot_id, HONEST, rounds.SALT)
    rounds.advance_ballot(chain, ballot_id)
    lost_wei = _lost_wei(chain, copier)
    evidence = f"{stolen.said}, and slashed {lost_wei / ETHER} ETH as absent"
    is_defended = not entered.error and bool(stolen.error) and lost_wei > 0
    return Outcome(is_defended, evidence, {"error": stolen.error, "lost_wei": lost_wei})


def replay_vote(ground: Ground) -> Outcome:
    """A verifier enters its vote of the ballot before again, and opens it as it did then."""
    chain, current, first = _to_ballot(ground, 4)
    rounds.vote_and_finish(chain, current, _votes(chain, HONEST, HONEST, HONEST, HONEST))
    chain, current, second = _next_ballot(chain)
    replayer = chain.verifier(3)
    old = chain.contracts.verifier_committee.vote_commitment(first, replayer)
    chain.do(replayer, "VerifierCommittee", "commitVote", second, old)
    rounds.commit_votes(chain, second, _votes(chain, HONEST, HONEST, HONEST))
    replayed = chain.attempt(replayer, "VerifierCommittee", "revealVote", second, HONEST, rounds.SALT)
    return Outcome(bool(replayed.error), replayed.said, {"error": replayed.error})


def vote_late(ground: Ground) -> Outcome:
    """A verifier commits to a vote only after the others have revealed theirs."""
    chain, _, ballot_id = _to_ballot(ground, 4)
    rounds.commit_votes(chain, ballot_id, _votes(chain, HONEST, HONEST, HONEST))
    chain.do(chain.verifier(0), "VerifierCommittee", "revealVote", ballot_id, HONEST, rounds.SALT)
    late = chain.verifier(3)
    hashed = rounds.vote_hash(chain, ballot_id, late, HONEST)
    entered = chain.attempt(late, "VerifierCommittee", "commitVote", ballot_id, hashed)
    opened = chain.attempt(late, "VerifierCommittee", "revealVote", ballot_id, HONEST, rounds.SALT)
    evidence = f"{entered.said}, then {opened.said}"
    return Outcome(bool(opened.error), evidence, {"error": entered.error, "then": opened.error})


def third_flips(ground: Ground) -> Outcome:
    """Three of nine equal stakes vote the better model invalid and the other perfect."""
    chain, current, _ = _to_ballot(ground, 9)
    rounds.vote_and_finish(chain, current, _votes(chain, *[HONEST] * 6, *[FLIPPED] * 3))
    won = rounds.winner(chain)
    lost_wei = sum(_lost_wei(chain, chain.verifier(i)) for i in range(6, 9))
    honest_lost_wei = sum(_lost_wei(chain, chain.verifier(i)) for i in range(6))
    is_defended = won == chain.miner(0) and lost_wei > 0 and honest_lost_wei == 0
    evidence = f"the better model wins; the three lose {lost_wei / ETHER} ETH of stake, the honest nothing"
    return Outcome(is_defended, evidence if is_defended else "the other model wins", {"lost_wei": lost_wei})


def third_absent(ground: Ground) -> Outcome:
    """Three of nine equal stakes do not vote, so that there is no quorum and the round is void."""
    chain, current, ballot_id = _to_ballot(ground, 9)
    rounds.commit_votes(chain, ballot_id, _votes(chain, *[HONEST] * 6))
    if chain.contracts.verifier_committee.ballot(ballot_id).phase is not BallotPhase.REVEAL:
        return Outcome(False, "six of nine are no quorum")
    rounds.reveal_votes(chain, ballot_id, _votes(chain, *[HONEST] * 6))
    rounds.finish(chain, current)
    lost_wei = sum(_lost_wei(chain, chain.verifier(i)) for i in range(6, 9))
    is_defended = rounds.winner(chain) == chain.miner(0) and lost_wei > 0
    evidence = f"two thirds decide without them; the three lose {lost_wei / ETHER} ETH for one deadline"
    return Outcome(is_defended, evidence, {"lost_wei": lost_wei})


def half_flips(ground: Ground) -> Outcome:
    """Half of the stake votes the better model invalid, and of the other what the honest say: what happens then."""
    chain, current, _ = _to_ballot(ground, 4)
    flipped = [rounds.INVALID, HONEST[1]]
    rounds.vote_and_finish(chain, current, _votes(chain, HONEST, HONEST, flipped, flipped))
    won = "the better" if rounds.winner(chain) == chain.miner(0) else "the other"
    test_ppm = chain.contracts.learning_chain.header(chain.contracts.learning_chain.height()).test_ppm
    honest_lost_wei = sum(_lost_wei(chain, chain.verifier(i)) for i in range(2))
    lost_wei = sum(_lost_wei(chain, chain.verifier(i)) for i in range(2, 4))
    evidence = (
        f"{won} model wins, with {test_ppm / 10_000:.0f} % test accuracy; "
        f"the honest lose {honest_lost_wei / ETHER} ETH of stake, the colluders {lost_wei / ETHER}"
    )
    figures = {"honest_lost_wei": honest_lost_wei, "lost_wei": lost_wei, "test_ppm": test_ppm}
    return Outcome(won == "the better", evidence, figures)


def third_flips_while_absent(ground: Ground) -> Outcome:
    """Three of nine equal stakes collude while three honest ones are away: half of those who vote."""
    chain, current, ballot_id = _to_ballot(ground, 9)
    votes = _votes(chain, *[HONEST] * 3, *[[rounds.INVALID, HONEST[1]]] * 3)
    rounds.commit_votes(chain, ballot_id, votes)
    rounds.reveal_votes(chain, ballot_id, votes)
    rounds.finish(chain, current)
    is_flipped = rounds.winner(chain) != chain.miner(0)
    honest_lost_wei = sum(_lost_wei(chain, chain.verifier(i)) for i in range(3))
    evidence = f"flipped: {is_flipped}; the three honest who voted lose {honest_lost_wei / ETHER} ETH of stake"
    return Outcome(not is_flipped, evidence, {"honest_lost_wei": honest_lost_wei})


def over_third_voids(ground: Ground) -> Outcome:
    """Half of the stake stays away until the ballot is void: what it costs to take work without paying for it."""
    chain, current, ballot_id = _to_ballot(ground, 4)
    while chain.contracts.verifier_committee.ballot(ballot_id).phase is BallotPhase.COMMIT:
        for verifier in (chain.verifier(0), chain.verifier(1)):
            if not any(chain.contracts.verifier_committee.vote_commitment(ballot_id, verifier)):
                hashed = rounds.vote_hash(chain, ballot_id, verifier, HONEST)
                chain.do(verifier, "VerifierCommittee", "commitVote", ballot_id, hashed)
        rounds.advance_ballot(chain, ballot_id)
    ended = rounds.finish(chain, current)
    absent = [chain.verifier(2), chain.verifier(3)]
    cost_wei = sum(_lost_wei(chain, each) - chain.contracts.reward_reservoir.credit_wei(each) for each in absent)
    task = chain.contracts.task_market.task(current.task_id)
    refund_wei = chain.contracts.reward_reservoir.credit_wei(chain.client) - rounds.CLIENT_BOND_WEI
    is_paid = refund_wei < task.reward_wei
    deadlines = 1 + PUBLIC.committee.max_extensions
    evidence = (
        f"{ended.abort_reason.name} after {deadlines} deadlines: the client gets {refund_wei / ETHER} ETH back, "
        f"the miners their bonds; the absent pay {cost_wei / ETHER} ETH"
    )
    return Outcome(is_paid, evidence, {"cost_wei": cost_wei, "refund_wei": refund_wei})


ATTACKS: list[Attack[Ground]] = [
    Attack(
        "free-riding",
        "votes",
        "vote without evaluating",
        free_ride,
        Weakening(
            "every vote is inside the tolerance",
            (
                Edit(
                    "VerifierCommittee.sol",
                    "if (Verdicts.isWithin(cast[i], medians, closing.tolerancePpm)) {",
                    "if (cast.length != 0) {",
                ),
            ),
        ),
    ),
    Attack("copy-vote", "votes", "open another's vote as one's own", copy_vote, _without("verifier")),
    Attack("replay-vote", "votes", "use the vote of an earlier ballot", replay_vote, _without("ballotId")),
    Attack(
        "late-vote",
        "votes",
        "vote after seeing what others revealed",
        vote_late,
        Weakening(
            "votes are taken in any phase of a ballot",
            (
                Edit(
                    "VerifierCommittee.sol",
                    "if (voted.phase != needed) revert WrongBallotPhase(ballotId, voted.phase, needed);",
                    "ballotId; needed;",
                ),
            ),
        ),
    ),
    Attack(
        "third-flips",
        "votes",
        "flip the winner with a third of the stake",
        third_flips,
        Weakening(
            "a model is valid only if all say so",
            (
                Edit(
                    "libraries/Verdicts.sol",
                    "return validWeight * 2 > totalWeight;",
                    "return validWeight == totalWeight;",
                ),
            ),
        ),
    ),
    Attack(
        "third-absent",
        "votes",
        "make a round void with a third of the stake",
        third_absent,
        Weakening(
            "a quorum is three quarters",
            (
                Edit(
                    "VerifierCommittee.sol",
                    "return stakeWei * 3 >= uint256(queried.snapshotStakeWei) * 2;",
                    "return stakeWei * 4 >= uint256(queried.snapshotStakeWei) * 3;",
                ),
            ),
        ),
    ),
    Attack("half-flips", "votes", "flip the winner with half of the stake", half_flips, is_known_limit=True),
    Attack(
        "third-flips-while-absent",
        "votes",
        "flip the winner with a third of the stake while another third is away",
        third_flips_while_absent,
        is_known_limit=True,
    ),
    Attack("half-voids", "votes", "make a round void with half of the stake", over_third_voids, is_known_limit=True),
]
