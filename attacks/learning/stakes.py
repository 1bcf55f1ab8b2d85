"""Attacks on the committee's seats and stakes: shares at the wrong moment, eviction, models that nobody would judge."""

from attacks.learning.ground import Ground
from attacks.record import Attack, Outcome, Weakening
from pole.chain.profiles import ETHER, PUBLIC
from pole.chain.structs import AbortReason, Phase
from testbed import rounds
from testbed.artifacts import Edit
from testbed.contracts import Chain

SEATS = 21


def stake_late(ground: Ground) -> Outcome:
    """A thousand ether are staked just before a forfeited bond is shared, and leave again."""
    chain = ground.chain
    rounds.seat(chain, 3)
    rounds.submit(chain)
    current = rounds.open_round(chain, has_keys=False)
    rounds.wait_for(chain, current.deadline)
    chain.rpc("anvil_setBalance", chain.attacker, hex(2_000 * ETHER))
    rounds.stake(chain, chain.attacker, stake_wei=1_000 * ETHER)
    rounds.advance(chain, current)
    got_wei = chain.contracts.reward_reservoir.credit_wei(chain.attacker)
    evidence = f"{got_wei / ETHER:g} of {rounds.CLIENT_BOND_WEI / ETHER:g} ETH go to the late stake"
    return Outcome(got_wei == 0, evidence, {"got_wei": got_wei})


def evict_committee(ground: Ground) -> Outcome:
    """A full committee is displaced seat by seat by stakes that are hardly larger, and leave at once."""
    chain = ground.chain
    sitting, intruders = _accounts(chain)
    rounds.stake(chain, *sitting)
    price_wei = -(-rounds.STAKE_WEI * PUBLIC.committee.displacement_ppm // 10**6)
    free = chain.attempt(intruders[0], "VerifierCommittee", "stake", value_wei=rounds.STAKE_WEI + 1)
    for intruder in intruders:
        chain.attempt(intruder, "VerifierCommittee", "stake", value_wei=rounds.STAKE_WEI + price_wei + 1)
    evicted = [who for who in sitting if not chain.contracts.verifier_committee.verifier(who).is_seated]
    paid_wei = sum(chain.contracts.reward_reservoir.credit_wei(who) for who in evicted)
    for intruder in intruders:
        chain.attempt(intruder, "VerifierCommittee", "requestUnstake")
    back = [not chain.attempt(who, "VerifierCommittee", "stake").error for who in evicted]
    is_defended = bool(free.error) and paid_wei >= len(evicted) * price_wei > 0 and all(back)
    evidence = (
        f"one wei more is refused; {len(evicted)} seats cost {paid_wei / ETHER:g} ETH, which the displaced have, and "
        f"{sum(back)} of them are back at once"
    )
    return Outcome(is_defended, evidence, {"paid_wei": paid_wei, "evicted": len(evicted), "error": free.error})


def _accounts(chain: Chain) -> tuple[list[str], list[str]]:
    """A full committee, and three who want its seats."""
    everybody = [chain.verifier(i) for i in range(SEATS + 3)]
    return everybody[:SEATS], everybody[SEATS:]


def empty_committee(ground: Ground) -> Outcome:
    """The committee leaves once commits have closed: models are revealed, nobody votes, the client has both."""
    chain = ground.chain
    verifiers = rounds.seat(chain, 3)
    rounds.submit(chain, solutions_wanted=1)
    current = rounds.open_round(chain)
    rounds.to_reveal(chain, current, chain.miner(0))
    for verifier in verifiers:
        chain.do(verifier, "VerifierCommittee", "requestUnstake")
    rounds.reveal(chain, current, chain.miner(0))
    rounds.advance(chain, current)
    reached = rounds.latest(chain)
    if reached.phase is not Phase.VOTING:
        return Outcome(False, f"the round ended with {reached.abort_reason.name}", {"members": 0})
    members = chain.contracts.verifier_committee.members(reached.ballot_id)
    if not members:
        return Outcome(False, "the models are out, and nobody will judge them", {"members": 0})
    ended = rounds.vote_and_finish(chain, current, {each: [rounds.good(900_000)] for each in members})
    evidence = f"{len(members)} members are bound although none is seated; the round ends with {ended.phase.name}"
    is_defended = len(members) == 3 and ended.abort_reason is AbortReason.NONE
    return Outcome(is_defended, evidence, {"members": len(members)})


ATTACKS: list[Attack[Ground]] = [
    Attack(
        "late-stake",
        "stakes",
        "stake just before a forfeited bond is shared",
        stake_late,
        Weakening(
            "shares follow the stakes of the moment",
            (
                Edit(
                    "VerifierStakes.sol",
                    "_seatedAt(atTime);\n        if",
                    "_seatedAt(uint40(block.timestamp));\n        if",
                ),
            ),
        ),
    ),
    Attack(
        "evict-committee",
        "stakes",
        "displace a full committee and leave",
        evict_committee,
        Weakening(
            "displacing has no price",
            (Edit("VerifierStakes.sol", "priceWei = _partOf(smallestWei, _parameters.displacementPpm);", ""),),
        ),
    ),
    Attack(
        "empty-committee",
        "stakes",
        "leave the committee between commits and reveals",
        empty_committee,
        Weakening(
            "members are those of the moment",
            (
                Edit(
                    "VerifierCommittee.sol",
                    "_seatedAt(membersAt);",
                    "_seatedAt(uint40(block.timestamp + 0 * membersAt));",
                ),
            ),
        ),
    ),
]
