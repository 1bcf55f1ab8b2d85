"""The threshold that a sign digest must be below: the same integers as contracts/libraries/Difficulty.sol.

One formula is both the retarget between blocks and the decay within one: the threshold doubles for every
HALF_LIFE_INTERVALS target intervals that the search is behind its schedule, and halves for as many that it is ahead.
"""

from pole.chain.gradient_structs import GradientTask, Rules

DIGEST_BITS = 24
MAX_THRESHOLD = 1 << DIGEST_BITS
HALF_LIFE_INTERVALS = 3
"""Chosen by simulation, see docs/gradient.md."""

_FRACTION_BITS = 16
_ROOT_BITS = 32
_ROOTS = (
    *(0x6A09E668, 0x306FE0A3, 0x172B83C8, 0x0B5586D0, 0x059B0D31, 0x02C9A3E7, 0x0163DAA0, 0x00B1AFA6),
    *(0x0058C86E, 0x002C605E, 0x00162F39, 0x000B175F, 0x00058BA0, 0x0002C5CC, 0x000162E5, 0x0000B172),
)
"""What 2^(1/2), 2^(1/4), ... 2^(1/65536) are above one, with 32 binary places."""


def threshold(initial: int, searched_s: int, scheduled_s: int, target_interval_s: int) -> int:
    """In [1, 2^24]; `initial` is that of a task on schedule, all times are whole seconds."""
    doublings = ((searched_s - scheduled_s) << _FRACTION_BITS) // (HALF_LIFE_INTERVALS * target_interval_s)
    whole, fraction = doublings >> _FRACTION_BITS, doublings % (1 << _FRACTION_BITS)
    if whole >= DIGEST_BITS:
        return MAX_THRESHOLD
    if whole < -DIGEST_BITS:
        return 1
    scaled = initial * _power_of_two(fraction)
    scaled = scaled << whole if whole >= 0 else scaled >> -whole
    return min(max(scaled >> _ROOT_BITS, 1), MAX_THRESHOLD)


def threshold_of(task: GradientTask, searched_s: int) -> int:
    """A task's threshold after `searched_s` seconds of search, those of its earlier blocks included."""
    terms = task.terms
    if terms.rules is Rules.PAPER:
        return 1
    scheduled_s = task.blocks_done * terms.target_interval_s
    return threshold(terms.initial_threshold, searched_s, scheduled_s, terms.target_interval_s)


def _power_of_two(fraction: int) -> int:
    """2^(fraction / 2^16) with 32 binary places."""
    power = 1 << _ROOT_BITS
    for bit, root in enumerate(_ROOTS):
        if fraction >> (_FRACTION_BITS - 1 - bit) & 1:
            power += power * root >> _ROOT_BITS
    return power
