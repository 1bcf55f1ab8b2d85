"""Every hash that hides or proves something, as contracts/libraries/{Commitments,Cids,Headers}.sol compute it.

Pure functions, checked on the vectors in tests/vectors/commitments.json on both sides. Salts are 32 random bytes:
a CID alone can be guessed by anyone who can guess the content.
"""

from collections.abc import Sequence

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from pole.chain.abi import to_abi
from pole.chain.structs import Header
from pole.errors import BadInput
from pole.storage.cid import Cid

SALT_BYTES = 32

_TEST_SET = keccak(text="pole.test-set.v1")
_SOLUTION = keccak(text="pole.solution.v1")
_BALLOT = keccak(text="pole.ballot.v2")
_VOTE = keccak(text="pole.vote.v2")
_ROUND = keccak(text="pole.previous-hash.v1")

_HEADER_TYPE = "(uint64,uint64,address,bytes32,(uint8,bytes32),uint32,uint32,bytes32,bytes32,bytes32,uint64)"


def cid_hash(cid: Cid) -> bytes:
    """`Cids.hash`: 32 bytes that name a CID inside other hashes."""
    return keccak(encode(["uint8", "bytes32"], cid.as_tuple()))


def test_set_commitment(chain_id: int, market: str, client: str, cid: Cid, salt: bytes) -> bytes:
    """`Commitments.testSet`: binds a client to its test set before anybody trains."""
    _check_salt(salt)
    types = ["bytes32", "uint256", "address", "address", "uint8", "bytes32", "bytes32"]
    return keccak(encode(types, [_TEST_SET, chain_id, market, client, *cid.as_tuple(), salt]))


# pytest would take the name for a test wherever it is imported.
test_set_commitment.__test__ = False  # type: ignore[attr-defined]


def solution_commitment(
    chain_id: int, chain: str, round_id: int, miner: str, previous_hash: bytes, model: Cid, salt: bytes
) -> bytes:
    """`Commitments.solution`: binds a miner to a model in one round; `chain` is the LearningChain's address."""
    _check_salt(salt)
    types = ["bytes32", "uint256", "address", "uint64", "address", "bytes32", "uint8", "bytes32", "bytes32"]
    values = [_SOLUTION, chain_id, chain, round_id, miner, previous_hash, *model.as_tuple(), salt]
    return keccak(encode(types, values))


def ballot_digest(chain_id: int, committee: str, ballot_id: int, words: Sequence[int]) -> bytes:
    """`Commitments.ballot`: one list of packed verdicts, in the ballot's entry order; the same for whoever votes so.

    `words`: see `pole.chain.verdicts`. An outcome has a digest of the same kind.
    """
    types = ["bytes32", "uint256", "address", "uint64", "uint256[]"]
    return keccak(encode(types, [_BALLOT, chain_id, committee, ballot_id, list(words)]))


def vote_commitment(chain_id: int, committee: str, ballot_id: int, verifier: str, digest: bytes, salt: bytes) -> bytes:
    """`Commitments.vote`: binds a verifier to the digest of its verdicts, see `ballot_digest`."""
    _check_salt(salt)
    types = ["bytes32", "uint256", "address", "uint64", "address", "bytes32", "bytes32"]
    return keccak(encode(types, [_VOTE, chain_id, committee, ballot_id, verifier, digest, salt]))


def header_hash(header: Header) -> bytes:
    """`Headers.hash`: what the next header names, and PHS is made of."""
    return keccak(encode([_HEADER_TYPE], [to_abi(header)]))


def round_hash(below: bytes, anchor_hash: bytes) -> bytes:
    """`Headers.roundHash`: PHS, from the hash of the header below and of the Ethereum block after the opening."""
    return keccak(encode(["bytes32", "bytes32", "bytes32"], [_ROUND, below, anchor_hash]))


def body_leaf(index: int, value: bytes) -> bytes:
    """`Headers.leaf`: binds the position, and is hashed twice so that no inner node can pass for a leaf."""
    return keccak(keccak(encode(["uint256", "bytes32"], [index, value])))


def body_root(values: Sequence[bytes]) -> bytes:
    """`Headers.bodyRoot`: an odd node moves up a level unchanged, siblings are hashed in sorted order."""
    return _levels(values)[-1][0]


def body_proof(values: Sequence[bytes], index: int) -> list[bytes]:
    """Sibling hashes from leaf `index` to the root, as `LearningChain.isIncluded` takes them."""
    if not 0 <= index < len(values):
        raise BadInput(f"a body of {len(values)} values has no leaf {index}; give 0 to {len(values) - 1}")
    proof = []
    for level in _levels(values)[:-1]:
        if (index ^ 1) < len(level):
            proof.append(level[index ^ 1])
        index //= 2
    return proof


def is_included(root: bytes, index: int, value: bytes, proof: Sequence[bytes]) -> bool:
    """`Headers.isIncluded`: whether `value` is leaf `index` under `root`."""
    node = body_leaf(index, value)
    for sibling in proof:
        node = _parent(node, sibling)
    return node == root


def _levels(values: Sequence[bytes]) -> list[list[bytes]]:
    """All levels of the tree, leaves first, the root alone in the last."""
    if not values:
        raise BadInput("a block body needs at least one value")
    levels = [[body_leaf(index, value) for index, value in enumerate(values)]]
    while len(levels[-1]) > 1:
        level = levels[-1]
        levels.append([_parent(*level[i : i + 2]) if i + 1 < len(level) else level[i] for i in range(0, len(level), 2)])
    return levels


def _parent(left: bytes, right: bytes) -> bytes:
    return keccak(min(left, right) + max(left, right))


def _check_salt(salt: bytes) -> None:
    if len(salt) != SALT_BYTES:
        raise BadInput(f"a salt has {SALT_BYTES} bytes, this one has {len(salt)}; make it with secrets.token_bytes(32)")
