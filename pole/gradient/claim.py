"""What a miner says of the block that it proposes, and which part of it each verifier replays. Needs no torch."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from pole.storage.cid import Cid

_ASSIGNMENT = b"pole.gradient.assignment.v1"


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


def _rank(seed: bytes, entry: int, member: str) -> bytes:
    return hashlib.shake_256(_ASSIGNMENT + seed + bytes([entry]) + bytes.fromhex(member[2:])).digest(32)
