"""The PyTorch backend: its field on known values, and the same answers and errors as the reference, on any device."""

from collections.abc import Sequence
from typing import Any

import coincurve
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pole.encryption import CoincurveBackend, MasterKey, backend
from pole.encryption.gpu import backend as gpu_backend
from pole.encryption.gpu import field
from pole.encryption.gpu.backend import TorchBackend
from pole.encryption.gpu.points import multiply_modulo_order, to_scalars
from pole.encryption.group import ORDER
from pole.encryption.points import compress_points
from pole.encryption.simd.lanes import P
from pole.errors import BadInput, DataInvalid, DecryptionFailed

REFERENCE = CoincurveBackend()
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"))]


@pytest.fixture(scope="module", params=DEVICES)
def compute(request: pytest.FixtureRequest) -> TorchBackend:
    return TorchBackend(request.param, memory_bytes=1 << 22)


def _etas(master: MasterKey, queries: NDArray[np.int64], segments: int = 1) -> list[list[int]]:
    width = queries.shape[1]
    parts = [master.secret[k * width : (k + 1) * width] for k in range(segments)]
    return [[sum(s * z for s, z in zip(part, q, strict=True)) % ORDER for q in queries.tolist()] for part in parts]


def _elements(values: Sequence[int]) -> torch.Tensor:
    return torch.tensor([field.to_limbs(value) for value in values], dtype=torch.int64).T.contiguous()


# --- what is refused ------------------------------------------------------------------------------------------------


def test_backend__unknown_name_in_the_environment__refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLE_ENCRYPTION_BACKEND", "gpu")
    with pytest.raises(BadInput, match=r"POLE_ENCRYPTION_BACKEND is 'gpu': .*'numba' or 'torch'"):
        backend()


def test_backend__torch_in_the_environment__that_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLE_ENCRYPTION_BACKEND", "torch")
    assert backend().name == "torch"


@pytest.mark.parametrize("x", [np.zeros((0, 3), np.uint8), np.zeros((1, 2), np.uint8), np.zeros((1, 3), np.int64)])
def test_encrypt__not_rows_of_bytes__refused(compute: TorchBackend, x: NDArray[Any]) -> None:
    with pytest.raises(BadInput, match=r"need uint8 \[n, 3\]"):
        compute.encrypt(MasterKey.generate(3), x)


@pytest.mark.parametrize("damage", ["off the curve", "x too large", "zeros", "wrong key", "out of range"])
def test_decrypt__bad_data__the_references_error(compute: TorchBackend, damage: str) -> None:
    master, queries = MasterKey.generate(4), np.array([[1, 2, 3, 1]])
    x = np.full((14, 4), 3, dtype=np.uint8)
    x[11] = 9
    ciphertexts, etas, bound = REFERENCE.encrypt(master, x), _etas(master, queries), 21
    if damage == "wrong key":
        etas[0][0] += 1
    elif damage != "out of range":
        bound = 1000
        if damage == "off the curve":
            ciphertexts[11, 2, 63] ^= 1
        else:
            ciphertexts[11, 2, :32] = 0 if damage == "zeros" else 255
    errors = []
    for each in (compute, REFERENCE):
        with pytest.raises((DataInvalid, DecryptionFailed)) as caught:
            each.decrypt(ciphertexts, queries, etas, bound)
        errors.append((caught.type, str(caught.value)))
    assert errors[0] == errors[1]
    assert errors[0][1].startswith("row 0" if damage == "wrong key" else "row 11")


# --- the field ------------------------------------------------------------------------------------------------------

_EDGES = [0, 1, 2, P - 1, P, P + 1, 2**256 - 1, 2**256, 2**260 - 1]
_VALUES = st.lists(st.one_of(st.sampled_from(_EDGES), st.integers(0, 2**260 - 1)), min_size=5, max_size=5)


@given(_VALUES, _VALUES, _VALUES)
@settings(max_examples=200, deadline=None)
def test_field__any_values__right_and_within_bounds(a: list[int], b: list[int], c: list[int]) -> None:
    x, y, z = (_elements(values) for values in (a, b, c))
    triples = list(zip(a, b, c, strict=True))
    cases = [
        (field.multiply(x - y, y + z), [(i - j) * (j + k) for i, j, k in triples]),
        (field.square(x - y), [(i - j) ** 2 for i, j, _ in triples]),
        (field.fold(x - y - z), [i - j - k for i, j, k in triples]),
    ]
    for found, expected in cases:
        assert field.to_ints(found) == [value % P for value in expected]
        assert int(found.min()) >= -(2**20)
        assert int(found.max()) <= 2**26 + 2**20
        reduced = field.canonical(found).T.tolist()
        assert [sum(limb << 26 * i for i, limb in enumerate(limbs)) for limbs in reduced] == [v % P for v in expected]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 65])
def test_invert_all__with_zeros__the_others_are_right(count: int) -> None:
    values = [pow(3, i, P) for i in range(count)]
    for zeros in ([], [count // 2], list(range(count))):
        given_values = [0 if i in zeros else value for i, value in enumerate(values)]
        inverse, is_zero = field.invert_all(_elements(given_values))
        assert is_zero.nonzero().flatten().tolist() == zeros
        for i, found in enumerate(field.to_ints(inverse)):
            assert i in zeros or found == pow(values[i], -1, P)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_multiply_modulo_order__any_scalars__right(data: st.DataObject) -> None:
    number = st.one_of(st.sampled_from([0, 1, ORDER - 1, 2**256 - 1]), st.integers(0, 2**256 - 1))
    a, b, c = (data.draw(number) for _ in range(3))
    scalar = to_scalars(a.to_bytes(32, "little"), torch.device("cpu"))
    limbs = multiply_modulo_order(scalar, _elements([b]), _elements([c]))[:, 0].tolist()
    assert all(0 <= limb < 2**26 for limb in limbs)
    assert sum(limb << 26 * i for i, limb in enumerate(limbs)) % ORDER == (a * b + c) % ORDER


# --- the same as the reference --------------------------------------------------------------------------------------


def test_decompress__rows_of_its_own__the_same_points(compute: TorchBackend) -> None:
    points = compute.encrypt(MasterKey.generate(2), np.array([[1, 2], [0, 3], [9, 9]], dtype=np.uint8))
    assert np.array_equal(compute.decompress(compress_points(points)), points)


@pytest.mark.parametrize("seed", [1, 2])
def test_decrypt__random_rows_and_queries__either_way_round(compute: TorchBackend, seed: int) -> None:
    rng = np.random.default_rng(seed)
    segments, width, vectors, n = 1 + seed % 3, int(rng.integers(1, 6)), int(rng.integers(1, 4)), 12
    x = rng.integers(0, 16, (n, segments * width), dtype=np.uint8)
    queries = rng.integers(0, 8, (vectors, width))
    master, bound = MasterKey.generate(segments * width), width * 15 * 7
    etas = _etas(master, queries, segments)
    expected = (x.reshape(n, segments, width).astype(np.int64) @ queries.T).reshape(n, -1).tolist()
    for encrypting, decrypting in ((compute, REFERENCE), (REFERENCE, compute)):
        opened = decrypting.decrypt(encrypting.encrypt(master, x), queries, etas, bound)
        assert opened.dtype == np.int64
        assert opened.tolist() == expected


@pytest.mark.parametrize(
    ("x", "z", "expected"),
    [([0], [1], 0), ([255], [255], 65_025), ([9, 9], [0, 0], 0), ([15] * 64, [7] * 64, 6_720)],
)
def test_decrypt__edges__known_values(compute: TorchBackend, x: list[int], z: list[int], expected: int) -> None:
    master, queries, rows = MasterKey.generate(len(x)), np.array([z]), np.array([x], dtype=np.uint8)
    opened = compute.decrypt(compute.encrypt(master, rows), queries, _etas(master, queries), max(expected, 10))
    assert opened.tolist() == [[expected]]


def test_decrypt__colliding_points__left_to_the_reference(compute: TorchBackend) -> None:
    """Equal and opposite points, made so on purpose, in one row of many: doublings and identities on the way."""
    master = MasterKey((11, ORDER - 11, 7, 11))
    x = np.full((10, 4), 2, dtype=np.uint8)
    x[5] = [0, 0, 9, 0]
    queries = np.array([[4, 4, 3, 0], [1, 1, 0, 0], [2, 0, 0, 2], [1, 1, 1, 1]])
    opened = compute.decrypt(REFERENCE.encrypt(master, x), queries, _etas(master, queries), 100)
    assert opened.tolist() == (x.astype(np.int64) @ queries.T).tolist()


def test_decrypt__giant_steps__found_across_tables_and_not_beyond(
    compute: TorchBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_backend, "_LARGEST_TABLE_BITS", 4)
    master, queries = MasterKey.generate(2), np.array([[1, 0], [10, 1], [0, 0]])
    x = np.array([[0, 0], [15, 0], [16, 1], [17, 200], [21, 0]], dtype=np.uint8)
    ciphertexts, etas = REFERENCE.encrypt(master, x), _etas(master, queries)
    assert compute.decrypt(ciphertexts, queries, etas, 1000).tolist() == (x.astype(np.int64) @ queries.T).tolist()
    with pytest.raises(DecryptionFailed, match=r"row 3, inner product 1 is not in 0\.\.369"):
        compute.decrypt(ciphertexts, queries, etas, 369)


def test_encrypt__each_point__is_what_the_paper_says(compute: TorchBackend) -> None:
    """In several batches, with fresh randomness for every row, and progress to the end."""
    master, seen = MasterKey((3, 5, ORDER - 1)), list[tuple[int, int]]()
    compute = TorchBackend(str(compute._device), memory_bytes=4 * 160 * 12 * 3)
    x = np.random.default_rng(1).integers(0, 256, (8, 3), dtype=np.uint8)
    ciphertexts = compute.encrypt(master, x, lambda *p: seen.append(p))
    assert seen == [(3, 8), (6, 8), (8, 8)]
    assert len({row[0].tobytes() for row in ciphertexts}) == 8
    for features, (ct_0, *rest) in zip(x.tolist(), ciphertexts, strict=True):
        for s, feature, ct in zip(master.secret, features, rest, strict=True):
            h_to_r = coincurve.PublicKey(b"\x04" + ct_0.tobytes()).multiply(s.to_bytes(32, "big"))
            expected = h_to_r.add(feature.to_bytes(32, "big")) if feature else h_to_r
            assert ct.tobytes() == expected.format(compressed=False)[1:]
