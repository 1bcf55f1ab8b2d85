"""Compiles query vectors and functional keys into one program of additions, the same for every sample.

The bits of all weights are rows of a 0/1 matrix over the columns ct_1..ct_D. Columns are taken a few at a time: the
sums of their subsets that some row needs are computed once, and each row adds the one it needs (the "method of four
Russians"). The key's part ct_0^(-eta) g^kappa of all outputs shares one table: -eta is split into two halves of about
128 bits by the curve's endomorphism, (x, y) -> (beta x, y) = lambda (x, y), so half of the doublings and half of the
table cost nothing; the digits are signed, since negation is free. Doublings and additions then join bits and key.
Source of the endomorphism and the split: Gallant, Lambert, Vanstone 2001.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pole.encryption.group import ORDER

ADD, SUBTRACT, DOUBLE, ENDOMORPHISM = 0, 1, 2, 3
BETA = 0x7AE96A2B657C07106E64479EAC3434E99CF0497512F58995C1396C28719501EE  # a cube root of 1 mod p
LAMBDA = 0x5363AD4CC05C30E0A5261C028812645A122E22EA20816678DF02967C1B23BD72  # a cube root of 1 mod the order
_A1, _B1 = 0x3086D221A7D46BCDE86C90E49284EB15, -0xE4437ED6010E88286F547FA90ABFE4C3
_A2, _B2 = 0x114CA50F7A8E2F3F657C1108D9D44CFD8, 0x3086D221A7D46BCDE86C90E49284EB15
_HALF_BITS = 129  # of the split's halves, with a bit to spare
_LARGEST_BLOCK = 8


@dataclass(frozen=True)
class Program:
    """ops int32 [n, 4] as `run_program` takes them, for inputs in slots 0..inputs-1, results in slots `outputs`."""

    ops: NDArray[np.int32]
    level_ends: NDArray[np.int64]
    outputs: NDArray[np.int64]
    inputs: int
    slots: int

    @property
    def additions(self) -> int:
        """Additions and doublings per sample."""
        return int(np.count_nonzero(self.ops[:, 3] != ENDOMORPHISM))

    @property
    def largest_level(self) -> int:
        return int(np.diff(self.level_ends, prepend=0).max(initial=1))


def compile_program(queries: NDArray[np.int64], etas: Sequence[Sequence[int]]) -> Program:
    """Inputs ct_0..ct_D, then g^kappa; output segment * vectors + vector is g^(<x, z> + kappa)."""
    builder = _Builder(queries.shape[1] * len(etas) + 2)
    keys = _key_parts(builder, [-eta % ORDER for segment in etas for eta in segment])
    outputs = []
    for segment in range(len(etas)):
        products = _query_parts(builder, queries, 1 + segment * queries.shape[1])
        for vector, product in enumerate(products):
            key = keys[segment * len(queries) + vector]
            outputs.append(key if product is None else builder.operation(ADD, product, key))
    return builder.program(outputs)


class _Builder:
    """Values in static single assignment; `program` orders them by level and gives them slots."""

    def __init__(self, inputs: int) -> None:
        self._inputs = inputs
        self._levels = [0] * inputs
        self._operations: list[tuple[int, int, int]] = []

    def operation(self, kind: int, first: int, second: int, not_before: int = 1) -> int:
        """A new value, computed at the earliest level after its operands, but not before a level."""
        self._levels.append(max(self._levels[first] + 1, self._levels[second] + 1, not_before))
        self._operations.append((kind, first, second))
        return len(self._levels) - 1

    def program(self, outputs: Sequence[int]) -> Program:
        order = sorted(range(len(self._operations)), key=lambda i: self._levels[self._inputs + i])
        levels = np.array([self._levels[self._inputs + i] for i in order], dtype=np.int64)
        ends = np.append(np.flatnonzero(np.diff(levels)) + 1, len(levels)) if len(levels) else np.zeros(0, np.int64)
        slots, count = self._allocate(order, outputs)
        ops = np.array(
            [
                (slots[self._inputs + i], slots[a], slots[b], kind)
                for i in order
                for kind, a, b in (self._operations[i],)
            ],
            dtype=np.int32,
        ).reshape(-1, 4)
        return Program(ops, ends.astype(np.int64), np.array([slots[i] for i in outputs]), self._inputs, count)

    def _allocate(self, order: Sequence[int], outputs: Sequence[int]) -> tuple[list[int], int]:
        """A slot is free again from the level after its value's last use on."""
        end = max(self._levels) + 1
        last_use = list(self._levels)
        for i, (_, first, second) in enumerate(self._operations):
            level = self._levels[self._inputs + i]
            last_use[first], last_use[second] = max(last_use[first], level), max(last_use[second], level)
        for output in outputs:
            last_use[output] = end
        dying: list[list[int]] = [[] for _ in range(end + 1)]
        for value, level in enumerate(last_use):
            dying[level].append(value)
        slots, free, count = list(range(self._inputs)) + [-1] * len(order), [], self._inputs
        level = 0
        for i in order:
            value = self._inputs + i
            while level < self._levels[value]:
                free += [slots[dead] for dead in dying[level]]
                level += 1
            if not free:
                free.append(count)
                count += 1
            slots[value] = free.pop()
        return slots, count


# --- products of the ciphertext's columns ----------------------------------------------------------------------------


def _query_parts(builder: _Builder, queries: NDArray[np.int64], first: int) -> list[int | None]:
    """prod ct_(first + j)^(z_j) for each query; None for the zero vector."""
    bits = max(1, int(queries.max()).bit_length())
    rows = (queries[:, None, :] >> np.arange(bits)[None, :, None] & 1).reshape(-1, queries.shape[1])
    sums = _row_sums(builder, rows, first)
    return [_join_bits(builder, sums[start : start + bits]) for start in range(0, len(sums), bits)]


def _row_sums(builder: _Builder, rows: NDArray[np.int64], first: int) -> list[int | None]:
    """The product of the points in each row; block after block, each one level after the one before."""
    sums: list[int | None] = [None] * len(rows)
    block = _block_columns(len(rows))
    for index, start in enumerate(range(0, rows.shape[1], block)):
        columns = rows[:, start : start + block]
        masks = (columns @ (1 << np.arange(columns.shape[1]))).tolist()
        subsets = _Subsets(builder, first + start, columns.shape[1], index)
        subsets.prepare(masks)
        for row, mask in enumerate(masks):
            if mask:
                term, total = subsets.value(mask), sums[row]
                sums[row] = term if total is None else builder.operation(ADD, total, term, index + block)
    return sums


def _block_columns(rows: int) -> int:
    """Columns per block with the fewest additions per column, for random rows."""

    def cost(columns: int) -> float:
        subsets = 1 << columns
        used = subsets * (1 - (1 - 1 / subsets) ** rows)
        return (max(0.0, used - 1 - columns) + rows * (1 - 1 / subsets)) / columns

    return min(range(1, _LARGEST_BLOCK + 1), key=cost)


class _Subsets:
    """Products of subsets of a few columns, each computed once."""

    def __init__(self, builder: _Builder, first: int, columns: int, level: int) -> None:
        self._builder, self._level = builder, level
        self._values = {1 << column: first + column for column in range(columns)}

    def prepare(self, masks: Sequence[int]) -> None:
        """Compute all of them, small ones first, so that large ones find their parts."""
        for mask in sorted(set(masks) - {0}, key=int.bit_count):
            self.value(mask)

    def value(self, mask: int) -> int:
        found = self._values.get(mask)
        if found is None:
            part = self._known_part(mask)
            found = self._builder.operation(ADD, self.value(part), self.value(mask ^ part), self._level + 1)
            self._values[mask] = found
        return found

    def _known_part(self, mask: int) -> int:
        """A known subset whose complement is known too, or at least the largest known one."""
        parts = [part for part in self._values if part & mask == part]
        for part in parts:
            if mask ^ part in self._values:
                return part
        return max(parts, key=int.bit_count)


def _join_bits(builder: _Builder, sums: Sequence[int | None]) -> int | None:
    """Horner's rule over bits, the lowest first in `sums`."""
    total: int | None = None
    for term in reversed(sums):
        if total is not None:
            total = builder.operation(DOUBLE, total, total)
        if term is not None:
            total = term if total is None else builder.operation(ADD, total, term)
    return total


# --- the key's part --------------------------------------------------------------------------------------------------


def _key_parts(builder: _Builder, exponents: Sequence[int]) -> list[int]:
    """ct_0^exponent * g^kappa for each exponent; ct_0 is input 0, g^kappa the last one."""
    bits = _window_bits(len(exponents))
    digits = [(signed_digits(half, bits) for half in split(exponent)) for exponent in exponents]
    per_output = [list(zip(*halves, strict=True)) for halves in digits]
    results = [builder._inputs - 1] * len(exponents)
    base = 0
    for window in range(len(per_output[0])):
        multiples = _Multiples(builder, base)
        for output, pairs in enumerate(per_output):
            for digit, is_image in zip(pairs[window], (False, True), strict=True):
                if digit:
                    kind = ADD if digit > 0 else SUBTRACT
                    results[output] = builder.operation(kind, results[output], multiples.value(abs(digit), is_image))
        if any(any(pair) for pairs in per_output for pair in pairs[window + 1 :]):
            base = multiples.value(1 << bits, is_image=False)
    return results


class _Multiples:
    """Multiples of one point, and their images under the endomorphism, each computed once."""

    def __init__(self, builder: _Builder, base: int) -> None:
        self._builder = builder
        self._values = {(1, False): base}

    def value(self, multiple: int, is_image: bool) -> int:
        found = self._values.get((multiple, is_image))
        if found is None:
            found = self._values[multiple, is_image] = self._compute(multiple, is_image)
        return found

    def _compute(self, multiple: int, is_image: bool) -> int:
        if is_image:
            plain = self.value(multiple, False)
            return self._builder.operation(ENDOMORPHISM, plain, plain)
        if multiple % 2 == 0:
            half = self.value(multiple // 2, False)
            return self._builder.operation(DOUBLE, half, half)
        return self._builder.operation(ADD, self.value(multiple - 1, False), self.value(1, False))


def _window_bits(outputs: int) -> int:
    """Bits per digit with the fewest additions: a table of 2^(bits - 1), and two additions per output and digit."""
    return min(range(2, 9), key=lambda bits: ((1 << bits - 1) + 2 * outputs) / bits)


def split(exponent: int) -> tuple[int, int]:
    """Halves (k1, k2), signed and below 2^128, with k1 + k2 * lambda = exponent mod the order."""
    c1 = (_B2 * exponent + ORDER // 2) // ORDER
    c2 = (-_B1 * exponent + ORDER // 2) // ORDER
    return exponent - c1 * _A1 - c2 * _A2, -c1 * _B1 - c2 * _B2


def signed_digits(value: int, bits: int) -> list[int]:
    """Digits from -2^(bits - 1) + 1 to 2^(bits - 1), least significant first, always as many."""
    sign, rest, digits = (-1 if value < 0 else 1), abs(value), []
    for _ in range(_HALF_BITS // bits + 1):
        digit = rest & (1 << bits) - 1
        if digit > 1 << bits - 1:
            digit -= 1 << bits
        digits.append(sign * digit)
        rest = (rest - digit) >> bits
    assert rest == 0
    return digits


# --- powers of one point ---------------------------------------------------------------------------------------------


def multiples_program(count_bits: int, is_odd_only: bool) -> Program:
    """Slot i becomes base + i * step for i < 2^count_bits; slot 0 is the base, the slot after the last one the step.

    With `is_odd_only` the step is computed: twice the base.
    """
    count, ops, ends = 1 << count_bits, [], []
    step = count
    if is_odd_only:
        ops.append(np.array([[step, 0, 0, DOUBLE]]))
        ends.append(1)
    for level in range(count_bits):
        size = 1 << level
        first = np.arange(size)
        additions = np.stack([first + size, first, np.full(size, step + level), np.full(size, ADD)], axis=1)
        doubling = np.array([[step + level + 1, step + level, step + level, DOUBLE]])
        ops += [additions, doubling]
        ends.append((ends[-1] if ends else 0) + size + 1)
    return Program(
        np.concatenate(ops).astype(np.int32).reshape(-1, 4) if ops else np.zeros((0, 4), np.int32),
        np.array(ends, dtype=np.int64),
        np.arange(count),
        1,
        count + count_bits + 1,
    )
