"""What a miner says of the block that it proposes, and which part of it each verifier replays. Needs no torch."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from pole.storage.cid import Cid

_ASSIGNMENT = b"pole.gradient.assignment.v1"
_SAMPLE = b"pole.gradient.sample.v1"
_BALLOT = b"pole.gradient.ballot.v1"
LONG_BLOCK_SEGMENTS = 64
LEAST_SAMPLE = 2
SAFETY = 2  # a cheat's loss over its gain, in expectation
# GradientChain.ACCUSER_SHARE: what the first accuser gets of a lost bond. It may be the cheat itself.
ACCUSER_SHARE = 10


@dataclass(frozen=True)
class BlockClaim:
    """A proposal on chain, with the header that it builds on: `previous_weights` is that header's W."""

    previous_hash: bytes
    previous_weights: Cid
    miner: str
    step: int
    sign_digest: int
    threshold: int
    proof: Cid
    weights: Cid


def assignment(
    seed: bytes, entry: int, members: Sequence[str], segments: int, redundancy: int
) -> dict[str, frozenset[int]]:
    """Which of a proposal's segments each member of the ballot replays.

    The last is everybody's. The others go round the members, in an order that the seed gives, `redundancy` (at most as
    many as there are members) to each, so that the shares differ by one segment at most.
    """
    order = sorted(members, key=lambda member: _rank(seed, entry, member))
    shares: dict[str, set[int]] = {member: {segments - 1} for member in members}
    copies = min(redundancy, len(order))
    for place in range((segments - 1) * copies):
        shares[order[place % len(order)]].add(place // copies)
    return {member: frozenset(share) for member, share in shares.items()}


def ballot_seed(block_hash: bytes, ballot_id: int) -> bytes:
    """What shares and samples of a ballot are drawn from; `block_hash`: of the block after the one that opened it."""
    return hashlib.shake_256(_BALLOT + block_hash + ballot_id.to_bytes(8, "big")).digest(32)


def sample(seed: bytes, entry: int, member: str, segments: int, count: int) -> frozenset[int]:
    """Which of a proposal's segments this member replays: the last, and `count` of the others."""

    def rank(segment: int) -> bytes:
        own = bytes([entry]) + bytes.fromhex(member[2:]) + segment.to_bytes(2, "big")
        return hashlib.shake_256(_SAMPLE + seed + own).digest(32)

    return frozenset([*sorted(range(segments - 1), key=rank)[:count], segments - 1])


def sample_size(segments: int, members: int, bond_wei: int, reward_wei: int) -> int:
    """How many segments, besides the last, each member replays so that a single forged one does not pay.

    The least number with p * bond >= 2 * reward * (1 - p), where p is the chance that one of two thirds of the members
    draws the forged segment, and the bond is what is left of it without the accuser's part.
    """
    others, awake = segments - 1, -(-2 * members // 3)
    lost_wei = bond_wei - bond_wei // ACCUSER_SHARE
    for count in range(min(LEAST_SAMPLE, others), others):
        missed = Fraction(others - count, others) ** awake
        if (1 - missed) * lost_wei >= SAFETY * reward_wei * missed:
            return count
    return others


def cheap_bond_wei(segments: int, members: int, reward_wei: int) -> int:
    """The least bond behind which each member replays no more than the least sample of such a block."""
    others, awake = segments - 1, -(-2 * members // 3)
    missed = Fraction(others - LEAST_SAMPLE, others) ** awake
    lost_wei = SAFETY * reward_wei * missed / (1 - missed)
    return math.ceil(lost_wei * ACCUSER_SHARE / (ACCUSER_SHARE - 1))


def _rank(seed: bytes, entry: int, member: str) -> bytes:
    return hashlib.shake_256(_ASSIGNMENT + seed + bytes([entry]) + bytes.fromhex(member[2:])).digest(32)
