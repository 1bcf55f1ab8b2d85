"""Tells a verifier's owner that the stake was slashed, or the seat lost, and what for."""

from pole.chain.structs import Exit, Fault
from pole.money import wei_to_ether
from pole.node.context import RoleContext

_KEY = "stake-watch"
_BLOCKS = 2_000  # a role that runs looks every minute
_FAULTS = {
    Fault.NO_COMMIT: "no vote was committed in time",
    Fault.NO_REVEAL: "the vote was not revealed in time",
    Fault.LACKING: "the vote lacks what most others found",
    Fault.NOISE: "the vote says otherwise than what was decided",
}
_EXITS = {
    Exit.REQUESTED: "it was given up",
    Exit.DISPLACED: "a higher stake took it",
    Exit.EJECTED: "the stake has become too small",
}


class StakeWatch:
    """Looks into the newest blocks for the reason when the stake or the seat has changed, and only then."""

    def __init__(self, context: RoleContext, owner: str) -> None:
        self._context, self._owner = context, owner
        self._committee = context.contracts.verifier_committee
        self.is_seated = False

    def look(self) -> None:
        """Nothing is asked of the chain unless somebody is to be told."""
        context = self._context
        if not context.notices.is_on:
            return
        verifier = self._committee.verifier(self._owner)
        self.is_seated = verifier.is_seated
        now = {"stake_wei": str(verifier.stake_wei), "is_seated": verifier.is_seated}
        before = context.journal.recall(_KEY)
        if before == now:
            return
        if before is not None:
            lost_wei = int(before["stake_wei"]) - verifier.stake_wei
            if lost_wei > 0 and not verifier.release_at:
                self._tell_of_penalties(lost_wei, verifier.stake_wei)
            if before["is_seated"] and not verifier.is_seated:
                self._tell_of_seat()
        context.journal.remember(_KEY, now)

    def _tell_of_penalties(self, lost_wei: int, stake_wei: int) -> None:
        now, tell = f"the stake is {wei_to_ether(stake_wei)} ether now", self._context.notices.tell
        events = self._committee.penalties(self._owner, _BLOCKS)
        for event in events:
            ballot, fault = event.arguments["ballotId"], Fault(event.arguments["fault"])
            amount = wei_to_ether(int(event.arguments["amountWei"]))
            tell(f"slashed/{ballot}/{fault}", f"slashed by {amount} ether on ballot {ballot}: {_FAULTS[fault]}; {now}")
        if not events:
            tell(f"stake/{stake_wei}", f"the stake has fallen by {wei_to_ether(lost_wei)} ether; {now}")

    def _tell_of_seat(self) -> None:
        events = self._committee.exits(self._owner, _BLOCKS)
        why = f": {_EXITS[Exit(events[-1].arguments['reason'])]}" if events else ""
        number = events[-1].transaction_hash if events else self._context.chain.block_number()
        self._context.notices.tell(f"unseated/{number}", f"the seat in the committee is lost{why}")
