"""The reference backend: one row at a time with libsecp256k1's own additions and multiplications."""

import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np
from coincurve._libsecp256k1 import ffi, lib
from numpy.typing import NDArray

from pole.encryption.group import (
    CONTEXT,
    ORDER,
    SCALAR_BYTES,
    discrete_log,
    load_points,
    new_points,
    power_of_g,
    product,
    store_points,
)
from pole.encryption.keys import MasterKey, PublicKey
from pole.encryption.points import BYTES_OF_POINTS, POINT_BYTES
from pole.errors import BadInput, DataInvalid, DecryptionFailed
from pole.timing import OnProgress

_ROWS_PER_REPORT = 8


class CoincurveBackend:
    """See `Backend`. The exponents of encryption go through the library's constant-time multiplication only."""

    name = "coincurve"

    def public_key(self, master: MasterKey) -> PublicKey:
        points = new_points(master.dimension)
        for j, scalar in enumerate(master.secret):
            power_of_g(points + j, scalar)
        return PublicKey(store_points(points, master.dimension))

    def encrypt(self, master: MasterKey, x: NDArray[np.uint8], progress: OnProgress | None = None) -> NDArray[np.uint8]:
        check_rows(master, x)
        ciphertexts = np.empty((len(x), master.dimension + 1, POINT_BYTES), dtype=np.uint8)
        points = new_points(master.dimension + 1)
        for row, features in enumerate(x.tolist()):
            while not _encrypt_row(points, master.secret, features):
                pass  # an exponent was zero, which has no affine point: another r (probability about D / 2^256)
            ciphertexts[row] = store_points(points, master.dimension + 1)
            _report(progress, row + 1, len(x))
        return ciphertexts

    def decrypt(
        self,
        ciphertexts: NDArray[np.uint8],
        queries: NDArray[np.int64],
        etas: Sequence[Sequence[int]],
        bound: int,
        progress: OnProgress | None = None,
    ) -> NDArray[np.int64]:
        program = ReferenceProgram(queries, etas)
        program.check_shape(ciphertexts)
        results = np.zeros((len(ciphertexts), program.outputs), dtype=np.int64)
        for row, ciphertext in enumerate(ciphertexts):
            results[row] = program.decrypt_row(ciphertext, row, bound)
            _report(progress, row + 1, len(ciphertexts))
        return results

    def decompress(self, points: NDArray[np.uint8]) -> NDArray[np.uint8]:
        check_compressed(points)
        decompressed = np.empty((*points.shape[:2], POINT_BYTES), dtype=np.uint8)
        for row, compressed in enumerate(points):
            decompressed[row] = decompress_row(compressed, row)
        return decompressed

    def verify_keys(
        self, public_key: PublicKey, queries: NDArray[np.int64], etas: Sequence[Sequence[int]]
    ) -> NDArray[np.bool_]:
        program = ReferenceProgram(queries, [[0] * len(queries) for _ in etas])
        if public_key.dimension != program.dimension:
            raise BadInput(f"the public key has {public_key.dimension} features, the keys {program.dimension}")
        load_points(program.points + 1, public_key.points)
        flat = [eta for segment in etas for eta in segment]
        expected = new_points(1)
        is_right = np.zeros(len(flat), dtype=np.bool_)
        for output, eta in enumerate(flat):
            point = program.run(output)
            if not power_of_g(expected, eta) or point is None:
                is_right[output] = eta % ORDER == 0 and point is None
            else:
                is_right[output] = lib.secp256k1_ec_pubkey_cmp(CONTEXT, point, expected) == 0
        return is_right.reshape(len(etas), -1)


def check_rows(master: MasterKey, x: NDArray[np.uint8]) -> None:
    """Raises BadInput for what no backend can encrypt."""
    if x.ndim != 2 or x.dtype != np.uint8 or x.shape[1] != master.dimension or not len(x):
        raise BadInput(f"cannot encrypt {x.dtype} {x.shape}; need uint8 [n, {master.dimension}] with n >= 1")


def check_compressed(points: NDArray[np.uint8]) -> None:
    """Raises BadInput for what no backend can decompress."""
    size = BYTES_OF_POINTS["compressed"]
    if points.ndim != 3 or points.dtype != np.uint8 or points.shape[2] != size:
        raise BadInput(f"cannot decompress {points.dtype} {points.shape}; need uint8 [n, D + 1, {size}]")


def decompress_row(ciphertext: NDArray[np.uint8], row: int) -> NDArray[np.uint8]:
    """A ciphertext [D + 1, 33] as [D + 1, 64]; errors name it as row `row`."""
    points = new_points(len(ciphertext))
    load_row(points, ciphertext, row)
    return store_points(points, len(ciphertext))


def load_row(points: Any, ciphertext: NDArray[np.uint8], row: int) -> None:
    """Parse a ciphertext [D + 1, 64] or [D + 1, 33]; raises DataInvalid naming it as row `row`."""
    try:
        load_points(points, ciphertext)
    except DataInvalid as exc:
        raise DataInvalid(f"row {row}: {exc}") from exc


def _encrypt_row(points: Any, secret: tuple[int, ...], features: list[int]) -> bool:
    """Write ct_0..ct_D; False if one of them would be the identity."""
    r = 1 + secrets.randbelow(ORDER - 1)
    power_of_g(points, r)
    return all(power_of_g(points + 1 + i, r * secret[i] + x) for i, x in enumerate(features))


def _report(progress: OnProgress | None, done: int, total: int) -> None:
    if progress is not None and (done % _ROWS_PER_REPORT == 0 or done == total):
        progress(done, total)


class ReferenceProgram:
    """prod ct_j^(z_j) * ct_0^(-eta) for all outputs, as lists of pointers that are built once and used for every row.

    Horner's rule over the bits of z: each step squares the accumulator and multiplies in the points whose bit is set,
    all in one call; the last step takes the key's part along. Two accumulators alternate, since the library does not
    read and write the same point. Identities, which it cannot represent, are left out of the next call's list.
    """

    def __init__(self, queries: NDArray[np.int64], etas: Sequence[Sequence[int]]) -> None:
        vectors, width = queries.shape
        self.dimension, self.outputs = width * len(etas), vectors * len(etas)
        self.points = new_points(self.dimension + 1)
        self._accumulators = new_points(2)
        self._key_part = new_points(1)
        rows = [_bit_rows(query) for query in queries]
        self._steps: list[list[tuple[Any, int]]] = []
        self._exponents: list[bytes | None] = []
        for segment, segment_etas in enumerate(etas):
            if len(segment_etas) != vectors:
                raise BadInput(f"segment {segment} has {len(segment_etas)} functional keys for {vectors} query vectors")
            for vector, eta in enumerate(segment_etas):
                exponent = -eta % ORDER
                self._exponents.append(exponent.to_bytes(SCALAR_BYTES) if exponent else None)
                self._steps.append(self._compile(rows[vector], 1 + segment * width, has_key_part=bool(exponent)))

    def check_shape(self, ciphertexts: NDArray[np.uint8]) -> None:
        """Raises BadInput for ciphertexts of other data than the keys are for."""
        if ciphertexts.ndim != 3 or ciphertexts.shape[1:] != (self.dimension + 1, POINT_BYTES):
            raise BadInput(f"ciphertexts have shape {ciphertexts.shape}, the keys are for {self.dimension} features")

    def decrypt_row(self, ciphertext: NDArray[np.uint8], row: int, bound: int) -> list[int]:
        """All outputs of one ciphertext [D + 1, 64]; errors name it as row `row`."""
        load_row(self.points, ciphertext, row)
        log, exponents = discrete_log(bound), []
        for output in range(self.outputs):
            point = self.run(output)
            exponent = log.find(point) if point is not None else 0
            if exponent is None:
                raise DecryptionFailed(
                    f"row {row}, inner product {output} is not in 0..{bound}: "
                    "the functional key does not fit the data, or the data is corrupt"
                )
            exponents.append(exponent)
        return exponents

    def run(self, output: int) -> Any | None:
        """One output for the loaded points: a pointer that the next call overwrites, or None for the identity."""
        exponent = self._exponents[output]
        if exponent is not None:
            self._key_part[0] = self.points[0]
            lib.secp256k1_ec_pubkey_tweak_mul(CONTEXT, self._key_part, exponent)
        has_point = False
        for step, (pointers, count) in enumerate(self._steps[output]):
            skipped = 0 if has_point else 2
            has_point = product(self._accumulators + step % 2, pointers + skipped, count - skipped)
        return self._accumulators + step % 2 if has_point else None

    def _compile(self, bit_rows: list[list[int]], first: int, has_key_part: bool) -> list[tuple[Any, int]]:
        """Pointer lists, highest bit first; each starts with the previous accumulator, twice."""
        steps = []
        for step, positions in enumerate(bit_rows):
            previous = self._accumulators + (step + 1) % 2
            pointers = [previous, previous, *(self.points + (first + position) for position in positions)]
            if has_key_part and step == len(bit_rows) - 1:
                pointers.append(self._key_part + 0)
            steps.append((ffi.new("secp256k1_pubkey *[]", pointers), len(pointers)))
        return steps


def _bit_rows(query: NDArray[np.int64]) -> list[list[int]]:
    """Positions whose weight has the bit set, for each bit from the highest in use; at least one row."""
    bits = max(1, int(query.max()).bit_length())
    return [np.flatnonzero(query >> bit & 1).tolist() for bit in range(bits - 1, -1, -1)]
