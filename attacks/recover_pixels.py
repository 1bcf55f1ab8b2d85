"""`python -m attacks.recover_pixels`: what functional keys give away, measured: lattice recovery of 8x8 digits.

Rows are encrypted and opened by the project's own encryption, with the keys of L query vectors of Algorithm 3. Whoever
has the keys then knows Z x for the secret row x. All integer solutions are one of them plus the lattice of the kernel
of Z; the secret one is short, once each pixel is centred and scaled by what other digits with its (plain) label look
like. Reducing that lattice (fpylll's BKZ) with the solution embedded finds it, if enough keys are out.
Source: Kannan 1987, embedding.
"""

import argparse
import hashlib
import time

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from pole.encryption import MasterKey, backend
from pole.encryption.group import ORDER
from pole.learning.mapping import query_vectors
from testbed.markdown import markdown_table

try:
    from fpylll import BKZ, LLL, IntegerMatrix
except ImportError:
    raise SystemExit("error: fpylll is not installed; run `make bench-tools`") from None

Integers = NDArray[np.int64]

LARGEST = 15
BITS_PER_WEIGHT = 3
PENALTY = 1 << 20  # makes every reduced vector fulfil Z x = y
SCALE = 8  # of a pixel's standard deviation, so that rounding does not matter
BLOCK = 32
SMALLEST_DEVIATION, LARGEST_DEVIATION = 0.25, 6.0  # a pixel that never changes still may, a little


def main() -> None:
    arguments = _arguments()
    digits, labels = _digits()
    half = len(digits) // 2
    chosen = half + np.random.default_rng(arguments.seed).choice(len(digits) - half, arguments.rows, replace=False)
    rows, table = digits[chosen], []
    known = [digits[:half][labels[:half] == label] for label in labels[chosen]]
    for count in arguments.keys:
        started = time.process_time()
        guesses = recover(*_opened(rows, count), known)
        is_right = guesses == rows
        table.append(
            [
                f"{count} of {digits.shape[1]}",
                f"{100 * is_right.all(axis=1).mean():.0f} %",
                f"{100 * is_right.mean():.0f} %",
                f"{(time.process_time() - started) / len(rows):.2f}",
            ]
        )
    print(markdown_table(["keys", "rows recovered exactly", "pixels right", "CPU seconds per row"], table))


def recover(queries: Integers, opened: Integers, known: list[Integers]) -> Integers:
    """The best guess for each row [n, D] from its inner products [n, L]; `known`: other rows with each row's label."""
    kernel = _kernel(queries)
    return np.stack([_recover_row(queries, each, kernel, like) for each, like in zip(opened, known, strict=True)])


def _recover_row(queries: Integers, products: Integers, kernel: Integers, known: Integers) -> Integers:
    centre = np.rint(known.mean(axis=0)).astype(np.int64)
    deviation = np.clip(known.std(axis=0), SMALLEST_DEVIATION, LARGEST_DEVIATION)
    weights = np.rint(SCALE * LARGEST_DEVIATION / deviation).astype(np.int64)
    solution = _some_solution(queries, products)
    height = int(SCALE * LARGEST_DEVIATION)
    basis = np.zeros((len(kernel) + 1, len(centre) + 1), dtype=np.int64)
    basis[:-1, :-1], basis[-1, :-1], basis[-1, -1] = kernel * weights, (solution - centre) * weights, height
    reduced = _reduced(basis, BLOCK)
    ends = [row * int(np.sign(row[-1])) for row in reduced if abs(row[-1]) == height]
    candidates = [centre + row[:-1] // weights for row in ends]
    for candidate in candidates:
        if candidate.min() >= 0 and candidate.max() <= LARGEST and (queries @ candidate == products).all():
            return np.asarray(candidate)
    return np.asarray(np.clip(candidates[0], 0, LARGEST)) if candidates else centre


def _kernel(queries: Integers) -> Integers:
    """A short basis of the integer vectors that all queries map to 0."""
    reduced = _reduced(_augmented(queries), BLOCK)
    is_kernel = (reduced[:, : len(queries)] == 0).all(axis=1)
    assert np.count_nonzero(is_kernel) == queries.shape[1] - len(queries)
    return np.asarray(reduced[is_kernel][:, len(queries) :])


def _some_solution(queries: Integers, products: Integers) -> Integers:
    """Any integer x with queries @ x == products: the secret one exists."""
    augmented = _augmented(queries)
    basis = np.zeros((len(augmented) + 1, augmented.shape[1] + 1), dtype=np.int64)
    basis[:-1, :-1], basis[-1, : len(queries)], basis[-1, -1] = augmented, -PENALTY * products, PENALTY
    for row in _reduced(basis, block=0):
        if abs(row[-1]) == PENALTY and not row[: len(queries)].any():
            return np.asarray(row[len(queries) : -1] * int(np.sign(row[-1])))
    raise AssertionError("the reduction left no solution; raise PENALTY")


def _augmented(queries: Integers) -> Integers:
    return np.concatenate([PENALTY * queries.T, np.eye(queries.shape[1], dtype=np.int64)], axis=1)


def _reduced(basis: Integers, block: int) -> Integers:
    matrix = IntegerMatrix.from_matrix(basis.tolist())
    LLL.reduction(matrix)
    if block:
        BKZ.reduction(matrix, BKZ.Param(block_size=min(block, len(basis))))
    reduced = np.zeros(basis.shape, dtype=np.int64)
    matrix.to_matrix(reduced)
    return reduced


def _opened(rows: Integers, count: int) -> tuple[Integers, Integers]:
    """Query vectors [count, D] and what their keys open of freshly encrypted rows: [n, count]."""
    dimension = rows.shape[1]
    queries = query_vectors(hashlib.sha256(b"recover pixels").digest(), count, dimension, BITS_PER_WEIGHT)
    master, compute = MasterKey.generate(dimension), backend()
    etas = [[sum(s * z for s, z in zip(master.secret, query, strict=True)) % ORDER for query in queries.tolist()]]
    bound = dimension * LARGEST * ((1 << BITS_PER_WEIGHT) - 1)
    return queries, compute.decrypt(compute.encrypt(master, rows.astype(np.uint8)), queries, etas, bound)


def _digits() -> tuple[Integers, Integers]:
    """The 1797 digits of scikit-learn, 64 pixels of 0..15 each, and their labels."""
    data = load_digits()
    return np.rint(data.data * LARGEST / 16).astype(np.int64), data.target


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m attacks.recover_pixels", description=__doc__)
    parser.add_argument("--rows", type=int, default=20, help="secret rows to attack [20]")
    parser.add_argument(
        "--keys", type=int, nargs="+", default=[12, 16, 20, 24, 28, 32, 40], help="query vectors issued"
    )
    parser.add_argument("--seed", type=int, default=1, help="which rows [1]")
    return parser.parse_args()


if __name__ == "__main__":
    main()
