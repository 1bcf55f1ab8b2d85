"""The judging process for proposals, which replays them; see verifier.learning.judge for that of models.

Source: DGG, Algorithm 2
"""

from collections.abc import Iterator

from pole.errors import ManifestInvalid, PoleError, StoreError
from pole.gradient.manifest import fetch_gradient_manifest
from pole.gradient.network import FlatNetwork, prepare_torch
from pole.gradient.samples import fetch_samples
from pole.gradient.verification import verify
from pole.storage.cid import Cid
from pole.storage.store import Store, open_store
from verifier.gradient.messages import Claim, HeightInputs, ProposalsRequest
from verifier.judging.messages import Finding, FindingKind, JudgingLimits
from verifier.judging.sandbox import may_heal, serve


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
        kind = FindingKind.RETRY if may_heal(exc) else FindingKind.HOPELESS
        yield Finding(kind=kind, reason=f"{type(exc).__name__}: {exc}")
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
        """One proposal; it is unavailable as long as one of its files is."""
        try:
            found = verify(self.network, self.samples, self.store, claim.on(inputs), claim.segments)
        except StoreError as exc:
            return Finding(kind=FindingKind.UNAVAILABLE, entry=claim.entry, reason=str(exc))
        return Finding(
            kind=FindingKind.JUDGED,
            entry=claim.entry,
            is_valid=found.is_valid,
            train_ppm=found.train_ppm,
            test_ppm=found.test_ppm,
            wrong_segments=found.wrong_segments,
            reason=found.reason,
        )

    def _rehearse(self) -> None:
        """One step and one file, for nothing but the errors: a task that does not fit into this process has to end it
        here, before `ready`, and not over a miner's proposal.
        """
        rows = slice(0, self.manifest.batch_size)
        content = self.network.to_bytes()
        self.network.step(self.samples.train_x[rows], self.samples.train_y[rows])
        self.network.restore(self.network.read(content))
        self.network.accuracies_ppm(self.samples)


if __name__ == "__main__":
    main()
