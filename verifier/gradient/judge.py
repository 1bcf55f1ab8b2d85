"""Replays proposals in a process of its own, as verifier.learning.judge does models.

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
from verifier.gradient.messages import Claim, GradientCase, GradientRequest
from verifier.judging.messages import Finding, Limits, Line
from verifier.judging.sandbox import may_heal, serve


def main() -> None:
    """Keeps the newest task's data from request to request: a task's heights follow each other in seconds."""
    benches: dict[tuple[str, str], Bench] = {}

    def answer(raw: bytes) -> tuple[int, Iterator[Line]]:
        request = GradientRequest.model_validate_json(raw)
        return len(request.claims), findings(request, benches)

    serve(_set_up, answer)


def _set_up(limits: Limits) -> None:
    prepare_torch("cpu", limits.threads)


def findings(request: GradientRequest, benches: dict[tuple[str, str], "Bench"]) -> Iterator[Line]:
    """First whether the task's own files stand, then one finding per proposal."""
    case = request.case
    try:
        bench = benches.get((case.store, case.manifest))
        if bench is None:
            benches.clear()
            bench = benches[case.store, case.manifest] = Bench(open_store(case.store), Cid.parse(case.manifest))
        bench.check(case)
    except (PoleError, MemoryError) as exc:
        kind = Finding.RETRY if may_heal(exc) else Finding.HOPELESS
        yield Line(finding=kind, reason=f"{type(exc).__name__}: {exc}")
        return
    yield Line(finding=Finding.READY)
    for claim in request.claims:
        yield bench.judge(case, claim)


class Bench:
    """A task's network and rows, from its own files. Raises PoleError if they do not stand."""

    def __init__(self, store: Store, manifest: Cid) -> None:
        self.store = store
        self.manifest = fetch_gradient_manifest(store, manifest)
        self.samples = fetch_samples(store, self.manifest)
        self.network = FlatNetwork(self.manifest)
        self._rehearse()

    def check(self, case: GradientCase) -> None:
        """Raises ManifestInvalid if the task on chain and its manifest name different rules."""
        if case.rules != self.manifest.rules:
            raise ManifestInvalid(f"the manifest's rules are {self.manifest.rules!r}, the task's are {case.rules!r}")

    def judge(self, case: GradientCase, claim: Claim) -> Line:
        """One proposal; it is unavailable as long as one of its files is."""
        try:
            found = verify(self.network, self.samples, self.store, claim.on(case), claim.segments)
        except StoreError as exc:
            return Line(finding=Finding.UNAVAILABLE, entry=claim.entry, reason=str(exc))
        return Line(
            finding=Finding.JUDGED,
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
