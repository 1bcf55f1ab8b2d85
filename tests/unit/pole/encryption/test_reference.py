"""Inner-product encryption: what is refused, the scheme's equations on known points, keys and their files."""

import hashlib
import itertools
import json
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import coincurve
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pole.encryption import MasterKey, PublicKey, backend, max_public_key_bytes
from pole.encryption.group import ORDER, DiscreteLog, new_points, power_of_g, store_points
from pole.errors import BadInput, DataInvalid, DecryptionFailed, KeyRefused
from pole.learning.functional_keys import (
    FunctionalKeys,
    check_keys,
    issue_keys,
    issued_rank,
    max_keys_bytes,
    warning_rank,
)
from pole.storage.cid import cid_of
from pole.task.manifest import Manifest

HASH = hashlib.sha256(b"previous header").digest()
OTHER_HASH = hashlib.sha256(b"another header").digest()
BACKEND = backend()


def _manifest(**changes: Any) -> Manifest:
    """Dense: 16 features in 2 segments, 3 vectors each."""
    document = {
        "name": "small",
        "version": 2,
        "model": {"kind": "graph", "layers": [{"type": "linear", "name": "last", "size": 2}]},
        "data": {
            "shape": [16],
            "class_names": ["a", "b"],
            "discretisation": {"bits": 4, "minimum": [0.0], "maximum": [1.0]},
            "training_set": [{"cid": str(cid_of(b"")), "rows": 1, "size_bytes": 1}],
            "test_rows": 0,
            "test_size_bytes": 0,
        },
        "mapping": {"kind": "dense", "vectors": 3, "segments": 2},
        "encryption": {"scheme": "ipfe-secp256k1", "public_key": str(cid_of(b"")), "rank_limit": 6},
        "max_model_bytes": 1000,
    }
    for path, value in changes.items():
        *parents, last = path.split("__")
        target: Any = document
        for parent in parents:
            target = target[parent]
        target[last] = value
    return Manifest.from_bytes(json.dumps(document).encode())


CONVOLUTIONAL = {"data__shape": [1, 4, 4], "mapping": {"kind": "convolutional", "filters": 2, "kernel": 3}}


def _etas(master: MasterKey, queries: NDArray[np.int64], segments: int = 1) -> list[list[int]]:
    """<s, z> by definition."""
    width = queries.shape[1]
    return [
        [sum(s * int(z) for s, z in zip(master.secret[k * width : (k + 1) * width], q, strict=True)) for q in queries]
        for k in range(segments)
    ]


def _rows(*rows: Sequence[int]) -> NDArray[np.uint8]:
    return np.array(rows, dtype=np.uint8)


def _negated(points: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The inverses: y -> p - y."""
    p = 2**256 - 2**32 - 977
    y = (p - int.from_bytes(points[32:].tobytes(), "big")).to_bytes(32, "big")
    return np.concatenate([points[:32], np.frombuffer(y, dtype=np.uint8)])


# --- what is refused ------------------------------------------------------------------------------------------------


def test_backend__unknown_name__refused() -> None:
    with pytest.raises(BadInput, match="no encryption backend 'gpu'"):
        backend("gpu")  # type: ignore[arg-type]


@pytest.mark.parametrize("x", [_rows([1, 2, 3]), np.zeros((0, 2), np.uint8), np.zeros((1, 2))])
def test_encrypt__rows_of_other_form__refused(x: Any) -> None:
    with pytest.raises(BadInput, match=r"need uint8 \[n, 2\] with n >= 1"):
        BACKEND.encrypt(MasterKey.generate(2), x)


@given(st.integers(1, ORDER - 1))
@settings(max_examples=15, deadline=None)
def test_decrypt__any_wrong_eta__detected(error: int) -> None:
    master, queries = MasterKey.generate(3), np.array([[1, 2, 3]])
    ciphertexts = BACKEND.encrypt(master, _rows([1, 2, 3]))
    wrong = [[(_etas(master, queries)[0][0] + error) % ORDER]]
    with pytest.raises(DecryptionFailed, match=r"row 0, inner product 0 is not in 0\.\.90"):
        BACKEND.decrypt(ciphertexts, queries, wrong, 90)
    assert not BACKEND.verify_keys(BACKEND.public_key(master), queries, wrong).any()


def test_decrypt__key_of_another_master__detected() -> None:
    queries = np.array([[1, 2, 3]])
    ciphertexts = BACKEND.encrypt(MasterKey.generate(3), _rows([1, 2, 3]))
    with pytest.raises(DecryptionFailed, match="does not fit the data"):
        BACKEND.decrypt(ciphertexts, queries, _etas(MasterKey.generate(3), queries), 90)


def test_decrypt__result_above_the_bound__detected() -> None:
    master, queries = MasterKey.generate(2), np.array([[1, 1]])
    ciphertexts = BACKEND.encrypt(master, _rows([5, 5], [5, 6]))
    with pytest.raises(DecryptionFailed, match=r"row 1, inner product 0 is not in 0\.\.10"):
        BACKEND.decrypt(ciphertexts, queries, _etas(master, queries), 10)


def test_decrypt__point_off_the_curve__row_and_point_named() -> None:
    master, queries = MasterKey.generate(2), np.array([[1, 1]])
    ciphertexts = BACKEND.encrypt(master, _rows([5, 5], [5, 6]))
    ciphertexts[1, 2, 63] ^= 1
    with pytest.raises(DataInvalid, match="row 1: point 2 of 3 is not on the curve"):
        BACKEND.decrypt(ciphertexts, queries, _etas(master, queries), 100)


def test_decrypt__keys_of_other_dimension__refused() -> None:
    ciphertexts = BACKEND.encrypt(MasterKey.generate(2), _rows([5, 5]))
    with pytest.raises(BadInput, match="keys are for 3 features"):
        BACKEND.decrypt(ciphertexts, np.array([[1, 1, 1]]), [[1]], 100)


def test_decrypt__too_few_keys__refused() -> None:
    with pytest.raises(BadInput, match="segment 1 has 1 functional keys for 2 query vectors"):
        BACKEND.decrypt(np.zeros((1, 5, 64), np.uint8), np.array([[1, 1], [1, 0]]), [[1, 2], [1]], 100)


def test_issue_keys__plain_task__refused() -> None:
    with pytest.raises(KeyRefused, match="not encrypted"):
        issue_keys(MasterKey.generate(16), _manifest(encryption={"scheme": "none"}), HASH)


def test_issue_keys__master_of_another_task__refused() -> None:
    with pytest.raises(KeyRefused, match="15 features, the task 16"):
        issue_keys(MasterKey.generate(15), _manifest(), HASH)


def test_issue_keys__rank_limit__refused_once_it_would_be_passed() -> None:
    master, manifest = MasterKey.generate(16), _manifest()
    assert issued_rank(manifest, [HASH, OTHER_HASH]) == 6
    issue_keys(master, manifest, OTHER_HASH, [HASH])
    with pytest.raises(KeyRefused, match=r"keys of rank 8 would be out, the task's limit is 6 of 8"):
        issue_keys(master, manifest, hashlib.sha256(b"third").digest(), [HASH, OTHER_HASH])


def test_check_keys__other_round_or_task__refused() -> None:
    master, manifest = MasterKey.generate(16), _manifest()
    public, keys = BACKEND.public_key(master), issue_keys(master, manifest, HASH)
    with pytest.raises(KeyRefused, match="those of another round"):
        check_keys(public, keys, manifest, OTHER_HASH)
    with pytest.raises(KeyRefused, match="those of another round"):
        check_keys(public, keys, _manifest(name="other"), HASH)


def test_check_keys__missing_keys__refused() -> None:
    master, manifest = MasterKey.generate(16), _manifest()
    keys = issue_keys(master, manifest, HASH)
    fewer = FunctionalKeys(keys.manifest, HASH, keys.etas[:1])
    with pytest.raises(KeyRefused, match="not 2 x 3 functional keys"):
        check_keys(BACKEND.public_key(master), fewer, manifest, HASH)


@pytest.mark.parametrize(("segment", "vector"), list(itertools.product(range(2), range(3))))
def test_check_keys__one_wrong_eta__named(segment: int, vector: int) -> None:
    master, manifest = MasterKey.generate(16), _manifest()
    keys = issue_keys(master, manifest, HASH)
    etas = [list(each) for each in keys.etas]
    etas[segment][vector] = (etas[segment][vector] + 1) % ORDER
    forged = FunctionalKeys(keys.manifest, HASH, tuple(map(tuple, etas)))
    with pytest.raises(KeyRefused, match=rf"segment {segment}, vector {vector} does not match .* \(1 of 6 do not\)"):
        check_keys(BACKEND.public_key(master), forged, manifest, HASH)


def test_check_keys__zero_eta__refused() -> None:
    master, manifest = MasterKey.generate(16), _manifest()
    keys = issue_keys(master, manifest, HASH)
    zeros = FunctionalKeys(keys.manifest, HASH, ((0,) * 3,) * 2)
    with pytest.raises(KeyRefused, match="6 of 6"):
        check_keys(BACKEND.public_key(master), zeros, manifest, HASH)


def test_check_keys__convolutional_secret_with_one_wrong_entry__refused() -> None:
    master, manifest = MasterKey.generate(16), _manifest(**CONVOLUTIONAL)
    keys = issue_keys(master, manifest, HASH)
    forged = FunctionalKeys(keys.manifest, HASH, (*keys.etas[:9], (keys.etas[9][0] ^ 1,), *keys.etas[10:]))
    with pytest.raises(KeyRefused, match="segment 9"):
        check_keys(BACKEND.public_key(master), forged, manifest, HASH)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04.",
        b"[" * 100_000,
        b'{"version":1}',
        b'{"etas":[["%064d"]],"manifest":"nonsense","previous_hash":"%064d","version":1}' % (0, 0),
        b'{"etas":[["%064d"]],"manifest":"%s","previous_hash":"%064d","version":2}' % (0, str(cid_of(b"")).encode(), 0),
        b'{"etas":[["-1"]],"manifest":"%s","previous_hash":"%064d","version":1}' % (str(cid_of(b"")).encode(), 0),
        b'{"etas":[[]],"manifest":"%s","previous_hash":"%064d","version":1}' % (str(cid_of(b"")).encode(), 0),
        b'{"etas":[["%s"]],"manifest":"%s","previous_hash":"%064d","version":1}'
        % (b"f" * 64, str(cid_of(b"")).encode(), 0),
    ],
)
def test_functional_keys_from_bytes__malformed__refused(content: bytes) -> None:
    with pytest.raises(KeyRefused, match="client's mistake"):
        FunctionalKeys.from_bytes(content)


def test_public_key_from_bytes__wrong_size_or_off_the_curve__refused() -> None:
    public = BACKEND.public_key(MasterKey.generate(3))
    with pytest.raises(DataInvalid, match=r"uint8 \[4, 64\]"):
        PublicKey.from_bytes(public.to_bytes(), 4)
    public.points[1, 0] ^= 1
    with pytest.raises(DataInvalid, match="point 1 of 3 is not on the curve"):
        PublicKey.from_bytes(public.to_bytes(), 3)


def test_master_key_save__file_exists__kept(tmp_path: Path) -> None:
    path, first = tmp_path / "master.json", MasterKey.generate(2)
    first.save(path)
    with pytest.raises(BadInput, match="exists; keep it"):
        MasterKey.generate(2).save(path)
    assert MasterKey.load(path) == first


def test_master_key_save__no_such_directory__refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot write the master key"):
        MasterKey.generate(2).save(tmp_path / "missing" / "master.json")


def test_master_key_load__readable_by_others__refused(tmp_path: Path) -> None:
    path = tmp_path / "master.json"
    MasterKey.generate(2).save(path)
    path.chmod(0o640)
    with pytest.raises(BadInput, match="mode 640, open to other users; run chmod 600"):
        MasterKey.load(path)


@pytest.mark.parametrize("secret", ["00" * 32, "ff" * 32, "abc"])
def test_master_key_load__no_key__refused_without_showing_it(tmp_path: Path, secret: str) -> None:
    path = tmp_path / "master.json"
    path.write_text(json.dumps({"version": 2, "secret": [secret]}))
    path.chmod(0o600)
    with pytest.raises(BadInput, match="not a master key file") as caught:
        MasterKey.load(path)
    assert secret not in str(caught.value)
    assert caught.value.__cause__ is None


def test_master_key_load__missing__refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot read the master key"):
        MasterKey.load(tmp_path / "none.json")


# --- the scheme -----------------------------------------------------------------------------------------------------


def test_encrypt__each_point__is_what_the_paper_says() -> None:
    master = MasterKey((3, 5))
    ct_0, *rest = BACKEND.encrypt(master, _rows([7, 0]))[0]
    for s, x, ct in zip(master.secret, (7, 0), rest, strict=True):
        h_to_r = coincurve.PublicKey(b"\x04" + ct_0.tobytes()).multiply(s.to_bytes(32, "big"))
        expected = h_to_r.add(x.to_bytes(32, "big")) if x else h_to_r
        assert ct.tobytes() == expected.format(compressed=False)[1:]


def test_encrypt__same_row_twice__unlike_ciphertexts() -> None:
    ciphertexts = BACKEND.encrypt(MasterKey.generate(2), _rows([1, 1], [1, 1]))
    assert len({point.tobytes() for row in ciphertexts for point in row}) == 6


def test_public_key__known_scalars__their_points() -> None:
    points = BACKEND.public_key(MasterKey((1, 2**200 + 1))).points
    for scalar, point in zip((1, 2**200 + 1), points, strict=True):
        assert point.tobytes() == coincurve.PrivateKey.from_int(scalar).public_key.format(compressed=False)[1:]


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_decrypt__any_rows_and_queries__inner_products(data: st.DataObject) -> None:
    segments, width, vectors, n = (data.draw(st.integers(1, largest)) for largest in (3, 5, 3, 2))
    bits, k = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 8))
    x = np.array(data.draw(_matrix(n, segments * width, 2**bits - 1)), dtype=np.uint8)
    queries = np.array(data.draw(_matrix(vectors, width, 2**k - 1)), dtype=np.int64)
    master, bound = MasterKey.generate(segments * width), width * (2**bits - 1) * (2**k - 1)
    etas = _etas(master, queries, segments)
    opened = BACKEND.decrypt(BACKEND.encrypt(master, x), queries, etas, bound)
    expected = x.reshape(n, segments, width).astype(np.int64) @ queries.T
    assert opened.tolist() == expected.reshape(n, -1).tolist()
    assert BACKEND.verify_keys(BACKEND.public_key(master), queries, etas).all()


def _matrix(rows: int, columns: int, largest: int) -> st.SearchStrategy[list[list[int]]]:
    return st.lists(st.lists(st.integers(0, largest), min_size=columns, max_size=columns), min_size=rows, max_size=rows)


@pytest.mark.parametrize(
    ("x", "z", "expected"),
    [
        ([0, 0], [3, 7], 0),
        ([9, 9], [0, 0], 0),
        ([0, 9], [7, 0], 0),
        ([0], [1], 0),
        ([255], [255], 65_025),
        ([255, 255], [7, 7], 3570),
        ([1, 1], [4, 4], 8),
    ],
)
def test_decrypt__edges__known_values(x: list[int], z: list[int], expected: int) -> None:
    master, queries = MasterKey.generate(len(x)), np.array([z])
    bound = len(x) * 65_025
    assert BACKEND.decrypt(BACKEND.encrypt(master, _rows(x)), queries, _etas(master, queries), bound) == [[expected]]


def test_decrypt__zero_eta_of_a_non_zero_query__opens_and_verifies() -> None:
    master, queries = MasterKey((5, ORDER - 5)), np.array([[1, 1], [2, 2]])
    etas = [[0, 0]]
    assert BACKEND.decrypt(BACKEND.encrypt(master, _rows([2, 1], [0, 0])), queries, etas, 20).tolist() == [
        [3, 6],
        [0, 0],
    ]
    assert BACKEND.verify_keys(BACKEND.public_key(master), queries, etas).all()
    assert not BACKEND.verify_keys(BACKEND.public_key(master), queries, [[0, 1]])[0, 1]


def test_decrypt__intermediate_sum_is_the_identity__still_right() -> None:
    """A hostile client's ct_2 = ct_1^-1 cancels in the highest bits; every backend must agree on what follows."""
    master = MasterKey((11, ORDER - 11, 7))
    ciphertexts = BACKEND.encrypt(master, _rows([0, 0, 9]))
    assert ciphertexts[0, 2].tobytes() == _negated(ciphertexts[0, 1]).tobytes()
    queries = np.array([[4, 4, 3], [4, 4, 0]])
    assert BACKEND.decrypt(ciphertexts, queries, _etas(master, queries), 100).tolist() == [[27, 0]]


def test_decrypt__progress__reaches_the_total() -> None:
    master, queries, seen = MasterKey.generate(1), np.array([[1]]), []
    BACKEND.decrypt(
        BACKEND.encrypt(master, np.ones((20, 1), np.uint8)),
        queries,
        _etas(master, queries),
        1,
        lambda *p: seen.append(p),
    )
    assert seen == [(8, 20), (16, 20), (20, 20)]


@pytest.mark.parametrize("bound", [1, 2, 65_535, 65_536, 65_537, 200_000])
def test_discrete_log__around_the_table__found_up_to_the_bound(bound: int) -> None:
    log, point = DiscreteLog(bound), new_points(1)
    for exponent in {1, 2, 65_535, 65_536, 65_537, 131_072, 131_073, bound - 1, bound, bound + 1, ORDER - 1}:
        if power_of_g(point, exponent):
            before = store_points(point, 1).tobytes()
            assert log.find(point) == (exponent if exponent <= bound else None)
            assert store_points(point, 1).tobytes() == before


# --- keys and their files -------------------------------------------------------------------------------------------


def test_master_key__representations__hold_no_secret() -> None:
    master = MasterKey.generate(2)
    keys = issue_keys(MasterKey.generate(16), _manifest(), HASH)
    shown = f"{master} {master!r} {keys} {keys!r}"
    for scalar in (*master.secret, *keys.etas[0]):
        assert str(scalar) not in shown
        assert f"{scalar:x}" not in shown


def test_master_key_save__read_back__same_key_for_its_owner_only(tmp_path: Path) -> None:
    path, master = tmp_path / "master.json", MasterKey.generate(5)
    master.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert MasterKey.load(path) == master
    assert list(tmp_path.iterdir()) == [path]


def test_issue_keys__dense__open_the_mapping_and_survive_their_file() -> None:
    master, manifest = MasterKey.generate(16), _manifest()
    content = issue_keys(master, manifest, HASH).to_bytes()
    keys = FunctionalKeys.from_bytes(content)
    assert keys.to_bytes() == content == issue_keys(master, manifest, HASH).to_bytes()
    assert len(content) <= max_keys_bytes(manifest)
    check_keys(BACKEND.public_key(master), keys, manifest, HASH)


def test_issue_keys__convolutional__are_the_secret_itself() -> None:
    master, manifest = MasterKey.generate(16), _manifest(**CONVOLUTIONAL)
    keys = issue_keys(master, manifest, HASH, [OTHER_HASH])
    assert [eta for (eta,) in keys.etas] == list(master.secret)
    assert len(keys.to_bytes()) <= max_keys_bytes(manifest)
    check_keys(BACKEND.public_key(master), keys, manifest, HASH)


def test_issue_keys__same_round_again__leaks_nothing_more() -> None:
    master, manifest = MasterKey.generate(16), _manifest()
    assert issued_rank(manifest, []) == 0
    assert issued_rank(manifest, [HASH, HASH]) == 3
    assert issue_keys(master, manifest, HASH, [HASH, OTHER_HASH]) == issue_keys(master, manifest, HASH)


def test_warning_rank__a_quarter_of_a_segment() -> None:
    assert warning_rank(_manifest()) == 2


def test_public_key__read_back__same_points() -> None:
    public = BACKEND.public_key(MasterKey.generate(3))
    assert np.array_equal(PublicKey.from_bytes(public.to_bytes(), 3).points, public.points)
    assert len(public.to_bytes()) <= max_public_key_bytes(3)
