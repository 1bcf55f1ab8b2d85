"""The field of secp256k1 in PyTorch: ten limbs of 26 bits, so that all products of two elements fit 64-bit integers.

An element is an int64 tensor [10, ...]; everything is elementwise, on any device, and nothing branches on values.
*Tight*: all limbs within 2^20 of 0..2^26; what `multiply`, `square` and `fold` return. Sums and differences of two
tight elements may be multiplied as they are; those of more are folded first.
Source: 2^256 = 2^32 + 977 mod p (SEC 2, section 2.4.1).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pole.encryption.simd.lanes import P

LIMBS, LIMB_BITS = 10, 26
LIMB_MASK = (1 << LIMB_BITS) - 1
_TOP_BITS = 256 - LIMB_BITS * (LIMBS - 1)
_FOLD_LOW, _FOLD_SHIFT = 977 * 16, 10  # 2^260 = 2^(26 + 10) + 977 * 16 mod p

Product = Callable[[Tensor, Tensor], Tensor]


def to_limbs(value: int) -> list[int]:
    return [value >> LIMB_BITS * i & LIMB_MASK for i in range(LIMBS)]


def element(value: int, like: Tensor, shape: Sequence[int] = ()) -> Tensor:
    """A constant of any shape, on the device of `like`."""
    limbs = torch.tensor(to_limbs(value), dtype=torch.int64, device=like.device)
    return limbs.reshape(LIMBS, *[1] * len(shape)).expand(LIMBS, *shape)


def to_ints(a: Tensor) -> list[int]:
    """The values of an element tensor [10, n] modulo p."""
    return [sum(limb << LIMB_BITS * i for i, limb in enumerate(limbs)) % P for limbs in a.T.tolist()]


def multiply(a: Tensor, b: Tensor) -> Tensor:
    return _reduce(columns(a.unbind(0), b.unbind(0)))


def square(a: Tensor) -> Tensor:
    limbs = a.unbind(0)
    doubled = [limb + limb for limb in limbs]
    sums = []
    for k in range(2 * LIMBS - 1):
        pairs = [doubled[i] * limbs[k - i] for i in range(max(0, k - LIMBS + 1), (k + 1) // 2)]
        if k % 2 == 0:
            pairs.append(limbs[k // 2] * limbs[k // 2])
        sums.append(_sum(pairs))
    return _reduce(sums)


def columns(a: Sequence[Tensor], b: Sequence[Tensor]) -> list[Tensor]:
    """The product of two numbers in limbs, not carried: len(a) + len(b) - 1 sums."""
    return [
        _sum([a[i] * b[k - i] for i in range(max(0, k - len(b) + 1), min(len(a), k + 1))])
        for k in range(len(a) + len(b) - 1)
    ]


def carry(limbs: Sequence[Tensor]) -> list[Tensor]:
    """As many limbs, in 0..2^26 - 1 but for the last one, which keeps what is above and the sign."""
    done, over = [], None
    for limb in limbs[:-1]:
        total = limb if over is None else limb + over
        done.append(total & LIMB_MASK)
        over = total >> LIMB_BITS
    done.append(limbs[-1] if over is None else limbs[-1] + over)
    return done


def fold(a: Tensor) -> Tensor:
    """A sum of a few tight elements, made tight."""
    return torch.stack(_fold_top(carry(a.unbind(0))))


def canonical(a: Tensor) -> Tensor:
    """The representative in 0..p - 1 of a tight element; all limbs in 0..2^26 - 1."""
    limbs = carry(a.unbind(0))
    over = limbs[-1] >> _TOP_BITS
    limbs[-1] = limbs[-1] & ((1 << _TOP_BITS) - 1)
    limbs[0] = limbs[0] + over * 977
    limbs[1] = limbs[1] + (over << 32 - LIMB_BITS)
    limbs = carry(limbs)
    modulus = to_limbs(P)
    is_negative = (limbs[-1] < 0).to(torch.int64)
    limbs = carry([limb + is_negative * part for limb, part in zip(limbs, modulus, strict=True)])
    reduced = carry([limb - part for limb, part in zip(limbs, modulus, strict=True)])
    is_below = reduced[-1] < 0
    return torch.stack([torch.where(is_below, limb, less) for limb, less in zip(limbs, reduced, strict=True)])


def invert_all(a: Tensor, times: Product = multiply) -> tuple[Tensor, Tensor]:
    """1 / a for elements [10, n], and where a is 0 (True in [n]; the inverse is then meaningless).

    One inversion for all: a tree of products upwards, a tree of inverses downwards. Source: Montgomery 1987
    """
    is_zero = torch.zeros(a.shape[1], dtype=torch.bool, device=a.device)
    if not a.shape[1]:
        return a, is_zero
    levels = _products(a, times)
    if to_ints(levels[-1]) == [0]:
        is_zero = (canonical(fold(a)) == 0).all(dim=0)
        levels = _products(torch.where(is_zero, element(1, a, (1,)), a), times)
    inverse = element(pow(to_ints(levels[-1])[0], -1, P), a, (1,))
    for level in reversed(levels[:-1]):
        half = level.shape[1] // 2
        paired = 2 * half
        swapped = torch.cat([level[:, half:paired], level[:, :half]], dim=1)
        above = inverse[:, :half].repeat(1, 2)
        rest = inverse[:, half:]  # of an odd one out, which went up alone
        inverse = torch.cat([times(swapped, above), rest], dim=1)
    return inverse, is_zero


def _products(a: Tensor, times: Product) -> list[Tensor]:
    """Level after level, the products of the halves of the one before, down to one element."""
    levels = [a]
    while levels[-1].shape[1] > 1:
        level = levels[-1]
        half = level.shape[1] // 2
        product = times(level[:, :half], level[:, half : 2 * half])
        levels.append(torch.cat([product, level[:, 2 * half :]], dim=1))
    return levels


def _reduce(sums: list[Tensor]) -> Tensor:
    """19 columns to a tight element."""
    limbs = carry([*sums, torch.zeros_like(sums[0])])
    folded = _fold_in([*limbs[:LIMBS], torch.zeros_like(sums[0])], limbs[LIMBS:])
    low = carry(folded)
    once = carry(_fold_in(low[:LIMBS], low[LIMBS:]))
    return torch.stack(_fold_top(once))


def _fold_top(limbs: list[Tensor]) -> list[Tensor]:
    over = limbs[-1] >> LIMB_BITS
    return _fold_in([*limbs[:-1], limbs[-1] & LIMB_MASK], [over])


def _fold_in(low: list[Tensor], high: Sequence[Tensor]) -> list[Tensor]:
    """low + high * 2^260, modulo p and not carried."""
    for i, limb in enumerate(high):
        low[i] = low[i] + limb * _FOLD_LOW
        low[i + 1] = low[i + 1] + (limb << _FOLD_SHIFT)
    return low


def _sum(terms: Sequence[Tensor]) -> Tensor:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
