"""Headers and Cids: hashes against an encoding written by hand, and Merkle proofs for bodies of every small size."""

from typing import Any

import pytest
from ape.exceptions import ContractLogicError
from eth_abi.abi import encode
from eth_utils.crypto import keccak

RAW, DAG_PB = 0x55, 0x70
HEADER_TYPES = "(uint64,uint64,address,bytes32,(uint8,bytes32),uint32,uint32,bytes32,bytes32,bytes32,uint64)"
HEADER = (
    3,
    7,
    "0x" + "ab" * 20,
    keccak(text="previous"),
    (RAW, keccak(text="model")),
    981_000,
    975_000,
    keccak(text="ommer"),
    keccak(text="body"),
    keccak(text="anchor"),
    1_700_000_000,
)


def leaf(index: int, value: bytes) -> bytes:
    return keccak(keccak(index.to_bytes(32, "big") + value))


def join(left: bytes, right: bytes) -> bytes:
    return keccak(min(left, right) + max(left, right))


def levels_of(values: list[bytes]) -> list[list[bytes]]:
    """All levels of the tree, leaves first; an odd last node moves up unchanged."""
    levels = [[leaf(index, value) for index, value in enumerate(values)]]
    while len(levels[-1]) > 1:
        below = levels[-1]
        pairs = [below[start : start + 2] for start in range(0, len(below), 2)]
        levels.append([join(*pair) if len(pair) == 2 else pair[0] for pair in pairs])
    return levels


def proof_of(values: list[bytes], index: int) -> list[bytes]:
    proof = []
    for level in levels_of(values)[:-1]:
        if (index ^ 1) < len(level):
            proof.append(level[index ^ 1])
        index //= 2
    return proof


def values_of(count: int) -> list[bytes]:
    return [keccak(text=f"value {number}") for number in range(count)]


# --- Cids ---


@pytest.mark.parametrize("codec", [0, 0x54, 0x71, 0xFF])
def test_check_cid__other_codec__reverts(library: Any, reverts: Any, codec: int) -> None:
    with reverts(library.UnsupportedCodec, codec=codec):
        library.checkCid((codec, keccak(text="content")))


@pytest.mark.parametrize("codec", [RAW, DAG_PB])
def test_check_cid__zero_digest__reverts(library: Any, reverts: Any, codec: int) -> None:
    with reverts(library.EmptyDigest):
        library.checkCid((codec, bytes(32)))


@pytest.mark.parametrize("codec", [RAW, DAG_PB])
def test_check_cid__published_kinds__pass(library: Any, codec: int) -> None:
    library.checkCid((codec, keccak(text="content")))


def test_hash_cid__binds_the_codec(library: Any) -> None:
    digest = keccak(text="content")
    hashes = [bytes(library.hashCid((codec, digest))) for codec in (RAW, DAG_PB)]
    assert hashes == [keccak(encode(["uint8", "bytes32"], [codec, digest])) for codec in (RAW, DAG_PB)]
    assert hashes[0] != hashes[1]


# --- Headers ---


def test_hash_header__is_the_hash_of_its_encoding(library: Any) -> None:
    assert bytes(library.hashHeader(HEADER)) == keccak(encode([HEADER_TYPES], [HEADER]))


@pytest.mark.parametrize("field", range(len(HEADER)))
def test_hash_header__binds_every_field(library: Any, field: int) -> None:
    other = (4, 8, "0x" + "cd" * 20, b"\1" * 32, (DAG_PB, b"\1" * 32), 1, 1, b"\1" * 32, b"\1" * 32, b"\1" * 32, 1)
    changed = (*HEADER[:field], other[field], *HEADER[field + 1 :])
    assert library.hashHeader(changed) != library.hashHeader(HEADER)


def test_body_root__no_values__reverts(library: Any) -> None:
    with pytest.raises(ContractLogicError):
        library.bodyRoot([])


def test_body_root__one_value__is_its_leaf(library: Any) -> None:
    (value,) = values_of(1)
    assert bytes(library.bodyRoot([value])) == leaf(0, value) == bytes(library.leaf(0, value))


@pytest.mark.parametrize("count", range(2, 9))
def test_is_included__every_value_of_small_bodies(library: Any, count: int) -> None:
    values = values_of(count)
    root = bytes(library.bodyRoot(values))
    assert root == levels_of(values)[-1][0]
    for index, value in enumerate(values):
        assert library.isIncluded(root, index, value, proof_of(values, index))


def test_is_included__anything_changed__is_false(library: Any) -> None:
    values = values_of(5)
    root = bytes(library.bodyRoot(values))
    proof = proof_of(values, 2)

    assert not library.isIncluded(root, 3, values[2], proof)
    assert not library.isIncluded(root, 2, values[3], proof)
    assert not library.isIncluded(root, 2, values[2], proof[:-1])
    assert not library.isIncluded(root, 2, values[2], [*proof, root])
    assert not library.isIncluded(keccak(root), 2, values[2], proof)


def test_is_included__inner_node_as_value__is_false(library: Any) -> None:
    values = values_of(4)
    levels = levels_of(values)
    assert not library.isIncluded(levels[-1][0], 0, levels[1][0], [levels[1][1]])
