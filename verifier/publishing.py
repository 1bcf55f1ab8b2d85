"""Publishes the predictions behind a vote, once nobody can copy them any more."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pole.atomicfile import write_atomically
from pole.errors import StoreError
from pole.exact.published import EntryRows, PublishedPredictions
from pole.node.context import RoleContext
from pole.node.pins import UNPIN_AFTER_S, Pins
from pole.storage.cid import Cid, cid_of_file


class Publisher:
    """Keeps predictions in the verifier's home until votes are revealed: content in a store can be seen by others."""

    def __init__(self, context: RoleContext) -> None:
        self._context = context
        self._pins = Pins(context.journal, context.store, context.log)

    def keep(self, ballot_id: int, entries: Sequence[EntryRows]) -> None:
        """On disk, before the vote is committed. A disk that is full costs the publication, not the vote."""
        path = self._path(ballot_id)
        document = PublishedPredictions(ballot_id=ballot_id, entries=list(entries))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, document.to_bytes(), 0o600)
        except OSError as exc:
            self._context.log.warning(f"ballot {ballot_id}: the predictions cannot be kept to publish them: {exc}")

    def publish(self, ballot_id: int) -> Cid | None:
        """Puts them into the store for a week. None if they cannot be had or put: the vote is revealed all the same."""
        context = self._context
        try:
            cid = cid_of_file(self._path(ballot_id))
            self._pins.let_go_at([cid], context.chain.block_time() + UNPIN_AFTER_S)
            context.store.put_file(self._path(ballot_id))
        except (OSError, StoreError) as exc:
            context.log.warning(f"ballot {ballot_id}: the predictions are not published: {exc}")
            return None
        return cid

    def forget(self, ballot_id: int) -> None:
        """What was published, or is of no use any more."""
        with suppress(OSError):
            self._path(ballot_id).unlink()

    def _path(self, ballot_id: int) -> Path:
        """Of this account on this chain: another one that shares the home counts its ballots from 1 as well."""
        return self._context.home / "predictions" / self._context.journal.path.stem / f"{ballot_id}.json"
