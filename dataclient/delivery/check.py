"""Whether a delivered model is the one that won a block, from its folder and the header's hash alone."""

from pathlib import Path

from dataclient.bundle import read_bundle
from dataclient.delivery.proof import MAX_PROOF_BYTES, PROOF_FILE, check_proof
from pole.errors import BadInput
from pole.storage.cid import cid_of


def check_folder(folder: Path, header_hash: str) -> list[str]:
    """What holds, a line each. Raises BadInput for the first thing that does not."""
    try:
        known = bytes.fromhex(header_hash.removeprefix("0x"))
    except ValueError:
        known = b""
    if len(known) != 32:
        raise BadInput(f"{header_hash:.80} is no header hash; give 64 hex digits, as headerHash of BlockLedger does")
    bundle = read_bundle(folder)
    proof = check_proof(_read(folder / PROOF_FILE), known)
    header, description = proof.header, bundle.description
    if header.model != description.model:
        raise BadInput(f"the block names model {header.model}, the folder holds {description.model}; fetch it again")
    if header.round_hash != description.previous_hash:
        raise BadInput(f"the mapping in {folder} is not the one of this block; fetch the model again")
    manifest_cid = str(cid_of(description.manifest.to_bytes()))
    for part in proof.body:
        if part.what == "manifest" and part.cid != manifest_cid:
            raise BadInput(f"the block is of manifest {part.cid}, the folder of {manifest_cid}; fetch the model again")
    return [
        f"{description.model} is the model of block {header.height}, won by {header.winner}",
        f"decided: {header.train_ppm / 10_000:.2f} % in training, {header.test_ppm / 10_000:.2f} % in the test",
        *(f"its {part.what} is {part.cid}" for part in proof.body),
        "shown for the weights, and for ranges and mapping; mean and scale, and model.onnx, are the client's own work",
    ]


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_PROOF_BYTES:
            raise BadInput(f"{path} is too large for a proof; fetch the model again")
        return path.read_bytes()
    except OSError as exc:
        raise BadInput(f"cannot read {path}: {exc.strerror}; fetch the model again") from exc
