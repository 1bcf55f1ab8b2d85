"""A round's models, as a verifier sees them: which of them still have to be judged."""

from collections.abc import Collection, Mapping, Sequence

from pole.chain.verdicts import INVALID
from pole.storage.cid import Cid
from pole.task.manifest import Document
from verifier.judging.process import JudgingProcess
from verifier.judging.session import Judgement, Session, judge_entries
from verifier.learning.messages import ModelsRequest, RoundInputs


def judge_all(
    judge: JudgingProcess,
    inputs: RoundInputs,
    models: dict[int, Cid],
    session: Session,
    give_up_at_s: float,
    entries: Collection[int] | None = None,
    order: Mapping[int, int] | None = None,
) -> None:
    """Judges the models of a round that have no judgement yet; with no models, it only prepares the features.

    `entries`: which ones, by default all; a model that an earlier one of the round has already is invalid in any case.
    `order`: of the entries' commits, by default that of the entries.
    """
    for entry in _duplicates(models, order or {}):
        session.judgements[entry] = Judgement(INVALID, f"model {models[entry]} was committed by an earlier entry")

    def request(asked: Sequence[int]) -> Document:
        return ModelsRequest(inputs=inputs, models=[(entry, str(models[entry])) for entry in asked])

    judge_entries(judge, request, list(models) if entries is None else entries, session, give_up_at_s)


def _duplicates(models: dict[int, Cid], order: Mapping[int, int]) -> list[int]:
    """Entries, in commit order, whose model an earlier entry has already."""
    first: dict[Cid, int] = {}
    by_commit = sorted(models, key=lambda entry: order.get(entry, entry))
    return [entry for entry in by_commit if first.setdefault(models[entry], entry) != entry]
