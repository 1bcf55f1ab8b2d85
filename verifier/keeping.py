"""Serves the models of a ballot until it must have ended, so that no verifier lacks what another could fetch."""

from collections.abc import Collection, Iterable
from contextlib import suppress

from pole.chain.structs import MAX_SUBMISSIONS, Ballot, CommitteeParameters
from pole.errors import StoreError
from pole.node.context import RoleContext
from pole.node.pins import Pins
from pole.storage.cid import Cid

PIN_WITHIN_S = 10.0


class Keeper:
    """Pins what is not kept in the store already: that is somebody else's, who also lets go of it."""

    def __init__(self, context: RoleContext) -> None:
        self._context = context
        self._pins = Pins(context.journal, context.store, context.log)
        self._planned: set[Cid] = set()
        self._pinned: set[Cid] = set()

    def plan(self, cids: Iterable[Cid], ballot: Ballot) -> None:
        """Journals until when this ballot's models stay, before any of them is pinned."""
        fresh = [cid for cid in cids if cid not in self._planned and not self._is_kept(cid)]
        if fresh:
            parameters = self._context.contracts.verifier_committee.parameters()
            lanes = len(self._context.contracts.lanes)
            self._pins.let_go_at(fresh, ballot.deadline + longest_ballot_s(parameters, lanes))
            self._planned.update(fresh)

    def pin(self, cids: Collection[Cid]) -> None:
        """What was planned and can be fetched; called where waiting does no harm, and again for what is missing."""
        for cid in self._planned.intersection(cids) - self._pinned:
            with suppress(StoreError):
                self._context.store.pin(cid, PIN_WITHIN_S)
                self._pinned.add(cid)

    def let_go(self) -> None:
        """Unpins models whose ballots must have ended."""
        self._pins.let_go(self._context.chain.block_time())

    def _is_kept(self, cid: Cid) -> bool:
        try:
            return self._context.store.has(cid)
        except StoreError:
            return False


def longest_ballot_s(parameters: CommitteeParameters, lanes: int) -> int:
    """From a commit deadline to the end of a second ballot, with all extensions, beside ballots of all other chains."""
    entries_s = parameters.vote_entry_s * MAX_SUBMISSIONS * (lanes + 1)
    one_pass_s = parameters.vote_commit_window_s + entries_s + parameters.vote_reveal_window_s
    extended_s = (1 + parameters.max_extensions) * one_pass_s
    return 2 * (extended_s + parameters.vote_opening_window_s)
