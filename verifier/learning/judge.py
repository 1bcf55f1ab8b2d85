"""The judging process for models: `python -m verifier.learning.judge`, requests on stdin, findings on stdout.

It knows no key and no chain, so a hostile file can at worst end this process.
Source: PoLe, Algorithm 2
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pole.chain.structs import VerdictKind
from pole.errors import (
    ContentMismatch,
    ContentNotFound,
    ContentTooLarge,
    ModelInvalid,
    PoleError,
    StoreError,
)
from pole.exact.fast import ExactNetwork, prepare
from pole.exact.roots import RowPart, predictions_root
from pole.exact.task import form_of_task, has_raw_features, task_score_ppm
from pole.learning.features import Features, load_features
from pole.learning.round_files import fetch_keys, fetch_manifest
from pole.storage.cid import Cid
from pole.storage.store import Store, open_store
from pole.task.model import new_model
from pole.task.weights import load_model
from pole.timing import NOTHING
from verifier.judging.messages import Finding, FindingKind, scored_part
from verifier.judging.sandbox import FILE_BYTES_WHEN_JUDGING, cap_files, may_heal, serve, set_up_torch, why_not
from verifier.learning.messages import ModelsRequest, RoundInputs

REHEARSED_ROWS = 256
_LOOKERS = 32


def main() -> None:
    def answer(raw: bytes) -> tuple[int, Iterator[Finding]]:
        request = ModelsRequest.model_validate_json(raw)
        return len(request.models), findings(request)

    serve(set_up_torch, answer)


def findings(request: ModelsRequest) -> Iterator[Finding]:
    """First whether the round's own files stand, then one finding per model."""
    store = open_store(request.inputs.store)
    try:
        judge = RoundJudge(store, request.inputs)
    except (PoleError, MemoryError) as exc:
        yield why_not(exc, VerdictKind.WITHHELD if request.inputs.has_test_part else VerdictKind.NONE)
        return
    if judge.is_test_set_missing:
        yield Finding(kind=FindingKind.NO_TEST_SET, reason=judge.test_set_problem)
        return
    models = {entry: Cid.parse(model) for entry, model in request.models}
    absent = bring(store, set(models.values()), judge.manifest.max_model_bytes)
    yield Finding(kind=FindingKind.READY, reason=judge.test_set_problem, opening=judge.opening)
    cap_files(FILE_BYTES_WHEN_JUDGING)
    for entry, cid in models.items():
        if cid in absent:
            yield judge.absent(entry, absent[cid])
        else:
            yield judge.judge(entry, cid)


def bring(store: Store, cids: set[Cid], max_bytes: int) -> dict[Cid, str]:
    """Why some content cannot be had, after looking for all of it at once: models that nobody has must not keep the
    others from being judged in time.
    """

    def look(cid: Cid) -> tuple[Cid, str]:
        try:
            store.open_file(cid, max_bytes)
        except ContentTooLarge:  # a verdict, not an absence
            return cid, ""
        except StoreError as exc:
            return cid, str(exc)
        return cid, ""

    with ThreadPoolExecutor(max_workers=_LOOKERS) as pool:
        return {cid: reason for cid, reason in pool.map(look, cids) if reason}


class RoundJudge:
    """The round's features, computed from its own files and on nobody's word. Raises PoleError if they do not stand."""

    def __init__(self, store: Store, inputs: RoundInputs) -> None:
        self.store, self.inputs = store, inputs
        self.manifest_cid, self.previous_hash = Cid.parse(inputs.manifest), bytes.fromhex(inputs.previous_hash)
        self.manifest = fetch_manifest(store, self.manifest_cid)
        self.keys = fetch_keys(store, self.manifest, Cid.parse(inputs.keys) if inputs.keys else None)
        self.train = self._features(None)
        self._rehearse()
        self.test_set_problem, self.is_test_set_missing = "", False
        self.test = self._test_features()
        self.opening = self.train.opening + (self.test.opening if self.test else NOTHING)

    def judge(self, entry: int, cid: Cid) -> Finding:
        """Algorithm 2 for one model; whether the accuracy suffices is for the contract to say."""
        try:
            content = self.store.get(cid, self.manifest.max_model_bytes)
            model = new_model(self.manifest)
            load_model(content, model)
            network = prepare(model, has_raw_features(self.manifest))
        except (ModelInvalid, ContentTooLarge) as exc:
            return Finding(kind=FindingKind.JUDGED, entry=entry, reason=str(exc))
        except StoreError as exc:
            return self.absent(entry, str(exc))
        scored = self._scored(network, cid, RowPart.TRAIN, self.train.train_x, self.train.train_y)
        if self.test is not None and self.test.test_x is not None and self.test.test_y is not None:
            scored |= self._scored(network, cid, RowPart.TEST, self.test.test_x, self.test.test_y)
        found = Finding(kind=FindingKind.JUDGED, entry=entry, test=self._untested)
        return found.model_copy(update=scored)

    def absent(self, entry: int, reason: str) -> Finding:
        """A model that cannot be had, so far; then its test part cannot be known either, if there is one."""
        test = VerdictKind.UNAVAILABLE if self.test is not None else self._untested
        kind, train = FindingKind.UNAVAILABLE, VerdictKind.UNAVAILABLE
        return Finding(kind=kind, entry=entry, train=train, test=test, reason=reason)

    def _rehearse(self) -> None:
        """Builds an untrained model and runs it on one batch, for nothing but the errors.

        A specification that cannot be built makes all models invalid. One that does not fit into this process has to
        end it here, before `ready`, and not over a miner's model: the client would get that miner's bond.
        """
        prepare(new_model(self.manifest), has_raw_features(self.manifest)).predict(self.train.train_x[:REHEARSED_ROWS])

    @property
    def _untested(self) -> VerdictKind:
        """What a vote says of testing where there is no test set to rank by."""
        return VerdictKind.WITHHELD if self.inputs.has_test_part else VerdictKind.NONE

    def _scored(
        self, network: ExactNetwork, model: Cid, part: RowPart, x: NDArray[np.float32], labels: NDArray[np.int64]
    ) -> dict[str, Any]:
        """What a finding says of one part."""
        predictions = network.predict(x, form_of_task(self.manifest))
        ppm = task_score_ppm(self.manifest, predictions, labels)
        return scored_part(part, ppm, predictions, predictions_root(self.previous_hash, model, part, predictions))

    def _test_features(self) -> Features | None:
        """None if the released test set is missing or useless: the client's fault, no reason to fail the miners."""
        if self.inputs.test_set is None:
            return None
        try:
            return self._features(Cid.parse(self.inputs.test_set))
        except (ContentNotFound, ContentMismatch) as exc:
            self.test_set_problem, self.is_test_set_missing = str(exc), True
            return None
        except PoleError as exc:
            if may_heal(exc):
                raise
            self.test_set_problem = f"the test set cannot be used and counts as withheld: {exc}"
            return None

    def _features(self, test_set: Cid | None) -> Features:
        cache = Path(self.inputs.cache_dir)
        return load_features(
            self.store, self.manifest, self.manifest_cid, self.previous_hash, self.keys, test_set, cache, None
        )


if __name__ == "__main__":
    main()
