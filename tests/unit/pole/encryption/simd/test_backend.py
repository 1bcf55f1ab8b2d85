"""The fast backend: its field and programs on known values, and the same answers and errors as the reference."""

import sys
from collections.abc import Sequence
from typing import Any

import coincurve
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from numpy.typing import NDArray

from pole.encryption import CoincurveBackend, MasterKey, backend, expected_s
from pole.encryption.group import ORDER
from pole.encryption.keycheck import all_keys_match
from pole.encryption.points import compress_points
from pole.encryption.program import (
    ENDOMORPHISM,
    LAMBDA,
    SUBTRACT,
    Program,
    compile_program,
    multiples_program,
    signed_digits,
    split,
)
from pole.encryption.simd import backend as simd_backend
from pole.encryption.simd import encryptor, field, inversion
from pole.encryption.simd.backend import NumbaBackend, default_threads
from pole.encryption.simd.lanes import LANES, P
from pole.encryption.simd.portable import multiply_lane_by_lane
from pole.errors import BadInput, DataInvalid, DecryptionFailed

REFERENCE, FAST = CoincurveBackend(), NumbaBackend(threads=2)
TIGHT = 2**256 + 2**80
LOOSE = 2**260


def _rows(*rows: Sequence[int]) -> NDArray[np.uint8]:
    return np.array(rows, dtype=np.uint8)


def _etas(master: MasterKey, queries: NDArray[np.int64], segments: int = 1) -> list[list[int]]:
    width = queries.shape[1]
    parts = [master.secret[k * width : (k + 1) * width] for k in range(segments)]
    return [[sum(s * z for s, z in zip(part, q, strict=True)) % ORDER for q in queries.tolist()] for part in parts]


def _negated(point: NDArray[np.uint8]) -> NDArray[np.uint8]:
    y = P - int.from_bytes(point[32:].tobytes(), "big")
    return np.concatenate([point[:32], np.frombuffer(y.to_bytes(32, "big"), dtype=np.uint8)])


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("x", [np.zeros((0, 3)), np.zeros((1, 2)), np.zeros(3), np.zeros((1, 3), np.int64)])
def test_encrypt__not_rows_of_bytes__refused(x: NDArray[Any]) -> None:
    with pytest.raises(BadInput, match=r"need uint8 \[n, 3\]"):
        FAST.encrypt(MasterKey.generate(3), x.astype(np.uint8) if x.dtype != np.int64 else x)


@pytest.mark.parametrize("name", ["POLE_THREADS", "OMP_NUM_THREADS"])
@pytest.mark.parametrize("text", ["0", "-1", "many"])
def test_default_threads__no_number__refused(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.delenv("POLE_THREADS", raising=False)
    monkeypatch.setenv(name, text)
    with pytest.raises(BadInput, match=f"{name} is '{text}'"):
        default_threads()


def _error(run: Any) -> tuple[type, str]:
    with pytest.raises((BadInput, DataInvalid, DecryptionFailed)) as caught:
        run()
    return caught.type, str(caught.value)


@pytest.mark.parametrize(
    "damage", ["off the curve", "x too large", "y too large", "zeros", "wrong key", "out of range"]
)
def test_decrypt__bad_data__the_references_error(damage: str) -> None:
    """Row 11 is damaged; it shares its lane with rows 3 and 19, and its batch with all."""
    master, queries = MasterKey.generate(4), np.array([[1, 2, 3, 1]])
    x = np.full((30, 4), 3, dtype=np.uint8)
    x[11] = 9
    ciphertexts, etas, bound = FAST.encrypt(master, x), _etas(master, queries), 21
    if damage == "wrong key":
        etas[0][0] += 1
    elif damage != "out of range":
        bound = 1000
        half = slice(32, 64) if damage == "y too large" else slice(0, 32)
        if damage == "off the curve":
            ciphertexts[11, 2, 63] ^= 1
        elif damage == "zeros":
            ciphertexts[11, 2] = 0
        else:
            ciphertexts[11, 2, half] = 255
    fast, reference = (
        _error(lambda each=each: each.decrypt(ciphertexts, queries, etas, bound)) for each in (FAST, REFERENCE)
    )
    assert fast == reference
    assert fast[1].startswith("row 0" if damage == "wrong key" else "row 11")


def test_decrypt__coordinate_not_below_p__refused() -> None:
    """x + p names the same residue; accepting it would give one ciphertext two spellings."""
    master, queries = MasterKey.generate(1), np.array([[1]])
    x_of_small = next(x for x in range(1, 1000) if pow(x**3 + 7, (P - 1) // 2, P) == 1)
    y = pow(x_of_small**3 + 7, (P + 1) // 4, P)
    spelled = (x_of_small + P).to_bytes(32, "big") + y.to_bytes(32, "big")
    ciphertexts = FAST.encrypt(master, _rows([1]))
    ciphertexts[0, 1] = np.frombuffer(spelled, dtype=np.uint8)
    with pytest.raises(DataInvalid, match="row 0: point 1 of 2 is not on the curve"):
        FAST.decrypt(ciphertexts, queries, _etas(master, queries), 10)


def test_decrypt__other_shapes__the_references_error() -> None:
    for shape in ((1, 3, 64), (1, 4, 63), (4, 64)):
        fast, reference = (
            _error(lambda e=each, s=shape: e.decrypt(np.zeros(s, np.uint8), np.array([[1, 1, 1]]), [[1]], 9))
            for each in (FAST, REFERENCE)
        )
        assert fast == reference


@pytest.mark.parametrize(
    "damage", ["prefix 0", "prefix 4", "prefix 255", "x = 0", "x of no point", "x = p", "x + p", "x too large"]
)
def test_decompress__not_a_point__the_references_error(damage: str) -> None:
    points = compress_points(FAST.encrypt(MasterKey.generate(4), np.full((30, 4), 3, dtype=np.uint8)))
    if damage.startswith("prefix"):
        points[11, 2, 0] = int(damage.split()[1])
    else:
        x = {"x = 0": 0, "x of no point": 5, "x = p": P, "x + p": 1 + P, "x too large": 2**256 - 1}[damage]
        points[11, 2, 1:] = np.frombuffer(x.to_bytes(32, "big"), dtype=np.uint8)
    fast, reference = (_error(lambda each=each: each.decompress(points)) for each in (FAST, REFERENCE))
    assert fast == reference == (DataInvalid, fast[1])
    assert fast[1].startswith("row 11: point 2 of 5 is not on the curve")


@pytest.mark.parametrize("shape", [(1, 3, 64), (1, 3, 32), (4, 33)])
def test_decompress__other_shapes__refused(shape: tuple[int, ...]) -> None:
    for each in (FAST, REFERENCE):
        with pytest.raises(BadInput, match=r"need uint8 \[n, D \+ 1, 33\]"):
            each.decompress(np.zeros(shape, np.uint8))


# --- the field ------------------------------------------------------------------------------------------------------


@njit  # type: ignore[untyped-decorator]
def _operate(elements: NDArray[np.uint64]) -> None:
    """elements uint64 [14, 40]: 0 and 1 are loose, 2 and 3 tight; from 4 on are results."""
    start, size = np.uint64(elements.ctypes.data), np.uint64(field.ELEMENT_WORDS * 8)
    a, b = field.load_element(start), field.load_element(start + size)
    c, d = field.load_element(start + np.uint64(2) * size), field.load_element(start + np.uint64(3) * size)
    field.store_element(start + np.uint64(4) * size, field.multiply(a, b))
    field.store_element(start + np.uint64(5) * size, field.square(a))
    field.store_element(start + np.uint64(6) * size, multiply_lane_by_lane(a, b))
    field.store_element(start + np.uint64(7) * size, inversion.inverse(a))
    field.store_element(start + np.uint64(8) * size, field.fold(field.minus(c, d)))
    field.store_element(start + np.uint64(9) * size, field.fold(field.minus_both(c, d, d)))
    field.store_element(start + np.uint64(10) * size, field.canonical(c))
    root_a, root_b = inversion.square_roots((a, b))
    field.store_element(start + np.uint64(11) * size, root_a)
    field.store_element(start + np.uint64(12) * size, root_b)
    field.store_element(start + np.uint64(13) * size, field.times_small(c, 3))


def _to_limbs(values: Sequence[int]) -> NDArray[np.uint64]:
    limbs = [[value >> 52 * i & (1 << 52) - 1 if i < 4 else value >> 208 for value in values] for i in range(5)]
    return np.array(limbs, dtype=np.uint64).reshape(-1)


def _to_ints(limbs: NDArray[np.uint64]) -> list[int]:
    assert int(limbs.max()) < 1 << 52
    return [sum(int(limbs[8 * i + lane]) << 52 * i for i in range(5)) for lane in range(LANES)]


def _values(end: int) -> st.SearchStrategy[list[int]]:
    edges = [0, 1, P - 1, P, P + 1, 2**256 - 1, 2**256, end - 1]
    return st.lists(st.one_of(st.sampled_from(edges), st.integers(0, end - 1)), min_size=LANES, max_size=LANES)


@given(_values(LOOSE), _values(LOOSE), _values(TIGHT), _values(TIGHT))
@settings(max_examples=200, deadline=None)
def test_field__any_values_in_their_bounds__right_and_within_bounds(
    a: list[int], b: list[int], c: list[int], d: list[int]
) -> None:
    elements = np.zeros((14, field.ELEMENT_WORDS), dtype=np.uint64)
    for i, values in enumerate((a, b, c, d)):
        elements[i] = _to_limbs(values)
    _operate(elements)
    results = [_to_ints(each) for each in elements[4:]]
    expected = [
        [x * y for x, y in zip(a, b, strict=True)],
        [x * x for x in a],
        [x * y for x, y in zip(a, b, strict=True)],
        [pow(x, P - 2, P) for x in a],
        [x - y for x, y in zip(c, d, strict=True)],
        [x - 2 * y for x, y in zip(c, d, strict=True)],
        c,
        *([pow(x, (P + 1) // 4, P) for x in each] for each in (a, b)),
        [3 * x for x in c],
    ]
    for found, right in zip(results, expected, strict=True):
        assert [x % P for x in found] == [x % P for x in right]
    assert all(max(each) < TIGHT for each in results[:-1])
    assert max(results[6]) < P
    assert max(results[9]) < LOOSE


# --- programs -------------------------------------------------------------------------------------------------------


def _execute(program: Program, inputs: Sequence[int]) -> list[int]:
    """The program on exponents instead of points; a level reads what the levels before it left."""
    slots = [*inputs, *[0] * (program.slots - program.inputs)]
    start = 0
    for end in program.level_ends:
        written = {}
        for target, a, b, kind in program.ops[start:end].tolist():
            assert target not in written
            combined = {SUBTRACT: slots[a] - slots[b], ENDOMORPHISM: slots[a] * LAMBDA}
            written[target] = combined.get(kind, slots[a] + slots[b]) % ORDER
        reads = {slot for op in program.ops[start:end].tolist() for slot in op[1:3]}
        assert not reads & set(written)
        for target, value in written.items():
            slots[target] = value
        start = end
    return [slots[output] for output in program.outputs]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_compile_program__any_queries_and_keys__their_exponents(data: st.DataObject) -> None:
    segments, width, vectors = (data.draw(st.integers(1, largest)) for largest in (3, 20, 5))
    weights = st.lists(st.integers(0, 2 ** data.draw(st.integers(1, 8)) - 1), min_size=width, max_size=width)
    queries = np.array(data.draw(st.lists(weights, min_size=vectors, max_size=vectors)), dtype=np.int64)
    key = st.one_of(st.sampled_from([0, 1, ORDER - 1, LAMBDA, 2**128]), st.integers(0, ORDER - 1))
    etas = [[data.draw(key) for _ in range(vectors)] for _ in range(segments)]
    inputs = [data.draw(st.integers(1, ORDER - 1)) for _ in range(segments * width + 2)]
    expected = [
        (
            sum(int(z) * inputs[1 + s * width + j] for j, z in enumerate(queries[v]))
            - etas[s][v] * inputs[0]
            + inputs[-1]
        )
        % ORDER
        for s in range(segments)
        for v in range(vectors)
    ]
    assert _execute(compile_program(queries, etas), inputs) == expected


@given(st.integers(0, ORDER - 1), st.integers(2, 8))
def test_split__any_exponent__short_halves_and_their_digits(exponent: int, bits: int) -> None:
    halves = split(exponent)
    assert (halves[0] + halves[1] * LAMBDA - exponent) % ORDER == 0
    for half in halves:
        assert abs(half) < 2**128
        digits = signed_digits(half, bits)
        assert sum(digit << bits * i for i, digit in enumerate(digits)) == half
        assert max(map(abs, digits)) <= 1 << bits - 1


@pytest.mark.parametrize("bits", [0, 1, 2, 5])
def test_multiples_program__any_size__arithmetic_progression(bits: int) -> None:
    odd = multiples_program(bits, is_odd_only=True)
    assert _execute(odd, [7]) == [7 * d for d in range(1, 2 << bits, 2)]
    stepped = multiples_program(bits, is_odd_only=False)
    start = [100, *[0] * ((1 << bits) - 1), 3]
    assert _execute(Program(stepped.ops, stepped.level_ends, stepped.outputs, len(start), stepped.slots), start) == [
        100 + 3 * i for i in range(1 << bits)
    ]


def test_compile_program__mnist__half_the_additions_of_one_by_one() -> None:
    queries = np.random.default_rng(1).integers(0, 8, (32, 784))
    one_by_one = sum(int(weight).bit_count() for weight in queries.flat)
    assert compile_program(queries, [[ORDER // 3 + i for i in range(32)]]).additions < one_by_one * 0.55


# --- the same as the reference --------------------------------------------------------------------------------------


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_decrypt__any_rows_and_queries__either_way_round(data: st.DataObject) -> None:
    segments, width, vectors, n = (data.draw(st.integers(1, largest)) for largest in (3, 6, 4, 20))
    bits, k = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 8))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    x = rng.integers(0, 2**bits, (n, segments * width), dtype=np.uint8)
    queries = rng.integers(0, 2**k, (vectors, width))
    master, bound = MasterKey.generate(segments * width), width * (2**bits - 1) * (2**k - 1)
    etas = _etas(master, queries, segments)
    expected = (x.reshape(n, segments, width).astype(np.int64) @ queries.T).reshape(n, -1).tolist()
    for encrypting, decrypting in ((FAST, REFERENCE), (REFERENCE, FAST), (FAST, FAST)):
        opened = decrypting.decrypt(encrypting.encrypt(master, x), queries, etas, bound)
        assert opened.dtype == np.int64
        assert opened.tolist() == expected


@pytest.mark.parametrize(
    ("x", "z", "expected"),
    [
        ([0], [0], 0),
        ([0], [1], 0),
        ([1], [1], 1),
        ([255], [255], 65_025),
        ([0, 0], [3, 7], 0),
        ([9, 9], [0, 0], 0),
        ([0, 9], [7, 0], 0),
        ([255] * 40, [255] * 40, 2_601_000),
        ([15] * 784, [7] * 784, 82_320),
    ],
)
def test_decrypt__edges__known_values(x: list[int], z: list[int], expected: int) -> None:
    master, queries, bound = MasterKey.generate(len(x)), np.array([z]), len(x) * 65_025
    assert FAST.decrypt(FAST.encrypt(master, _rows(x)), queries, _etas(master, queries), bound) == [[expected]]


def test_decrypt__giant_steps__found_across_tables_and_not_beyond(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simd_backend, "_LARGEST_TABLE_BITS", 4)
    master, queries = MasterKey.generate(2), np.array([[1, 0], [10, 1], [0, 0]])
    x = _rows([0, 0], [15, 0], [16, 1], [17, 200], [21, 0])
    ciphertexts, etas = FAST.encrypt(master, x), _etas(master, queries)
    assert FAST.decrypt(ciphertexts, queries, etas, 1000).tolist() == (x.astype(np.int64) @ queries.T).tolist()
    with pytest.raises(DecryptionFailed, match=r"row 3, inner product 1 is not in 0\.\.369"):
        FAST.decrypt(ciphertexts, queries, etas, 369)


@given(
    st.lists(st.one_of(st.sampled_from([1, 2, ORDER - 1, LAMBDA]), st.integers(1, ORDER - 1)), min_size=1, max_size=40),
    st.integers(1, 5),
)
@settings(deadline=None)
def test_decompress__any_points__as_coincurve_writes_them(exponents: list[int], width: int) -> None:
    exponents = (exponents * width)[: -(-len(exponents) // width) * width]
    keys = [coincurve.PrivateKey.from_int(exponent).public_key for exponent in exponents]
    whole, compressed = (
        np.array([list(key.format(compressed=is_short)) for key in keys], dtype=np.uint8) for is_short in (False, True)
    )
    points = whole[:, 1:].reshape(-1, width, 64)
    assert np.array_equal(compress_points(points), compressed.reshape(-1, width, 33))
    for each in (FAST, REFERENCE):
        assert np.array_equal(each.decompress(compress_points(points)), points)


def test_decompress__more_points_than_one_part__all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simd_backend, "_ROOTS_AT_ONCE", 24)
    points = FAST.encrypt(MasterKey.generate(2), np.ones((31, 2), np.uint8))
    assert np.array_equal(FAST.decompress(compress_points(points)), points)


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 100])
def test_encrypt__each_point__is_what_the_paper_says(rows: int) -> None:
    master = MasterKey((3, 5, ORDER - 1))
    x = np.random.default_rng(rows).integers(0, 256, (rows, 3), dtype=np.uint8)
    for features, (ct_0, *rest) in zip(x.tolist(), FAST.encrypt(master, x), strict=True):
        for s, feature, ct in zip(master.secret, features, rest, strict=True):
            h_to_r = coincurve.PublicKey(b"\x04" + ct_0.tobytes()).multiply(s.to_bytes(32, "big"))
            expected = h_to_r.add(feature.to_bytes(32, "big")) if feature else h_to_r
            assert ct.tobytes() == expected.format(compressed=False)[1:]


def test_encrypt__many_rows__fresh_randomness_for_each() -> None:
    ciphertexts = FAST.encrypt(MasterKey.generate(2), np.ones((500, 2), np.uint8))
    assert len({point.tobytes() for row in ciphertexts for point in row}) == 1500


def test_encrypt__wide_table__same_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """The widths 4 to 14 are chosen by the amount of work; each must decrypt."""
    master, queries, x = MasterKey.generate(3), np.array([[1, 2, 4]]), _rows([1, 0, 255], [0, 7, 9])
    for width in (1, 2, 4, 7, 11, 12):
        monkeypatch.setattr(encryptor, "window_width", lambda points, width=width: width)
        opened = REFERENCE.decrypt(FAST.encrypt(master, x), queries, _etas(master, queries), 2000)
        assert opened.tolist() == [[1021], [50]]


def test_decrypt__colliding_points__left_to_the_reference() -> None:
    """Equal and opposite points, made so on purpose, in one row of many: doublings and identities on the way."""
    master = MasterKey((11, ORDER - 11, 7, 11))
    x = np.full((40, 4), 2, dtype=np.uint8)
    x[5] = [0, 0, 9, 0]
    ciphertexts = FAST.encrypt(master, x)
    assert ciphertexts[5, 2].tobytes() == _negated(ciphertexts[5, 1]).tobytes()
    assert ciphertexts[5, 4].tobytes() == ciphertexts[5, 1].tobytes()
    queries = np.array([[4, 4, 3, 0], [1, 1, 0, 0], [2, 0, 0, 2], [1, 1, 1, 1]])
    etas = _etas(master, queries)
    assert FAST.decrypt(ciphertexts, queries, etas, 100).tolist() == (x.astype(np.int64) @ queries.T).tolist()


def test_decrypt__zero_etas__open() -> None:
    master, queries = MasterKey((5, ORDER - 5)), np.array([[1, 1], [2, 2], [0, 0]])
    x = _rows([2, 1], [0, 0])
    assert FAST.decrypt(FAST.encrypt(master, x), queries, [[0, 0, 0]], 20).tolist() == [[3, 6, 0], [0, 0, 0]]


@pytest.mark.parametrize("threads", [1, 3])
def test_decrypt__any_number_of_threads__same_results_and_progress_to_the_end(threads: int) -> None:
    compute, master, queries = NumbaBackend(threads), MasterKey.generate(3), np.array([[1, 2, 3], [4, 5, 6]])
    x = np.random.default_rng(3).integers(0, 16, (700, 3), dtype=np.uint8)
    for operation in ("encrypt", "decrypt"):
        seen: list[tuple[int, int]] = []
        if operation == "encrypt":
            ciphertexts = compute.encrypt(master, x, lambda *p, seen=seen: seen.append(p))
        else:
            opened = compute.decrypt(
                ciphertexts, queries, _etas(master, queries), 300, lambda *p, seen=seen: seen.append(p)
            )
        assert seen == sorted(seen)
        assert seen[-1] == (700, 700)
    assert opened.tolist() == (x.astype(np.int64) @ queries.T).tolist()


def test_verify_keys__as_the_reference() -> None:
    master, queries = MasterKey.generate(4), np.array([[1, 2], [3, 0]])
    etas = _etas(master, queries, 2)
    etas[1][0] += 1
    public = FAST.public_key(master)
    assert public.points.tobytes() == REFERENCE.public_key(master).points.tobytes()
    assert FAST.verify_keys(public, queries, etas).tolist() == [[True, True], [False, True]]


# --- choosing -------------------------------------------------------------------------------------------------------


def test_backend__named__that_one() -> None:
    assert (backend("numba").name, backend("coincurve").name, backend().name) == ("numba", "coincurve", "auto")


@pytest.mark.parametrize(
    ("seconds", "kernels", "expected"),
    [
        (0.01, "loaded", "coincurve"),
        (0.1, "loaded", "numba"),
        (0.9, "compiled", "coincurve"),
        (1.5, "compiled", "numba"),
        (5.0, "missing", "coincurve"),
        (100.0, "missing", "numba"),
    ],
)
def test_automatic_backend__by_the_amount_of_work(
    monkeypatch: pytest.MonkeyPatch, seconds: float, kernels: str, expected: str
) -> None:
    module = sys.modules["pole.encryption.backend"]
    monkeypatch.setattr(module, "is_loaded", lambda: kernels == "loaded")
    monkeypatch.setattr(module, "is_compiled", lambda: kernels != "missing")
    automatic: Any = backend()
    assert automatic._choose(seconds).name == expected


@pytest.mark.parametrize(("reference_s", "expected"), [(0.8, 0.8), (3.0, 1.12), (1260.0, 51.4)])
def test_expected_s__small_work_as_the_reference__large_work_far_less(
    monkeypatch: pytest.MonkeyPatch, reference_s: float, expected: float
) -> None:
    module = sys.modules["pole.encryption.backend"]
    monkeypatch.setattr(module, "is_loaded", lambda: False)
    monkeypatch.setattr(module, "is_compiled", lambda: True)
    monkeypatch.setattr(module, "has_ifma", lambda: True)
    assert expected_s(reference_s) == pytest.approx(expected)


def test_default_threads__own_setting_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("POLE_THREADS", "2")
    assert default_threads() == 2
    monkeypatch.delenv("POLE_THREADS")
    assert default_threads() == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert default_threads() >= 1


# --- all keys at once -----------------------------------------------------------------------------------------------


def test_all_keys_match__public_key_of_other_size__refused() -> None:
    with pytest.raises(BadInput, match="has 3 features, the keys 4"):
        all_keys_match(REFERENCE.public_key(MasterKey.generate(3)), np.array([[1, 2]]), [[1], [2]])


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_all_keys_match__right_until_one_is_wrong(data: st.DataObject) -> None:
    segments, width, vectors = (data.draw(st.integers(1, largest)) for largest in (3, 5, 4))
    queries = np.random.default_rng(data.draw(st.integers(0, 2**32))).integers(0, 8, (vectors, width))
    master = MasterKey.generate(segments * width)
    public, etas = REFERENCE.public_key(master), _etas(master, queries, segments)
    assert all_keys_match(public, queries, etas)
    segment, vector = data.draw(st.integers(0, segments - 1)), data.draw(st.integers(0, vectors - 1))
    etas[segment][vector] = (etas[segment][vector] + data.draw(st.integers(1, ORDER - 1))) % ORDER
    assert not all_keys_match(public, queries, etas)


def test_all_keys_match__two_errors_that_cancel__found() -> None:
    """The sum of the equations holds; only random coefficients tell."""
    master, queries = MasterKey.generate(2), np.array([[1, 2], [3, 4]])
    etas = _etas(master, queries)
    etas[0][0], etas[0][1] = etas[0][0] + 1, etas[0][1] - 1
    assert not all_keys_match(REFERENCE.public_key(master), queries, etas)


@pytest.mark.parametrize(("eta", "expected"), [(0, True), (1, False)])
def test_all_keys_match__both_sides_may_be_the_identity(eta: int, expected: bool) -> None:
    public = REFERENCE.public_key(MasterKey((5, ORDER - 5)))
    assert all_keys_match(public, np.array([[3, 3], [0, 0]]), [[eta, 0]]) is expected
