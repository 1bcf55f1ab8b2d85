"""Recomputes what the committee decided about a task's winning model, on the client's own plain rows."""

from dataclasses import dataclass

from dataclient.collect import own_features, require_submitted, winning_header
from dataclient.task_folder import TaskHome
from pole.chain.contracts import Contracts
from pole.chain.structs import Header, Phase, Round, VerdictKind
from pole.chain.verdicts import Part, part_of, plain_part
from pole.errors import BadInput, ChainError
from pole.exact.roots import RowPart, predictions_root
from pole.exact.task import model_of, task_score_ppm
from pole.learning.round_files import fetch_manifest
from pole.node.context import RoleContext


@dataclass(frozen=True)
class PartAudit:
    """One part of the winner's verdict: packed as it was decided, and as the client finds it."""

    part: RowPart
    decided: int
    found: int

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
        if decided[1] == found[1]:
            return f"{name}: {found[1]} ppm as decided, but some predictions differ from those of the committee"
        return f"{name}: {found[1]} ppm on your rows, {decided[1]} ppm was decided"


def audit(client: RoleContext, home: TaskHome) -> list[PartAudit]:
    """Both parts of the verdict on the model that won. Raises BadInput if the task is not solved."""
    header = winning_header(client, require_submitted(client, home).task_id)
    word = _decided(client.contracts, header)
    found = _found(client, home, header)
    return [PartAudit(part, part_of(word, part is RowPart.TRAIN), found[part]) for part in RowPart]


def _decided(contracts: Contracts, header: Header) -> int:
    """The winner's word in the outcome of its round's ballots."""
    played = _round_of(contracts, header)
    committee = contracts.verifier_committee
    miners = [entry.miner for entry in contracts.learning_chain.entries(played.round_id)]
    words = committee.outcome_words(played.first_ballot_id or played.ballot_id)
    if played.first_ballot_id:
        undecided = [i for i, word in enumerate(words) if plain_part(part_of(word, True))[0] == VerdictKind.UNDECIDED]
        for i, word in zip(undecided, committee.outcome_words(played.ballot_id), strict=False):
            words[i] = word
    if len(words) != len(miners):
        raise ChainError(f"the outcome of ballot {played.ballot_id} is not in the node's events; use an archive node")
    return words[miners.index(header.winner)]


def _round_of(contracts: Contracts, header: Header) -> Round:
    for round_id in range(contracts.learning_chain.round_count(), 0, -1):
        played = contracts.learning_chain.round(round_id)
        if played.height == header.height and played.phase is Phase.FINALISED:
            return played
    raise BadInput(f"no round made the block at height {header.height}; if it was made this moment, try again")


def _found(client: RoleContext, home: TaskHome, header: Header) -> dict[RowPart, int]:
    """Both parts as this machine computes them."""
    if header.model is None:
        raise BadInput(f"the block at height {header.height} names no model; this deployment is broken")
    manifest = fetch_manifest(client.store, client.contracts.task_market.task(header.task_id).terms.manifest)
    model = model_of(manifest, client.store.get(header.model, manifest.max_model_bytes))
    own = own_features(home, manifest, header.round_hash)
    found = {}
    for part, x, y in ((RowPart.TRAIN, own.train_x, own.train_y), (RowPart.TEST, own.test_x, own.test_y)):
        predictions = model.predict(x)
        root = predictions_root(header.round_hash, header.model, part, predictions)
        found[part] = Part(VerdictKind.SCORED, task_score_ppm(manifest, predictions, y), root).packed
    return found
