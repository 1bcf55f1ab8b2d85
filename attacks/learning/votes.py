"""Attacks of verifiers: voting without evaluating, copying, replaying, colluding."""

from collections.abc import Sequence
from typing import Any

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from attacks.learning.ground import Ground
from attacks.record import Attack, Outcome, Weakening
from pole.chain.profiles import ETHER, PUBLIC
from pole.chain.structs import AbortReason, BallotPhase, Round, VerdictKind
from pole.chain.verdicts import INVALID, Part, pack_verdict
from testbed import rounds
from testbed.artifacts import Edit
from testbed.contracts import Chain

_VOTE = "VOTE, block.chainid, committee, ballotId, verifier, digest, salt"
_TYPES = ("bytes32", "uint256", "address", "uint64", "address", "bytes32", "bytes32")
_PPM = 1_000_000
_INVENTED = bytes(range(32, 64))
"""The root of predictions that nobody has made."""

HONEST = [rounds.good(940_000), rounds.good(930_000)]
"""On two models: the first is better."""
FLIPPED = [INVALID, rounds.scored(_PPM, _PPM, _INVENTED)]
"""The vote of those who want the second to win."""


def _without(field: str) -> Weakening:
    """Vote commitments that do not bind this field, in the contract and in what the verifiers compute."""
    names = _VOTE.split(", ")
    kept = [index for index, name in enumerate(names) if name != field]
    edit = Edit("libraries/Commitments.sol", f"abi.encode({_VOTE})", f"abi.encode({', '.join(names[i] for i in kept)})")

    def weak_commitment(*arguments: Any) -> bytes:
        values = [keccak(text="pole.vote.v2"), *arguments]
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


def _votes(chain: Chain, *votes: Sequence[int]) -> dict[str, Sequence[int]]:
    return {chain.verifier(i): vote for i, vote in enumerate(votes)}


def _lost_wei(chain: Chain, verifier: str) -> int:
    """Of the stake."""
    return rounds.STAKE_WEI - chain.contracts.verifier_committee.verifier(verifier).stake_wei


def free_ride(ground: Ground) -> Outcome:
    """A verifier predicts nothing, and even so has heard the exact accuracies: it invents what they come from."""
    guess = [rounds.good(940_000, _INVENTED), rounds.good(930_000, _INVENTED)]
    return _lonely(ground, guess)


def ride_on_nothing(ground: Ground) -> Outcome:
    """A verifier fetches nothing and says so of every model, which can never be refuted."""
    gone = pack_verdict(Part(VerdictKind.UNAVAILABLE), Part(VerdictKind.UNAVAILABLE))
    return _lonely(ground, [gone, gone])


def _lonely(ground: Ground, vote: Sequence[int]) -> Outcome:
    """Three of four vote honestly; what this vote costs the fourth, and earns it."""
    chain, current, _ = _to_ballot(ground, 4)
    rounds.vote_and_finish(chain, current, _votes(chain, HONEST, HONEST, HONEST, vote))
    lazy = chain.verifier(3)
    lost_wei, gained_wei = _lost_wei(chain, lazy), chain.contracts.reward_reservoir.credit_wei(lazy)
    evidence = f"slashed {lost_wei / ETHER} ETH, earns {gained_wei / ETHER} ETH"
    return Outcome(lost_wei > 0 and not gained_wei, evidence, {"lost_wei": lost_wei, "gained_wei": gained_wei})


def hide_list(ground: Ground) -> Outcome:
    """A verifier reveals a digest and shows its list to nobody, so that nobody can count the ballot."""
    chain, current, ballot_id = _to_ballot(ground, 4)
    hidden = [rounds.good(1, _INVENTED), rounds.good(2, _INVENTED)]
    votes = _votes(chain, HONEST, HONEST, HONEST, hidden)
    rounds.commit_votes(chain, ballot_id, votes)
    for verifier, vote in votes.items():
        rounds.reveal_vote(chain, ballot_id, verifier, vote)
    chain.do(chain.anyone, "VerifierCommittee", "advance", ballot_id)
    chain.do(chain.verifier(0), "VerifierCommittee", "openVote", ballot_id, 0, HONEST)
    early = chain.attempt(chain.anyone, "VerifierCommittee", "tally", ballot_id, [HONEST])
    rounds.tally(chain, ballot_id, HONEST)
    rounds.finish(chain, current)
    lost_wei = _lost_wei(chain, chain.verifier(3))
    is_defended = rounds.winner(chain) == chain.miner(0) and lost_wei > 0 and _lost_wei(chain, chain.verifier(0)) == 0
    evidence = f"before the deadline: {early.said}; after it the others decide, and it loses {lost_wei / ETHER} ETH"
    return Outcome(is_defended, evidence, {"error": early.error, "lost_wei": lost_wei})


def omit_list(ground: Ground) -> Outcome:
    """Who counts the ballot leaves out the majority's list, so that the honest ones count as noise."""
    chain, _, ballot_id = _to_ballot(ground, 4)
    votes = _votes(chain, HONEST, HONEST, HONEST, FLIPPED)
    rounds.commit_votes(chain, ballot_id, votes)
    for verifier, vote in votes.items():
        rounds.reveal_vote(chain, ballot_id, verifier, vote)
    chain.do(chain.anyone, "VerifierCommittee", "advance", ballot_id)
    for index, vote in ((0, HONEST), (3, FLIPPED)):
        chain.do(chain.verifier(index), "VerifierCommittee", "openVote", ballot_id, index, vote)
    rounds.wait_for(chain, chain.contracts.verifier_committee.ballot(ballot_id).deadline)
    counted = chain.attempt(chain.verifier(3), "VerifierCommittee", "tally", ballot_id, [FLIPPED])
    honest_lost_wei = _lost_wei(chain, chain.verifier(0))
    evidence = f"{counted.said}; the honest lose {honest_lost_wei / ETHER} ETH"
    is_defended = bool(counted.error) and not honest_lost_wei
    return Outcome(is_defended, evidence, {"error": counted.error, "honest_lost_wei": honest_lost_wei})


def serve_late(ground: Ground) -> Outcome:
    """The client serves the test set just as verifiers give up, so that half of them have it: a model for nothing?"""
    chain, current, _ = _to_ballot(ground, 4)
    withheld = [rounds.untested(rounds.CLAIM_PPM, VerdictKind.WITHHELD)] * 2
    rounds.vote_and_finish(chain, current, _votes(chain, HONEST, HONEST, withheld, withheld))
    lost_wei = sum(_lost_wei(chain, chain.verifier(i)) for i in range(4))
    paid = _is_miner_paid(chain, current)
    evidence = f"ranked by training, a miner is paid: {paid}; the verifiers lose {lost_wei / ETHER} ETH"
    return Outcome(paid and not lost_wei, evidence, {"lost_wei": lost_wei})


def _is_miner_paid(chain: Chain, current: Round) -> bool:
    """Whether one of the two miners got the reward on top of its bond."""
    reward_wei = chain.contracts.task_market.task(current.task_id).reward_wei
    credits = [chain.contracts.reward_reservoir.credit_wei(chain.miner(i)) for i in range(2)]
    return any(credit >= reward_wei + rounds.BOND_WEI for credit in credits)


def copy_vote(ground: Ground) -> Outcome:
    """A verifier enters another's vote commitment as its own and opens it with what the other reveals."""
    chain, _, ballot_id = _to_ballot(ground, 4)
    for verifier, vote in _votes(chain, HONEST, HONEST, HONEST).items():
        hashed = rounds.vote_hash(chain, ballot_id, verifier, vote)
        index = rounds.member_index(chain, ballot_id, verifier)
        chain.do(verifier, "VerifierCommittee", "commitVote", ballot_id, index, hashed)
    copier = chain.verifier(3)
    copied = chain.contracts.verifier_committee.member(ballot_id, chain.verifier(0)).commitment
    entered = chain.attempt(copier, "VerifierCommittee", "commitVote", ballot_id, 3, copied)
    rounds.advance_ballot(chain, ballot_id)
    for verifier in (chain.verifier(i) for i in range(3)):
        rounds.reveal_vote(chain, ballot_id, verifier, HONEST)
    stolen = rounds.reveal_vote(chain, ballot_id, copier, HONEST)
    rounds.tally(chain, ballot_id, HONEST)
    lost_wei = _lost_wei(chain, copier)
    evidence = f"{stolen.said}, and slashed {lost_wei / ETHER} ETH for its silence"
    is_defended = not entered.error and bool(stolen.error) and lost_wei > 0
    return Outcome(is_defended, evidence, {"error": stolen.error, "lost_wei": lost_wei})


def replay_vote(ground: Ground) -> Outcome:
    """A verifier enters its vote of the ballot before again, and opens it as it did then."""
    chain, current, first = _to_ballot(ground, 4)
    rounds.vote_and_finish(chain, current, _votes(chain, HONEST, HONEST, HONEST, HONEST))
    chain, current, second = _next_ballot(chain)
    replayer = chain.verifier(3)
    old = chain.contracts.verifier_committee.member(first, replayer).commitment
    chain.do(replayer, "VerifierCommittee", "commitVote", second, 3, old)
    rounds.commit_votes(chain, second, _votes(chain, HONEST, HONEST, HONEST))
    digest = rounds.digest(chain, first, HONEST)
    revealed = (second, 3, digest, rounds.SALT, rounds.NO_PREDICTIONS)
    replayed = chain.attempt(replayer, "VerifierCommittee", "revealVote", *revealed)
    return Outcome(bool(replayed.error), replayed.said, {"error": replayed.error})


def vote_late(ground: Ground) -> Outcome:
    """A verifier commits to a vote only after the others have revealed theirs."""
    chain, _, ballot_id = _to_ballot(ground, 4)
    rounds.commit_votes(chain, ballot_id, _votes(chain, HONEST, HONEST, HONEST))
    rounds.reveal_vote(chain, ballot_id, chain.verifier(0), HONEST)
    late = chain.verifier(3)
    hashed = rounds.vote_hash(chain, ballot_id, late, HONEST)
    entered = chain.attempt(late, "VerifierCommittee", "commitVote", ballot_id, 3, hashed)
    opened = rounds.reveal_vote(chain, ballot_id, late, HONEST)
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
    """Half of the stake votes the better model invalid, twice, and of the other what the honest say."""
    chain, current, first = _to_ballot(ground, 4)
    flipped = [INVALID, HONEST[1]]
    votes = _votes(chain, HONEST, HONEST, flipped, flipped)
    _count(chain, first, votes)
    rounds.advance(chain, current)
    second = rounds.latest(chain).ballot_id
    _count(chain, second, _votes(chain, HONEST[:1], HONEST[:1], [INVALID], [INVALID]))
    rounds.finish(chain, current)
    won = "the better" if rounds.winner(chain) == chain.miner(0) else "the other"
    honest_lost_wei = sum(_lost_wei(chain, chain.verifier(i)) for i in range(2))
    lost_wei = sum(_lost_wei(chain, chain.verifier(i)) for i in range(2, 4))
    evidence = (
        f"{won} model wins, after {second - first + 1} ballots; the honest lose {honest_lost_wei / ETHER} ETH, "
        f"the colluders {lost_wei / ETHER}; the better model's miner has its bond back"
    )
    figures = {"honest_lost_wei": honest_lost_wei, "lost_wei": lost_wei, "ballots": second - first + 1}
    return Outcome(won == "the better", evidence, figures)


def half_undecides(ground: Ground) -> Outcome:
    """Half of the stake votes the only model invalid, twice: does the client get it for nothing?"""
    chain, current, ballot_id = _to_ballot(ground, 4, models=1)
    good = HONEST[:1]
    for _ in range(2):
        _count(chain, ballot_id, _votes(chain, good, good, [INVALID], [INVALID]))
        rounds.advance(chain, current)
        ballot_id = rounds.latest(chain).ballot_id
    ended = rounds.latest(chain)
    got_wei = chain.contracts.reward_reservoir.credit_wei(chain.miner(0)) - rounds.BOND_WEI
    evidence = f"{ended.abort_reason.name}: the escrow, {got_wei / ETHER} ETH, goes to the miner, not to the client"
    reward_wei = chain.contracts.task_market.task(current.task_id).reward_wei
    is_defended = ended.abort_reason is AbortReason.UNDECIDED and got_wei >= reward_wei
    return Outcome(is_defended, evidence, {"got_wei": got_wei})


def _count(chain: Chain, ballot_id: int, votes: dict[str, Sequence[int]]) -> None:
    rounds.commit_votes(chain, ballot_id, votes)
    rounds.reveal_votes(chain, ballot_id, votes)


def third_flips_while_absent(ground: Ground) -> Outcome:
    """Three of nine equal stakes collude while three honest ones are away: half of those who vote."""
    chain, current, ballot_id = _to_ballot(ground, 9)
    votes = _votes(chain, *[HONEST] * 3, *[[INVALID, HONEST[1]]] * 3)
    _count(chain, ballot_id, votes)
    rounds.advance(chain, current)
    _count(chain, rounds.latest(chain).ballot_id, {who: vote[:1] for who, vote in votes.items()})
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
            member = chain.contracts.verifier_committee.member(ballot_id, verifier)
            if not member.has_committed:
                hashed = rounds.vote_hash(chain, ballot_id, verifier, HONEST)
                chain.do(verifier, "VerifierCommittee", "commitVote", ballot_id, member.index, hashed)
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


_ANY_ROOT_IS_RIGHT = Weakening(
    "fingerprints are not compared",
    (
        Edit(
            "libraries/Verdicts.sol",
            "if (given == part) isMet = isMet || kind != NONE;",
            "if (given >> PPM_SHIFT == part >> PPM_SHIFT) isMet = isMet || kind != NONE;",
        ),
    ),
)
_HIDDEN_IS_INSIDE = Weakening(
    "a vote without a list is not noise",
    (
        Edit(
            "BallotCount.sol",
            "choice == UNKNOWN ? Verdicts.Stance.Noise : stances[choice - 1];",
            "choice == UNKNOWN ? Verdicts.Stance.Inside : stances[choice - 1];",
        ),
    ),
)

ATTACKS: list[Attack[Ground]] = [
    Attack("free-riding", "votes", "vote without evaluating", free_ride, _ANY_ROOT_IS_RIGHT),
    Attack(
        "voting-unavailable",
        "votes",
        "say of every model that it could not be had",
        ride_on_nothing,
        Weakening(
            "what could not be had costs nothing and earns the fee",
            (
                Edit(
                    "libraries/Verdicts.sol", "if (isBlank) return Stance.Blank;", "if (isBlank) return Stance.Inside;"
                ),
            ),
        ),
    ),
    Attack("hidden-list", "votes", "reveal a digest and show its list to nobody", hide_list, _HIDDEN_IS_INSIDE),
    Attack(
        "omitted-list",
        "votes",
        "leave the majority's list out of the tally",
        omit_list,
        Weakening(
            "a tally may leave lists out",
            (
                Edit(
                    "BallotCount.sol",
                    "else if (isInTime || isOpened[ballotId][digest]) revert MissingList(ballotId, digest);",
                    "",
                ),
            ),
        ),
    ),
    Attack(
        "late-test-set",
        "votes",
        "serve the test set to half of the verifiers",
        serve_late,
        Weakening(
            "a model without a test score is not valid",
            (
                Edit(
                    "RoundJudgement.sol",
                    "if (verdict.test == IVerifierCommittee.VerdictKind.Scored) judged.tested |= 1 << i;",
                    "if (verdict.test == IVerifierCommittee.VerdictKind.Scored) judged.tested |= 1 << i;\n"
                    "else judged.valid = judged.qualified = 0;",
                ),
            ),
        ),
    ),
    Attack(
        "half-undecides",
        "votes",
        "get the only model for nothing with half of the stake",
        half_undecides,
        Weakening(
            "the escrow goes back to the client",
            (Edit("libraries/Settlements.sol", "settled.rewardTo = Payee.Unjudged;", ""),),
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
            "a minority decides",
            (Edit("libraries/Majority.sol", "return support * 2 > total;", "return support * 2 < total;"),),
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
                    "stakeWei * 3 >= uint256(queried.snapshotStakeWei) * 2;",
                    "stakeWei * 4 >= uint256(queried.snapshotStakeWei) * 3;",
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
