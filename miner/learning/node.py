"""A miner that follows all lanes of the chain: open, train where it pays most, reveal, again."""

from collections.abc import Callable, Sequence

from miner.learning.assignment import terms_of
from miner.learning.lane import LaneMiner, MinerOptions
from miner.learning.solutions import Solutions
from miner.learning.worth import worth
from pole.chain.order import STEP_BLOCKS
from pole.chain.structs import Round
from pole.errors import InsufficientFunds, StoreError, TransactionReverted
from pole.node.context import RoleContext
from pole.node.loop import Node, Waiting, soonest
from pole.node.pace import LONGEST_S, pause_s

__all__ = ["MinerNode", "MinerOptions"]


class MinerNode(Node):
    """Trains on one round at a time: of those that it can still win, the one worth most per second of its own work.

    Its other rounds are looked after meanwhile: what it committed to is revealed in time, wherever it trains.
    """

    def __init__(self, context: RoleContext, options: MinerOptions) -> None:
        super().__init__(context)
        self.options = options
        count = len(context.contracts.lanes)
        self.lanes = [LaneMiner(context.on_lane(lane), options, self._looking_around(lane)) for lane in range(count)]

    @property
    def solutions(self) -> Solutions:
        """Of the first lane."""
        return self.lanes[0].solutions

    @property
    def rounds_ended(self) -> int:
        """Of all lanes."""
        return sum(lane.rounds_ended for lane in self.lanes)

    @property
    def is_committed(self) -> bool:
        """Whether leaving now would cost a bond."""
        return any(lane.is_committed for lane in self.lanes)

    def at_stake(self) -> str:
        return "the bond of my commit" if self.is_committed else ""

    def act(self) -> Waiting:
        rounds = [(lane, lane.tend()) for lane in self.lanes]
        ranked = self._ranked(rounds)
        opening = self._open_round(rounds, is_busy=bool(ranked))
        able = [lane for lane, _ in ranked]
        waits = [lane.take_part(current, False) for lane, current in rounds if current and lane not in able]
        waits += [opening] if opening and not ranked else []
        return self._compete(ranked) or soonest(waits)

    # --- which round -------------------------------------------------------------------------------------------------

    def _compete(self, ranked: Sequence[tuple[LaneMiner, Round]]) -> Waiting | None:
        """Works on the first of these rounds that lets it: one whose files nobody has, or whose bond is too high for
        the account, must not keep it from the next.
        """
        first, poor = None, None
        for lane, current in ranked:
            try:
                waiting = lane.take_part(current)
            except InsufficientFunds as exc:
                poor = poor or exc
                continue
            if not lane.can_compete(current):
                return waiting
            first = first or waiting
        if first is None and poor is not None:
            raise poor
        return first

    def _ranked(self, rounds: Sequence[tuple[LaneMiner, Round | None]]) -> list[tuple[LaneMiner, Round]]:
        """Where there is something to train or to commit, best first; of a single lane, the round in progress.

        Miners for whom all are worth the same begin at different lanes.
        """
        open_ones = [(lane, current) for lane, current in rounds if current and self._is_allowed(lane)]
        if len(self.lanes) == 1:
            return open_ones
        able = [(lane, current) for lane, current in open_ones if lane.can_compete(current)]
        if len(able) < 2:
            return able
        now_s, first = self.context.chain.block_time(), int(self.context.address, 16)

        def merit(each: tuple[LaneMiner, Round]) -> tuple[float, int]:
            lane, current = each
            is_sealed = lane.solutions.solution(current) is not None
            value = float("inf") if is_sealed else worth(current, terms_of(lane.context.contracts, current), now_s)
            return value, (first + lane.lane) % len(self.lanes)

        return sorted(able, key=merit, reverse=True)

    def _is_allowed(self, lane: LaneMiner) -> bool:
        return self.options.lane is None or lane.lane == self.options.lane

    # --- what cannot wait --------------------------------------------------------------------------------------------

    def _looking_around(self, training_on: int) -> Callable[[], float]:
        """What the lane that is trained on calls now and then: the others' reveals, and rounds to open.

        Returns in how many seconds the others want to be looked at again.
        """

        def look_around() -> float:
            client, waits = self.context.chain, list[Waiting]()
            if len(self.lanes) == 1:
                return LONGEST_S
            client.turns.is_waiting = False
            try:
                rounds = [(lane, lane.tend()) for lane in self.lanes if lane.lane != training_on]
                self._open_round(rounds, is_busy=True)
                waits += [lane.take_part(current, False) for lane, current in rounds if current is not None]
            except (StoreError, TransactionReverted, InsufficientFunds) as exc:
                self.context.log.warning(f"another lane has to wait: {exc}")
                return client.interval_s
            until_s = soonest(waits).until_s if waits else None
            rest_s = pause_s(until_s, client.last_time, client.interval_s)
            return min(rest_s, STEP_BLOCKS * client.interval_s) if client.turns.is_waiting else rest_s

        return look_around

    # --- between rounds ----------------------------------------------------------------------------------------------

    def _open_round(self, rounds: Sequence[tuple[LaneMiner, Round | None]], *, is_busy: bool) -> Waiting | None:
        """Opens the next round on a free lane, taking turns with whoever else might; None if no lane is free.

        `is_busy`: it has a round to train on, and opens no idle one beside it.
        """
        free = [lane for lane, current in rounds if current is None]
        if not free:
            return None
        has_task = self.context.contracts.task_market.pending_count() > 0
        if not has_task and (is_busy or not self.options.is_idle_allowed):
            return Waiting("a task", None, "open a round and train")
        if not self.context.contracts.verifier_committee.seated():
            return Waiting("a verifier to take a seat: without any, a round decides nothing", None, "open a round")
        lane = self._lane_to_open(free, has_task)
        if lane is not None:
            self._open(lane, has_task)
        return Waiting("the next round to open", None, "train")

    def _lane_to_open(self, free: Sequence[LaneMiner], has_task: bool) -> LaneMiner | None:
        """The next task goes to the lane that has been idle longest; an idle round never to the last free one."""
        if has_task:
            next_lane = self.context.contracts.task_market.next_lane()
            return next((lane for lane in free if lane.lane == next_lane), None)
        allowed = [lane for lane in free if self._is_allowed(lane)]
        return allowed[0] if allowed and (len(free) > 1 or len(self.lanes) == 1) else None

    def _open(self, lane: LaneMiner, has_task: bool) -> None:
        contracts, client, address = lane.context.contracts, self.context.chain, self.context.address
        chain = contracts.learning_chain
        number = chain.round_count() + 1
        known = [each.miner for each in chain.submissions(number - 1)] if number > 1 else []
        if not client.turns.is_mine(f"{chain.address}/open/{number}", known, address, client.block_number()):
            return
        try:
            if has_task:
                chain.open_round(key=f"open/{number}/openRound")
            else:
                chain.open_idle_round(key=f"open/{number}/openIdleRound")
        except TransactionReverted as exc:
            self.context.log.debug(f"somebody else opened the round: {exc}")
