"""CIDs: what is refused, then published vectors, then trees assembled by hand."""

import base64
import contextlib
import hashlib
import io
from itertools import pairwise
from pathlib import Path

import pytest
from Crypto.Cipher import ChaCha20
from hypothesis import given
from hypothesis import strategies as st
from multiformats import CID

from pole.errors import BadInput, ContentNotFound, StoreError
from pole.storage.cid import CHUNK_BYTES, DAG_PB, MAX_LINKS, RAW, Cid, ContentHasher, cid_of, cid_of_file, cid_of_stream

EMPTY = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
HELLO_WORLD = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"

# Kubo's own expectations for 1 MiB chunks, raw leaves and 174 links, of ChaCha20 key streams seeded "v1-seed".
# Source: github.com/ipfs/kubo, test/cli/add_test.go and test/cli/testutils/random_deterministic.go.
KUBO_174_MIB = "bafybeigwduxcf2aawppv3isnfeshnimkyplvw3hthxjhr2bdeje4tdaicu"
KUBO_175_MIB = "bafybeidhd7lo2n2v7lta5yamob3xwhbxcczmmtmhquwhjesi35jntf7mpu"


def _text(content: bytes) -> str:
    return "b" + base64.b32encode(content).decode().lower().rstrip("=")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is not a CID"),
        ("../../etc/passwd", "is not a CID"),
        ("Qmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyfD", "is not a CID"),
        (EMPTY.upper(), "is not a CID"),
        (EMPTY + "a", "is not a CID"),
        (EMPTY[:-1], "is not a CID"),
        ("z" + EMPTY[1:], "is not a CID"),
        ("b" + "1" * 58, "need base32"),
        ("b" + "/" * 58, "need base32"),
        ("b" + "\u0131" * 58, "is not a CID"),
        ("b" * 1_000_000, "is not a CID"),
        (EMPTY[:-1] + "v", "canonical"),
        (_text(b"\x02\x55\x12\x20" + bytes(32)), "version 2"),
        (_text(b"\x01\x55\x13\x20" + bytes(32)), "sha2-256"),
        (_text(b"\x01\x55\x12\x1f" + bytes(32)), "sha2-256"),
        (_text(b"\x01\x71\x12\x20" + bytes(32)), "0x71"),
    ],
)
def test_parse__anything_but_the_canonical_form__refused(text: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint) as caught:
        Cid.parse(text)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(("codec", "digest"), [(0, bytes(32)), (0x71, bytes(32)), (RAW, b""), (RAW, bytes(33))])
def test_from_tuple__impossible_pair_on_chain__refused(codec: int, digest: bytes) -> None:
    with pytest.raises(BadInput):
        Cid.from_tuple(codec, digest)


def test_cid_of_file__missing_file__names_the_path(tmp_path: Path) -> None:
    with pytest.raises(ContentNotFound, match=r"nothing\.bin"):
        cid_of_file(tmp_path / "nothing.bin")


def test_cid_of_file__directory__says_that_it_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot read"):
        cid_of_file(tmp_path)


@given(st.text(max_size=80))
def test_parse__any_text__returns_itself_or_bad_input(text: str) -> None:
    with contextlib.suppress(BadInput):
        assert str(Cid.parse(text)) == text


@given(st.sampled_from([RAW, DAG_PB]), st.binary(min_size=32, max_size=32))
def test_text_and_tuple__any_cid__round_trip_and_agree_with_multiformats(codec: int, digest: bytes) -> None:
    cid = Cid(codec, digest)
    other = CID("base32", 1, codec, bytes((0x12, 0x20)) + digest)
    assert Cid.parse(str(cid)) == cid == Cid.from_tuple(*cid.as_tuple())
    assert str(other) == str(cid)
    assert bytes(other) == cid.to_bytes()


@pytest.mark.parametrize(("content", "text"), [(b"", EMPTY), (b"hello world", HELLO_WORLD)])
def test_cid_of__published_small_content__raw_block(content: bytes, text: str) -> None:
    assert str(cid_of(content)) == text


def test_cid_of__one_full_chunk__is_still_raw() -> None:
    content = b"x" * CHUNK_BYTES
    assert cid_of(content) == Cid(RAW, hashlib.sha256(content).digest())
    assert cid_of(content + b"x").codec == DAG_PB


def test_cid_of__two_chunks__equals_block_assembled_by_hand() -> None:
    first, second = b"a" * 262_144, b"b"
    links = b""
    for leaf, tsize in ((first, "808010"), (second, "01")):  # 262144 and 1 as varints
        hash_field = "0a24" + "01551220" + hashlib.sha256(leaf).hexdigest()
        message = bytes.fromhex(hash_field + "1200" + "18" + tsize)
        links += b"\x12" + bytes([len(message)]) + message
    unixfs = bytes.fromhex("0802" + "18818010" + "20808010" + "2001")  # type file, size 262145, block sizes
    block = links + b"\x0a" + bytes([len(unixfs)]) + unixfs
    assert cid_of(first + second) == Cid(DAG_PB, hashlib.sha256(block).digest())


def test_hasher__kubo_vectors_around_one_full_node__agree() -> None:
    stream = ChaCha20.new(key=hashlib.sha256(b"v1-seed").digest(), nonce=bytes(12))
    full, wider = ContentHasher(chunk_bytes=1 << 20), ContentHasher(chunk_bytes=1 << 20)
    for index in range(175):
        piece = stream.encrypt(bytes(1 << 20))
        wider.update(piece)
        if index < MAX_LINKS:
            full.update(piece)
    assert str(full.finish()) == KUBO_174_MIB
    assert str(wider.finish()) == KUBO_175_MIB


def _reference_cid(content: bytes, chunk: int) -> Cid:
    """The same tree by the textbook: build whole levels, last to first, from a plain list."""
    pieces = [content[i : i + chunk] for i in range(0, len(content), chunk)] or [b""]
    level = [(Cid(RAW, hashlib.sha256(p).digest()), len(p), len(p)) for p in pieces]
    while len(level) > 1:
        level = [_reference_node(level[i : i + MAX_LINKS]) for i in range(0, len(level), MAX_LINKS)]
    return level[0][0]


def _reference_node(children: list[tuple[Cid, int, int]]) -> tuple[Cid, int, int]:
    def varint(value: int) -> bytes:
        groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
        return bytes(group | 0x80 for group in groups[:-1]) + bytes(groups[-1:])

    size = sum(child[1] for child in children)
    unixfs = b"\x08\x02\x18" + varint(size) + b"".join(b"\x20" + varint(child[1]) for child in children)
    block = b""
    for cid, _, total in children:
        message = b"\x0a\x24" + cid.to_bytes() + b"\x12\x00\x18" + varint(total)
        block += b"\x12" + varint(len(message)) + message
    block += b"\x0a" + varint(len(unixfs)) + unixfs
    return Cid(DAG_PB, hashlib.sha256(block).digest()), size, len(block) + sum(child[2] for child in children)


@pytest.mark.parametrize("leaves", [1, 2, 173, 174, 175, 348, 349, 174 * 174, 174 * 174 + 1, 2 * 174 * 174 + 175])
def test_hasher__leaf_counts_around_full_nodes__equal_textbook_tree(leaves: int) -> None:
    content = b"".join(index.to_bytes(4, "big") for index in range(leaves))[:-1]
    hasher = ContentHasher(chunk_bytes=4)
    hasher.update(content)
    assert hasher.finish() == _reference_cid(content, 4)


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=6), st.integers(1, 9))
def test_hasher__any_split_of_the_same_content__same_cid(content: bytes, cuts: list[int], chunk: int) -> None:
    hasher = ContentHasher(chunk_bytes=chunk)
    edges = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    for start, end in pairwise(edges):
        hasher.update(content[start:end])
    assert hasher.finish() == _reference_cid(content, chunk)


def test_cid_of_file__several_chunks__equals_cid_of_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 3000
    (tmp_path / "file").write_bytes(content)
    assert cid_of_file(tmp_path / "file") == cid_of(content) == cid_of_stream(io.BytesIO(content))
