"""The proof of a block: what is refused first, part by part; then, that it needs nothing but file and hash."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataclient.bundle import Bundle
from dataclient.delivery.check import check_folder
from dataclient.delivery.proof import Proof, ProvenHeader, _header, check_proof
from pole.chain.commitments import body_proof, body_root, cid_hash, header_hash
from pole.errors import BadInput
from pole.storage.cid import cid_of
from pole.task.manifest import DenseMapping
from tests.unit.dataclient.delivery.bundles import PREVIOUS_HASH, bundle_of, manifest_of
from tests.unit.graphs import graph_of, linear

TEST_SET = cid_of(b"the test set")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return bundle_of(manifest_of(graph_of(linear(5)), DenseMapping(vectors=2), (4,)))


def proof_of(bundle: Bundle) -> dict[str, Any]:
    manifest = cid_of(bundle.description.manifest.to_bytes())
    body = [b"\1" * 32, b"\2" * 32, cid_hash(manifest), b"\3" * 32, cid_hash(TEST_SET)]
    header = {
        "height": 3,
        "task_id": 2,
        "winner": "0x" + "11" * 20,
        "previous_hash": "22" * 32,
        "model": bundle.description.model,
        "train_ppm": 900_000,
        "test_ppm": 800_000,
        "ommer_hash": "00" * 32,
        "body_root": body_root(body).hex(),
        "round_hash": PREVIOUS_HASH.hex(),
        "timestamp": 1_700_000_000,
    }
    parts = [("manifest", manifest, 2), ("test set", TEST_SET, 4)]
    return {
        "version": 1,
        "chain_id": 1,
        "block_ledger": "0x" + "33" * 20,
        "header": header,
        "body": [
            {"what": what, "cid": str(cid), "path": [each.hex() for each in body_proof(body, place)]}
            for what, cid, place in parts
        ],
    }


def hash_of(document: dict[str, Any]) -> bytes:
    return header_hash(_header(ProvenHeader.model_validate(document["header"])))


OTHER = str(cid_of(b"other"))
CHANGES: list[tuple[list[Any], Any, str]] = [
    (["header", "height"], 4, "is of the block"),
    (["header", "winner"], "0x" + "12" * 20, "is of the block"),
    (["header", "model"], OTHER, "is of the block"),
    (["header", "test_ppm"], 800_001, "is of the block"),
    (["header", "body_root"], "00" * 32, "is of the block"),
    (["header", "height"], 1 << 64, "header.height"),
    (["header", "height"], "3", "header.height"),
    (["header", "more"], 1, "header.more"),
    (["body", 0, "cid"], OTHER, f"{OTHER} is not the manifest of this block"),
    (["body", 1, "cid"], OTHER, f"{OTHER} is not the test set of this block"),
    (["body", 0, "what"], "test set", "is not the test set of this block"),
    (["body", 0, "path", 0], "00" * 32, "is not the manifest of this block"),
    (["body", 0, "path"], [], "is not the manifest of this block"),
    (["body", 0, "path"], ["00" * 32] * 17, "body.0.path"),
    (["body", 0, "cid"], "nonsense", "nonsense"),
    (["version"], 2, "version"),
]


@pytest.mark.parametrize(("place", "value", "message"), CHANGES)
def test_check_proof__one_change__is_refused(bundle: Bundle, place: list[Any], value: Any, message: str) -> None:
    document = proof_of(bundle)
    known = hash_of(document)
    part: Any = document
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    with pytest.raises(BadInput, match=message):
        check_proof(json.dumps(document).encode(), known)


@given(content=st.binary(max_size=60))
def test_check_proof__no_proof_at_all__is_refused(content: bytes) -> None:
    with pytest.raises(BadInput, match=r"block\.json is invalid"):
        check_proof(content, bytes(32))


def test_check_proof__honest_file_and_hash__gives_what_is_proven(bundle: Bundle) -> None:
    document = proof_of(bundle)
    proof = check_proof(json.dumps(document).encode(), hash_of(document))
    assert proof == Proof.model_validate(document)
    assert proof.header.model == bundle.description.model


# --- with the folder around it ---


def write(folder: Path, bundle: Bundle, document: dict[str, Any]) -> None:
    for name, content in {**bundle.files(), "block.json": json.dumps(document).encode()}.items():
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("given_hash", ["", "0x12", "zz" * 32, "00" * 33])
def test_check_folder__no_hash__says_what_to_give(tmp_path: Path, given_hash: str) -> None:
    with pytest.raises(BadInput, match="give 64 hex digits"):
        check_folder(tmp_path, given_hash)


def test_check_folder__without_proof__is_named(tmp_path: Path, bundle: Bundle) -> None:
    write(tmp_path, bundle, {})
    (tmp_path / "block.json").unlink()
    with pytest.raises(BadInput, match=r"cannot read .*block.json: No such file"):
        check_folder(tmp_path, "00" * 32)


def test_check_folder__proof_of_another_model__is_refused(tmp_path: Path, bundle: Bundle) -> None:
    document = proof_of(bundle)
    document["header"]["model"] = OTHER
    write(tmp_path, bundle, document)
    with pytest.raises(BadInput, match=f"the block names model {OTHER}"):
        check_folder(tmp_path, hash_of(document).hex())


def test_check_folder__other_mapping_than_the_block_s__is_refused(tmp_path: Path, bundle: Bundle) -> None:
    document = proof_of(bundle)
    document["header"]["round_hash"] = "44" * 32
    write(tmp_path, bundle, document)
    with pytest.raises(BadInput, match=r"the mapping in .* is not the one of this block"):
        check_folder(tmp_path, hash_of(document).hex())


def test_check_folder__changed_ranges__are_refused(tmp_path: Path, bundle: Bundle) -> None:
    """They are in the manifest, whose CID is in the block's body."""
    document = proof_of(bundle)
    write(tmp_path, bundle, document)
    description = json.loads((tmp_path / "model.json").read_text())
    description["manifest"]["data"]["discretisation"]["maximum"][0] += 1.0
    (tmp_path / "model.json").write_text(json.dumps(description))
    with pytest.raises(BadInput, match="the block is of manifest"):
        check_folder(tmp_path, hash_of(document).hex())


@pytest.mark.parametrize("prefix", ["", "0x"])
def test_check_folder__honest__says_what_holds(tmp_path: Path, bundle: Bundle, prefix: str) -> None:
    document = proof_of(bundle)
    write(tmp_path, bundle, document)
    said = check_folder(tmp_path, prefix + hash_of(document).hex())
    assert said[0] == f"{bundle.description.model} is the model of block 3, won by 0x{'11' * 20}"
    assert said[1] == "decided: 90.00 % in training, 80.00 % in the test"
    assert said[3] == f"its test set is {TEST_SET}"
