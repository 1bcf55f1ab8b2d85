"""The block that a model won, with all that shows it: whoever knows the header's hash can check it offline.

Source: contracts/libraries/Headers.sol; PoLe, section 3.3
"""

from typing import Annotated, Any, Literal

from eth_abi.exceptions import EncodingError
from pydantic import Field

from pole.chain.commitments import body_proof, cid_hash, header_hash, is_included
from pole.chain.structs import Header, Round
from pole.document import Document, parse_document
from pole.errors import BadInput
from pole.node.context import RoleContext
from pole.storage.cid import Cid

PROOF_FILE = "block.json"
MAX_PROOF_BYTES = 1 << 20

Bytes32 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Address = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")]
Uint64 = Annotated[int, Field(ge=0, lt=1 << 64)]
Ppm = Annotated[int, Field(ge=0, le=1_000_000)]

# Places in a block's body, see LearningChain._body.
_PLACES = {"manifest": 2, "test set": 4}


class ProvenHeader(Document):
    """`pole.chain.structs.Header`, hashes in hex."""

    height: Uint64
    task_id: Uint64
    winner: Address
    previous_hash: Bytes32
    model: str
    train_ppm: Ppm
    test_ppm: Ppm
    ommer_hash: Bytes32
    body_root: Bytes32
    round_hash: Bytes32
    timestamp: Uint64


class Inclusion(Document):
    """A CID in the block's body; `path` are the sibling hashes from its leaf up to the root."""

    what: Literal["manifest", "test set"]
    cid: str
    path: Annotated[list[Bytes32], Field(max_length=16)]


class Proof(Document):
    """`block.json`. Chain and contract say where to ask for the header's hash; they are not proven themselves."""

    version: Literal[1] = 1
    chain_id: int
    block_ledger: Address
    header: ProvenHeader
    body: Annotated[list[Inclusion], Field(max_length=8)]


def check_proof(content: bytes, known_hash: bytes) -> Proof:
    """The proof in a file, if it is of the block whose header has this hash. Needs nothing else.

    Raises BadInput, saying which part does not hold.
    """
    proof = parse_document(
        Proof, content, what=PROOF_FILE, max_bytes=MAX_PROOF_BYTES, error=BadInput, see="the folder's README"
    )
    try:
        found = header_hash(_header(proof.header))
    except EncodingError as exc:
        raise BadInput(f"{PROOF_FILE} has a header that no block can have: {exc}; fetch the model again") from exc
    if found != known_hash:
        raise BadInput(
            f"{PROOF_FILE} is of the block {found.hex()}, not of {known_hash.hex()}; "
            "ask for the hash at its height, or fetch the model again"
        )
    root = bytes.fromhex(proof.header.body_root)
    for part in proof.body:
        path = [bytes.fromhex(sibling) for sibling in part.path]
        if not is_included(root, _PLACES[part.what], cid_hash(Cid.parse(part.cid)), path):
            raise BadInput(f"{PROOF_FILE}: {part.cid} is not the {part.what} of this block; fetch the model again")
    return proof


def _header(proven: ProvenHeader) -> Header:
    hashes = ("previous_hash", "ommer_hash", "body_root", "round_hash")
    fields: dict[str, Any] = proven.model_dump()
    fields |= {name: bytes.fromhex(fields[name]) for name in hashes}
    return Header(**{**fields, "model": Cid.parse(proven.model)})


def prove(client: RoleContext, header: Header) -> bytes | None:
    """The file for a block of the context's lane, checked; None if the node keeps no event with the block's body."""
    chain, ledger = client.contracts.learning_chain, client.contracts.block_ledger
    appended = ledger.appended(header.height)
    if appended is None:
        return None
    body = [bytes(value) for value in appended.arguments["body"]]
    content = _proof(client, header, body, chain.round(int(appended.arguments["roundId"])))
    check_proof(content, ledger.header_hash(header.height))
    return content


def _proof(client: RoleContext, header: Header, body: list[bytes], played: Round) -> bytes:
    cids = {"manifest": client.contracts.manifest_of(played)}
    if played.is_test_set_released and played.test_set is not None:
        cids["test set"] = played.test_set
    proof = {
        "version": 1,
        "chain_id": client.chain.deployment.chain_id,
        "block_ledger": client.contracts.block_ledger.address,
        "header": {
            name: value.hex() if isinstance(value, bytes) else str(value) if isinstance(value, Cid) else value
            for name, value in vars(header).items()
        },
        "body": [
            {"what": what, "cid": str(cid), "path": [each.hex() for each in body_proof(body, _PLACES[what])]}
            for what, cid in cids.items()
        ],
    }
    return (Proof.model_validate(proof).model_dump_json(indent=1) + "\n").encode()
