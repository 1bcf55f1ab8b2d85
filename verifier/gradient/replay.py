"""One block of the chain trained again by hand."""

from pole.chain.gradient_structs import GradientHeader
from pole.errors import BadInput
from pole.gradient.claim import BlockClaim
from pole.gradient.manifest import fetch_gradient_manifest
from pole.gradient.network import FlatNetwork, prepare_torch
from pole.gradient.samples import fetch_samples
from pole.gradient.verification import ReplayResult, verify
from pole.node.context import RoleContext


def replay_block(context: RoleContext, height: int) -> tuple[GradientHeader, ReplayResult]:
    """A block as its header claims it, in this process. Raises BadInput for one without steps, or as the store does."""
    gradient_chain = context.contracts.gradient_chain
    header, previous = gradient_chain.header(height), gradient_chain.header(height - 1)
    if header.proof is None or header.weights is None or previous.weights is None:
        raise BadInput(f"block {height} opens task {header.task_id}: its weights are the client's, nobody trained them")
    prepare_torch("cpu", threads=1)
    manifest = fetch_gradient_manifest(context.store, gradient_chain.task(header.task_id).terms.manifest)
    claim = BlockClaim(
        previous_hash=gradient_chain.header_hash(height - 1),
        previous_weights=previous.weights,
        miner=header.miner,
        step=header.step,
        sign_digest=header.sign_digest,
        threshold=header.threshold,
        proof=header.proof,
        weights=header.weights,
    )
    return header, verify(FlatNetwork(manifest), fetch_samples(context.store, manifest), context.store, claim)
