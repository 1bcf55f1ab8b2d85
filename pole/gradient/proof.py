"""The proof document of a proposed block, and the files that it names in the store.

A document's CID names all its checkpoints' CIDs, so it commits to every one of them as a Merkle root would.
Source: DGG, Algorithm 1, line 8 (return P, W)
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field, RootModel

from pole.document import Document, canonical_json, parse_document
from pole.errors import ModelInvalid, ProofInvalid
from pole.gradient.manifest import MAX_SEGMENTS
from pole.gradient.network import FlatNetwork, Snapshot
from pole.gradient.trajectory import CandidateStep, PaperCandidate
from pole.storage.cid import Cid
from pole.storage.store import Store
from pole.task.manifest import CidText

MAX_PROOF_BYTES = 1 << 16

Hash = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]
Address = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")]
RowNumber = Annotated[int, Field(ge=0, lt=1 << 32)]


class HardenedProof(Document):
    """`checkpoints`: model files after every full interval of steps before `step`, oldest first."""

    version: Literal[1] = 1
    rules: Literal["hardened"] = "hardened"
    previous_hash: Hash
    miner: Address
    step: Annotated[int, Field(ge=1, lt=1 << 32)]
    checkpoints: Annotated[list[CidText], Field(max_length=MAX_SEGMENTS - 1)]


class PaperProof(Document):
    """P and W. Nothing in it names a miner or a height: as published. Rows count from 0."""

    version: Literal[1] = 1
    rules: Literal["paper"] = "paper"
    batch: Annotated[list[RowNumber], Field(min_length=1, max_length=4096)]
    weights_before: CidText


class _AnyProof(RootModel[Annotated[HardenedProof | PaperProof, Field(discriminator="rules")]]):
    pass


@dataclass(frozen=True)
class Published:
    """What a proposal names: the proof document and the weights W' after the step. `files`: all that was published."""

    proof: Cid
    weights: Cid
    files: tuple[Cid, ...] = ()


def publish_hardened(
    store: Store, network: FlatNetwork, previous_hash: bytes, miner: str, candidate: CandidateStep
) -> Published:
    """Puts checkpoints, W' and the document into the store. Raises ModelInvalid if not finite, or as the store."""
    checkpoints = [_put_state(store, network, state) for state in candidate.checkpoints]
    document = HardenedProof(
        previous_hash="0x" + previous_hash.hex(),
        miner=miner,
        step=candidate.step,
        checkpoints=[str(cid) for cid in checkpoints],
    )
    proof, weights = store.put(canonical_json(document)), _put_state(store, network, candidate.state)
    return Published(proof, weights, (*checkpoints, proof, weights))


def publish_paper(store: Store, network: FlatNetwork, candidate: PaperCandidate) -> Published:
    """Puts W, W' and the document into the store. Raises as `publish_hardened`."""
    before = _put_state(store, network, candidate.before)
    document = PaperProof(batch=list(candidate.batch), weights_before=str(before))
    proof, weights = store.put(canonical_json(document)), _put_state(store, network, candidate.after)
    return Published(proof, weights, (before, proof, weights))


def fetch_proof(store: Store, cid: Cid) -> HardenedProof | PaperProof:
    """Raises ProofInvalid, or as the store does."""
    content = store.get(cid, MAX_PROOF_BYTES)
    return parse_document(
        _AnyProof, content, what="proof", max_bytes=MAX_PROOF_BYTES, error=ProofInvalid, see="docs/gradient.md"
    ).root


def _put_state(store: Store, network: FlatNetwork, state: Snapshot) -> Cid:
    if not bool(torch.isfinite(state.weights).all() and torch.isfinite(state.buffers).all()):
        raise ModelInvalid(
            "training diverged: weights are NaN or infinite, which every verifier refuses; do not propose"
        )
    return store.put(network.to_bytes(state))
