"""`python -m benchmarks.encryption`: encryption and decryption side by side on the same rows, as Markdown tables.

pymife (optional; `make bench-tools`) in its default group, 1024-bit integers, and in Curve25519, about 128 bits; the
coincurve reference; the fast backend on one core and on all; the GPU where there is one. Single-core figures are CPU
time, so that whatever else runs disturbs them less. All cores against one: how many times faster by the clock, which
other processes on the same cores spoil, and how much more CPU time the work took, which they do not. The GPU by the
clock, against one core by the clock. Last, what compressed points cost. Medians of interleaved runs. A slow library
opens few rows or products; its figure is per sample or per product all the same.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray

from pole.encryption import CoincurveBackend, MasterKey
from pole.encryption.gpu.backend import TorchBackend
from pole.encryption.group import ORDER
from pole.encryption.points import compress_points
from pole.encryption.program import compile_program
from pole.encryption.simd import encryptor
from pole.encryption.simd.backend import NumbaBackend, all_cores
from pole.encryption.simd.field import ELEMENT_WORDS, load_element, multiply, store_element
from pole.encryption.simd.lanes import LANES
from pole.task.rows import row_bytes
from testbed.markdown import markdown_table

try:
    from mife.data.curve25519 import Curve25519
    from mife.single.selective.ddh import FeDDH
except ImportError:
    FeDDH = None

LARGEST, LARGEST_WEIGHT = 15, 7
PRODUCTS_PER_ADDITION = 6
FIELD_PRODUCTS = 100_000

Run = Callable[[], object]


@dataclass(frozen=True)
class Work:
    """The same rows and query vectors for everybody."""

    master: MasterKey
    x: NDArray[np.uint8]
    queries: NDArray[np.int64]

    @property
    def bound(self) -> int:
        return self.master.dimension * LARGEST * LARGEST_WEIGHT

    @property
    def etas(self) -> list[list[int]]:
        pairs = [zip(self.master.secret, query, strict=True) for query in self.queries.tolist()]
        return [[sum(s * z for s, z in pair) % ORDER for pair in pairs]]


def main() -> None:
    arguments = _arguments()
    product_ns = statistics.median(_field_product_ns() for _ in range(5 * arguments.repeats))
    floor_ns = PRODUCTS_PER_ADDITION * product_ns
    print(f"One field product: {product_ns:.2f} ns; the floor of an addition: {floor_ns:.1f} ns.\n")
    encryption, decryption, roots = [], [], []
    for dimension in arguments.dimensions:
        work = _work(dimension, 1, _rows(dimension, arguments.rows))
        slow = {name: _pymife_encryption(group, dimension) for name, group in _groups().items()}
        encryption.append(_encryption_row(work, slow, arguments.repeats))
        for vectors in arguments.vectors:
            work = _work(dimension, vectors, _rows(dimension, arguments.rows))
            opened = {name: _pymife_decryption(keys, ct, work) for name, (_, keys, ct) in slow.items()}
            decryption.append(_decryption_row(work, opened, arguments.repeats))
            print(".", end="", file=sys.stderr, flush=True)
        rows = _rows(dimension, arguments.rows)
        roots.append(_roots_row([_work(dimension, each, rows) for each in arguments.vectors], arguments.repeats))
    names = [*_groups(), "coincurve", "fast"]
    common = [f"{name} (us)" for name in names] + _ratio_names() + ["additions", "ns per addition", "to the floor"]
    common += ["GPU (us)", "fast / GPU"] if _has_gpu() else []
    print("\nEncryption, per sample:\n\n" + markdown_table(["D", *common], encryption))
    print("\nDecryption, per inner product:\n\n" + markdown_table(["D", "L", *common], decryption))
    sizes = ["D", "bytes", "compressed", "coincurve (us)", "fast (us)", "coincurve / fast"]
    shares = [f"of decryption at L = {vectors}" for vectors in arguments.vectors]
    print("\nCompressed points, per sample:\n\n" + markdown_table([*sizes, *shares], roots))


def _ratio_names() -> list[str]:
    return [f"{name} / fast" for name in [*_groups(), "coincurve"]] + ["all cores: wall", "all cores: CPU"]


def _work(dimension: int, vectors: int, rows: int) -> Work:
    rng = np.random.default_rng(dimension + vectors)
    return Work(
        MasterKey.generate(dimension),
        rng.integers(0, LARGEST + 1, (rows, dimension), dtype=np.uint8),
        rng.integers(0, LARGEST_WEIGHT + 1, (vectors, dimension)),
    )


def _rows(dimension: int, most: int) -> int:
    """As many points at every dimension, or what a call costs once would weigh on the small ones alone."""
    return most * max(1, 784 // dimension)


# --- ours -----------------------------------------------------------------------------------------------------------


def _encryption_row(work: Work, slow: dict[str, Any], repeats: int) -> list[str]:
    few = work.x[: max(2, 400 // work.master.dimension)]
    runs: dict[str, Run] = {
        "coincurve": partial(CoincurveBackend().encrypt, work.master, few),
        "one": partial(NumbaBackend(1).encrypt, work.master, work.x),
        "all": partial(NumbaBackend(all_cores()).encrypt, work.master, work.x),
    }
    rows = {"coincurve": len(few), "one": len(work.x), "all": len(work.x), "GPU": len(work.x)}
    if _has_gpu():
        runs["GPU"] = partial(TorchBackend("cuda").encrypt, work.master, work.x)
    points = work.master.dimension + 1
    width = encryptor.window_width(len(work.x) * points)
    additions = points * (-(-256 // width) - 1)
    cells = _compare(runs, rows, {name: each[0] for name, each in slow.items()}, additions, repeats)
    return [str(work.master.dimension), *cells]


def _decryption_row(work: Work, slow: dict[str, float], repeats: int) -> list[str]:
    ciphertexts, etas, vectors = NumbaBackend(1).encrypt(work.master, work.x), work.etas, len(work.queries)
    few = ciphertexts[: max(1, 3000 // (work.queries.size + 50 * vectors))]
    rest = (work.queries, etas, work.bound)
    runs: dict[str, Run] = {
        "coincurve": partial(CoincurveBackend().decrypt, few, *rest),
        "one": partial(NumbaBackend(1).decrypt, ciphertexts, *rest),
        "all": partial(NumbaBackend(all_cores()).decrypt, ciphertexts, *rest),
    }
    if _has_gpu():
        runs["GPU"] = partial(TorchBackend("cuda").decrypt, ciphertexts, *rest)
    outputs = {name: (few if name == "coincurve" else work.x).shape[0] * vectors for name in runs}
    additions = compile_program(work.queries, etas).additions / vectors
    cells = _compare(runs, outputs, slow, additions, repeats)
    return [str(work.master.dimension), str(vectors), *cells]


def _roots_row(works: list[Work], repeats: int) -> list[str]:
    """What decompressing costs a sample, and as a share of decrypting it with each number of query vectors."""
    master, x = works[0].master, works[0].x
    points = NumbaBackend(1).encrypt(master, x)
    compressed = compress_points(points)
    few = compressed[: max(2, 1000 // master.dimension)]
    ours, theirs = partial(NumbaBackend(1).decompress, compressed), partial(CoincurveBackend().decompress, few)
    coincurve_us = statistics.median(_timed(theirs)[0] for _ in range(repeats)) / len(few) * 1e6
    ours()
    taken, shares = [], []
    for work in (Work(master, x, each.queries) for each in works):
        decrypt = partial(NumbaBackend(1).decrypt, points, work.queries, work.etas, work.bound)
        decrypt()
        pairs = [(_timed(ours)[0], _timed(decrypt)[0]) for _ in range(repeats)]
        taken += [root_s for root_s, _ in pairs]
        shares.append(statistics.median(root_s / decryption_s for root_s, decryption_s in pairs))
    fast_us = statistics.median(taken) / len(x) * 1e6
    sizes = [row_bytes(master.dimension, form) for form in ("uncompressed", "compressed")]
    return [
        *(f"{size:,}" for size in (master.dimension, *sizes)),
        *(_short(coincurve_us), _short(fast_us), f"{coincurve_us / fast_us:.1f}"),
        *(f"{100 * share:.0f} %" for share in shares),
    ]


def _compare(
    runs: dict[str, Run],
    units: dict[str, int],
    slow: dict[str, float],
    additions: float,
    repeats: int,
) -> list[str]:
    """Cells after D and L; times in microseconds per unit."""
    cpu: dict[str, list[float]] = {name: [] for name in runs}
    wall: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()  # tables, programs and compiled code are made once, whatever the number of rows
    product_ns = []
    for _ in range(repeats):
        product_ns.append(_field_product_ns())
        for name, run in runs.items():
            cpu_s, wall_s = _timed(run)
            cpu[name].append(cpu_s / units[name] * 1e6)
            wall[name].append(wall_s / units[name] * 1e6)
    one, coincurve = statistics.median(cpu["one"]), statistics.median(cpu["coincurve"])
    gain = statistics.median(a / b for a, b in zip(wall["one"], wall["all"], strict=True))
    more_work = statistics.median(b / a for a, b in zip(cpu["one"], cpu["all"], strict=True))
    times = [*slow.values(), coincurve, one]
    ratios = [*(each / one for each in slow.values()), coincurve / one]
    addition_ns = one * 1000 / additions
    to_floor = statistics.median(
        each * 1000 / additions / (PRODUCTS_PER_ADDITION * product)
        for each, product in zip(cpu["one"], product_ns, strict=True)
    )
    return [
        *(_short(each) for each in times),
        *(f"{each:.0f}" if each >= 20 else f"{each:.1f}" for each in ratios),
        f"{gain:.2f}x",
        f"{100 * (more_work - 1):+.0f} %",
        f"{additions:.0f}",
        f"{addition_ns:.1f}",
        f"{to_floor:.2f}",
        *_gpu_cells(wall),
    ]


def _gpu_cells(wall: dict[str, list[float]]) -> list[str]:
    """By the clock, against one core by the clock."""
    if "GPU" not in wall:
        return []
    gpu, one = statistics.median(wall["GPU"]), statistics.median(wall["one"])
    return [_short(gpu), f"{one / gpu:.0f}"]


def _has_gpu() -> bool:
    return torch.cuda.is_available()


def _timed(run: Run) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return time.process_time() - cpu, time.perf_counter() - wall


def _short(microseconds: float) -> str:
    return f"{microseconds:,.0f}" if microseconds >= 100 else f"{microseconds:.2f}"


@njit  # type: ignore[untyped-decorator,unused-ignore]
def _multiply_many(elements: NDArray[np.uint64], count: int) -> None:
    """Independent products, each loaded and stored: what additions do with theirs."""
    start, size = np.uint64(elements.ctypes.data), np.uint64(ELEMENT_WORDS * 8)
    for i in range(count):
        a = start + np.uint64(i % 16) * size
        store_element(a, multiply(load_element(a), load_element(a + np.uint64(16) * size)))


def _field_product_ns() -> float:
    """Measured beside what it is compared with: the machine's pace changes from minute to minute."""
    elements = np.ones((32, ELEMENT_WORDS), dtype=np.uint64)
    _multiply_many(elements, 1)
    runs = [_timed(lambda: _multiply_many(elements, FIELD_PRODUCTS))[0] for _ in range(3)]
    return statistics.median(runs) / FIELD_PRODUCTS / LANES * 1e9


# --- pymife ---------------------------------------------------------------------------------------------------------


def _groups() -> dict[str, Any]:
    """By name: what FeDDH takes as its group, None for its default; empty without pymife."""
    return {} if FeDDH is None else {"pymife": None, "pymife 128-bit": Curve25519()}


def _pymife_encryption(group: Any, dimension: int) -> tuple[float, Any, Any]:
    """Microseconds per sample, keys and a ciphertext of ones."""
    keys = FeDDH.generate(dimension, group)
    x = [1] * dimension
    started = time.process_time()
    ciphertext = FeDDH.encrypt(x, keys)
    return (time.process_time() - started) * 1e6, keys, ciphertext


def _pymife_decryption(keys: Any, ciphertext: Any, work: Work) -> float:
    """Microseconds per inner product, over two of them."""
    queries = [query.tolist() for query in work.queries[:2]]
    functional = [FeDDH.keygen(query, keys) for query in queries]
    started = time.process_time()
    opened = [FeDDH.decrypt(ciphertext, keys.get_public_key(), each, (0, work.bound)) for each in functional]
    elapsed = time.process_time() - started
    assert opened == [sum(query) for query in queries]
    return elapsed / len(queries) * 1e6


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encryption", description=__doc__)
    parser.add_argument("--dimensions", type=int, nargs="+", default=[4, 64, 784])
    parser.add_argument("--vectors", type=int, nargs="+", default=[8, 32, 128])
    parser.add_argument("--rows", type=int, default=256, help="rows at D = 784; more at smaller D [256]")
    parser.add_argument("--repeats", type=int, default=5, help="runs to take the median of [5]")
    return parser.parse_args()


if __name__ == "__main__":
    main()
