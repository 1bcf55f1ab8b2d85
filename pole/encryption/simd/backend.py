"""The fast backend: batches of samples, eight at a time, on all cores; the same results as the reference backend.

Cases that the batch formulas cannot handle (see `kernels`), and wrong data, are left to the reference backend, sample
by sample, so that both give the same answers and the same errors.
"""

import os
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from threading import Lock
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pole.encryption.group import ORDER
from pole.encryption.keys import MasterKey, PublicKey
from pole.encryption.points import POINT_BYTES
from pole.encryption.program import ADD, Program, compile_program, multiples_program
from pole.encryption.reference import (
    CoincurveBackend,
    ReferenceProgram,
    check_compressed,
    check_rows,
    decompress_row,
)
from pole.encryption.simd import codec, kernels
from pole.encryption.simd.batches import Words, aligned, run_batch, write_powers
from pole.encryption.simd.encryptor import Encryptor
from pole.encryption.simd.lanes import LANES
from pole.errors import BadInput
from pole.settings import read_settings
from pole.timing import OnProgress

T = TypeVar("T")

_POINTS_AT_ONCE = 1 << 15  # of encryption, per thread: their working set stays in the second-level cache
_ROOTS_AT_ONCE = 1 << 12  # points of decompression, per thread
_SLOT_BYTES_AT_ONCE = 6 << 20  # of decryption, per thread
_LARGEST_GROUPS = 96  # of eight samples: beyond, the shared inversion costs next to nothing
_LARGEST_TABLE_BITS = 20  # entries of the table of logarithms; beyond it, giant steps


class NumbaBackend:
    """See `Backend`. `threads` defaults to POLE_THREADS, else OMP_NUM_THREADS, else all cores of this process."""

    name = "numba"

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads or default_threads()
        self._reference = CoincurveBackend()

    def public_key(self, master: MasterKey) -> PublicKey:
        return self._reference.public_key(master)

    def encrypt(self, master: MasterKey, x: NDArray[np.uint8], progress: OnProgress | None = None) -> NDArray[np.uint8]:
        check_rows(master, x)
        ciphertexts = np.empty((len(x), master.dimension + 1, POINT_BYTES), dtype=np.uint8)
        encryptor = Encryptor(master, len(x))
        parts = _parts(len(x), max(1, _POINTS_AT_ONCE // (master.dimension + 1)), self._threads)
        self._each(parts, lambda rows: encryptor.run(x[rows], ciphertexts[rows]), len(x), progress)
        return ciphertexts

    def decrypt(
        self,
        ciphertexts: NDArray[np.uint8],
        queries: NDArray[np.int64],
        etas: Sequence[Sequence[int]],
        bound: int,
        progress: OnProgress | None = None,
    ) -> NDArray[np.int64]:
        reference = ReferenceProgram(queries, etas)
        reference.check_shape(ciphertexts)
        program = _compiled(queries.tobytes(), queries.shape, tuple(map(tuple, etas)))
        decryptor = _Decryptor(program, bound)
        results = np.zeros((len(ciphertexts), reference.outputs), dtype=np.int64)

        def run(rows: slice) -> list[int]:
            return [rows.start + row for row in decryptor.run(ciphertexts[rows], results[rows])]

        def redo(suspects: list[int]) -> None:
            for row in suspects:
                results[row] = reference.decrypt_row(ciphertexts[row], row, bound)

        parts = _parts(len(ciphertexts), decryptor.rows_at_once, self._threads)
        self._each(parts, run, len(ciphertexts), progress, redo)
        return results

    def decompress(self, points: NDArray[np.uint8]) -> NDArray[np.uint8]:
        check_compressed(points)
        flat = points.reshape(-1, points.shape[2])
        decompressed = np.empty((*points.shape[:2], POINT_BYTES), dtype=np.uint8)
        target = decompressed.reshape(-1, POINT_BYTES)

        def redo(suspects: list[int]) -> None:
            for row in sorted({suspect // points.shape[1] for suspect in suspects}):
                decompressed[row] = decompress_row(points[row], row)

        def run(part: slice) -> list[int]:
            return [part.start + suspect for suspect in _decompress(flat[part], target[part])]

        self._each(_parts(len(flat), _ROOTS_AT_ONCE, self._threads), run, len(flat), None, redo)
        return decompressed

    def verify_keys(
        self, public_key: PublicKey, queries: NDArray[np.int64], etas: Sequence[Sequence[int]]
    ) -> NDArray[np.bool_]:
        return self._reference.verify_keys(public_key, queries, etas)

    def _each(
        self,
        parts: list[slice],
        work: Callable[[slice], T],
        total: int,
        progress: OnProgress | None,
        finish: Callable[[T], None] | None = None,
    ) -> None:
        """Work on all parts in threads, finish them here and in order; few are in flight, so an error ends it soon."""
        with ThreadPoolExecutor(self._threads) as pool:
            waiting: deque[tuple[slice, Future[T]]] = deque()
            for rows in [*parts, None]:
                while waiting and (rows is None or len(waiting) > 2 * self._threads):
                    done, future = waiting.popleft()
                    result = future.result()
                    if finish is not None:
                        finish(result)
                    if progress is not None:
                        progress(done.stop, total)
                if rows is not None:
                    waiting.append((rows, pool.submit(work, rows)))


_OMP_VARIABLE = "OMP_NUM_THREADS"


def default_threads() -> int:
    """POLE_THREADS, else OMP_NUM_THREADS (what `make` sets, so that nodes on one machine share it), else all cores."""
    if (threads := read_settings().threads) is not None:
        return threads
    if text := os.environ.get(_OMP_VARIABLE):
        if not text.isdecimal() or not int(text):
            raise BadInput(f"{_OMP_VARIABLE} is {text!r}; give a number of threads, at least 1")
        return int(text)
    return all_cores()


def all_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _parts(rows: int, at_most: int, threads: int) -> list[slice]:
    """Slices of equal size, whole eights of rows where there are enough, and as many for each thread."""
    eights = -(-rows // LANES)
    count = min(eights, threads * -(-rows // (at_most * threads)))
    step = -(-eights // count) * LANES if at_most >= LANES else at_most
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


def _decompress(compressed: NDArray[np.uint8], points: NDArray[np.uint8]) -> list[int]:
    """Points [n, 33] to [n, 64]; those that the reference has to look at."""
    count = len(compressed)
    vectors = -(-count // LANES)
    words, parities, failed = np.zeros((count, 1, 8), dtype=np.uint64), aligned(vectors, LANES), aligned(vectors, LANES)
    words[:, 0, :4] = np.ascontiguousarray(compressed[:, 1:]).view(np.uint64)
    parities.reshape(-1)[:count] = compressed[:, 0] & 1
    slots = aligned(1, vectors, kernels.POINT_WORDS)
    codec.read_points(words, slots)
    codec.find_roots(slots[0], parities, failed)
    codec.write_points(slots[0], points.view(np.uint64), count)
    is_suspect = (failed.reshape(-1)[:count] != 0) | (compressed[:, 0] >> 1 != 1)
    return [int(point) for point in np.flatnonzero(is_suspect)]


# --- decryption ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def _compiled(queries: bytes, shape: tuple[int, int], etas: tuple[tuple[int, ...], ...]) -> Program:
    return compile_program(np.frombuffer(queries, dtype=np.int64).reshape(shape), etas)


class _Logarithms:
    """A table of g^(kappa + i); kappa is random, so nobody can make an output that collides with the blinding."""

    def __init__(self, bits: int) -> None:
        self.kappa = 1 + secrets.randbelow(ORDER - 1)
        self.size = 1 << bits
        per_lane = max(0, bits - 3)
        stride = 1 << per_lane
        program = multiples_program(per_lane, is_odd_only=False)
        slots = aligned(program.slots, 1, kernels.POINT_WORDS)
        write_powers(slots, 0, [self.kappa + lane * stride for lane in range(LANES)])
        write_powers(slots, stride, [1])
        assert not run_batch(program, slots).any()
        self.keys = np.zeros(4 * max(self.size, LANES), dtype=np.uint64)
        self.values = np.full(len(self.keys), codec.EMPTY, dtype=np.int64)
        codec.fill_table(slots, stride, stride, self.keys, self.values)


@lru_cache(maxsize=2)
def _logarithms(bits: int) -> _Logarithms:
    return _Logarithms(bits)


class _Decryptor:
    """One program, run over a few samples at a time."""

    def __init__(self, program: Program, bound: int) -> None:
        self._program, self._bound = program, bound
        with _TABLE_LOCK:
            self._logarithms = _logarithms(min(_LARGEST_TABLE_BITS, max(3, bound.bit_length())))
        self._giant = _giant_step(program)
        self._slots = program.slots + 1
        groups = _SLOT_BYTES_AT_ONCE // (self._slots * kernels.POINT_WORDS * 8)
        self.rows_at_once = LANES * min(max(groups, 1), _LARGEST_GROUPS)

    def run(self, ciphertexts: NDArray[np.uint8], results: NDArray[np.int64]) -> list[int]:
        """Fill in the results; the rows that the reference has to look at."""
        groups = -(-len(ciphertexts) // LANES)
        slots = aligned(self._slots, groups, kernels.POINT_WORDS)
        points = self._program.inputs - 1
        words = np.ascontiguousarray(ciphertexts).reshape(len(ciphertexts), points, POINT_BYTES).view(np.uint64)
        codec.read_points(words, slots)
        invalid = aligned(groups, LANES)
        codec.check_points(slots, points, invalid)
        write_powers(slots, points, [self._logarithms.kappa])
        failed = run_batch(self._program, slots)
        found = self._find(slots, failed)
        results[:] = found.transpose(1, 2, 0).reshape(-1, len(found))[: len(results)]
        is_suspect = (invalid != 0) | (failed != 0) | (found == codec.EMPTY).any(axis=0)
        return [int(row) for row in np.flatnonzero(is_suspect.reshape(-1)[: len(results)])]

    def _find(self, slots: Words, failed: Words) -> NDArray[np.int64]:
        """Logarithms int64 [outputs, groups, 8], EMPTY where there is none up to the bound."""
        table, outputs = self._logarithms, self._program.outputs
        results = np.full((len(outputs), slots.shape[1], LANES), codec.EMPTY, dtype=np.int64)
        for offset in range(0, self._bound + 1, table.size):
            if offset:
                write_powers(slots, self._slots - 1, [-table.size % ORDER])
                failed |= run_batch(self._giant, slots)
            if not codec.look_up(slots, outputs, table.keys, table.values, offset, self._bound, results):
                break
        return results


_TABLE_LOCK = Lock()


def _giant_step(program: Program) -> Program:
    """Adds the point of one more slot to every output, in place; levels of one output each cannot disturb another."""
    count = len(program.outputs)
    ops = np.stack([program.outputs, program.outputs, np.full(count, program.slots), np.full(count, ADD)], axis=1)
    return Program(ops.astype(np.int32), np.array([count]), program.outputs, program.inputs, program.slots + 1)
