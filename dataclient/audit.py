"""Recomputes what the committee decided about a task's winning model, on the client's own plain rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dataclient.collect import own_features, require_submitted, winning_header
from dataclient.task_folder import TaskHome
from pole.chain.contracts import Contracts
from pole.chain.structs import MAX_SUBMISSIONS, Header, Phase, Round, VerdictKind
from pole.chain.verdicts import Part, part_of, plain_part
from pole.errors import BadInput, ChainError, StoreError
from pole.exact.published import most_published_bytes, read_published, unpack_rows
from pole.exact.roots import RowPart, predictions_root
from pole.exact.task import form_of_task, model_of, task_score_ppm
from pole.learning.round_files import fetch_manifest
from pole.node.context import RoleContext
from pole.task.scores import Integers


@dataclass(frozen=True)
class Difference:
    """The first row, from 0, that the committee predicted otherwise than the client does."""

    row: int
    decided: str
    found: str

    def __str__(self) -> str:
        return f"the first difference is in row {self.row}: {self.decided} was decided, {self.found} is right"


@dataclass(frozen=True)
class Decided:
    """A model's packed verdict, and the place of its entry in the ballot that decided it."""

    word: int
    ballot_id: int
    index: int


@dataclass(frozen=True)
class OwnPart:
    """What the client finds on one part of its rows; `predictions`: [n] or [n, outputs]."""

    part: RowPart
    predictions: Integers
    score_ppm: int


@dataclass(frozen=True)
class PartAudit:
    """One part of the winner's verdict: packed as it was decided, and as the client finds it."""

    part: RowPart
    decided: int
    found: int
    difference: Difference | None = None

    @property
    def is_equal(self) -> bool:
        """Down to the fingerprint, so that every single prediction is the same."""
        return self.decided == self.found

    @property
    def is_wrong(self) -> bool:
        """Whether the committee has scored it, and otherwise than the client does."""
        return plain_part(self.decided)[0] == VerdictKind.SCORED and not self.is_equal

    def __str__(self) -> str:
        name, decided, found = self.part.name.lower(), plain_part(self.decided), plain_part(self.found)
        if decided[0] != VerdictKind.SCORED:
            return f"{name}: {decided[0].name.lower()}, not scored by the committee; {found[1]} ppm on your rows"
        if self.is_equal:
            return f"{name}: {found[1]} ppm, and every prediction is as the committee found it"
        where = self.difference or "no verifier published predictions that hash to what was decided"
        return f"{name}: {found[1]} ppm on your rows, {decided[1]} ppm was decided; {where}"


def audit(client: RoleContext, home: TaskHome) -> list[PartAudit]:
    """Both parts of the verdict on the model that won. Raises BadInput if the task is not solved."""
    task_id = require_submitted(client, home).task_id
    header, lane = winning_header(client, task_id), client.contracts.of_task(task_id)
    decided = _decided(lane, header)
    parts = list(_own_parts(client, home, header))
    most_bytes = most_published_bytes(MAX_SUBMISSIONS, sum(own.predictions.size for own in parts))
    return [_audit_part(client, header, decided, own, most_bytes) for own in parts]


def _audit_part(client: RoleContext, header: Header, decided: Decided, own: OwnPart, most_bytes: int) -> PartAudit:
    assert header.model is not None
    root = predictions_root(header.round_hash, header.model, own.part, own.predictions)
    found = PartAudit(
        own.part,
        part_of(decided.word, own.part is RowPart.TRAIN),
        Part(VerdictKind.SCORED, own.score_ppm, root).packed,
    )
    if not found.is_wrong:
        return found
    theirs = _published(client, header, decided, found, own.predictions.shape, most_bytes)
    return found if theirs is None else replace(found, difference=_first_difference(theirs, own.predictions))


def _decided(contracts: Contracts, header: Header) -> Decided:
    """The winner's word in the outcome of its round's ballots."""
    played = _round_of(contracts, header)
    committee = contracts.verifier_committee
    miners = [entry.miner for entry in contracts.learning_chain.entries(played.round_id)]
    first_id = played.first_ballot_id or played.ballot_id
    places = [Decided(word, first_id, i) for i, word in enumerate(committee.outcome_words(first_id))]
    if played.first_ballot_id:
        undecided = [
            i for i, each in enumerate(places) if plain_part(part_of(each.word, True))[0] == VerdictKind.UNDECIDED
        ]
        again = committee.outcome_words(played.ballot_id)
        for index, (i, word) in enumerate(zip(undecided, again, strict=False)):
            places[i] = Decided(word, played.ballot_id, index)
    if len(places) != len(miners):
        raise ChainError(f"the outcome of ballot {played.ballot_id} is not in the node's events; use an archive node")
    return places[miners.index(header.winner)]


def _round_of(contracts: Contracts, header: Header) -> Round:
    for round_id in range(contracts.learning_chain.round_count(), 0, -1):
        played = contracts.learning_chain.round(round_id)
        if played.height == header.height and played.phase is Phase.FINALISED:
            return played
    raise BadInput(f"no round made the block at height {header.height}; if it was made this moment, try again")


def _own_parts(client: RoleContext, home: TaskHome, header: Header) -> Iterator[OwnPart]:
    """Both parts as this machine computes them."""
    if header.model is None:
        raise BadInput(f"the block at height {header.height} names no model; this deployment is broken")
    manifest = fetch_manifest(client.store, client.contracts.task_market.task(header.task_id).terms.manifest)
    model = model_of(manifest, client.store.get(header.model, manifest.max_model_bytes))
    own = own_features(home, manifest, header.round_hash)
    for part, x, y in ((RowPart.TRAIN, own.train_x, own.train_y), (RowPart.TEST, own.test_x, own.test_y)):
        predictions = model.predict(x, form_of_task(manifest))
        yield OwnPart(part, predictions, task_score_ppm(manifest, predictions, y))


def _published(
    client: RoleContext,
    header: Header,
    decided: Decided,
    wrong: PartAudit,
    shape: Sequence[int],
    most_bytes: int,
) -> Integers | None:
    """The committee's predictions: what any member published, if it hashes to what was decided."""
    assert header.model is not None
    for cid in client.contracts.verifier_committee.published_predictions(decided.ballot_id).values():
        try:
            entry = read_published(client.store.get(cid, most_bytes)).entries[decided.index]
            predictions = unpack_rows(entry.train if wrong.part is RowPart.TRAIN else entry.test, shape)
        except (StoreError, IndexError):  # whatever a stranger left there
            continue
        root = predictions_root(header.round_hash, header.model, wrong.part, predictions)
        _, ppm = plain_part(wrong.decided)
        if Part(VerdictKind.SCORED, ppm, root).packed == wrong.decided:
            return predictions
    return None


def _first_difference(theirs: Integers, own: Integers) -> Difference | None:
    """None if only the score is wrong, of predictions that are right."""
    rows = np.flatnonzero((theirs != own).reshape(len(own), -1).any(axis=1))
    return Difference(int(rows[0]), _said(theirs[rows[0]]), _said(own[rows[0]])) if len(rows) else None


def _said(predicted: Integers) -> str:
    """A class, or what the metric looks at instead."""
    return f"class {predicted}" if predicted.ndim == 0 else f"outputs {predicted.tolist()}"
