"""The judging process for proposals, which replays them; see verifier.learning.judge for that of models.

Source: DGG, Algorithm 2
"""

from collections.abc import Iterator
from typing import Any

from pole.chain.structs import VerdictKind
from pole.errors import ManifestInvalid, PoleError, StoreError
from pole.exact.fast import prepare
from pole.exact.roots import RowPart, predictions_root
from pole.gradient.claim import BlockClaim
from pole.gradient.manifest import fetch_gradient_manifest
from pole.gradient.network import FlatNetwork, prepare_torch
from pole.gradient.samples import fetch_samples
from pole.gradient.verification import verify
from pole.storage.cid import Cid
from pole.storage.store import Store, open_store
from pole.task.model import new_model
from pole.task.scores import score_ppm
from pole.task.weights import load_model
from verifier.gradient.messages import Claim, HeightInputs, ProposalsRequest
from verifier.judging.messages import Finding, FindingKind, JudgingLimits, scored_part
from verifier.judging.sandbox import serve, why_not


def main() -> None:
    """Keeps the newest task's data from request to request: a task's heights follow each other in seconds."""
    judges: dict[tuple[str, str], TaskJudge] = {}

    def answer(raw: bytes) -> tuple[int, Iterator[Finding]]:
        request = ProposalsRequest.model_validate_json(raw)
        return len(request.claims), findings(request, judges)

    serve(_set_up, answer)


def _set_up(limits: JudgingLimits) -> None:
    prepare_torch("cpu", limits.threads)


def findings(request: ProposalsRequest, judges: dict[tuple[str, str], "TaskJudge"]) -> Iterator[Finding]:
    """First whether the task's own files stand, then one finding per proposal."""
    inputs = request.inputs
    try:
        judge = judges.get((inputs.store, inputs.manifest))
        if judge is None:
            judges.clear()
            judge = judges[inputs.store, inputs.manifest] = TaskJudge(
                open_store(inputs.store), Cid.parse(inputs.manifest)
            )
        judge.check(inputs)
    except (PoleError, MemoryError) as exc:
        yield why_not(exc, VerdictKind.WITHHELD)
        return
    yield Finding(kind=FindingKind.READY)
    for claim in request.claims:
        yield judge.judge(inputs, claim)


class TaskJudge:
    """A task's network and rows, from its own files. Raises PoleError if they do not stand."""

    def __init__(self, store: Store, manifest: Cid) -> None:
        self.store = store
        self.manifest = fetch_gradient_manifest(store, manifest)
        self.samples = fetch_samples(store, self.manifest)
        self.network = FlatNetwork(self.manifest)
        self._rehearse()

    def check(self, inputs: HeightInputs) -> None:
        """Raises ManifestInvalid if the task on chain and its manifest name different rules."""
        if inputs.rules != self.manifest.rules:
            raise ManifestInvalid(f"the manifest's rules are {self.manifest.rules!r}, the task's are {inputs.rules!r}")

    def judge(self, inputs: HeightInputs, claim: Claim) -> Finding:
        """One proposal; it is unavailable as long as one of its files is.

        Whether it replays is decided within a tolerance; its accuracies are exact, of the published weights.
        """
        block = claim.on(inputs)
        try:
            found = verify(self.network, self.samples, self.store, block, claim.segments)
            scores = self._scores(block) if found.is_valid else {}
        except StoreError as exc:
            gone = VerdictKind.UNAVAILABLE
            return Finding(kind=FindingKind.UNAVAILABLE, entry=claim.entry, train=gone, test=gone, reason=str(exc))
        return Finding(
            kind=FindingKind.JUDGED,
            entry=claim.entry,
            wrong_segments=found.wrong_segments,
            reason=found.reason,
        ).model_copy(update=scores)

    def _scores(self, block: BlockClaim) -> dict[str, Any]:
        """What a finding says of a valid block's accuracies: of the first training rows, and of all test rows."""
        model = new_model(self.manifest)
        load_model(self.store.get(block.weights, self.network.max_file_bytes), model)
        network, rows, said = prepare(model), self.manifest.scored_training_rows, dict[str, Any]()
        for part, x, y in (
            (RowPart.TRAIN, self.samples.train_x[:rows], self.samples.train_y[:rows]),
            (RowPart.TEST, self.samples.test_x, self.samples.test_y),
        ):
            predictions = network.predict(x.numpy())
            ppm = score_ppm(predictions, y.numpy(), "accuracy", self.manifest.outputs)
            root = predictions_root(block.previous_hash, block.weights, part, predictions)
            said |= scored_part(part, ppm, predictions, root)
        return said

    def _rehearse(self) -> None:
        """One step and one file, for nothing but the errors: a task that does not fit into this process has to end it
        here, before `ready`, and not over a miner's proposal.
        """
        rows = slice(0, self.manifest.batch_size)
        content = self.network.to_bytes()
        self.network.step(self.samples.train_x[rows], self.samples.train_y[rows])
        self.network.restore(self.network.read(content))
        self.network.accuracies_ppm(self.samples)
        prepare(new_model(self.manifest)).predict(self.samples.train_x[rows].numpy())


if __name__ == "__main__":
    main()
