"""Points of secp256k1 in PyTorch: bytes to limbs and back, additions in batches, programs and powers of g.

Points are int64 tensors [2, 10, ...] (x and y, see `torch_field`). The formulas and the cases in which they fail are
those of `kernels`; where one fails here, the entry is reported and its result is meaningless.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pole.encryption.gpu import field
from pole.encryption.gpu.field import LIMB_BITS, LIMB_MASK, LIMBS
from pole.encryption.group import ORDER, new_points, power_of_g, store_points
from pole.encryption.program import ADD, BETA, DOUBLE, ENDOMORPHISM, SUBTRACT, Program
from pole.encryption.simd.encryptor import generator_table

WINDOW_BITS = 13  # half a limb
_WINDOWS = 2 * LIMBS
_HALF = pow(2, -1, ORDER)
_SHIFT = (1 << WINDOW_BITS * _WINDOWS) - 1
_ORDER_FOLD = field.to_limbs((1 << 260) % ORDER)[:6]  # 2^260 modulo the order has 133 bits

Points = Tensor
Compile = Callable[[Callable[..., Tensor]], Callable[..., Tensor]]


def read_points(content: NDArray[np.uint8], device: torch.device) -> tuple[Points, Tensor]:
    """Points stored as [n, 64] bytes to [2, 10, n], and which of them are off the curve or not in lowest terms."""
    stored = torch.from_numpy(np.ascontiguousarray(content)).to(device).reshape(-1, 2, 32).flip(2)
    octets = torch.cat([stored, torch.zeros_like(stored[:, :, :8])], dim=2).permute(1, 2, 0).to(torch.int64)
    limbs = []
    for i in range(LIMBS):
        first, skip = divmod(LIMB_BITS * i, 8)
        word = octets[:, first]
        for j in range(1, 5):
            word = word | (octets[:, first + j] << 8 * j)
        limbs.append((word >> skip) & LIMB_MASK)
    points = torch.stack(limbs, dim=1)
    return points, _off_curve(points)


def _off_curve(points: Points) -> Tensor:
    x, y = points[0], points[1]
    is_reduced = (field.canonical(x) == x).all(dim=0) & (field.canonical(y) == y).all(dim=0)
    cube = field.multiply(field.square(x), x)
    rest = field.canonical(field.fold(field.square(y) - cube - field.element(7, x, (1,))))
    return ~is_reduced | (rest != 0).any(dim=0)


def write_points(points: Points) -> NDArray[np.uint8]:
    """Points [2, 10, n] as [n, 64] bytes."""
    reduced = torch.stack([field.canonical(points[0]), field.canonical(points[1])])
    octets = []
    for j in range(32):
        first, skip = divmod(8 * j, LIMB_BITS)
        octet = reduced[:, first] >> skip
        if skip > LIMB_BITS - 8:
            octet = octet | (reduced[:, first + 1] << LIMB_BITS - skip)
        octets.append((octet & 255).to(torch.uint8))
    return torch.stack(octets, dim=2).flip(2).permute(1, 0, 2).reshape(-1, 64).cpu().numpy()


def power(exponent: int, device: torch.device) -> Points:
    """g^exponent as [2, 10, 1]; not the identity."""
    place = new_points(1)
    power_of_g(place, exponent)
    return read_points(store_points(place, 1), device)[0]


class Curve:
    """The additions on one device; on a GPU each formula is compiled to one kernel."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        fuse: Compile = partial(torch.compile, dynamic=True) if device.type == "cuda" else lambda function: function
        self._times = fuse(field.multiply)
        self._chord = fuse(_chord)
        self._tangent = fuse(_tangent)

    def add(self, a: Points, b: Points) -> tuple[Points, Tensor]:
        """a * b for points [2, 10, n], and where the formula fails."""
        inverse, failed = field.invert_all(b[0] - a[0], self._times)
        return self._chord(a, b, inverse), failed

    def endomorphism(self, a: Points) -> Points:
        return torch.stack([self._times(a[0], field.element(BETA, a, (1,))), a[1]])

    def add_and_double(self, a: Points, b: Points, c: Points) -> tuple[Points, Points, Tensor]:
        """a * b and c * c with one inversion; where they fail, for a and then for c."""
        inverses, failed = field.invert_all(torch.cat([b[0] - a[0], 2 * c[1]], dim=1), self._times)
        count = a.shape[2]
        return self._chord(a, b, inverses[:, :count]), self._tangent(c, inverses[:, count:]), failed


def _finish(slope: Tensor, x1: Tensor, y1: Tensor, x2: Tensor) -> Points:
    x3 = field.fold(field.square(slope) - x1 - x2)
    return torch.stack([x3, field.fold(field.multiply(slope, x1 - x3) - y1)])


def _chord(a: Points, b: Points, inverse: Tensor) -> Points:
    return _finish(field.multiply(b[1] - a[1], inverse), a[0], a[1], b[0])


def _tangent(a: Points, inverse: Tensor) -> Points:
    slope = field.multiply(field.fold(3 * field.square(a[0])), inverse)
    return _finish(slope, a[0], a[1], a[0])


# --- programs ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Level:
    """Slot numbers of one level's operations by kind; `signs` is -1 where the second point is subtracted."""

    sums: tuple[Tensor, Tensor, Tensor]
    signs: Tensor
    doubles: tuple[Tensor, Tensor]
    images: tuple[Tensor, Tensor]


def levels_of(program: Program, device: torch.device) -> list[Level]:
    starts = [0, *program.level_ends.tolist()]
    return [_level(program.ops[a:b], device) for a, b in pairwise(starts)]


def _level(ops: NDArray[np.int32], device: torch.device) -> Level:
    def slots(kinds: tuple[int, ...], column: int) -> Tensor:
        return torch.from_numpy(ops[np.isin(ops[:, 3], kinds), column].astype(np.int64)).to(device)

    signs = np.where(ops[np.isin(ops[:, 3], (ADD, SUBTRACT)), 3] == SUBTRACT, -1, 1)
    return Level(
        (slots((ADD, SUBTRACT), 0), slots((ADD, SUBTRACT), 1), slots((ADD, SUBTRACT), 2)),
        torch.from_numpy(signs).to(device),
        (slots((DOUBLE,), 0), slots((DOUBLE,), 1)),
        (slots((ENDOMORPHISM,), 0), slots((ENDOMORPHISM,), 1)),
    )


def run_program(curve: Curve, levels: list[Level], slots: Points) -> Tensor:
    """Run a program on slots [2, 10, slots, rows], in place; the rows for which a formula failed."""
    rows = slots.shape[3]
    failed = torch.zeros(rows, dtype=torch.bool, device=curve.device)
    for level in levels:
        targets, first, second = level.sums
        a, b = slots[:, :, first], slots[:, :, second]
        b = torch.stack([b[0], b[1] * level.signs[:, None]])
        c = slots[:, :, level.doubles[1]]
        images = _flat(slots[:, :, level.images[1]])
        sums, doubles, zeros = curve.add_and_double(_flat(a), _flat(b), _flat(c))
        slots[:, :, targets] = sums.reshape(2, LIMBS, -1, rows)
        slots[:, :, level.doubles[0]] = doubles.reshape(2, LIMBS, -1, rows)
        if images.shape[2]:
            slots[:, :, level.images[0]] = curve.endomorphism(images).reshape(2, LIMBS, -1, rows)
        failed |= zeros.reshape(-1, rows).any(dim=0)
    return failed


def _flat(points: Points) -> Points:
    return points.reshape(2, LIMBS, -1)


# --- powers of the generator ------------------------------------------------------------------------------------------


class Powers:
    """g^(r s_i + x_i) from a table of the generator's multiples; the digits are odd, see `kernels.powers`."""

    def __init__(self, curve: Curve, secret: tuple[int, ...]) -> None:
        self._curve = curve
        self._table = _table(curve.device)
        self._secret = self._constants_of([s * _HALF % ORDER for s in (1, *secret)])
        self._constants = self._constants_of([(x + _SHIFT) * _HALF % ORDER for x in range(256)])

    def run(self, scalars: Tensor, x: Tensor) -> tuple[Points, Tensor]:
        """Points [2, 10, rows * (D + 1)] and failures, for scalars r [10, rows] and int64 x [rows, D + 1], x_0 = 0."""
        halves = multiply_modulo_order(scalars[:, :, None], self._secret[:, None, :], self._constants[:, x])
        digits = halves.reshape(LIMBS, -1)
        points, failed = self._entries(digits, 0), torch.zeros(digits.shape[1], dtype=torch.bool, device=x.device)
        for window in range(1, _WINDOWS):
            points, zeros = self._curve.add(points, self._entries(digits, window))
            failed |= zeros
        return points, failed

    def _entries(self, digits: Tensor, window: int) -> Points:
        """The table's points for one window of all exponents; one with highest bit 0 stands for a negative digit."""
        part = (digits[window // 2] >> WINDOW_BITS * (window % 2)) & ((1 << WINDOW_BITS) - 1)
        half = 1 << WINDOW_BITS - 1
        is_negative = part < half
        entries = self._table[:, :, window, torch.where(is_negative, half - 1 - part, part - half)]
        return torch.stack([entries[0], torch.where(is_negative, -entries[1], entries[1])])

    def _constants_of(self, values: list[int]) -> Tensor:
        limbs = torch.tensor([field.to_limbs(value) for value in values], dtype=torch.int64)
        return limbs.T.contiguous().to(self._curve.device)


@lru_cache(maxsize=2)
def _table(device: torch.device) -> Points:
    """The generator's odd multiples as [2, 10, windows, 2^(bits - 1)]."""
    packed = generator_table(WINDOW_BITS).reshape(_WINDOWS << WINDOW_BITS - 1, 2, 4)
    stored = np.ascontiguousarray(packed[:, :, ::-1]).byteswap().view(np.uint8).reshape(-1, 64)
    return read_points(stored, device)[0].reshape(2, LIMBS, _WINDOWS, -1)


def multiply_modulo_order(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """a * b + c modulo the group's order, as some number in 0..2^260 - 1, for elements with limbs in 0..2^26 - 1."""
    limbs = field.carry([*field.columns(a.unbind(0), b.unbind(0)), torch.zeros_like(a[0] * b[0])])
    low = [limb + term for limb, term in zip(limbs[:LIMBS], c.unbind(0), strict=True)]
    high = limbs[LIMBS:]
    while high:
        parts = [limb * part for limb in high for part in _ORDER_FOLD]
        sums = [low[i] if i < LIMBS else torch.zeros_like(low[0]) for i in range(max(LIMBS, len(high) + 5) + 1)]
        for index, product in enumerate(parts):
            sums[sum(divmod(index, len(_ORDER_FOLD)))] = sums[sum(divmod(index, len(_ORDER_FOLD)))] + product
        limbs = field.carry(sums)
        low, high = limbs[:LIMBS], limbs[LIMBS:]
        if len(high) == 1 and not high[0].any():
            break
    return torch.stack(low)


def to_scalars(content: bytes, device: torch.device) -> Tensor:
    """Numbers of 32 bytes each, least significant first, as [10, n]."""
    octets = np.zeros((len(content) // 32, 40), dtype=np.uint8)
    octets[:, :32] = np.frombuffer(content, dtype=np.uint8).reshape(-1, 32)
    limbs = []
    for i in range(LIMBS):
        first, skip = divmod(LIMB_BITS * i, 8)
        word = sum(octets[:, first + j].astype(np.int64) << 8 * j for j in range(5))
        limbs.append((word >> skip) & LIMB_MASK)
    return torch.from_numpy(np.stack(limbs)).to(device)
