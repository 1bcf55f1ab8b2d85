"""Python and Solidity compute the same hashes: on the shared vectors, and on whatever hypothesis finds."""

import dataclasses
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web3 import EthereumTesterProvider, Web3

from pole.chain.abi import to_abi
from pole.chain.commitments import (
    ballot_digest,
    body_proof,
    body_root,
    cid_hash,
    header_hash,
    is_included,
    round_hash,
    solution_commitment,
    test_set_commitment,
    vote_commitment,
)
from pole.chain.structs import Header, VerdictKind
from pole.chain.verdicts import Part, pack_verdict
from pole.errors import BadInput
from pole.storage.cid import DAG_PB, RAW, Cid

words = st.binary(min_size=32, max_size=32)
digests = words.filter(any)
cids = st.builds(Cid, st.sampled_from([RAW, DAG_PB]), digests)
addresses = st.binary(min_size=20, max_size=20).map(lambda raw: Web3.to_checksum_address(raw.hex()))
ids = st.integers(0, 2**64 - 1)
ppm = st.integers(0, 2**32 - 1)
packed = st.lists(st.integers(0, 2**192 - 1), max_size=5)
headers = st.builds(Header, ids, ids, addresses, words, cids, ppm, ppm, words, words, words, ids)

few = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@dataclasses.dataclass
class Solidity:
    """The libraries behind harness contracts on py-evm."""

    chain_id: int
    commitments: Any
    libraries: Any


@pytest.fixture(scope="module")
def solidity(artifacts: dict[str, dict[str, Any]]) -> Solidity:
    web3 = Web3(EthereumTesterProvider())

    def created(name: str) -> Any:
        factory: Any = web3.eth.contract(abi=artifacts[name]["abi"], bytecode=artifacts[name]["bytecode"])
        sent = factory.constructor().transact({"from": web3.eth.accounts[0]})
        address: Any = web3.eth.wait_for_transaction_receipt(sent)["contractAddress"]
        return web3.eth.contract(address=address, abi=artifacts[name]["abi"]).functions

    return Solidity(web3.eth.chain_id, created("CommitmentsHarness"), created("LibraryHarness"))


def unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def checksummed(text: str) -> str:
    return str(Web3.to_checksum_address(text))


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("salt", [b"", bytes(31), bytes(33)])
def test_commitments__salt_of_wrong_size__refused(salt: bytes) -> None:
    address, cid = "0x" + "11" * 20, Cid(RAW, bytes([1]) * 32)
    with pytest.raises(BadInput, match=f"this one has {len(salt)}"):
        test_set_commitment(1, address, address, cid, salt)
    with pytest.raises(BadInput, match=f"this one has {len(salt)}"):
        solution_commitment(1, address, 1, address, bytes(32), cid, salt)
    with pytest.raises(BadInput, match=f"this one has {len(salt)}"):
        vote_commitment(1, address, 1, address, bytes(32), salt)


def test_body_root__without_values__refused() -> None:
    with pytest.raises(BadInput, match="at least one value"):
        body_root([])


@pytest.mark.parametrize("index", [-1, 3])
def test_body_proof__of_a_leaf_that_is_not_there__refused(index: int) -> None:
    with pytest.raises(BadInput, match=f"no leaf {index}; give 0 to 2"):
        body_proof([bytes(32)] * 3, index)


# --- shared vectors --------------------------------------------------------------------------------------------------


def test_vectors__are_for_the_chain_that_runs_them(solidity: Solidity, vectors: dict[str, Any]) -> None:
    assert vectors["chain_id"] == solidity.chain_id


def test_cid_hash__on_vectors__agrees(solidity: Solidity, vectors: dict[str, Any]) -> None:
    for vector in vectors["cid"]:
        cid, expected = Cid.parse(vector["cid"]), unhex(vector["hash"])
        assert cid_hash(cid) == expected
        assert solidity.libraries.hashCid(to_abi(cid)).call() == expected


def test_test_set_commitment__on_vectors__agrees(solidity: Solidity, vectors: dict[str, Any]) -> None:
    for vector in vectors["test_set"]:
        market, client = checksummed(vector["market"]), checksummed(vector["client"])
        cid, salt, expected = Cid.parse(vector["cid"]), unhex(vector["salt"]), unhex(vector["commitment"])
        assert test_set_commitment(vectors["chain_id"], market, client, cid, salt) == expected
        assert solidity.commitments.testSet(market, client, to_abi(cid), salt).call() == expected


def test_solution_commitment__on_vectors__agrees(solidity: Solidity, vectors: dict[str, Any]) -> None:
    for vector in vectors["solution"]:
        chain, miner = checksummed(vector["chain"]), checksummed(vector["miner"])
        previous, salt = unhex(vector["previous_hash"]), unhex(vector["salt"])
        model, round_id, expected = Cid.parse(vector["model"]), vector["round_id"], unhex(vector["commitment"])
        assert solution_commitment(vectors["chain_id"], chain, round_id, miner, previous, model, salt) == expected
        call = solidity.commitments.solution(chain, round_id, miner, previous, to_abi(model), salt)
        assert call.call() == expected


def test_ballot_digest__on_vectors__agrees(solidity: Solidity, vectors: dict[str, Any]) -> None:
    for vector in vectors["ballot"]:
        committee, ballot_id = vector["committee"], vector["ballot_id"]
        words = [pack_verdict(part_of(*verdict[:3]), part_of(*verdict[3:])) for verdict in vector["verdicts"]]
        assert words == [int(word, 16) for word in vector["words"]]
        expected = bytes.fromhex(vector["digest"][2:])
        assert ballot_digest(vectors["chain_id"], committee, ballot_id, words) == expected
        assert solidity.commitments.ballot(committee, ballot_id, words).call() == expected


def part_of(kind: int, ppm: int, root: str | None) -> Part:
    return Part(VerdictKind(kind), ppm, bytes.fromhex(root[2:]) if root else b"")


def test_vote_commitment__on_vectors__agrees(solidity: Solidity, vectors: dict[str, Any]) -> None:
    for vector in vectors["vote"]:
        committee, ballot_id, verifier = vector["committee"], vector["ballot_id"], vector["verifier"]
        digest, salt, expected = (bytes.fromhex(vector[name][2:]) for name in ("digest", "salt", "commitment"))
        assert vote_commitment(vectors["chain_id"], committee, ballot_id, verifier, digest, salt) == expected
        assert solidity.commitments.vote(committee, ballot_id, verifier, digest, salt).call() == expected


def test_header_hash__on_vectors__agrees(solidity: Solidity, vectors: dict[str, Any]) -> None:
    for vector in vectors["header"]:
        header = header_of(vector)
        assert header_hash(header) == unhex(vector["hash"])
        assert solidity.libraries.hashHeader(to_abi(header)).call() == unhex(vector["hash"])


def test_body__on_vectors__agrees(solidity: Solidity, vectors: dict[str, Any]) -> None:
    for vector in vectors["body"]:
        values, root = [unhex(value) for value in vector["values"]], unhex(vector["root"])
        assert body_root(values) == root
        assert solidity.libraries.bodyRoot(values).call() == root
        for index, proof in enumerate(vector["proofs"]):
            assert body_proof(values, index) == [unhex(node) for node in proof]


def header_of(vector: dict[str, Any]) -> Header:
    fields: dict[str, Any] = {
        name: vector[name] for name in ("height", "task_id", "train_ppm", "test_ppm", "timestamp")
    }
    fields |= {name: unhex(vector[name]) for name in ("previous_hash", "ommer_hash", "body_root", "round_hash")}
    model = Cid.parse(vector["model"]) if vector["model"] else None
    return Header(winner=checksummed(vector["winner"]), model=model, **fields)


# --- properties ------------------------------------------------------------------------------------------------------


@few
@given(market=addresses, client=addresses, cid=cids, salt=words)
def test_test_set_commitment__any_input__equals_solidity(
    solidity: Solidity, market: str, client: str, cid: Cid, salt: bytes
) -> None:
    here = test_set_commitment(solidity.chain_id, market, client, cid, salt)
    assert here == solidity.commitments.testSet(market, client, to_abi(cid), salt).call()


@few
@given(below=words, anchor=words)
def test_round_hash__any_input__equals_solidity(solidity: Solidity, below: bytes, anchor: bytes) -> None:
    assert round_hash(below, anchor) == solidity.libraries.roundHash(below, anchor).call()


@few
@given(chain=addresses, round_id=ids, miner=addresses, previous=words, model=cids, salt=words)
def test_solution_commitment__any_input__equals_solidity(
    solidity: Solidity, chain: str, round_id: int, miner: str, previous: bytes, model: Cid, salt: bytes
) -> None:
    here = solution_commitment(solidity.chain_id, chain, round_id, miner, previous, model, salt)
    assert here == solidity.commitments.solution(chain, round_id, miner, previous, to_abi(model), salt).call()


@few
@given(committee=addresses, ballot_id=ids, verdicts=packed)
def test_ballot_digest__any_input__equals_solidity(
    solidity: Solidity, committee: str, ballot_id: int, verdicts: list[int]
) -> None:
    here = ballot_digest(solidity.chain_id, committee, ballot_id, verdicts)
    assert here == solidity.commitments.ballot(committee, ballot_id, verdicts).call()


@few
@given(committee=addresses, ballot_id=ids, verifier=addresses, digest=words, salt=words)
def test_vote_commitment__any_input__equals_solidity(
    solidity: Solidity, committee: str, ballot_id: int, verifier: str, digest: bytes, salt: bytes
) -> None:
    here = vote_commitment(solidity.chain_id, committee, ballot_id, verifier, digest, salt)
    assert here == solidity.commitments.vote(committee, ballot_id, verifier, digest, salt).call()


@few
@given(header=headers)
def test_header_hash__any_header__equals_solidity(solidity: Solidity, header: Header) -> None:
    assert header_hash(header) == solidity.libraries.hashHeader(to_abi(header)).call()


@few
@given(values=st.lists(words, min_size=1, max_size=9), data=st.data())
def test_body_proof__any_body__is_accepted_by_solidity_for_its_leaf_only(
    solidity: Solidity, values: list[bytes], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(values) - 1))
    root, proof = body_root(values), body_proof(values, index)
    assert root == solidity.libraries.bodyRoot(values).call()
    assert solidity.libraries.isIncluded(root, index, values[index], proof).call()
    assert is_included(root, index, values[index], proof)
    assert not is_included(root, index + 1, values[index], proof)
    other = bytes([values[index][0] ^ 1]) + values[index][1:]
    assert not is_included(root, index, other, proof)
    assert not solidity.libraries.isIncluded(root, index, other, proof).call()


@given(cid=cids, salt=words, other=words)
def test_test_set_commitment__other_salt_or_chain__differs(cid: Cid, salt: bytes, other: bytes) -> None:
    address = "0x" + "11" * 20
    commitment = test_set_commitment(1, address, address, cid, salt)
    assert commitment != test_set_commitment(2, address, address, cid, salt)
    assert (commitment == test_set_commitment(1, address, address, cid, other)) == (salt == other)
