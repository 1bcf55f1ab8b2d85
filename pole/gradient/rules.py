"""When a training step is a block. `paper`: Algorithm 1's function to the letter. `hardened`: the sign digest.

Source: DGG, Algorithm 1 (CheckRequirements); the sign digest and its margin are ours, see docs/gradient.md
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

# A miner counts changes as violations that a verifier on another device may still see on the right side.
MINER_MARGINS = 2


def check_requirements(before: Floats, after: Floats, requirements: Iterable[int]) -> bool:
    """Whether all weights that are not as demanded at least stood still; before, after: flat weights.

    Faithfully includes that a weight that does not move meets any requirement.
    Source: DGG, Algorithm 1, lines 9-21
    """
    for requirement in requirements:
        weight = requirement // 2
        if requirement % 2 == 1:
            if after[weight] > before[weight]:
                return False
        elif after[weight] < before[weight]:
            return False
    return True


def sign_digest(changes: Floats, directions: Floats, borders: Floats) -> int:
    """The violated requirements as a number, the first requirement being the highest bit; all arguments are [n].

    A requirement holds iff its weight changes in the demanded direction by more than its border: no change, and NaN, is
    a violation. `changes` is the step before it is rounded to the weights' float grid: a step of half a unit in the
    last place would move a weight on one device and not on the other.
    """
    return _number(~(changes * directions > borders))


def least_digest(movements: Floats, directions: Floats) -> int:
    """At most the sign digest, from rounded movements alone: rounding never turns a step round, but may swallow it."""
    return _number(movements * directions < 0)


def _number(is_violated: NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(is_violated).tobytes(), "big") >> (-len(is_violated) % 8)


def is_accepted(recomputed: int, claimed: int, threshold: int) -> bool:
    """A verifier's digest has no violation that the claim lacks: its margin is half of the miner's."""
    return recomputed <= claimed < threshold
