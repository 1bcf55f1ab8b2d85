"""The backend in PyTorch, for GPUs: many samples at once; the same results as the reference backend.

Cases that the batch formulas cannot handle (see `kernels`), and wrong data, are left to the reference backend, sample
by sample, as in the fast backend.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pole.encryption.gpu import field
from pole.encryption.gpu.points import (
    Curve,
    Level,
    Points,
    Powers,
    levels_of,
    power,
    read_points,
    run_program,
    to_scalars,
    write_points,
)
from pole.encryption.group import ORDER, SCALAR_BYTES
from pole.encryption.keys import MasterKey, PublicKey
from pole.encryption.points import POINT_BYTES
from pole.encryption.program import compile_program, multiples_program
from pole.encryption.reference import CoincurveBackend, ReferenceProgram, check_rows
from pole.timing import OnProgress

_POINT_COPIES = 12  # of a batch's points that are alive at once
_POINT_WORDS = 2 * field.LIMBS * 8
_LARGEST_TABLE_BITS = 20


class TorchBackend:
    """See `Backend`. `memory_bytes`: about what a batch may take; by default half of what the GPU has free."""

    name = "torch"

    def __init__(self, device: str = "auto", memory_bytes: int | None = None) -> None:
        self._device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
        self._memory_bytes = memory_bytes or _free_bytes(self._device)
        self._curve = Curve(self._device)
        self._reference = CoincurveBackend()

    def public_key(self, master: MasterKey) -> PublicKey:
        return self._reference.public_key(master)

    def encrypt(self, master: MasterKey, x: NDArray[np.uint8], progress: OnProgress | None = None) -> NDArray[np.uint8]:
        check_rows(master, x)
        points = master.dimension + 1
        ciphertexts = np.empty((len(x), points, POINT_BYTES), dtype=np.uint8)
        powers = Powers(self._curve, master.secret)
        rows_at_once = max(1, self._memory_bytes // (points * _POINT_WORDS * _POINT_COPIES))
        for start in range(0, len(x), rows_at_once):
            rows = slice(start, min(start + rows_at_once, len(x)))
            ciphertexts[rows] = self._encrypt_part(powers, x[rows]).reshape(-1, points, POINT_BYTES)
            _report(progress, rows.stop, len(x))
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
        program = compile_program(queries, etas)
        table = _Logarithms(self._curve, bound)
        levels, outputs = levels_of(program, self._device), torch.from_numpy(program.outputs).to(self._device)
        slots = program.slots + _POINT_COPIES * program.largest_level
        rows_at_once = max(1, self._memory_bytes // (slots * _POINT_WORDS))
        results = np.zeros((len(ciphertexts), reference.outputs), dtype=np.int64)
        for start in range(0, len(ciphertexts), rows_at_once):
            rows = slice(start, min(start + rows_at_once, len(ciphertexts)))
            batch = _Batch(program.inputs, program.slots, levels, outputs)
            results[rows], suspects = batch.run(self._curve, table, ciphertexts[rows])
            for row in np.flatnonzero(suspects) + start:
                results[row] = reference.decrypt_row(ciphertexts[row], int(row), bound)
            _report(progress, rows.stop, len(ciphertexts))
        return results

    def decompress(self, points: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """On the processor: the square roots of the fast backend."""
        from pole.encryption.simd.backend import NumbaBackend

        return NumbaBackend().decompress(points)

    def verify_keys(
        self, public_key: PublicKey, queries: NDArray[np.int64], etas: Sequence[Sequence[int]]
    ) -> NDArray[np.bool_]:
        return self._reference.verify_keys(public_key, queries, etas)

    def _encrypt_part(self, powers: Powers, x: NDArray[np.uint8]) -> NDArray[np.uint8]:
        features = torch.from_numpy(np.pad(x, ((0, 0), (1, 0))).astype(np.int64)).to(self._device)
        while True:
            scalars = to_scalars(secrets.token_bytes(SCALAR_BYTES * len(x)), self._device)
            points, failed = powers.run(scalars, features)
            if not failed.any():  # else a sum met the identity or itself (probability about 2^-240 per point)
                return write_points(points)


@dataclass(frozen=True)
class _Batch:
    """A program for a batch of samples; its inputs are a sample's points and then g^kappa."""

    inputs: int
    slot_count: int
    levels: list[Level]
    outputs: Tensor

    def run(
        self, curve: Curve, table: "_Logarithms", ciphertexts: NDArray[np.uint8]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Logarithms [rows, outputs] and the rows that the reference has to look at."""
        rows, points = ciphertexts.shape[:2]
        slots = torch.zeros((2, field.LIMBS, self.slot_count, rows), dtype=torch.int64, device=curve.device)
        read, invalid = read_points(ciphertexts.reshape(-1, POINT_BYTES), curve.device)
        slots[:, :, :points] = read.reshape(2, field.LIMBS, rows, points).transpose(2, 3)
        slots[:, :, self.inputs - 1] = table.blinding
        suspects = invalid.reshape(rows, points).any(dim=1) | run_program(curve, self.levels, slots)
        found = table.find(slots[:, :, self.outputs].reshape(2, field.LIMBS, -1)).reshape(-1, rows)
        suspects |= (found < 0).any(dim=0)
        return found.T.cpu().numpy(), suspects.cpu().numpy()


class _Logarithms:
    """Sorted table of g^(kappa + i); kappa is random, so nobody can make an output that collides with the blinding."""

    def __init__(self, curve: Curve, bound: int) -> None:
        self._curve, self._bound = curve, bound
        kappa = 1 + secrets.randbelow(ORDER - 1)
        bits = min(_LARGEST_TABLE_BITS, max(1, bound.bit_length()))
        self._size = 1 << bits
        self.blinding = power(kappa, curve.device)
        program = multiples_program(bits, is_odd_only=False)
        slots = torch.zeros((2, field.LIMBS, program.slots, 1), dtype=torch.int64, device=curve.device)
        slots[:, :, 0] = self.blinding
        slots[:, :, self._size] = power(1, curve.device)
        assert not run_program(curve, levels_of(program, curve.device), slots).any()
        self._keys, self._values = _key(slots[:, :, : self._size, 0]).sort()
        self._giant_step = power(-self._size, curve.device)

    def find(self, points: Points) -> Tensor:
        """Logarithms int64 [n] of points [2, 10, n] relative to kappa; -1 where there is none in 0..bound."""
        found = torch.full((points.shape[2],), -1, dtype=torch.int64, device=points.device)
        for offset in range(0, self._bound + 1, self._size):
            if offset:
                points, failed = self._curve.add(points, self._giant_step.expand_as(points))
                if failed.any():
                    break  # -1: the reference looks at the row
            keys = _key(points)
            place = torch.searchsorted(self._keys, keys).clamp(max=self._size - 1)
            logarithm = offset + self._values[place]
            is_new = (found < 0) & (self._keys[place] == keys) & (logarithm <= self._bound)
            found = torch.where(is_new, logarithm, found)
            if (found >= 0).all():
                break
        return found


def _key(points: Points) -> Tensor:
    """The lowest 64 bits of x coordinates."""
    x = field.canonical(points[0])
    return x[0] | (x[1] << 26) | (x[2] << 52)


def _free_bytes(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else 256 << 20


def _report(progress: OnProgress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)
