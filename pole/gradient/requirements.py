"""The requirements and mini-batches that follow from a block's hash. Pure integer arithmetic.

A draw reads SHAKE-256 of (tag, inputs) as big-endian 64-bit words. A word is skipped if it is at or above the largest
multiple of the bound (so that all values are equally likely), or if its value's key was drawn before.
Source: DGG, Proposed Mechanism ("random numbers in the range of 0 to 2|W| - 1") and Results ("collision avoidance")
"""

import hashlib
from collections.abc import Callable

import numpy as np
from eth_utils.address import is_address
from numpy.typing import NDArray

from pole.errors import BadInput

_PAPER = b"pole.gradient.paper-requirements.v1"
_REQUIREMENTS = b"pole.gradient.requirements.v1"
_BATCH = b"pole.gradient.batch.v1"
_WORD_BYTES = 8
_WORDS = 1 << 64

Integers = NDArray[np.int64]


def paper_requirements(previous_hash: bytes, count: int, weight_count: int) -> Integers:
    """R of a block, [count]: weight r // 2 must increase (r even) or decrease (r odd); all weights are distinct."""
    _check_hash(previous_hash)
    _check_count(count, weight_count, "weights")
    seed = _PAPER + previous_hash
    return np.array(_distinct(seed, 2 * weight_count, count, _weight_of), dtype=np.int64)


def step_requirements(
    previous_hash: bytes, miner: str, first_step: int, steps: int, count: int, weight_count: int
) -> Integers:
    """R of every step of a miner's trajectory, [steps, count], for the steps from `first_step` on."""
    _check_count(count, weight_count, "weights")
    seeds = _seeds(_REQUIREMENTS, previous_hash, miner, first_step, steps)
    return _draws(seeds, 2 * weight_count, count, _weight_of)


def step_batches(previous_hash: bytes, miner: str, first_step: int, steps: int, size: int, rows: int) -> Integers:
    """Row numbers of every step's mini-batch, distinct and ascending, [steps, size], from `first_step` on."""
    _check_count(size, rows, "rows")
    seeds = _seeds(_BATCH, previous_hash, miner, first_step, steps)
    return np.sort(_draws(seeds, rows, size, _itself), axis=1)


def coordinates(requirements: Integers) -> Integers:
    """Flat index of each requirement's weight."""
    return requirements >> 1


def directions(requirements: Integers) -> NDArray[np.float32]:
    """+1 where the weight must increase, -1 where it must decrease."""
    return (1 - 2 * (requirements & 1)).astype(np.float32)


# --- draws -----------------------------------------------------------------------------------------------------------


def _seeds(tag: bytes, previous_hash: bytes, miner: str, first_step: int, steps: int) -> list[bytes]:
    _check_hash(previous_hash)
    if not is_address(miner):
        raise BadInput(f"{miner!r:.60} is no address; a trajectory belongs to one")
    if first_step < 1 or steps < 1:
        raise BadInput(f"{steps} steps from step {first_step} on; steps count from 1")
    start = tag + previous_hash + bytes.fromhex(miner[2:])
    return [start + step.to_bytes(_WORD_BYTES, "big") for step in range(first_step, first_step + steps)]


def _draws(seeds: list[bytes], bound: int, count: int, key: Callable[[Integers], Integers]) -> Integers:
    """One draw per seed, [seeds, count]. Nearly all need just the first `count` words, which are taken all at once."""
    stream = b"".join(hashlib.shake_256(seed).digest(count * _WORD_BYTES) for seed in seeds)
    words = np.frombuffer(stream, dtype=">u8").reshape(len(seeds), count).astype(np.uint64)
    values = (words % np.uint64(bound)).astype(np.int64)
    keys = np.sort(key(values), axis=1)
    is_short = (keys[:, 1:] == keys[:, :-1]).any(axis=1) | (words > np.uint64(_limit(bound) - 1)).any(axis=1)
    for index in np.flatnonzero(is_short):
        values[index] = _distinct(seeds[index], bound, count, key)
    return values


def _distinct(seed: bytes, bound: int, count: int, key: Callable[[Integers], Integers]) -> list[int]:
    """The first `count` values with distinct keys, word after word."""
    length, limit = 2 * count, _limit(bound)
    while True:
        words = np.frombuffer(hashlib.shake_256(seed).digest(length * _WORD_BYTES), dtype=">u8").astype(np.uint64)
        values = (words[words <= np.uint64(limit - 1)] % np.uint64(bound)).astype(np.int64)
        _, first = np.unique(key(values), return_index=True)
        if len(first) >= count:
            chosen: list[int] = values[np.sort(first)[:count]].tolist()
            return chosen
        length *= 2


def _limit(bound: int) -> int:
    return _WORDS - _WORDS % bound


def _weight_of(values: Integers) -> Integers:
    return values >> 1


def _itself(values: Integers) -> Integers:
    return values


def _check_hash(previous_hash: bytes) -> None:
    if len(previous_hash) != 32:
        raise BadInput(f"previous hash has {len(previous_hash)} bytes; a header hash has 32")


def _check_count(count: int, available: int, what: str) -> None:
    if not 1 <= count <= available:
        raise BadInput(f"cannot draw {count} distinct {what} out of {available}; ask for fewer")
