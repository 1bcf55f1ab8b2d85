"""Requests from a verifier to its judging process about the proposals of a height."""

from typing import Literal

from pole.chain.gradient_structs import Proposal
from pole.gradient.claim import BlockClaim
from pole.storage.cid import Cid
from pole.task.manifest import Document


class HeightInputs(Document):
    """What all proposals of a height build on. CIDs as text, `previous_hash` in hexadecimal."""

    store: str
    manifest: str
    rules: Literal["paper", "hardened"]
    previous_hash: str
    previous_weights: str


class Claim(Document):
    """One proposal; `segments`: which to replay besides the last, None for all."""

    entry: int
    miner: str
    step: int
    sign_digest: int
    threshold: int
    proof: str
    weights: str
    segments: list[int] | None

    @classmethod
    def of(cls, entry: int, proposal: Proposal, segments: frozenset[int] | None) -> "Claim":
        return cls(
            entry=entry,
            miner=proposal.miner,
            step=proposal.step,
            sign_digest=proposal.sign_digest,
            threshold=proposal.threshold,
            proof=str(proposal.proof),
            weights=str(proposal.weights),
            segments=None if segments is None else sorted(segments),
        )

    def on(self, inputs: HeightInputs) -> BlockClaim:
        return BlockClaim(
            previous_hash=bytes.fromhex(inputs.previous_hash),
            previous_weights=Cid.parse(inputs.previous_weights),
            miner=self.miner,
            step=self.step,
            sign_digest=self.sign_digest,
            threshold=self.threshold,
            proof=Cid.parse(self.proof),
            weights=Cid.parse(self.weights),
        )


class ProposalsRequest(Document):
    """Judge these proposals, in this order; with none, only load what all of them need."""

    inputs: HeightInputs
    claims: list[Claim]
